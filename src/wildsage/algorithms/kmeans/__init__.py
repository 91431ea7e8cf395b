"""k-means clustering at web scale: one pass of streaming updates, then a weighted Lloyd to k."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wildsage.algorithms.kmeans.estimator import KMeans as KMeans

__all__ = ["KMeans"]


def __getattr__(name: str) -> Any:
    if name == "KMeans":
        from wildsage.algorithms.kmeans.estimator import KMeans

        return KMeans
    raise AttributeError(name)
