"""Pairs of short sequences, alike (1) when their tokens come from the same half."""

from __future__ import annotations

import json

import numpy as np

from wildsage.algorithms.example import Example
from wildsage.algorithms.object2vec.estimator import Object2Vec
from wildsage.algorithms.spec import JSON, JSONLINES

TOKENS = 20
Record = dict[str, object]


def records(count: int, seed: int = 0) -> list[Record]:
    rng = np.random.default_rng(seed)
    halves = rng.integers(0, 2, (count, 2))
    made: list[Record] = []
    for one, two in halves.tolist():
        first, second = (
            rng.integers(10 * half, 10 * half + 10, rng.integers(1, 7)).tolist()
            for half in (one, two)
        )
        made.append({"label": int(one == two), "in0": first, "in1": second})
    return made


def lines(rows: list[Record]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def example() -> Example:
    requests = [{name: row[name] for name in ("in0", "in1")} for row in records(5, seed=3)]
    return Example(
        hyperparameters={
            "enc0_max_seq_len": "6",
            "enc0_vocab_size": str(TOKENS),
            "enc_dim": "12",
            "enc0_token_embedding_dim": "8",
            "mlp_dim": "8",
            "epochs": "2",
        },
        channels={
            "train": {JSONLINES: lines(records(120))},
            "validation": {JSONLINES: lines(records(30, seed=1))},
            "test": {JSONLINES: lines(records(30, seed=2))},
        },
        requests={
            JSONLINES: "\n".join(map(json.dumps, requests)).encode(),
            JSON: json.dumps({"instances": requests}).encode(),
        },
        records=5,
        answers=("scores",),
        estimator=Object2Vec,
        variations={
            "enc1_network": {
                "enc1_network": "bilstm",
                "enc1_max_seq_len": "6",
                "enc1_vocab_size": str(TOKENS),
            },
            "tied_token_embedding_weight": {"tied_token_embedding_weight": "true"},
        },
        is_tabular=False,
    )
