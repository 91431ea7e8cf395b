"""k nearest neighbours: a sample of the rows in an index of faiss, which votes or averages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wildsage.algorithms.knn.estimator import KNN as KNN

__all__ = ["KNN"]


def __getattr__(name: str) -> Any:
    if name == "KNN":
        from wildsage.algorithms.knn.estimator import KNN

        return KNN
    raise AttributeError(name)
