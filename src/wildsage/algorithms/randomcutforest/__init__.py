"""Random Cut Forest: anomaly scores from random trees. See README.md.

Importing the package costs nothing; the estimator is imported when it is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wildsage.algorithms.randomcutforest.estimator import RandomCutForest as RandomCutForest

__all__ = ["RandomCutForest"]


def __getattr__(name: str) -> Any:
    if name == "RandomCutForest":
        from wildsage.algorithms.randomcutforest.estimator import RandomCutForest

        return RandomCutForest
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
