"""Which IP addresses an entity uses: embeddings of both, trained against made-up pairs.

See README.md. Importing the package costs nothing; the estimator is imported when it is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wildsage.algorithms.ipinsights.estimator import IPInsights as IPInsights

__all__ = ["IPInsights"]


def __getattr__(name: str) -> Any:
    if name == "IPInsights":
        from wildsage.algorithms.ipinsights.estimator import IPInsights

        return IPInsights
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
