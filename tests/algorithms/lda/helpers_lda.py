"""Documents made from known topics."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
WORDS = 60


def made(
    count: int = 600, topics: int = 5, length: int = 60, concentration: float = 0.5, seed: int = 0
) -> tuple[Array, Array, Array]:
    """Counts, the topics (topics x words) and the mixtures behind them."""
    rng = np.random.default_rng(seed)
    truth = rng.dirichlet(np.full(WORDS, 0.1), topics)
    mixtures = rng.dirichlet(np.full(topics, concentration / topics), count)
    rows = np.array(
        [rng.multinomial(length, chances / chances.sum()) for chances in mixtures @ truth]
    )
    return rows.astype(np.float32), truth, mixtures


def matched(found: Array, truth: Array) -> Array:
    """The order of `found` that brings each topic beside the one it is closest to."""
    from scipy.optimize import linear_sum_assignment

    apart = np.abs(truth[:, None] - found[None]).sum(axis=2)
    order: Array = linear_sum_assignment(apart)[1]
    return order


def distance(found: Array, truth: Array) -> float:
    """The mean L1 distance of matched topics, from 0 to 2."""
    return float(np.abs(found[matched(found, truth)] - truth).sum(axis=1).mean())
