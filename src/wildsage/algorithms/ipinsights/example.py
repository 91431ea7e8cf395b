"""Users of a few networks each."""

from __future__ import annotations

import json

import numpy as np

from wildsage.algorithms.example import Example
from wildsage.algorithms.ipinsights.estimator import IPInsights
from wildsage.algorithms.spec import CSV, JSON, JSONLINES


def example() -> Example:
    rng = np.random.default_rng(0)
    users = rng.integers(0, 20, 600)
    lines = [
        f"user_{user},{10 + user % 5}.{user}.{rng.integers(4)}.{rng.integers(256)}"
        for user in users
    ]
    pairs = [line.split(",") for line in lines[:5]]
    return Example(
        hyperparameters={
            "num_entity_vectors": "100",
            "vector_dim": "8",
            "epochs": "3",
            "mini_batch_size": "50",
            "learning_rate": "0.01",
        },
        channels={
            "train": {CSV: "\n".join(lines[:500]).encode() + b"\n"},
            "validation": {CSV: "\n".join(lines[500:]).encode() + b"\n"},
        },
        requests={
            CSV: "\n".join(lines[:5]).encode(),
            JSON: json.dumps({"instances": [{"features": pair} for pair in pairs]}).encode(),
            JSONLINES: "\n".join(json.dumps({"features": p}) for p in pairs).encode(),
        },
        records=5,
        answers=("dot_product",),
        estimator=IPInsights,
        variations={
            "random_negative_sampling_rate": {"random_negative_sampling_rate": "0"},
            "shuffled_negative_sampling_rate": {"shuffled_negative_sampling_rate": "0"},
        },
        is_tabular=False,
    )
