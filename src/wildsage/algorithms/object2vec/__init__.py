"""Embeddings of objects from pairs of them: two encoders, a comparison. See README.md."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wildsage.algorithms.object2vec.estimator import Object2Vec as Object2Vec

__all__ = ["Object2Vec"]


def __getattr__(name: str) -> Any:
    if name == "Object2Vec":
        from wildsage.algorithms.object2vec.estimator import Object2Vec

        return Object2Vec
    raise AttributeError(name)
