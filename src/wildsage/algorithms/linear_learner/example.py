"""Two overlapping clouds of points."""

from __future__ import annotations

import numpy as np

from wildsage.algorithms.example import Example, tabular
from wildsage.algorithms.linear_learner.estimator import LinearLearner


def example() -> Example:
    rng = np.random.default_rng(0)
    labels = (np.arange(240) % 2).astype(np.float32)
    rows = rng.normal(size=(240, 4)).astype(np.float32)
    rows[:, :2] += 2 * labels[:, None]
    return tabular(
        {"predictor_type": "binary_classifier", "mini_batch_size": "50"},
        {
            "train": (rows[:160], labels[:160]),
            "validation": (rows[160:200], labels[160:200]),
            "test": (rows[200:], labels[200:]),
        },
        rows[:5],
        ("score", "predicted_label"),
        estimator=LinearLearner,
        variations={
            "predictor_type": {"predictor_type": "multiclass_classifier", "num_classes": "3"},
            "loss": {"loss": "hinge_loss"},
        },
    )
