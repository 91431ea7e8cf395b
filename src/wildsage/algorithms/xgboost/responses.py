"""Predictions into response bodies, plain and selectable (`SAGEMAKER_INFERENCE_OUTPUT`).

Numbers are written as Python writes the float64 of a float32, as the container does. JSON is
Python's, so that a selected content that the objective does not have reads `NaN`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from wildsage.algorithms.spec import CSV, JSON, JSONLINES, RECORDIO
from wildsage.algorithms.xgboost.log import warn
from wildsage.formats import recordio

ACCEPTS = (JSON, JSONLINES, RECORDIO, CSV)

_LABELS = ("predicted_label", "labels")
_PROBABILITIES = ("probability", "probabilities")
_RAW = ("raw_score", "raw_scores")
_VALUE = ("predicted_score",)
_ALL = (*_LABELS, *_PROBABILITIES, *_RAW)
_WITHOUT_PROBABILITIES = (*_LABELS, *_RAW)
# What each objective can tell.
CONTENT = {
    "reg:squarederror": _VALUE,
    "reg:logistic": _VALUE,
    "reg:gamma": _VALUE,
    "reg:absoluteerror": _VALUE,
    "reg:tweedie": _VALUE,
    "binary:logistic": _ALL,
    "binary:logitraw": _WITHOUT_PROBABILITIES,
    "binary:hinge": _WITHOUT_PROBABILITIES,
    "multi:softmax": _WITHOUT_PROBABILITIES,
    "multi:softprob": _ALL,
}


def encode(predictions: np.ndarray, accept: str, *, batch: bool = False) -> bytes:
    """One prediction (a number, or one for each class) for every row."""
    values = predictions.tolist()
    if batch:
        return ("\n".join(map(str, values)) + "\n").encode()
    if accept == JSON:
        return json.dumps({"predictions": [{"score": value} for value in values]}).encode()
    if accept == JSONLINES:
        return "".join(json.dumps({"score": value}) + "\n" for value in values).encode()
    if accept == RECORDIO:
        return recordio.encode_columns({"score": predictions})
    return "".join(_csv_line(value) for value in values).encode()


def _csv_line(value: Any) -> str:
    return (",".join(map(str, value)) if isinstance(value, list) else str(value)) + "\n"


# --- selectable content --------------------------------------------------------------------------

Tell = Callable[[str, Any, int], Any]


def select(
    predictions: np.ndarray, keys: Sequence[str], objective: str, num_class: int
) -> list[dict[str, Any]]:
    """What was asked for about every prediction; NaN for what the objective cannot tell."""
    if objective not in CONTENT:
        raise ValueError(
            f"Objective `{objective}` unsupported for selectable inference predictions."
        )
    known = [key for key in keys if key in CONTENT[objective]]
    unknown = [key for key in keys if key not in CONTENT[objective]]
    if unknown:
        warn(
            f"Selected key(s) {set(unknown)} incompatible for objective '{objective}'. Please use "
            f"list of compatible selectable inference predictions: {list(CONTENT[objective])}"
        )
    nothing = dict.fromkeys(unknown, math.nan)
    return [
        {key: _TELL[key](objective, value, num_class) for key in known} | nothing
        for value in predictions.tolist()
    ]


def _predicted_label(objective: str, value: Any, _: int) -> Any:
    if objective == "multi:softprob":
        return int(np.argmax(value))
    if objective == "binary:logistic":
        return int(value > 0.5)
    return int(value > 0) if objective == "binary:logitraw" else value


def _all_labels(objective: str, _: Any, num_class: int) -> list[int]:
    return list(range(num_class)) if objective.startswith("multi:") else [0, 1]


def _highest(_: str, value: Any, __: int) -> float:
    return float(max(value)) if isinstance(value, list) else float(value)


def _every(_: str, value: Any, __: int) -> list[float]:
    return value if isinstance(value, list) else [1.0 - value, value]


_TELL: dict[str, Tell] = {
    "predicted_label": _predicted_label,
    "labels": _all_labels,
    "probability": _highest,
    "probabilities": _every,
    "raw_score": _highest,
    "raw_scores": _every,
    "predicted_score": lambda _, value, __: value,
}


def encode_selected(
    selected: Sequence[Mapping[str, Any]], keys: Sequence[str], accept: str, *, batch: bool = False
) -> bytes:
    """The selected content of every row; in CSV the columns stand in the order of `keys`."""
    if accept == JSON:
        return json.dumps({"predictions": selected}).encode()
    if accept == JSONLINES:
        return "".join(json.dumps(entry) + "\n" for entry in selected).encode()
    if accept == RECORDIO:
        columns = {key: [np.atleast_1d(row[key]) for row in selected] for key in keys}
        return recordio.encode_columns(columns)
    lines = (",".join(_cell(entry[key]) for key in keys) for entry in selected)
    return ("\n".join(lines) + ("\n" if batch else "")).encode()


def _cell(value: Any) -> str:
    return f'"{value}"' if isinstance(value, list) else str(value)
