"""Documents of two topics, which share few words."""

from __future__ import annotations

import numpy as np

from wildsage.algorithms.example import Example, tabular
from wildsage.algorithms.ntm.estimator import NTM
from wildsage.formats.matrix import SparseMatrix


def documents(count: int = 200, words: int = 12, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """(counts, which of two topics prevails): each topic has half of the words."""
    rng = np.random.default_rng(seed)
    topics = np.full((2, words), 0.2)
    topics[0, : words // 2] = topics[1, words // 2 :] = 2.0
    topics /= topics.sum(axis=1, keepdims=True)
    first = (np.arange(count) % 2).astype(np.float64)
    share = np.where(first == 0, rng.uniform(0.8, 1, count), rng.uniform(0, 0.2, count))
    mixed = share[:, None] * topics[0] + (1 - share[:, None]) * topics[1]
    counts = np.stack([rng.multinomial(30, chances) for chances in mixed])
    return counts.astype(np.float32), first


def example() -> Example:
    counts, _ = documents()
    made = tabular(
        {"feature_dim": "12", "num_topics": "2", "mini_batch_size": "50", "epochs": "2"},
        {
            "train": (SparseMatrix.from_dense(counts[:150]), None),
            "validation": (counts[150:180], None),
            "test": (counts[180:], None),
        },
        counts[:5],
        ("topic_weights",),
        estimator=NTM,
    )
    words = "\n".join(f"word{number}" for number in range(12)) + "\n"
    channels = {**made.channels, "auxiliary": {"text/plain": words.encode()}}
    return Example(
        made.hyperparameters,
        channels,
        made.requests,
        made.records,
        made.answers,
        made.estimator,
        made.variations,
    )
