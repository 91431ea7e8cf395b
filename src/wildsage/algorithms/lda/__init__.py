"""Latent Dirichlet allocation: topics out of moments, refined by passes over the documents."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wildsage.algorithms.lda.estimator import LDA as LDA

__all__ = ["LDA"]


def __getattr__(name: str) -> Any:
    if name == "LDA":
        from wildsage.algorithms.lda.estimator import LDA

        return LDA
    raise AttributeError(name)
