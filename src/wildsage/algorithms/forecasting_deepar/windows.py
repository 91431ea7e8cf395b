"""Training and forecasting windows, cut out of a panel by compiled code.

A window is `context + prediction` steps that end at or after the last observed value. For each step
it has the lagged values, scaled by the window's scale, and what is known of the time: calendar
features, the series' age, its feature time series. Before a series begins there are zeros, and
nothing is observed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from wildsage.algorithms.compiling import compiled
from wildsage.algorithms.forecasting_deepar.frequency import Frequency
from wildsage.algorithms.forecasting_deepar.series import Panel

LARGEST_TABLE = 2_000_000
MOST = np.float32(1e4)


@dataclass(slots=True)
class Layout:
    """What a window is made of; goes into the model file with the weights."""

    frequency: Frequency
    context: int
    prediction: int
    lags: np.ndarray
    dynamic_mean: np.ndarray
    dynamic_scale: np.ndarray
    usual_scale: float
    scaled: bool = True

    @property
    def width(self) -> int:
        """Inputs per step: lags, calendar, age, feature time series."""
        return len(self.lags) + len(self.frequency.feature_names) + 1 + len(self.dynamic_mean)


@dataclass(slots=True)
class Windows:
    """Inputs (steps, width, rows), targets and whether they are observed (steps, rows)."""

    inputs: np.ndarray
    targets: np.ndarray
    observed: np.ndarray
    scales: np.ndarray
    cats: np.ndarray


class Cutter:
    """Cuts windows out of a panel."""

    def __init__(self, panel: Panel, layout: Layout, *, often: bool = False) -> None:
        """With `often`, a table of the calendar is made that serves all windows."""
        self.panel = panel
        self.layout = layout
        self._table: np.ndarray | None = None
        if often and len(panel):
            self._first = int(panel.starts.min()) - layout.context
            last = int((panel.starts + panel.lengths).max()) + layout.prediction
            if last - self._first < LARGEST_TABLE:
                self._table = layout.frequency.features(np.arange(self._first, last + 1))
        self._dynamic = (panel.dynamic - layout.dynamic_mean) / layout.dynamic_scale
        self._dynamic = self._dynamic.astype(np.float32)

    def cut(self, rows: np.ndarray, splits: np.ndarray, steps: int) -> Windows:
        """Windows of series `rows` whose forecasts begin `splits` values into the series.

        They have the context's steps before it, and `steps` in all.
        """
        layout, panel = self.layout, self.panel
        count = len(rows)
        inputs = np.empty((steps, layout.width, count), np.float32)
        targets = np.empty((steps, count), np.float32)
        observed = np.empty((steps, count), np.float32)
        scales = np.empty(count, np.float32)
        times, first = self._calendar(rows, splits, steps)
        _cut(
            panel.values,
            panel.observed,
            panel.offsets,
            panel.starts,
            rows,
            splits,
            layout.lags,
            layout.context,
            times,
            first,
            self._dynamic,
            panel.dynamic_offsets,
            np.float32(layout.usual_scale),
            layout.scaled,
            inputs,
            targets,
            observed,
            scales,
        )
        return Windows(inputs, targets, observed, scales, panel.cats[rows])

    def _calendar(
        self, rows: np.ndarray, splits: np.ndarray, steps: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """A table of calendar features, and each window's first row in it."""
        begins = self.panel.starts[rows] + splits - self.layout.context
        if self._table is not None:
            return self._table, begins - self._first
        low, high = (int(begins.min()), int(begins.max())) if len(rows) else (0, 0)
        if high - low < (len(rows) - 1) * steps:  # many windows, close together
            return self.layout.frequency.features(np.arange(low, high + steps)), begins - low
        ordinals = (begins[:, None] + np.arange(steps)).ravel()
        return self.layout.frequency.features(ordinals), np.arange(len(rows)) * steps


@compiled
def _cut(
    values: Any,
    observed: Any,
    offsets: Any,
    starts: Any,
    rows: Any,
    splits: Any,
    lags: Any,
    context: Any,
    calendar: Any,
    first: Any,
    dynamic: Any,
    dynamic_offsets: Any,
    usual: Any,
    scaled: Any,
    inputs: Any,
    targets: Any,
    seen: Any,
    scales: Any,
) -> None:
    steps, count = targets.shape
    n_lags, n_calendar, n_dynamic = len(lags), calendar.shape[1], dynamic.shape[1]
    for w in range(count):
        begin = offsets[rows[w]]
        length = offsets[rows[w] + 1] - begin
        known = min(length, splits[w])
        scale = np.float32(1)
        if scaled:
            scale = _scale(values[begin : begin + known], observed[begin : begin + known], context)
            if scale <= 0:
                scale = usual
        scales[w] = scale
        inverse = np.float32(1) / scale
        for t in range(steps):
            position = splits[w] - context + t
            row = inputs[t, :, w]
            for n in range(n_lags):
                past = position - lags[n]
                inside = 0 <= past < length
                value = values[begin + past] * inverse if inside else np.float32(0)
                row[n] = min(max(value, -MOST), MOST)
            for n in range(n_calendar):
                row[n_lags + n] = calendar[first[w] + t, n]
            row[n_lags + n_calendar] = np.log10(2.0 + max(position, 0)) - 1.5
            for n in range(n_dynamic):
                value = np.float32(0)
                if position >= 0:
                    value = dynamic[dynamic_offsets[rows[w]] + position, n]
                row[n_lags + n_calendar + 1 + n] = value
            here = 0 <= position < length
            targets[t, w] = values[begin + position] * inverse if here else np.float32(0)
            seen[t, w] = np.float32(observed[begin + position]) if here else np.float32(0)


@compiled
def _scale(values: Any, observed: Any, context: Any) -> Any:
    """The mean size of the context's values, of all values before where these are all zero."""
    for begin in (max(len(values) - context, 0), 0):
        total, count = 0.0, 0
        for n in range(begin, len(values)):
            if observed[n]:
                total += abs(values[n])
                count += 1
        if count and total > 1e-10 * count:
            return np.float32(total / count)
    return np.float32(0)


def available(panel: Panel, prediction: int) -> np.ndarray:
    """How many windows each series has to train on: none where it is shorter than a forecast."""
    counts: np.ndarray = np.maximum(panel.lengths - prediction + 1, 0)
    return counts
