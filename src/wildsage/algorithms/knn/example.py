"""Three clouds of points, and the number of the cloud."""

from __future__ import annotations

import numpy as np

from wildsage.algorithms.example import Example, tabular
from wildsage.algorithms.knn.estimator import KNN


def example() -> Example:
    rng = np.random.default_rng(0)
    middles = np.array([[0, 0, 5, 1], [9, 1, 0, 2], [1, 8, 1, 0]], np.float32)
    labels = (np.arange(240) % 3).astype(np.float32)
    rows = middles[np.arange(240) % 3] + rng.normal(size=(240, 4)).astype(np.float32)
    reduce = {"dimension_reduction_type": "sign", "dimension_reduction_target": "3"}
    quantize = {"index_type": "faiss.IVFPQ", "faiss_index_pq_m": "2"}
    return tabular(
        {
            "k": "5",
            "feature_dim": "4",
            "predictor_type": "classifier",
            "sample_size": "200",
            "mini_batch_size": "50",
        },
        {"train": (rows, labels), "test": (rows[:60], labels[:60])},
        rows[:5],
        ("predicted_label",),
        estimator=KNN,
        variations={
            "dimension_reduction_type": reduce,
            "dimension_reduction_target": reduce,
            "index_type": quantize,
            "faiss_index_pq_m": quantize,
        },
    )
