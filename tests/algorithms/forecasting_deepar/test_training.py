"""Which windows are trained on, and how large the steps are."""

from __future__ import annotations

import numpy as np
import pytest

from wildsage.algorithms.forecasting_deepar.frequency import Frequency
from wildsage.algorithms.forecasting_deepar.series import Panel, Series
from wildsage.algorithms.forecasting_deepar.training import EARLY_SHARE, Settings, Training
from wildsage.algorithms.forecasting_deepar.windows import Layout

CONTEXT, PREDICTION, LONGEST_LAG = 5, 4, 30


def _training(lengths: list[int], batch: int = 128, epochs: int = 5) -> Training:
    none, one = np.zeros(0, np.float32), np.ones(0, np.float32)
    lags = np.array([1, 7, LONGEST_LAG])
    layout = Layout(Frequency.parse("D"), CONTEXT, PREDICTION, lags, none, one, 1.0)
    panel = Panel.of([Series(0, np.ones(length, np.float32)) for length in lengths])
    settings = Settings(epochs, mini_batch_size=batch, num_cells=4)
    return Training(settings, panel, layout, [])


def test_most_windows_of_a_long_series_have_all_lags() -> None:
    splits = _training([1000])._splits(np.zeros(20_000, np.int64))
    assert splits.min() == 1 and splits.max() == 1000 - PREDICTION
    begins = np.mean(splits < CONTEXT + LONGEST_LAG)
    assert begins == pytest.approx(EARLY_SHARE * (CONTEXT + LONGEST_LAG) / 997, rel=0.2)


def test_short_series_are_not_trained_on_at_their_end_alone() -> None:
    training = _training([40, 5, 4, 3])
    splits = training._splits(np.repeat([0, 1, 2], 2000))
    assert set(splits[:2000]) == set(range(1, 40 - PREDICTION + 1))
    assert np.mean(splits[:2000] < 18) < EARLY_SHARE
    assert set(splits[2000:4000]) == {1} and set(splits[4000:]) == {0}
    assert set(training._order(30)) == {0, 1, 2}  # the last one is shorter than a forecast


def test_steps_grow_beyond_the_learning_rate_and_settle() -> None:
    training = _training([400], batch=4, epochs=40)
    pace = [training._pace(step) for step in range(40 * training.plan.batches)]
    assert np.mean(pace) == pytest.approx(1.5, rel=0.02)
    assert pace[0] < 0.2 and max(pace) == pytest.approx(3, rel=0.01) and pace[-1] < 0.03
