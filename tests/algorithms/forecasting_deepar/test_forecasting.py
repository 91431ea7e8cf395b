"""Compiled decoding agrees with the network written out in NumPy, one step at a time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from algorithms.forecasting_deepar.helpers_deepar import untrained
from wildsage.algorithms.forecasting_deepar.forecasting import Forecaster
from wildsage.algorithms.forecasting_deepar.series import Panel, Series
from wildsage.algorithms.forecasting_deepar.weights import Weights
from wildsage.algorithms.forecasting_deepar.windows import Cutter


def _series(length: int, seed: int = 0, prediction: int = 9) -> Series:
    rng = np.random.default_rng(seed)
    values = (5 + 2 * rng.normal(size=length)).astype(np.float32)
    dynamic = rng.normal(size=(1, length + prediction)).astype(np.float32)
    return Series(19_000 + seed, values, (seed % 3,), dynamic)


def _logistic(x: np.ndarray) -> np.ndarray:
    made: np.ndarray = 1 / (1 + np.exp(-x))
    return made


def _by_hand(weights: Weights, series: Series) -> np.ndarray:
    """The point forecast of `series`, with nothing but what the README says of the model file."""
    layout, arrays, units = weights.layout, weights.arrays, weights.units
    values = series.target.astype(np.float64).tolist()
    scale = float(np.mean(np.abs(values[-layout.context :]))) if values else layout.usual_scale
    size = (np.log(scale) - weights.size_mean) / weights.size_scale
    statics = np.concatenate([[size], arrays["embedding_0"][series.cat[0]]])
    hidden = np.zeros((weights.layers, units))
    cells = np.zeros((weights.layers, units))
    length, forecast = len(values), []
    for position in range(length - layout.context, length + layout.prediction):
        lagged = [position - int(lag) for lag in layout.lags]
        lags = [values[past] / scale if past >= 0 else 0.0 for past in lagged]
        calendar = layout.frequency.features(np.array([series.start + position]))[0]
        age = np.log10(2.0 + max(position, 0)) - 1.5
        given = series.dynamic[:, position] if position >= 0 else layout.dynamic_mean
        dynamic = (given - layout.dynamic_mean) / layout.dynamic_scale * (position >= 0)
        inputs = np.concatenate([lags, calendar, [age], dynamic])
        below = inputs
        for n in range(weights.layers):
            stacked = np.concatenate([below, hidden[n]])
            gates = arrays[f"weights_{n}"] @ stacked + arrays[f"bias_{n}"][:, 0]
            gates = gates + arrays["statics"] @ statics if n == 0 else gates
            i, f, u, o = np.split(gates, 4)
            cells[n] = _logistic(f) * cells[n] + _logistic(i) * np.tanh(u)
            fresh = _logistic(o) * np.tanh(cells[n])
            hidden[n] = weights.zoneout * hidden[n] + (1 - weights.zoneout) * fresh
            below = hidden[n]
        output = arrays["head"] @ below + arrays["direct"] @ inputs + arrays["head_bias"][:, 0]
        if position >= length:
            forecast.append(output[0] * scale)
            values.append(output[0] * scale)
    return np.array(forecast)


@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize("length", [0, 1, 4, 40])
def test_point_forecasts_are_the_networks(layers: int, length: int) -> None:
    weights = untrained("deterministic-L1", layers)
    series = [_series(length, seed) for seed in range(3)]
    forecasts = Forecaster(weights).samples(series, 2)
    assert forecasts.shape == (3, 2, 9)
    np.testing.assert_array_equal(forecasts[:, 0], forecasts[:, 1])
    for forecast, one in zip(forecasts, series, strict=True):
        np.testing.assert_allclose(forecast[0], _by_hand(weights, one), rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize("likelihood", ["student-T", "negative-binomial"])
def test_a_series_gets_the_same_forecast_alone_or_among_others(likelihood: str) -> None:
    forecaster = Forecaster(untrained(likelihood))
    series = [_series(30, seed) for seed in range(25)]
    together = forecaster.samples(series, 50)
    alone = forecaster.samples(series[13:14], 50)
    np.testing.assert_allclose(together[13], alone[0], rtol=0.05, atol=0.05)
    np.testing.assert_array_equal(together, forecaster.samples(series, 50))
    assert not np.allclose(together, Forecaster(untrained(likelihood), seed=1).samples(series, 50))


def test_one_step_and_no_near_lags() -> None:
    weights = untrained(prediction=1)
    drawn = Forecaster(weights).samples([_series(20, prediction=1)], 30)
    assert drawn.shape == (1, 30, 1) and np.isfinite(drawn).all()


def test_missing_values_are_filled_forward() -> None:
    weights = untrained("deterministic-L1")
    series, holed = _series(30), _series(30)
    holed.target[[10, 11]] = np.nan
    series.target[[10, 11]] = series.target[9]
    forecaster = Forecaster(weights)
    np.testing.assert_allclose(
        forecaster.samples([series], 1), forecaster.samples([holed], 1), rtol=1e-4
    )


def test_nothing_is_asked_for_nothing() -> None:
    assert Forecaster(untrained()).samples([], 10).shape == (0, 10, 9)


def test_a_model_survives_its_files(tmp_path: Path) -> None:
    weights = untrained()
    weights.save(tmp_path)
    loaded = Weights.load(tmp_path)
    one = Forecaster(weights).samples([_series(20)], 5)
    np.testing.assert_array_equal(Forecaster(loaded).samples([_series(20)], 5), one)
    assert str(loaded.layout.frequency) == "1D" and loaded.cardinality == [3]


@pytest.mark.parametrize("apart", [0, 3, 500_000, 5_000_000])
def test_windows_know_their_time_with_and_without_a_table(apart: int) -> None:
    series = [_series(20 + seed, seed) for seed in range(4)]
    for number, each in enumerate(series):
        each.start += number * apart
    panel, layout = Panel.of(series, 1, 1), untrained().layout
    rows = np.array([3, 0, 1, 2, 1])
    made = [
        Cutter(panel, layout, often=often).cut(rows, panel.lengths[rows], 14)
        for often in (False, True)
    ]
    np.testing.assert_array_equal(made[0].inputs, made[1].inputs)
    ordinals = series[3].start + len(series[3]) - layout.context + np.arange(14)
    calendar = made[0].inputs[:, len(layout.lags) :][:, :3, 0]
    np.testing.assert_array_equal(calendar, layout.frequency.features(ordinals))
