"""Twelve daily series with a weekly season."""

from __future__ import annotations

import gzip
import io
import json
from typing import Any

import numpy as np

from wildsage.algorithms.example import Example
from wildsage.algorithms.forecasting_deepar.estimator import DeepAR
from wildsage.algorithms.spec import JSON, JSONLINES

PREDICTION = 4


def example() -> Example:
    records = [_record(number) for number in range(12)]
    train = [{**r, "target": r["target"][:-PREDICTION]} for r in records]
    return Example(
        hyperparameters={
            "time_freq": "D",
            "context_length": "7",
            "prediction_length": str(PREDICTION),
            "epochs": "2",
            "mini_batch_size": "8",
            "num_cells": "8",
        },
        channels={"train": _formats(train), "test": _formats(records)},
        requests={
            JSON: json.dumps({"instances": train[:3]}).encode(),
            JSONLINES: _lines(train[:3]),
        },
        records=3,
        answers=("mean", "quantiles"),
        estimator=DeepAR,
        variations={
            "cardinality": {"cardinality": "[3]"},
            "early_stopping_patience": {"early_stopping_patience": "3"},
            "num_dynamic_feat": {"num_dynamic_feat": "1"},
            "test_quantiles": {"test_quantiles": "[0.5]"},
            "time_freq": {"time_freq": "2H"},
        },
        is_tabular=False,
    )


def _record(number: int) -> dict[str, Any]:
    rng = np.random.default_rng(number)
    days = np.arange(40 + number)
    season = 1 + 0.4 * np.sin(2 * np.pi * (days + number) / 7)
    values = 5.0 * (1 + number) * season + rng.normal(0, 0.3, len(days))
    target: list[Any] = np.round(values, 3).tolist()
    target[3] = None
    return {"start": f"2024-01-{1 + number:02d} 00:00:00", "target": target}


def _formats(records: list[dict[str, Any]]) -> dict[str, bytes]:
    lines = _lines(records)
    return {"json": lines, "application/jsonlines": gzip.compress(lines), **_parquet(records)}


def _lines(records: list[dict[str, Any]]) -> bytes:
    return b"".join(json.dumps(record).encode() + b"\n" for record in records)


def _parquet(records: list[dict[str, Any]]) -> dict[str, bytes]:
    """The same as Parquet, where PyArrow is installed."""
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        return {}
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(records), sink)
    return {"parquet": sink.getvalue()}
