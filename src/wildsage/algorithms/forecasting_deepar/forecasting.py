"""Forecasts from a model's weights with NumPy and compiled code alone.

The context of all series goes through the network in one batch; what all paths of a series share
from then on (calendar, feature time series, lags that reach behind the forecast) is computed once
per series, and the sample paths of several series are drawn together.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np

from wildsage.algorithms.forecasting_deepar import kernels, names
from wildsage.algorithms.forecasting_deepar.series import Panel, Series
from wildsage.algorithms.forecasting_deepar.threads import threaded
from wildsage.algorithms.forecasting_deepar.weights import Weights
from wildsage.algorithms.forecasting_deepar.windows import Cutter, Windows
from wildsage.algorithms.threads import one_blas_thread

PATHS_AT_ONCE = 1000
SERIES_AT_ONCE = 512


class Forecaster:
    """Draws sample paths of the periods after the last value of each series."""

    def __init__(self, weights: Weights, seed: int = 0) -> None:
        self.weights = weights
        self.seed = seed
        arrays, units, lags = weights.arrays, weights.units, weights.layout.lags
        halves = np.full((4 * units, 1), 0.5, np.float32)  # see `kernels`
        halves[2 * units : 3 * units] = 1
        layers = [halves * arrays[f"weights_{n}"] for n in range(weights.layers)]
        self._biases = np.stack([halves * arrays[f"bias_{n}"] for n in range(weights.layers)])
        self._statics = halves * arrays["statics"]
        self._given = [np.ascontiguousarray(layer[:, :-units]) for layer in layers]
        self._recurrent = [np.ascontiguousarray(layer[:, -units:]) for layer in layers]
        self._near = lags[lags < weights.layout.prediction]
        near = self._given[0][:, : len(self._near)]
        self._first = np.concatenate([near, self._recurrent[0]], axis=1)
        self._near_direct = np.ascontiguousarray(arrays["direct"][:, : len(self._near)])
        self._upper = np.array(layers[1:], np.float32).reshape(-1, 4 * units, 2 * units)

    def samples(self, series: Sequence[Series], count: int) -> np.ndarray:
        """Sample paths (series, count, prediction), all series of a chunk decoded together."""
        weights = self.weights
        layout = weights.layout
        out = np.empty((len(series), count, layout.prediction), np.float32)
        paths = 1 if weights.likelihood == names.DETERMINISTIC else count
        at_once = max(1, min(SERIES_AT_ONCE, PATHS_AT_ONCE // paths))
        chunks = [(n, series[n : n + at_once]) for n in range(0, len(series), at_once)]

        def work(chunk: tuple[int, Sequence[Series]]) -> None:
            begin, members = chunk
            out[begin : begin + len(members)] = self._draw(members, paths)

        with one_blas_thread():
            threaded(work, chunks)
        return out

    def _draw(self, series: Sequence[Series], paths: int) -> np.ndarray:
        weights, layout = self.weights, self.weights.layout
        windows = self._windows(series)
        shared = self._shared(windows)
        direct = weights.arrays["direct"] @ windows.inputs[layout.context :]
        offsets = direct + weights.arrays["head_bias"]
        hidden, cells = self._encode(shared[: layout.context + 1])
        drawn = np.empty((layout.prediction, len(series) * paths), np.float32)
        kernels.sample_paths(
            names.code(weights.likelihood),
            np.float32(weights.zoneout),
            weights.arrays["head"] @ hidden[-1] + offsets[0],
            np.ascontiguousarray(shared[layout.context :]),
            self._near,
            self._first,
            self._upper,
            self._biases[1:],
            weights.arrays["head"],
            self._near_direct,
            offsets,
            hidden,
            cells,
            windows.scales,
            self._streams(series, paths),
            drawn,
        )
        made = drawn.reshape(layout.prediction, len(series), paths).transpose(1, 2, 0)
        paths_of_series: np.ndarray = made * windows.scales[:, None, None]
        return paths_of_series

    def _windows(self, series: Sequence[Series]) -> Windows:
        weights, layout = self.weights, self.weights.layout
        panel = Panel.of(series, len(weights.cardinality), len(layout.dynamic_mean))
        rows = np.arange(len(series))
        steps = layout.context + layout.prediction
        return Cutter(panel, layout).cut(rows, panel.lengths, steps)

    def _shared(self, windows: Windows) -> np.ndarray:
        """What goes into the first layer's gates but for drawn lags and the hidden values."""
        weights = self.weights
        size = (np.log(windows.scales) - weights.size_mean) / weights.size_scale
        tables = [table[windows.cats[:, n]] for n, table in enumerate(weights.embeddings)]
        statics = np.concatenate([size[:, None], *tables], axis=1, dtype=np.float32)
        shared: np.ndarray = self._given[0] @ windows.inputs
        shared += self._statics @ statics.T + self._biases[0]
        return shared

    def _encode(self, gates: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The state (layers, units, series) of hidden values and cells after the last step."""
        weights, units = self.weights, self.weights.units
        steps, _, rows = gates.shape
        hidden = np.zeros((weights.layers, units, rows), np.float32)
        cells = np.zeros((weights.layers, units, rows), np.float32)
        outputs = np.empty((steps, units, rows), np.float32)
        kept = np.float32(weights.zoneout)
        gates = gates.copy()
        for n, recurrent in enumerate(self._recurrent):
            if n:
                gates = self._given[n] @ outputs + self._biases[n]
            kernels.layer_run(gates, recurrent, kept, cells[n], hidden[n], outputs)
        return hidden, cells

    def _streams(self, series: Sequence[Series], paths: int) -> np.ndarray:
        """Where each path's random numbers begin: told by the series itself, not by its place."""
        keys = [zlib.crc32(each.target.tobytes(), each.start & 0xFFFFFFFF) for each in series]
        starts = np.array(keys, np.uint64) << np.uint64(32)
        with np.errstate(over="ignore"):
            steps = (np.arange(paths, dtype=np.uint64) + np.uint64(1)) << np.uint64(17)
            base = np.uint64((self.seed * 0x5851F42D4C957F2D) % 2**64)
            return ((starts[:, None] + steps) ^ base).ravel()
