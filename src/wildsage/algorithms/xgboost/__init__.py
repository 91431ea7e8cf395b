"""XGBoost: gradient-boosted trees by the library of that name, under SageMaker's contract."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wildsage.algorithms.xgboost.estimator import XGBoost

__all__ = ["XGBoost"]


def __getattr__(name: str) -> Any:
    """The estimator is imported when it is asked for: importing the package costs nothing."""
    if name in __all__:
        from wildsage.algorithms.xgboost import estimator

        return getattr(estimator, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
