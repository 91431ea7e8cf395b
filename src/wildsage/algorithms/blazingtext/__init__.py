"""Word vectors (word2vec) and text classification as fastText does it, on the processor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wildsage.algorithms.blazingtext.classifier import TextClassifier as TextClassifier
    from wildsage.algorithms.blazingtext.word2vec import Word2Vec as Word2Vec

__all__ = ["TextClassifier", "Word2Vec"]


def __getattr__(name: str) -> Any:
    if name == "Word2Vec":
        from wildsage.algorithms.blazingtext.word2vec import Word2Vec

        return Word2Vec
    if name == "TextClassifier":
        from wildsage.algorithms.blazingtext.classifier import TextClassifier

        return TextClassifier
    raise AttributeError(name)
