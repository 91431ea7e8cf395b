"""Endpoints of the xgboost image: every content type, Accept and selectable output."""

from __future__ import annotations

import io
import json
import math
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xgboost

from algorithms.xgboost.helpers_xgboost import as_csv, as_libsvm, classes
from wildsage.algorithms.xgboost import library
from wildsage.algorithms.xgboost.names import LIBSVM_ATTRIBUTE
from wildsage.algorithms.xgboost.program import handler
from wildsage.algorithms.xgboost.serving import Options, XGBoostHandler
from wildsage.contract.paths import Paths
from wildsage.formats import recordio
from wildsage.formats.matrix import SparseMatrix
from wildsage.formats.records import Record, Tensor
from wildsage.serving.handler import InvocationError, Reply

CSV, LIBSVM, RECORDIO = "text/csv", "text/libsvm", "application/x-recordio-protobuf"
JSON, JSONLINES = "application/json", "application/jsonlines"


def boost(objective: str = "binary:logistic", count: int = 2, **parameters: Any) -> Any:
    features, labels = classes(count=count)
    if count > 2:
        parameters["num_class"] = count
    matrix = xgboost.DMatrix(features, label=labels)
    return xgboost.train({"objective": objective, **parameters}, matrix, 3)


def serve(folder: Path, *boosters: Any, options: Options | None = None) -> XGBoostHandler:
    for number, booster in enumerate(boosters):
        library.save(booster, folder / f"xgboost-model-{number}")
    return XGBoostHandler.load(folder, options or Options())


@pytest.fixture
def binary(tmp_path: Path) -> XGBoostHandler:
    return serve(tmp_path, boost())


FEATURES = classes(rows=5, seed=3)[0]
EXPECTED = boost().predict(xgboost.DMatrix(FEATURES))


def values(reply: Reply) -> np.ndarray:
    assert reply.status == 200
    return np.array(reply.body.split(), np.float32)


def column(record: Record, name: str) -> np.ndarray:
    """One label of a response's record."""
    tensor = record.labels[name]
    assert isinstance(tensor, Tensor)
    return tensor.values


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        (CSV, as_csv(FEATURES)),
        ("text/csv; charset=utf-8", as_csv(FEATURES).rstrip()),
        ("csv", as_csv(FEATURES, delimiter="\t")),
        (CSV, as_csv(FEATURES, delimiter=";").replace(b"\n", b"\r\n")),
        (CSV, as_csv(FEATURES, delimiter=" ")),
        (LIBSVM, as_libsvm(FEATURES, np.zeros(5))),
        ("text/x-libsvm", as_libsvm(FEATURES, np.zeros(5), first=1)),
        ("", b"\n".join(line[2:] for line in as_libsvm(FEATURES, np.zeros(5)).splitlines())),
        (RECORDIO, recordio.encode(FEATURES)),
        ("recordio-protobuf", recordio.encode(SparseMatrix.from_dense(FEATURES))),
    ],
)
def test_content_types(binary: XGBoostHandler, content_type: str, body: bytes) -> None:
    reply = binary(body, content_type, CSV, None)
    np.testing.assert_array_equal(values(reply), EXPECTED)
    assert reply.content_type == CSV
    assert reply.body.endswith(b"\n") and reply.body.count(b"\n") == 5


def test_numbers_are_written_as_the_float64_of_a_float32(binary: XGBoostHandler) -> None:
    reply = binary(as_csv(FEATURES[:1]), CSV, "", None)
    assert reply.body == f"{float(EXPECTED[0])!r}\n".encode()


def test_a_large_body_is_read_as_a_small_one(binary: XGBoostHandler) -> None:
    many = np.tile(FEATURES, (400, 1))
    reply = binary(as_csv(many), CSV, CSV, None)
    np.testing.assert_array_equal(values(reply), np.tile(EXPECTED, 400))


def test_an_empty_field_is_a_missing_value(binary: XGBoostHandler) -> None:
    missing = np.array([[math.nan, 1, math.nan, 2]], np.float32)
    expected = boost().predict(xgboost.DMatrix(missing))
    np.testing.assert_array_equal(values(binary(b",1,,2\n", CSV, CSV, None)), expected)


def test_libsvm_rows_without_features_count(binary: XGBoostHandler) -> None:
    reply = binary(b"0 0:1 3:2\n0\n0 1:1\n", LIBSVM, CSV, None)
    assert len(values(reply)) == 3


def test_indices_count_as_the_model_s_training_data_did(tmp_path: Path) -> None:
    features, labels = classes()
    shifted = np.column_stack((np.full(len(features), math.nan), features))
    matrix = xgboost.DMatrix(shifted, label=labels)
    model = xgboost.train({"objective": "binary:logistic"}, matrix, 3)
    model.set_attr(**{LIBSVM_ATTRIBUTE: "0"})
    served = serve(tmp_path, model)
    body = as_libsvm(features[:7], labels[:7], first=1)
    expected = model.predict(xgboost.DMatrix(shifted[:7]))
    np.testing.assert_array_equal(values(served(body, LIBSVM, CSV, None)), expected)


def test_json_and_json_lines(binary: XGBoostHandler) -> None:
    body = as_csv(FEATURES)
    reply = binary(body, CSV, JSON, None)
    scores = [float(value) for value in EXPECTED]
    assert reply.content_type == JSON
    assert json.loads(reply.body) == {"predictions": [{"score": score} for score in scores]}
    reply = binary(body, CSV, "application/jsonlines; charset=utf-8", None)
    assert reply.content_type == JSONLINES
    assert [json.loads(line) for line in reply.body.splitlines()] == [
        {"score": score} for score in scores
    ]


def test_recordio_has_one_record_for_each_prediction(binary: XGBoostHandler) -> None:
    reply = binary(as_csv(FEATURES), CSV, RECORDIO, None)
    scores = [column(record, "score") for record in recordio.decode_records(reply.body)]
    np.testing.assert_array_equal(np.concatenate(scores), EXPECTED)


def test_softprob_has_a_row_of_classes(tmp_path: Path) -> None:
    model = boost("multi:softprob", 3)
    served = serve(tmp_path, model)
    expected = model.predict(xgboost.DMatrix(FEATURES))
    reply = served(as_csv(FEATURES), CSV, CSV, None)
    table = np.loadtxt(io.BytesIO(reply.body), np.float32, delimiter=",")
    np.testing.assert_array_equal(table, expected)
    reply = served(as_csv(FEATURES), CSV, JSON, None)
    assert len(json.loads(reply.body)["predictions"][0]["score"]) == 3


def test_a_batch_transform_gets_a_line_for_each_record(tmp_path: Path) -> None:
    served = serve(tmp_path, boost("multi:softprob", 3), options=Options(batch=True))
    reply = served(as_csv(FEATURES), CSV, CSV, None)
    lines = reply.body.decode().splitlines()
    assert len(lines) == 5 and lines[0].startswith("[") and lines[0].endswith("]")


def selectable(
    folder: Path, model: Any, keys: str, accept: str, environment: dict[str, str] | None = None
) -> bytes:
    known = {"SAGEMAKER_INFERENCE_OUTPUT": keys, **(environment or {})}
    served = serve(folder, model, options=Options.from_environment(known))
    return served(as_csv(FEATURES[:2]), CSV, accept, None).body


def test_selectable_output_of_a_binary_classifier(tmp_path: Path) -> None:
    keys = "predicted_label, labels,probability,probabilities,raw_score,raw_scores"
    answer = json.loads(selectable(tmp_path, boost(), keys, JSON))["predictions"][0]
    score = float(EXPECTED[0])
    assert answer == {
        "predicted_label": int(score > 0.5),
        "labels": [0, 1],
        "probability": score,
        "probabilities": [1 - score, score],
        "raw_score": score,
        "raw_scores": [1 - score, score],
    }


def test_selectable_output_of_a_multi_class_classifier(tmp_path: Path) -> None:
    model = boost("multi:softprob", 3)
    expected = model.predict(xgboost.DMatrix(FEATURES[:2]))
    body = selectable(
        tmp_path, model, "predicted_label,labels,probability,probabilities", JSONLINES
    )
    for line, row in zip(body.splitlines(), expected.tolist(), strict=True):
        assert json.loads(line) == {
            "predicted_label": int(np.argmax(row)),
            "labels": [0, 1, 2],
            "probability": max(row),
            "probabilities": row,
        }


@pytest.mark.parametrize(
    ("objective", "key", "value"),
    [
        ("binary:logitraw", "predicted_label", lambda raw: int(raw > 0)),
        ("binary:logitraw", "raw_score", float),
        ("binary:hinge", "predicted_label", float),
        ("binary:hinge", "raw_scores", lambda raw: [1.0 - float(raw), float(raw)]),
        ("reg:squarederror", "predicted_score", float),
        ("reg:tweedie", "predicted_score", float),
    ],
)
def test_selectable_output_by_objective(
    tmp_path: Path, objective: str, key: str, value: Any
) -> None:
    model = boost(objective)
    expected = model.predict(xgboost.DMatrix(FEATURES[:2]))
    answer = json.loads(selectable(tmp_path, model, key, JSON))["predictions"]
    assert answer == [{key: value(raw)} for raw in expected]


def test_softmax_tells_the_class(tmp_path: Path) -> None:
    model = boost("multi:softmax", 3)
    answer = selectable(tmp_path, model, "predicted_label,labels,raw_score", JSON)
    first = json.loads(answer)["predictions"][0]
    label = float(model.predict(xgboost.DMatrix(FEATURES[:1]))[0])
    assert first == {"predicted_label": label, "labels": [0, 1, 2], "raw_score": label}


def test_selectable_csv_quotes_lists_and_keeps_the_order(tmp_path: Path) -> None:
    first, second = (float(value) for value in EXPECTED[:2])
    lines = [f'"{[1 - score, score]}",{int(score > 0.5)}' for score in (first, second)]
    keys = "probabilities,predicted_label"
    assert selectable(tmp_path, boost(), keys, CSV).decode() == "\n".join(lines)
    batch = selectable(tmp_path, boost(), keys, CSV, {"SAGEMAKER_BATCH": "true"})
    assert batch.decode() == "\n".join(lines) + "\n"


def test_selectable_recordio(tmp_path: Path) -> None:
    body = selectable(tmp_path, boost(), "predicted_label,probabilities", RECORDIO)
    record = recordio.decode_records(body)[1]
    score = float(EXPECTED[1])
    assert column(record, "predicted_label").tolist() == [int(score > 0.5)]
    np.testing.assert_allclose(column(record, "probabilities"), [1 - score, score], rtol=1e-6)


def test_content_that_the_objective_lacks_is_nan_with_a_warning(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    body = selectable(tmp_path, boost("reg:squarederror"), "predicted_score,labels", JSON)
    assert b'"labels": NaN' in body
    assert "Selected key(s) {'labels'} incompatible for objective" in capsys.readouterr().out


def test_an_objective_without_selectable_content_is_an_error(tmp_path: Path) -> None:
    model = boost("count:poisson")
    with pytest.raises(ValueError, match="Objective `count:poisson` unsupported for selectable"):
        selectable(tmp_path, model, "predicted_score", JSON)


def test_an_ensemble_averages_and_votes(tmp_path: Path) -> None:
    both = [boost(), boost(eta=0.1)]
    means = np.mean([b.predict(xgboost.DMatrix(FEATURES)) for b in both], axis=0)
    served = serve(tmp_path, *both)
    np.testing.assert_allclose(values(served(as_csv(FEATURES), CSV, CSV, None)), means)
    alone = XGBoostHandler.load(
        tmp_path, Options.from_environment({"SAGEMAKER_INFERENCE_ENSEMBLE": "false"})
    )
    np.testing.assert_array_equal(values(alone(as_csv(FEATURES), CSV, CSV, None)), EXPECTED)


def test_an_ensemble_of_classes_votes(tmp_path: Path) -> None:
    models = [boost("multi:softmax", 3, seed=s, subsample=0.5) for s in range(3)]
    votes = np.stack([m.predict(xgboost.DMatrix(FEATURES)) for m in models])
    answers = values(serve(tmp_path, *models)(as_csv(FEATURES), CSV, CSV, None))
    for answer, column in zip(answers, votes.T, strict=True):
        assert (column == answer).sum() == max((column == vote).sum() for vote in column)


@pytest.mark.parametrize("kind", ["gblinear", "dart"])
def test_other_boosters(tmp_path: Path, kind: str) -> None:
    model = boost(booster=kind)
    expected = model.predict(xgboost.DMatrix(FEATURES))
    served = serve(tmp_path, model)
    for content_type, body in (
        (CSV, as_csv(FEATURES)),
        (LIBSVM, as_libsvm(FEATURES, FEATURES[:, 0])),
    ):
        np.testing.assert_allclose(values(served(body, content_type, CSV, None)), expected)


def test_models_in_json_and_pickled_models_are_read(tmp_path: Path) -> None:
    model = boost()
    (tmp_path / "xgboost-model").write_bytes(model.save_raw("json"))
    (tmp_path / ".hidden").write_bytes(b"x")
    served = XGBoostHandler.load(tmp_path, Options())
    np.testing.assert_array_equal(values(served(as_csv(FEATURES), CSV, CSV, None)), EXPECTED)
    (tmp_path / "xgboost-model").write_bytes(pickle.dumps(model))
    served = XGBoostHandler.load(tmp_path, Options())
    np.testing.assert_array_equal(values(served(as_csv(FEATURES), CSV, CSV, None)), EXPECTED)


def test_a_pickle_that_brings_anything_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "xgboost-model").write_bytes(pickle.dumps(Path("/etc/passwd")))
    with pytest.raises(RuntimeError, match="a model does not need pathlib"):
        XGBoostHandler.load(tmp_path, Options())


def test_a_folder_without_a_model(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no model found"):
        XGBoostHandler.load(tmp_path, Options())


def refusal(served: XGBoostHandler, body: bytes, content_type: str, accept: str = CSV) -> Any:
    with pytest.raises(InvocationError) as caught:
        served(body, content_type, accept, None)
    return caught.value


def test_refusals(binary: XGBoostHandler) -> None:
    wide = refusal(binary, b"1,2,3,4,5\n", CSV)
    assert (wide.status, wide.message) == (
        400,
        "Unable to evaluate payload provided: Feature size of csv inference data 5 is not "
        "consistent with feature size of trained model 4.",
    )
    wide = refusal(binary, b"0 0:1 9:1\n", LIBSVM)
    assert (wide.status, wide.message) == (
        400,
        "Unable to evaluate payload provided: Feature size of libsvm inference data 10 is larger "
        "than feature size of trained model 4.",
    )
    wide = refusal(binary, recordio.encode(np.zeros((1, 9), np.float32)), RECORDIO)
    assert wide.status == 400 and "recordio-protobuf inference data 9" in wide.message


def test_one_feature_less_is_missing(binary: XGBoostHandler) -> None:
    short = np.array([[1, 2, 3, math.nan]], np.float32)
    expected = boost().predict(xgboost.DMatrix(short))
    np.testing.assert_array_equal(values(binary(b"1,2,3\n", CSV, CSV, None)), expected)
    sparse = recordio.encode(SparseMatrix.from_dense(short[:, :3]))
    np.testing.assert_array_equal(values(binary(sparse, RECORDIO, CSV, None)), expected)


@pytest.mark.parametrize(
    ("body", "content_type", "text"),
    [
        (b"a,b,c,d\n", CSV, "Loading csv data failed with Exception, please ensure data is in csv"),
        (b"1,2,3,4\n1,2\n", CSV, "rows differ in their number of columns"),
        (b"0 1:x\n", LIBSVM, "Loading libsvm data failed with Exception, please ensure data is in"),
        (b"junkjunkjunk", RECORDIO, "Loading recordio-protobuf data failed with Exception"),
        (b"x", "application/x-parquet", "Content-type application/x-parquet is not supported."),
        (b"x", "image/png", "image/png is not an accepted ContentType: csv, libsvm, parquet"),
        (b"1,2,3,4", "text/csv;label_size=0", "is not an accepted csv ContentType"),
    ],
)
def test_unreadable_bodies_are_unsupported_media(
    binary: XGBoostHandler, body: bytes, content_type: str, text: str
) -> None:
    refused = refusal(binary, body, content_type)
    assert refused.status == 415
    assert text in refused.message


def test_an_accept_that_is_not_spoken(binary: XGBoostHandler) -> None:
    refused = refusal(binary, as_csv(FEATURES), CSV, "image/png;q=1")
    assert (refused.status, refused.message) == (
        406,
        "Accept type image/png is not supported. Please use supported accept types: "
        "['application/json', 'application/jsonlines', 'application/x-recordio-protobuf', "
        "'text/csv'].",
    )


def test_the_environment_gives_the_default_accept(tmp_path: Path) -> None:
    options = Options.from_environment({"SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT": JSON})
    served = serve(tmp_path, boost(), options=options)
    assert served(as_csv(FEATURES), CSV, "*/*", None).content_type == JSON
    assert served(as_csv(FEATURES), CSV, CSV, None).content_type == CSV


def test_an_empty_body_has_no_content(binary: XGBoostHandler) -> None:
    assert binary(b"", CSV, CSV, None).status == 204


def test_execution_parameters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAX_CONTENT_LENGTH", str(20 * 1024 * 1024))
    paths = Paths(tmp_path)
    paths.model.mkdir()
    library.save(boost(), paths.model / "xgboost-model")
    parameters = handler(paths).execution_parameters()
    assert parameters["BatchStrategy"] == "MULTI_RECORD"
    assert parameters["MaxPayloadInMB"] == 20
    assert parameters["MaxConcurrentTransforms"] >= 1
