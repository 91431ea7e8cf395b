"""Three clouds of points."""

from __future__ import annotations

import numpy as np

from wildsage.algorithms.example import Example, tabular
from wildsage.algorithms.kmeans.estimator import KMeans


def example() -> Example:
    rng = np.random.default_rng(0)
    middles = np.array([[0, 0, 5], [9, 1, 0], [1, 8, 1]], np.float32)
    rows = middles[np.arange(240) % 3] + rng.normal(size=(240, 3)).astype(np.float32)
    return tabular(
        {"k": "3", "feature_dim": "3", "mini_batch_size": "50", "eval_metrics": '["msd", "ssd"]'},
        {"train": (rows, None), "test": (rows[:60], None)},
        rows[:5],
        ("closest_cluster", "distance_to_cluster"),
        estimator=KMeans,
    )
