"""Time as DeepAR counts it: periods of a frequency, their calendar features, and useful lags.

A period is a whole number: how many times the frequency fits between the epoch and it. Series with
different starts share one axis this way, and a table of calendar features serves them all. Weeks
begin on Mondays.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np

PATTERN = r"([1-9][0-9]*)?(M|W|D|H|min)"
LONGEST_LAG = 1200
SHORT_LAGS = range(1, 8)
_MINUTES = {"min": 1, "H": 60, "D": 24 * 60, "W": 7 * 24 * 60}
_EPOCH = datetime(1970, 1, 1)
_MONDAY = datetime(1969, 12, 29)
_TIME = re.compile(r"(\d{4})-(\d{2})-(\d{2})(?:[ T](\d{2}):(\d{2})(?::(\d{2})(?:\.\d+)?)?)?\Z")


class TimestampError(ValueError):
    """Not a time of the form YYYY-MM-DD HH:MM:SS."""


@dataclass(frozen=True, slots=True)
class Frequency:
    """`multiple` times a month, week, day, hour or minute."""

    multiple: int
    unit: str

    @classmethod
    def parse(cls, text: str) -> Frequency:
        """`5min` or `H`; ValueError where the text is no frequency."""
        found = re.fullmatch(PATTERN, text)
        if found is None:
            raise ValueError(f"{text!r} is not an integer followed by M, W, D, H or min")
        return cls(int(found[1] or 1), found[2])

    def __str__(self) -> str:
        return f"{self.multiple}{self.unit}"

    # --- periods ---------------------------------------------------------------------------------

    def ordinal(self, start: str | datetime) -> int:
        """The number of the period that a time falls into."""
        time = start if isinstance(start, datetime) else parse_time(start)
        if time.tzinfo is not None:
            raise TimestampError(f"{time} has a time zone")
        if self.unit == "M":
            months = (time.year - 1970) * 12 + time.month - 1
            return months // self.multiple
        epoch = _MONDAY if self.unit == "W" else _EPOCH
        return (time - epoch) // timedelta(minutes=_MINUTES[self.unit] * self.multiple)

    def times(self, ordinals: np.ndarray) -> np.ndarray:
        """When periods begin, as datetime64 in minutes."""
        if self.unit == "M":
            months = (ordinals * self.multiple).astype("datetime64[M]")
            return months.astype("datetime64[m]")
        epoch = np.datetime64(_MONDAY if self.unit == "W" else _EPOCH, "m")
        minutes: np.ndarray = epoch + ordinals * self.multiple * _MINUTES[self.unit]
        return minutes

    # --- features --------------------------------------------------------------------------------

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The calendar features of the developer guide's table."""
        return _FEATURES[self.unit]

    def features(self, ordinals: np.ndarray) -> np.ndarray:
        """Calendar features of periods, one column each, between -0.5 and 0.5."""
        times = self.times(np.asarray(ordinals, np.int64))
        columns = [_COLUMNS[name](times) for name in self.feature_names]
        return np.stack(columns, axis=-1).astype(np.float32)

    # --- lags ------------------------------------------------------------------------------------

    def lags(self, longest: int = LONGEST_LAG) -> list[int]:
        """How many periods back the network looks: the last seven and the same season before."""
        wanted = {int(lag) for lag in self._seasonal_lags() if max(SHORT_LAGS) < lag <= longest}
        return [*(lag for lag in SHORT_LAGS if lag <= longest), *sorted(wanted)]

    def _seasonal_lags(self) -> Iterable[float]:
        multiple = self.multiple
        if self.unit == "M":
            yield from _around(12, multiple, cycles=3)
            return
        minutes = _MINUTES[self.unit] * multiple
        hours, days = minutes / 60, minutes / _MINUTES["D"]
        if self.unit == "min":
            yield from _around(60, multiple, cycles=3, width=2)
        if self.unit in ("min", "H"):
            yield from _around(24, hours, cycles=7)
        if self.unit != "W":
            yield from _around(7, days, cycles=4)
            yield from _around(30, days, cycles=1)
        yield from _around(52, days / 7, cycles=3)
        yield from (weeks // (days / 7) for weeks in (4, 8, 12))


def _around(season: int, multiple: float, *, cycles: int, width: int = 1) -> Iterable[float]:
    """One to `cycles` seasons ago, and `width` periods before and after."""
    for cycle in range(1, cycles + 1):
        middle = cycle * season // multiple
        yield from (middle + offset for offset in range(-width, width + 1))


def parse_time(text: str) -> datetime:
    """A time without a zone: `YYYY-MM-DD HH:MM:SS`, `YYYY-MM-DDTHH:MM:SS` or a date alone."""
    found = _TIME.match(text) if isinstance(text, str) else None
    if found is None:
        raise TimestampError(f"{text!r} is not of the format YYYY-MM-DD HH:MM:SS")
    try:
        return datetime(*(int(part or 0) for part in found.groups()))  # type: ignore[arg-type]
    except ValueError as error:
        raise TimestampError(f"{text!r} is no time: {error}") from error


# --- calendar features ---------------------------------------------------------------------------


def _minute_of_hour(times: np.ndarray) -> Any:
    return times.astype(np.int64) % 60 / 59 - 0.5


def _hour_of_day(times: np.ndarray) -> Any:
    return times.astype(np.int64) // 60 % 24 / 23 - 0.5


def _day_of_week(times: np.ndarray) -> Any:
    return (times.astype("datetime64[D]").astype(np.int64) + 3) % 7 / 6 - 0.5


def _day_of_month(times: np.ndarray) -> Any:
    days = times.astype("datetime64[D]") - times.astype("datetime64[M]")
    return days.astype(np.int64) / 30 - 0.5


def _day_of_year(times: np.ndarray) -> Any:
    return _days_into_year(times) / 365 - 0.5


def _week_of_year(times: np.ndarray) -> Any:
    return _days_into_year(times) // 7 / 52 - 0.5


def _month_of_year(times: np.ndarray) -> Any:
    return times.astype("datetime64[M]").astype(np.int64) % 12 / 11 - 0.5


def _days_into_year(times: np.ndarray) -> Any:
    days = times.astype("datetime64[D]") - times.astype("datetime64[Y]").astype("datetime64[D]")
    return days.astype(np.int64)


_COLUMNS = {
    "minute_of_hour": _minute_of_hour,
    "hour_of_day": _hour_of_day,
    "day_of_week": _day_of_week,
    "day_of_month": _day_of_month,
    "day_of_year": _day_of_year,
    "week_of_year": _week_of_year,
    "month_of_year": _month_of_year,
}
_DAILY = ("day_of_week", "day_of_month", "day_of_year")
_FEATURES: dict[str, tuple[str, ...]] = {
    "min": ("minute_of_hour", "hour_of_day", *_DAILY),
    "H": ("hour_of_day", *_DAILY),
    "D": _DAILY,
    "W": ("day_of_month", "week_of_year"),
    "M": ("month_of_year",),
}
