"""A cloud of points, and a few far away from it."""

from __future__ import annotations

import numpy as np

from wildsage.algorithms.example import Example, tabular
from wildsage.algorithms.randomcutforest.estimator import RandomCutForest


def example() -> Example:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(400, 3)).astype(np.float32)
    labels = np.zeros(400, np.float32)
    labels[::50] = 1
    rows[::50] += 9
    return tabular(
        {"feature_dim": "3", "num_trees": "50", "num_samples_per_tree": "16"},
        {"train": (rows, None), "test": (rows[:100], labels[:100])},
        rows[:5],
        ("score",),
        estimator=RandomCutForest,
    )
