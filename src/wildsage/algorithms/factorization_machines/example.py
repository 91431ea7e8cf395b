"""Pairs of a user and an item that like each other or not."""

from __future__ import annotations

import numpy as np

from wildsage.algorithms.example import (
    Example,
    channel_formats,
    encode_json,
    encode_jsonlines,
)
from wildsage.algorithms.factorization_machines.estimator import FactorizationMachines
from wildsage.algorithms.spec import JSON, JSONLINES, RECORDIO
from wildsage.formats import recordio
from wildsage.formats.matrix import SparseMatrix

USERS, ITEMS = 8, 6


def example() -> Example:
    rng = np.random.default_rng(0)
    users, items = rng.integers(0, USERS, 400), rng.integers(0, ITEMS, 400)
    labels = ((users + items) % 2).astype(np.float32)
    table = np.zeros((400, USERS + ITEMS), np.float32)
    table[np.arange(400), users] = table[np.arange(400), USERS + items] = 1
    rows = SparseMatrix.from_dense(table)
    return Example(
        hyperparameters={
            "feature_dim": str(USERS + ITEMS),
            "num_factors": "4",
            "predictor_type": "binary_classifier",
            "mini_batch_size": "20",
            "epochs": "5",
            "factors_lr": "0.05",
            "factors_init_sigma": "0.1",
        },
        channels={
            "train": channel_formats(rows[:300], labels[:300], [RECORDIO]),
            "test": channel_formats(rows[300:], labels[300:], [RECORDIO]),
        },
        requests={
            JSON: encode_json(table[:5]),
            JSONLINES: encode_jsonlines(table[:5]),
            RECORDIO: recordio.encode(table[:5]),
        },
        records=5,
        answers=("score", "predicted_label"),
        estimator=FactorizationMachines,
    )
