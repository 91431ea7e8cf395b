"""Draws follow their distributions, and depend on nothing but their stream."""

from __future__ import annotations

import numpy as np
import pytest

from wildsage.algorithms.forecasting_deepar import names
from wildsage.algorithms.forecasting_deepar.sampling import draw

stats = pytest.importorskip("scipy.stats")
OUTPUTS = np.array([[0.3], [0.8], [1.2]], np.float32)
SOFT = np.log1p(np.exp(OUTPUTS.ravel()))
COUNT, EACH = 40_000, 100


def _draw(name: str, scale: float = 1.0, outputs: np.ndarray = OUTPUTS) -> np.ndarray:
    drawn = np.empty(COUNT, np.float32)
    states = np.arange(COUNT, dtype=np.uint64) << np.uint64(20)
    scales = np.full(COUNT // EACH, scale, np.float32)
    order = np.empty(EACH, np.int64)
    draw(names.code(name), outputs, EACH, COUNT, scales, states, order, drawn)
    return drawn


@pytest.mark.parametrize(
    ("name", "distribution"),
    [
        ("gaussian", stats.norm(0.3, SOFT[1])),
        ("student-T", stats.t(2 + SOFT[2], 0.3, SOFT[1])),
        ("beta", stats.beta(SOFT[0], SOFT[1])),
    ],
)
def test_continuous_likelihoods(name: str, distribution: object) -> None:
    assert stats.kstest(_draw(name), distribution.cdf).statistic < 0.01  # type: ignore[attr-defined]


@pytest.mark.parametrize("scale", [1.0, 60.0])
def test_counts(scale: float) -> None:
    counts = np.round(_draw("negative-binomial", scale).astype(np.float64) * scale)
    size, mean = 1 / SOFT[1], SOFT[0] * scale
    expected = stats.nbinom(size, size / (size + mean))
    assert counts.min() >= 0
    assert counts.mean() == pytest.approx(mean, rel=0.03)
    assert counts.var() == pytest.approx(expected.var(), rel=0.06)
    assert (counts == 0).mean() == pytest.approx(expected.pmf(0), abs=0.01)


def test_a_point_forecast_is_its_own_draw() -> None:
    assert (_draw("deterministic-L1") == np.float32(0.3)).all()


def test_paths_of_one_series_are_spread_evenly() -> None:
    means = _draw("gaussian").reshape(-1, EACH).mean(axis=1)
    assert means.std() < 0.2 * SOFT[1] / np.sqrt(EACH)  # independent draws would give 1


@pytest.mark.parametrize("name", [name for name in names.LIKELIHOODS if "L1" not in name])
def test_huge_outputs_give_finite_draws(name: str) -> None:
    for value in (-90.0, 90.0):
        assert np.isfinite(_draw(name, outputs=np.full((3, 1), value, np.float32))).all()
