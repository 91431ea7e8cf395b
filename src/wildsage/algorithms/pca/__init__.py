"""Principal component analysis: exact from one streamed pass, or by a sketch and its refinement."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wildsage.algorithms.pca.estimator import PCA as PCA

__all__ = ["PCA"]


def __getattr__(name: str) -> Any:
    if name == "PCA":
        from wildsage.algorithms.pca.estimator import PCA

        return PCA
    raise AttributeError(name)
