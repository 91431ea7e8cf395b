"""Requests and answers over HTTP, as the developer guide writes them."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from algorithms.forecasting_deepar.helpers_deepar import untrained
from wildsage.algorithms import registry
from wildsage.algorithms.forecasting_deepar import serving
from wildsage.algorithms.forecasting_deepar.program import load
from wildsage.algorithms.forecasting_deepar.serving import DeepARModel
from wildsage.algorithms.serve import ModelHandler
from wildsage.serving.handler import InvocationError

STEPS = 9
INSTANCE = {
    "start": "2009-11-01 00:00:00",
    "target": [4.0, 10.0, "NaN", 100.0, 113.0],
    "cat": [1],
    "dynamic_feat": [[0.5] * (5 + STEPS)],
}
COLD = {"start": "2012-01-30", "target": [], "cat": [2], "dynamic_feat": [[1.0] * STEPS]}


@pytest.fixture(scope="module")
def handler(tmp_path_factory: pytest.TempPathFactory) -> ModelHandler:
    folder = tmp_path_factory.mktemp("model")
    untrained().save(folder)
    return ModelHandler(registry.spec("forecasting-deepar"), load(folder))


def _ask(handler: ModelHandler, instances: list[Any], **configuration: Any) -> list[dict[str, Any]]:
    body = json.dumps({"instances": instances, "configuration": configuration}).encode()
    reply = handler(body, "application/json", "application/json", None)
    assert reply.content_type == "application/json"
    predictions: list[dict[str, Any]] = json.loads(reply.body)["predictions"]
    return predictions


def test_a_request_of_the_guide(handler: ModelHandler) -> None:
    answers = _ask(
        handler,
        [INSTANCE, COLD],
        num_samples=50,
        output_types=["mean", "quantiles", "samples"],
        quantiles=["0.5", "0.9"],
    )
    assert len(answers) == 2
    for answer in answers:
        assert list(answer["quantiles"]) == ["0.5", "0.9"]
        samples = np.array(answer["samples"])
        assert samples.shape == (50, STEPS)
        np.testing.assert_allclose(samples.mean(axis=0), answer["mean"], rtol=1e-4)
        middle = np.quantile(samples, 0.5, axis=0)
        np.testing.assert_allclose(middle, answer["quantiles"]["0.5"], rtol=1e-4)


def test_only_what_is_asked_for_is_told(handler: ModelHandler) -> None:
    assert set(_ask(handler, [INSTANCE], output_types=["mean"])[0]) == {"mean"}
    answer = _ask(handler, [INSTANCE], output_types=["quantiles"], quantiles=[0.25])[0]
    assert list(answer["quantiles"]) == ["0.25"]


def test_without_a_configuration_mean_and_nine_quantiles(handler: ModelHandler) -> None:
    answer = _ask(handler, [INSTANCE])[0]
    assert set(answer) == {"mean", "quantiles"}
    assert list(answer["quantiles"]) == [f"0.{n}" for n in range(1, 10)]
    assert len(answer["mean"]) == STEPS


def test_no_instances_no_predictions(handler: ModelHandler) -> None:
    assert _ask(handler, []) == []


def test_many_paths_are_told_of_part_by_part(
    handler: ModelHandler, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = {"num_samples": 20, "output_types": ["mean", "quantiles", "samples"]}
    whole = _ask(handler, [INSTANCE, COLD, INSTANCE], **asked)
    monkeypatch.setattr(serving, "VALUES_AT_ONCE", 2 * 20 * STEPS)
    parts = _ask(handler, [INSTANCE, COLD, INSTANCE], **asked)
    for one, other in zip(whole, parts, strict=True):
        np.testing.assert_allclose(one["samples"], other["samples"], rtol=1e-3, atol=1e-3)
        assert list(one) == list(other)


def test_workers_may_answer_at_the_same_time(handler: ModelHandler) -> None:
    """As `MODEL_SERVER_WORKERS` has it: the same answers as one after the other."""
    requests = [[INSTANCE], [COLD], [INSTANCE, COLD] * 20, [COLD, INSTANCE] * 20]
    alone = [_ask(handler, request, output_types=["mean"]) for request in requests]
    with ThreadPoolExecutor(len(requests)) as pool:
        together = pool.map(lambda r: _ask(handler, r, output_types=["mean"]), requests)
    for one, other in zip(alone, together, strict=True):
        for answer, same in zip(one, other, strict=True):
            np.testing.assert_allclose(answer["mean"], same["mean"], rtol=1e-5, atol=1e-5)


def test_lines_take_their_configuration_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = {"num_samples": 20, "output_types": ["samples"]}
    monkeypatch.setenv("DEEPAR_INFERENCE_CONFIG", json.dumps(config))
    handler = ModelHandler(registry.spec("forecasting-deepar"), DeepARModel(untrained()))
    body = b"\n".join(json.dumps(one).encode() for one in (INSTANCE, COLD, INSTANCE))
    reply = handler(body, "application/jsonlines", "application/jsonlines", None)
    answers = [json.loads(line) for line in reply.body.splitlines()]
    assert [np.shape(answer["samples"]) for answer in answers] == [(20, STEPS)] * 3
    assert set(answers[0]) == {"samples"}
    np.testing.assert_allclose(answers[0]["samples"], answers[2]["samples"], rtol=1e-3)
    monkeypatch.setenv("DEEPAR_INFERENCE_CONFIG", '{"num_samples": 0}')
    with pytest.raises(ValueError, match="DEEPAR_INFERENCE_CONFIG is not usable: num_samples"):
        DeepARModel(untrained())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"cat": None}, "trained with 1 categorical features"),
        ({"cat": [3]}, "contains the value 3 at position 0, which must be less than the cardi"),
        ({"dynamic_feat": None}, "trained with 1 feature time series"),
        ({"dynamic_feat": [[1.0] * 5]}, "plus the prediction_length .9., which is 14"),
        ({"start": "soon"}, "format YYYY-MM-DD HH:MM:SS"),
        ({"target": ["many"]}, "no number"),
        ({"start": "2009-11-01T00:00:00+01:00"}, "without a time zone"),
        ({"dynamic_feat": 5}, "'dynamic_feat' must be an array of arrays"),
    ],
)
def test_wrong_series_are_refused(
    handler: ModelHandler,
    change: dict[str, Any],
    words: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(InvocationError, match="unable to evaluate payload") as caught:
        _ask(handler, [INSTANCE, {**INSTANCE, **change}])
    assert caught.value.status == 400
    printed = capsys.readouterr().out
    assert "instance 1:" in printed and words.replace(".9.", "(9)") in printed


@pytest.mark.parametrize(
    "configuration",
    [
        {"num_samples": 0},
        {"num_samples": "10"},
        {"output_types": ["median"]},
        {"output_types": []},
        {"quantiles": ["1.5"]},
        {"quantiles": ["half"]},
        {"quantiles": 0.5},
    ],
    ids=str,
)
def test_wrong_configurations_are_refused(
    handler: ModelHandler, configuration: dict[str, Any]
) -> None:
    with pytest.raises(InvocationError):
        _ask(handler, [INSTANCE], **configuration)


@pytest.mark.parametrize(
    "body", [b"[1, 2]", b"{}", b'{"instances": {}}', b'{"instances": [1]}', b"[" * 100_000]
)
def test_what_is_no_request_is_refused(handler: ModelHandler, body: bytes) -> None:
    with pytest.raises(InvocationError):
        handler(body, "application/json", "application/json", None)
