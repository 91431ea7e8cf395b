"""Small panels, and models without training."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from wildsage.algorithms.forecasting_deepar import names
from wildsage.algorithms.forecasting_deepar.frequency import Frequency
from wildsage.algorithms.forecasting_deepar.weights import Weights
from wildsage.algorithms.forecasting_deepar.windows import Layout


def seasonal(count: int, length: int = 60, *, seed: int = 0, **more: Any) -> list[dict[str, Any]]:
    """Daily series with a weekly season, of sizes that differ."""
    rng = np.random.default_rng(seed)
    made = []
    for number in range(count):
        days = np.arange(length + number % 3)
        season = 1 + 0.5 * np.sin(2 * np.pi * days / 7 + number)
        values = (1 + number) * (season + 0.05 * rng.normal(size=len(days)))
        made.append({"start": "2024-01-01 00:00:00", "target": values.tolist(), **more})
    return made


def cut(records: list[dict[str, Any]], steps: int) -> list[dict[str, Any]]:
    return [{**record, "target": record["target"][:-steps]} for record in records]


def lines(records: list[dict[str, Any]]) -> bytes:
    return b"".join(json.dumps(record).encode() + b"\n" for record in records)


def untrained(
    likelihood: str = "student-T", layers: int = 2, units: int = 6, prediction: int = 9
) -> Weights:
    """A model of random weights, with a category of 3 values and one feature time series."""
    rng = np.random.default_rng(1)
    frequency = Frequency.parse("D")
    layout = Layout(
        frequency,
        5,
        prediction,
        np.array([1, 2, 3, 7, 14], np.int64),
        np.array([0.5], np.float32),
        np.array([2.0], np.float32),
        3.0,
    )
    outputs, widths = names.OUTPUTS[likelihood], [layout.width, *[units] * (layers - 1)]
    shapes: dict[str, tuple[int, ...]] = {
        **{f"weights_{n}": (4 * units, width + units) for n, width in enumerate(widths)},
        **{f"bias_{n}": (4 * units, 1) for n in range(layers)},
        "statics": (4 * units, 3),
        "embedding_0": (3, 2),
        "head": (outputs, units),
        "direct": (outputs, layout.width),
        "head_bias": (outputs, 1),
    }
    arrays = {
        name: (0.3 * rng.normal(size=shape)).astype(np.float32) for name, shape in shapes.items()
    }
    return Weights(layout, likelihood, 0.1, [3], 1.0, 0.5, layers, arrays)
