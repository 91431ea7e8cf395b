"""Time series as DeepAR takes them: one record checked, and many of them side by side.

`parse_record` makes a `Series` of a JSON object (of a file or a request) and says what is wrong
with it. A `Panel` keeps the values of all series in one array, so that windows can be cut by
compiled code.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from wildsage.algorithms.forecasting_deepar.frequency import Frequency, TimestampError


class RecordError(ValueError):
    """What is wrong with a record, in words for its author."""


@dataclass(slots=True)
class Series:
    """Values from the period `start` on; NaN is a missing value."""

    start: int
    target: np.ndarray
    cat: tuple[int, ...] = ()
    dynamic: np.ndarray = field(default_factory=lambda: np.empty((0, 0), np.float32))

    def __len__(self) -> int:
        return len(self.target)

    def before(self, steps: int) -> Series:
        """Without the last `steps` values; what is known of their time stays."""
        return Series(self.start, self.target[: len(self) - steps], self.cat, self.dynamic)


def parse_record(record: Any, frequency: Frequency, *, dynamic_beyond: int = 0) -> Series:
    """The series of `{"start", "target", "cat", "dynamic_feat"}`.

    Feature time series must be as long as the target and `dynamic_beyond` periods longer.
    """
    if not isinstance(record, Mapping):
        raise RecordError("a time series is an object with the fields 'start' and 'target'")
    for name in ("start", "target"):
        if name not in record:
            raise RecordError(f"the field '{name}' is missing")
    target = _target(record["target"])
    cat = _cat(record.get("cat"))
    dynamic = _dynamic(record.get("dynamic_feat"), len(target) + dynamic_beyond, dynamic_beyond)
    return Series(_start(record["start"], frequency), target, cat, dynamic)


def _start(start: Any, frequency: Frequency) -> int:
    try:
        return frequency.ordinal(start)
    except (TimestampError, TypeError, OverflowError) as error:
        raise RecordError(
            f"the value of the field 'start' must be a string of the format YYYY-MM-DD HH:MM:SS "
            f"without a time zone: {error}"
        ) from error


def _target(values: Any) -> np.ndarray:
    if not isinstance(values, list | tuple | np.ndarray):
        raise RecordError("the field 'target' must be an array of numbers")
    target = _numbers(values, "target")
    if target.ndim != 1:
        raise RecordError("the field 'target' must be an array of numbers")
    if np.isinf(target).any():
        raise RecordError("the field 'target' contains infinite values")
    return target


def _numbers(values: Any, name: str) -> np.ndarray:
    """float32 of numbers, null and "NaN"."""
    try:
        wide = np.asarray(values)
        if wide.dtype.kind not in "iuf":
            if not all(map(_is_number, np.asarray(values, object).flat)):
                raise ValueError
            wide = np.asarray(values, np.float64)
    except (ValueError, TypeError, OverflowError) as error:
        raise RecordError(f"the field '{name}' contains a value that is no number") from error
    with np.errstate(over="ignore"):
        return wide.astype(np.float32)


def _is_number(value: Any) -> bool:
    """Whether it is one, or stands for one that is missing."""
    if isinstance(value, str):
        return value.lower() == "nan"
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def _cat(values: Any) -> tuple[int, ...]:
    if values is None:
        return ()
    values = values if isinstance(values, list | tuple | np.ndarray) else [values]
    if not all(map(_is_category, values)):
        raise RecordError("the field 'cat' must be an array of non-negative integers")
    return tuple(int(value) for value in values)


def _is_category(value: Any) -> bool:
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    return whole and 0 <= value < 2**63


def _dynamic(rows: Any, length: int, beyond: int) -> np.ndarray:
    if rows is None:
        rows = []
    if not isinstance(rows, list | tuple | np.ndarray):
        raise RecordError("the field 'dynamic_feat' must be an array of arrays of numbers")
    if len(rows) == 0:
        return np.empty((0, length), np.float32)
    for row in rows:
        if not isinstance(row, list | tuple | np.ndarray):
            raise RecordError("the field 'dynamic_feat' must be an array of arrays of numbers")
        if len(row) != length:
            more = f" plus the prediction_length ({beyond})" if beyond else ""
            raise RecordError(
                f"every array of the field 'dynamic_feat' must have the length of the target"
                f"{more}, which is {length}; found an array of length {len(row)}"
            )
    features = _numbers(rows, "dynamic_feat")
    if not np.isfinite(features).all():
        raise RecordError("the field 'dynamic_feat' contains missing or infinite values")
    return features


@dataclass(slots=True)
class Panel:
    """Many series in a row. Values are filled forward where they are missing.

    `offsets` says where each begins in `values` and `observed`; `dynamic` (values, features) lies
    alongside, and `dynamic_offsets` says where, for it may reach beyond the values.
    """

    values: np.ndarray
    observed: np.ndarray
    offsets: np.ndarray
    starts: np.ndarray
    cats: np.ndarray
    dynamic: np.ndarray
    dynamic_offsets: np.ndarray

    @classmethod
    def of(cls, series: Sequence[Series], cats: int = 0, dynamics: int = 0) -> Panel:
        """The first `cats` categories and `dynamics` feature time series of each are kept."""
        lengths = [len(each) for each in series]
        offsets = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]).astype(np.int64)
        targets = [each.target for each in series]
        values = np.concatenate(targets) if targets else np.empty(0, np.float32)
        observed = np.isfinite(values)
        features = [each.dynamic[:dynamics].T for each in series] if dynamics else []
        spans = [len(each) for each in features] if dynamics else [0] * len(series)
        return cls(
            _filled(values, observed, offsets),
            observed.view(np.uint8),
            offsets,
            np.array([each.start for each in series], np.int64),
            np.array([each.cat[:cats] for each in series], np.int64).reshape(len(series), cats),
            np.ascontiguousarray(
                np.concatenate(features) if features else np.empty((0, dynamics)), np.float32
            ),
            np.concatenate([[0], np.cumsum(spans, dtype=np.int64)]).astype(np.int64),
        )

    def __len__(self) -> int:
        return len(self.starts)

    @property
    def lengths(self) -> np.ndarray:
        return np.diff(self.offsets)


def _filled(values: np.ndarray, observed: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Missing values become the last one before them, or zero at a series' beginning."""
    if observed.all():
        return np.ascontiguousarray(values, np.float32)
    positions = np.arange(len(values))
    begins = np.repeat(offsets[:-1], np.diff(offsets))
    last = np.maximum.accumulate(np.where(observed, positions, begins))
    filled = values[np.maximum(last, begins)]
    made: np.ndarray = np.nan_to_num(filled, nan=0.0).astype(np.float32)
    return made
