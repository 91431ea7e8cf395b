"""DeepAR: one recurrent network that forecasts many related time series. See README.md.

Importing the package costs nothing; the estimator is imported when it is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wildsage.algorithms.forecasting_deepar.estimator import DeepAR

__all__ = ["DeepAR"]


def __getattr__(name: str) -> Any:
    if name == "DeepAR":
        from wildsage.algorithms.forecasting_deepar.estimator import DeepAR

        return DeepAR
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
