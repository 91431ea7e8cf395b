"""Linear models for regression and classification, many trained at once. See README.md.

Importing the package costs nothing; the estimator is imported when it is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wildsage.algorithms.linear_learner.estimator import LinearLearner

__all__ = ["LinearLearner"]


def __getattr__(name: str) -> Any:
    if name == "LinearLearner":
        from wildsage.algorithms.linear_learner.estimator import LinearLearner

        return LinearLearner
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
