"""Pairs with a known rule, and training jobs of object2vec in this process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from wildsage.algorithms import registry
from wildsage.algorithms.instances import Instance
from wildsage.algorithms.object2vec import Object2Vec
from wildsage.algorithms.object2vec.example import TOKENS, lines, records
from wildsage.algorithms.object2vec.pairs import Sequences

SPEC = registry.spec("object2vec")
JSONLINES = "application/jsonlines"
SMALL = {"enc_dim": 13, "enc0_token_embedding_dim": 8, "mlp_dim": 8, "epochs": 2}

Pair = tuple[list[int], list[int]]


def data(count: int = 120, seed: int = 0) -> tuple[list[Pair], np.ndarray]:
    """(pairs, whether both sequences come from the same half of the tokens)."""
    made: Any = records(count, seed)
    return [(r["in0"], r["in1"]) for r in made], np.array([r["label"] for r in made])


def small(**changes: Any) -> Object2Vec:
    return Object2Vec(**{**SMALL, **changes})


def sequences(count: int = 20, seed: int = 0) -> Sequences:
    rng = np.random.default_rng(seed)
    return Sequences.of(
        [rng.integers(0, TOKENS, rng.integers(1, 9)).tolist() for _ in range(count)]
    )


def job(folder: Path, **changes: Any) -> Instance:
    """A job on the example's pairs; further channels are to be added."""
    raw = {**SMALL, "enc0_max_seq_len": 6, "enc0_vocab_size": TOKENS, **changes}
    instance = Instance(folder, {name: str(value) for name, value in raw.items()})
    instance.add_channel("train", lines(records(120)), JSONLINES)
    return instance
