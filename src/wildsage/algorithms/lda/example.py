"""Documents about three topics of four words each."""

from __future__ import annotations

import numpy as np

from wildsage.algorithms.example import Example, tabular
from wildsage.algorithms.lda.estimator import LDA


def example() -> Example:
    rng = np.random.default_rng(0)
    topics = np.kron(np.eye(3), np.full(4, 0.25))
    mixtures = rng.dirichlet(np.full(3, 0.2), 240)
    rows = np.array([rng.multinomial(30, mixture @ topics) for mixture in mixtures], np.float32)
    return tabular(
        {"num_topics": "3", "feature_dim": "12", "mini_batch_size": "240"},
        {"train": (rows, None), "test": (rows[:60], None)},
        rows[:5],
        ("topic_mixture",),
        estimator=LDA,
    )
