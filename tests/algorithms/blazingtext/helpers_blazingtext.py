"""Small corpora, and jobs on them."""

from __future__ import annotations

import struct
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from wildsage.algorithms import registry
from wildsage.algorithms.blazingtext.example import THEMES, themed_sentences
from wildsage.algorithms.blazingtext.word2vec import Word2Vec
from wildsage.algorithms.instances import Instance

WORDS: dict[str, str] = {
    "mode": "batch_skipgram",
    "vector_dim": "8",
    "min_count": "1",
    "evaluation": "false",
}
TEXTS: dict[str, str] = {
    "mode": "supervised",
    "vector_dim": "8",
    "min_count": "1",
    "buckets": "1000",
    "learning_rate": "0.5",
}
PLAIN = "text/plain"


def sentences(count: int = 200) -> bytes:
    return "\n".join(themed_sentences(count)[0]).encode()


def labelled(count: int = 200, seed: int = 0) -> bytes:
    texts, themes = themed_sentences(count, seed)
    pairs = zip(texts, themes, strict=True)
    return "\n".join(f"__label__{theme} {text}" for text, theme in pairs).encode()


def separation(model: Word2Vec) -> float:
    """How much nearer words of one theme are to each other than to the other theme's."""
    import numpy as np

    vectors = model.transform([word for theme in THEMES for word in theme])
    vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    cosines = vectors @ vectors.T
    half = len(THEMES[0])
    inside = (cosines[:half, :half].sum() + cosines[half:, half:].sum() - 2 * half) / (
        2 * half * (half - 1)
    )
    return float(inside - cosines[:half, half:].mean())


def record(payload: bytes) -> bytes:
    return struct.pack("<II", 0xCED7230A, len(payload)) + payload + bytes(-len(payload) % 4)


@contextmanager
def job(hyperparameters: dict[str, str], **channels: Any) -> Iterator[Instance]:
    """An instance that has run a job; a channel is its content, or (content, content type)."""
    with tempfile.TemporaryDirectory() as folder:
        instance = Instance(Path(folder), dict(hyperparameters))
        for name, given in channels.items():
            content, kind = given if isinstance(given, tuple) else (given, PLAIN)
            instance.add_channel(name, content, kind)
        instance.run(registry.spec("blazingtext"))
        yield instance
