"""The artifact and the answers to requests in every format."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from algorithms.linear_learner.helpers_linear import SPEC, Array, csv
from wildsage.algorithms.linear_learner import program
from wildsage.algorithms.linear_learner.model import LinearModel
from wildsage.algorithms.serve import ModelHandler
from wildsage.formats import recordio
from wildsage.serving.handler import InvocationError

WEIGHT = np.array([[1.0], [-2.0]])
ROWS = np.array([[1.5, 0.25], [0.0, 1.0]], np.float32)
MARGINS = np.array([1.5, -1.5])
CHANCES = (1 / (1 + np.exp(-MARGINS))).astype(np.float32)

BINARY = LinearModel("binary_classifier", "logistic", WEIGHT, np.array([0.5]), 0.4)
HINGE = LinearModel("binary_classifier", "hinge_loss", WEIGHT, np.array([0.5]), 0.0)
REGRESSOR = LinearModel("regressor", "squared_loss", WEIGHT, np.array([0.5]))
MULTICLASS = LinearModel(
    "multiclass_classifier",
    "softmax_loss",
    np.array([[0.0, 1.0, 2.0], [0.0, 0.0, -9.0]]),
    np.zeros(3),
)


def ask(model: LinearModel, tmp_path: Path, body: bytes, content_type: str, accept: str) -> bytes:
    model.save(tmp_path / "model_algo-1")
    handler = ModelHandler(SPEC, program.load(tmp_path))
    reply = handler(body, content_type, accept, None)
    assert reply.status == 200
    return bytes(reply.body)


def as_json(model: LinearModel, tmp_path: Path, body: Any) -> Any:
    content = json.dumps(body).encode()
    return json.loads(ask(model, tmp_path, content, "application/json", "application/json"))


INSTANCES = {"instances": [{"features": row} for row in ROWS.tolist()]}


def test_binary_json(tmp_path: Path) -> None:
    answer = as_json(BINARY, tmp_path, INSTANCES)
    assert answer == {
        "predictions": [
            {"score": pytest.approx(float(CHANCES[0])), "predicted_label": 1},
            {"score": pytest.approx(float(CHANCES[1])), "predicted_label": 0},
        ]
    }
    assert isinstance(answer["predictions"][0]["predicted_label"], int)


def test_the_label_follows_the_calibrated_threshold(tmp_path: Path) -> None:
    strict = LinearModel("binary_classifier", "logistic", WEIGHT, np.array([0.5]), 1.6)
    answer = as_json(strict, tmp_path, INSTANCES)["predictions"][0]
    assert answer == {"score": pytest.approx(float(CHANCES[0])), "predicted_label": 0}


def test_hinge_scores_are_margins(tmp_path: Path) -> None:
    answer = as_json(HINGE, tmp_path, INSTANCES)["predictions"]
    assert [a["score"] for a in answer] == MARGINS.tolist()
    assert [a["predicted_label"] for a in answer] == [1, 0]


def test_regressor_json(tmp_path: Path) -> None:
    answer = as_json(REGRESSOR, tmp_path, INSTANCES)
    assert answer == {"predictions": [{"score": 1.5}, {"score": -1.5}]}


def test_multiclass_json_lists_all_classes(tmp_path: Path) -> None:
    first, second = as_json(MULTICLASS, tmp_path, INSTANCES)["predictions"]
    assert sum(first["score"]) == pytest.approx(1)
    assert (len(first["score"]), first["predicted_label"]) == (3, 1)
    assert second["predicted_label"] == 0


def test_sparse_json(tmp_path: Path) -> None:
    sparse = {"data": {"features": {"keys": [1], "shape": [2], "values": [1.0]}}}
    answer = as_json(REGRESSOR, tmp_path, {"instances": [sparse]})
    assert answer == {"predictions": [{"score": -1.5}]}


def test_jsonlines(tmp_path: Path) -> None:
    body = b"\n".join(json.dumps(i).encode() for i in INSTANCES["instances"])
    answer = ask(BINARY, tmp_path, body, "application/jsonlines", "application/jsonlines")
    lines = [json.loads(line) for line in answer.splitlines()]
    assert [line["predicted_label"] for line in lines] == [1, 0]
    assert set(lines[0]) == {"score", "predicted_label"}


def test_csv(tmp_path: Path) -> None:
    answer = ask(BINARY, tmp_path, csv(ROWS), "text/csv", "text/csv").decode()
    scores, labels = zip(*(line.split(",") for line in answer.splitlines()), strict=True)
    np.testing.assert_allclose([float(s) for s in scores], CHANCES)
    assert [float(label) for label in labels] == [1, 0]


def test_recordio(tmp_path: Path) -> None:
    kind = "application/x-recordio-protobuf"
    answer = ask(BINARY, tmp_path, recordio.encode(ROWS), kind, kind)
    records = recordio.decode_records(answer)
    found = {name: value_of(records[0].labels[name]) for name in records[0].labels}
    assert found == {"score": pytest.approx(float(CHANCES[0])), "predicted_label": 1.0}


def value_of(tensor: Any) -> float:
    return float(np.asarray(tensor.values)[0])


def test_a_request_of_another_width_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvocationError) as caught:
        as_json(BINARY, tmp_path, {"instances": [{"features": [1.0, 2.0, 3.0]}]})
    assert caught.value.status == 400


def test_the_artifact_is_an_open_archive(tmp_path: Path) -> None:
    BINARY.save(tmp_path / "model_algo-1")
    assert zipfile.is_zipfile(tmp_path / "model_algo-1")
    arrays = np.load(tmp_path / "model_algo-1")
    np.testing.assert_array_equal(arrays["weight"], WEIGHT)
    np.testing.assert_array_equal(arrays["bias"], [0.5])
    manifest = json.loads(arrays["manifest.json"])
    assert manifest["predictor_type"] == "binary_classifier"
    assert manifest["threshold"] == pytest.approx(1 / (1 + np.exp(-0.4)))
    again = LinearModel.load(tmp_path / "model_algo-1")
    assert again.answers(ROWS).keys() == {"score", "predicted_label"}
    assert again.threshold == 0.4


def test_another_file_is_not_taken_for_a_model(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", a=np.zeros(1))
    with zipfile.ZipFile(tmp_path / "x.npz", "a") as archive:
        archive.writestr("manifest.json", "{}")
    with pytest.raises(ValueError, match="not a linear-learner model"):
        LinearModel.load(tmp_path / "x.npz")


def test_large_margins_do_not_overflow() -> None:
    far: Array = np.array([[1e6, 0.0], [-1e6, 0.0]], np.float32)
    np.testing.assert_array_equal(BINARY.answers(far)["score"], [1, 0])
    assert np.isfinite(MULTICLASS.answers(far)["score"]).all()
