"""The figures that jobs report, from sums over pairs as `kernels.judge` counts them."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

Array = NDArray[Any]


def figures_of(sums: Array) -> dict[str, float]:
    """Metrics by name, in the order of the log."""
    pairs, loss, right = sums.tolist()
    return {
        "binary_classification_accuracy": right / max(pairs, 1.0),
        "binary_classification_cross_entropy": loss / max(pairs, 1.0),
    }
