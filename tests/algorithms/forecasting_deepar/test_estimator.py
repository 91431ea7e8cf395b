"""DeepAR as a library: it forecasts, and every parameter acts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from algorithms.forecasting_deepar.helpers_deepar import cut, seasonal
from wildsage.algorithms.forecasting_deepar import DeepAR
from wildsage.algorithms.forecasting_deepar import training as training_module
from wildsage.contract.failure import ClientError

STEPS = 7


def _small(**parameters: Any) -> DeepAR:
    given = {"epochs": 1, "num_cells": 8, "mini_batch_size": 4, "context_length": 7, **parameters}
    return DeepAR(**{"time_freq": "D", "prediction_length": STEPS, **given})


@pytest.fixture(scope="module")
def records() -> list[dict[str, Any]]:
    return seasonal(12)


def test_it_learns_a_season(records: list[dict[str, Any]]) -> None:
    model = _small(epochs=30, num_cells=16, mini_batch_size=16, learning_rate=1e-2)
    known = cut(records, STEPS)
    quantiles = model.fit(known).predict_quantiles(known, [0.1, 0.5, 0.9])
    actual = np.array([record["target"][-STEPS:] for record in records])
    error = np.abs(quantiles[:, 1] - actual).sum() / actual.sum()
    flat = np.mean([np.mean(np.abs(np.diff(r["target"]))) / np.mean(r["target"]) for r in records])
    assert error < 0.5 * flat
    inside = (quantiles[:, 0] <= actual) & (actual <= quantiles[:, 2])
    assert 0.6 < inside.mean() <= 1
    assert model.losses_[-1] < model.losses_[0] and model.final_loss_ == min(model.losses_)


def test_the_same_seed_gives_the_same_model(records: list[dict[str, Any]]) -> None:
    one, two, other = (_small(seed=seed).fit(records) for seed in (3, 3, 4))
    np.testing.assert_array_equal(one.predict(records[:2]), two.predict(records[:2]))
    assert not np.allclose(one.predict(records[:2]), other.predict(records[:2]))


@pytest.mark.parametrize(
    "changed",
    [
        {"epochs": 2},
        {"mini_batch_size": 8},
        {"learning_rate": 0.01},
        {"dropout_rate": 0.5},
        {"num_cells": 9},
        {"num_layers": 1},
        {"context_length": 9},
        {"time_freq": "H"},
        {"likelihood": "gaussian"},
        {"likelihood": "negative-binomial"},
        {"likelihood": "deterministic-L1"},
        {"cardinality": "ignore"},
        {"embedding_dimension": 3},
        {"num_dynamic_feat": "ignore"},
    ],
    ids=str,
)
def test_every_parameter_acts(changed: dict[str, Any]) -> None:
    records = [
        {**record, "cat": [n % 2], "dynamic_feat": [np.arange(len(record["target"])) % 5]}
        for n, record in enumerate(seasonal(6, seed=1))
    ]
    ahead = [
        {**record, "dynamic_feat": [np.arange(len(record["target"]) + STEPS) % 5]}
        for record in records
    ]
    usual = _small().fit(records).predict(ahead)
    made = _small(**changed).fit(records)
    if changed.get("num_dynamic_feat") or changed.get("cardinality"):
        assert "direct" in made.weights_.arrays
        dropped = "cat" if "cardinality" in changed else "dynamic_feat"
        ahead = [{k: v for k, v in record.items() if k != dropped} for record in ahead]
    assert not np.allclose(usual, made.predict(ahead), rtol=1e-3)


def test_patience_ends_training() -> None:
    model = _small(epochs=60, learning_rate=1e-9, early_stopping_patience=2).fit(seasonal(8))
    assert len(model.losses_) < 60
    assert int(np.argmin(model.losses_)) == len(model.losses_) - 3


def test_a_beta_likelihood_stays_between_zero_and_one() -> None:
    rng = np.random.default_rng(0)
    rates = [rng.beta(2, 5, 80) for _ in range(5)]
    rates[0][:3] = [0, 1, 0.5]
    drawn = _small(likelihood="beta", epochs=3).fit(rates).samples(rates, 20)
    assert drawn.shape == (5, 20, STEPS) and drawn.min() >= 0 and drawn.max() <= 1
    with pytest.raises(ClientError, match="beta is for values between 0 and 1"):
        _small(likelihood="beta").fit([rng.normal(size=400)])


def test_counts_are_whole_numbers() -> None:
    counts = np.random.default_rng(0).poisson(3, (5, 80))
    drawn = _small(likelihood="negative-binomial", epochs=2).fit(counts).samples(counts, 20)
    np.testing.assert_allclose(drawn, np.round(drawn), atol=1e-3)
    with pytest.raises(ClientError, match="negative values"):
        _small(likelihood="negative-binomial").fit(-1 - counts)


def test_too_little_data_are_refused() -> None:
    with pytest.raises(ClientError, match=r"must be at least 300, but it is 120\."):
        _small().fit(np.ones((2, 60)))
    with pytest.raises(ClientError, match="shorter than the prediction_length 7"):
        _small().fit(np.ones((60, 6)))


def test_series_of_zeros_and_gaps_can_be_learned() -> None:
    series = np.zeros((5, 120))
    series[1:, 10:60] = np.nan
    model = _small().fit(series)
    assert np.isfinite(model.predict(series)).all()


def test_series_may_differ_in_length_and_start() -> None:
    records = [
        {"start": f"2024-0{n}-01 00:00:00", "target": np.arange(50 + 20 * n) % 7}
        for n in range(1, 6)
    ]
    assert _small().fit(records).predict(records).shape == (5, STEPS)
    assert np.isfinite(_small().fit(records).predict([[], [1.0]])).all()  # a cold start


def test_several_threads_agree_with_one(
    records: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    predictions = []
    for rows in (2, 1000):
        monkeypatch.setattr(training_module, "ROWS_PER_THREAD", rows)
        predictions.append(_small(mini_batch_size=12).fit(records).predict(records[:3]))
    np.testing.assert_allclose(predictions[0], predictions[1], rtol=1e-2)


def test_a_saved_model_is_loaded(records: list[dict[str, Any]], tmp_path: Path) -> None:
    model = _small().fit(records)
    model.save(tmp_path)
    loaded = DeepAR.load(tmp_path)
    assert loaded.prediction_length == STEPS and loaded.num_cells == 8
    np.testing.assert_array_equal(loaded.predict(records[:2]), model.predict(records[:2]))
    with pytest.raises(ValueError, match="not fitted"):
        DeepAR().predict(records)
