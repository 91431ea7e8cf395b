"""Rows that vary along two of five directions, and little along the others."""

from __future__ import annotations

import numpy as np

from wildsage.algorithms.example import Example, tabular
from wildsage.algorithms.pca.estimator import PCA


def example() -> Example:
    rng = np.random.default_rng(0)
    turned = np.linalg.qr(rng.normal(size=(5, 5)))[0]
    rows = rng.normal(size=(240, 5)) * [6, 3, 1, 0.5, 0.1] @ turned + [1, 2, 3, 4, 5]
    rows = rows.astype(np.float32)
    return tabular(
        {"feature_dim": "5", "num_components": "3", "mini_batch_size": "50"},
        {"train": (rows, None), "test": (rows[:60], None)},
        rows[:4],
        ("projection",),
        estimator=PCA,
        variations={"feature_dim": {"feature_dim": "6"}},
    )
