"""Forecasts over HTTP: JSON with a configuration, or JSON lines as batch transforms send them.

Lines have no room for a configuration: theirs stands in the environment variable
`DEEPAR_INFERENCE_CONFIG`, which also fills in what a JSON request leaves out. All series of a
request are forecast together.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from wildsage.algorithms.forecasting_deepar.forecasting import Forecaster
from wildsage.algorithms.forecasting_deepar.reading import decode_json
from wildsage.algorithms.forecasting_deepar.series import RecordError, Series, parse_record
from wildsage.algorithms.forecasting_deepar.weights import Weights
from wildsage.algorithms.requests import InferenceRequest, PayloadError
from wildsage.algorithms.spec import JSON

ENVIRONMENT = "DEEPAR_INFERENCE_CONFIG"
QUANTILES, SAMPLES, MEAN = "quantiles", "samples", "mean"
MOST_SAMPLES = 100_000
VALUES_AT_ONCE = 2**24  # 64 MiB of sample paths


@dataclass(frozen=True, slots=True)
class Configuration:
    """What a forecast is asked for."""

    num_samples: int = 100
    output_types: tuple[str, ...] = (MEAN, QUANTILES)
    quantiles: tuple[str, ...] = ("0.1", "0.2", "0.3", "0.4", "0.5", "0.6", "0.7", "0.8", "0.9")

    def changed(self, values: Any) -> Configuration:
        """With the values of a JSON object; PayloadError says which is not allowed."""
        if not isinstance(values, Mapping):
            raise PayloadError("the configuration is an object")
        return Configuration(
            _num_samples(values.get("num_samples", self.num_samples)),
            _output_types(values.get("output_types", self.output_types)),
            _quantiles(values.get("quantiles", self.quantiles)),
        )

    @classmethod
    def from_environment(cls) -> Configuration:
        text = os.environ.get(ENVIRONMENT)
        try:
            return cls().changed(json.loads(text)) if text else cls()
        except ValueError as error:
            raise ValueError(f"{ENVIRONMENT} is not usable: {error}") from error


def _num_samples(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= MOST_SAMPLES:
        raise PayloadError(f"num_samples is an integer between 1 and {MOST_SAMPLES}")
    return value


def _output_types(values: Any) -> tuple[str, ...]:
    known = (MEAN, QUANTILES, SAMPLES)
    if not isinstance(values, list | tuple) or not values or any(v not in known for v in values):
        raise PayloadError(f"output_types is a list of {', '.join(known)}")
    return tuple(values)


def _quantiles(values: Any) -> tuple[str, ...]:
    if not isinstance(values, list | tuple):
        raise PayloadError("quantiles is a list of numbers between 0 and 1")
    for value in values:
        try:
            fine = not isinstance(value, bool) and 0 < float(value) < 1
        except (ValueError, TypeError):
            fine = False
        if not fine:
            raise PayloadError(f"{value!r} is not a quantile between 0 and 1")
    return tuple(str(value) for value in values)


@dataclass(slots=True)
class Request:
    """The series of a request, and what is to be told of each."""

    series: list[Series]
    configuration: Configuration

    def __len__(self) -> int:
        return len(self.series)


class DeepARModel:
    """A loaded model."""

    def __init__(self, weights: Weights) -> None:
        self._weights = weights
        self._forecaster = Forecaster(weights)
        self._defaults = Configuration.from_environment()
        self._warm_up()

    def _warm_up(self) -> None:
        """Load the compiled code, so that the first request need not wait for it."""
        layout, cats = self._weights.layout, (0,) * len(self._weights.cardinality)
        dynamic = np.zeros((len(layout.dynamic_mean), layout.prediction), np.float32)
        self._forecaster.samples([Series(0, np.zeros(0, np.float32), cats, dynamic)], 1)

    def decode(self, body: bytes, request: InferenceRequest) -> Request:
        try:
            if request.content_type == JSON:
                return self._decode_json(decode_json(body))
            records = [decode_json(line) for line in body.splitlines() if line.strip()]
        except PayloadError:
            raise
        except ValueError as error:
            raise PayloadError(f"the body is not valid JSON: {error}") from error
        return Request(self._series(records), self._defaults)

    def _decode_json(self, document: Any) -> Request:
        if not isinstance(document, dict) or not isinstance(document.get("instances"), list):
            raise PayloadError("a JSON request is an object with a list of 'instances'")
        configuration = self._defaults.changed(document.get("configuration") or {})
        return Request(self._series(document["instances"]), configuration)

    def _series(self, records: list[Any]) -> list[Series]:
        layout, series = self._weights.layout, []
        for number, record in enumerate(records):
            try:
                one = parse_record(record, layout.frequency, dynamic_beyond=layout.prediction)
                self._weights.check(one)
            except RecordError as error:
                raise PayloadError(f"instance {number}: {error}") from error
            series.append(one)
        return series

    def predict(self, batch: Any, request: InferenceRequest) -> dict[str, list[Any]]:
        """The columns that are asked for; only the paths of some series are kept at a time."""
        asked = batch.configuration
        values_each = asked.num_samples * self._weights.layout.prediction
        at_once = max(1, VALUES_AT_ONCE // values_each)
        columns: dict[str, list[Any]] = {}
        for begin in range(0, len(batch), at_once):
            paths = self._forecaster.samples(
                batch.series[begin : begin + at_once], asked.num_samples
            )
            for name, found in _told(paths, asked).items():
                columns.setdefault(name, []).extend(found)
        return columns


def _told(paths: np.ndarray, asked: Configuration) -> dict[str, list[Any]]:
    """Of sample paths (series, samples, steps) what a configuration asks for."""
    columns: dict[str, list[Any]] = {}
    if QUANTILES in asked.output_types:
        numbers = [float(name) for name in asked.quantiles]
        found = np.quantile(paths, numbers, axis=1).astype(np.float32)
        by_series = found.transpose(1, 0, 2).tolist()
        columns[QUANTILES] = [dict(zip(asked.quantiles, q, strict=True)) for q in by_series]
    if SAMPLES in asked.output_types:
        columns[SAMPLES] = paths.tolist()
    if MEAN in asked.output_types:
        columns[MEAN] = paths.mean(axis=1, dtype=np.float64).astype(np.float32).tolist()
    return columns
