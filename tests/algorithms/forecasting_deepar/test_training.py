"""Which windows are trained on, and how large the steps are."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from wildsage.algorithms.forecasting_deepar.frequency import Frequency
from wildsage.algorithms.forecasting_deepar.network import Network
from wildsage.algorithms.forecasting_deepar.series import Panel, Series
from wildsage.algorithms.forecasting_deepar.training import (
    EARLY_SHARE,
    SIZE_NOISE,
    Settings,
    Training,
)
from wildsage.algorithms.forecasting_deepar.windows import Layout

CONTEXT, PREDICTION, LONGEST_LAG = 5, 4, 30


def _training(
    lengths: list[int], batch: int = 128, epochs: int = 5, sizes: tuple[float, ...] = ()
) -> Training:
    none, one = np.zeros(0, np.float32), np.ones(0, np.float32)
    lags = np.array([1, 7, LONGEST_LAG])
    layout = Layout(Frequency.parse("D"), CONTEXT, PREDICTION, lags, none, one, 1.0)
    sizes = sizes or (1.0,) * len(lengths)
    values = [np.full(n, size, np.float32) for n, size in zip(lengths, sizes, strict=True)]
    panel = Panel.of([Series(0, each) for each in values])
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


def test_hosts_share_out_the_noise_on_the_sizes_of_series() -> None:
    alone = _training([400, 400], batch=6, sizes=(1, 9))._blur(6)
    assert alone.std() > 0
    for rank in range(2):
        training = _training([400, 400], batch=6, sizes=(1, 9))
        training.cluster = SimpleNamespace(rank=rank, size=2)  # type: ignore[assignment]
        np.testing.assert_array_equal(training._blur(3), alone[rank::2])
    assert len(_training([400, 400], batch=6, sizes=(1, 9))._blur(2)) == 2  # an epoch's last batch


@pytest.mark.parametrize(("sizes", "noise"), [((1, 9), SIZE_NOISE), ((3, 3), 0), ((3,), 0)])
def test_a_training_sees_only_roughly_which_series_a_size_belongs_to(
    sizes: tuple[float, ...], noise: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[np.ndarray] = []
    forward = Network.__call__

    def watch(self: Network, parts: Any, inputs: Any, size: Any, *others: Any) -> Any:
        seen.append(size.numpy())
        return forward(self, parts, inputs, size, *others)

    monkeypatch.setattr(Network, "__call__", watch)
    _training([400] * len(sizes), batch=32, sizes=sizes).run()
    found = np.concatenate(seen)
    exact = np.sign(found) if noise else 0  # half of the series are one deviation above the mean
    assert np.sqrt(np.mean((found - exact) ** 2)) == pytest.approx(noise, rel=0.1, abs=1e-5)
