"""The figures that jobs report, from sums over rows as `kernels.judge` counts them."""

from __future__ import annotations

import math
from typing import Any, Literal

from numpy.typing import NDArray

Array = NDArray[Any]
Kind = Literal["loss", "score"]

CLASSIFIER = "binary_classifier"


def figures_of(predictor_type: str, sums: Array) -> dict[str, float]:
    """Metrics by name, in the order of the log."""
    rows, loss, absolute, right, hits, false_hits, misses = sums.tolist()
    rows = max(rows, 1.0)
    if predictor_type == CLASSIFIER:
        return {
            "binary_classification_accuracy": right / rows,
            "binary_classification_cross_entropy": loss / rows,
            "binary_f_1.000": 2 * hits / max(2 * hits + false_hits + misses, 1.0),
        }
    return {
        "rmse": math.sqrt(loss / rows),
        "mse": loss / rows,
        "absolute_loss": absolute / rows,
    }


def kind_of(name: str) -> Kind:
    """Whether less is better."""
    return "score" if "accuracy" in name or "_f_" in name else "loss"
