"""Requests and responses in every format."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from wildsage.algorithms import registry, requests
from wildsage.algorithms.requests import InferenceRequest, PayloadError, UnsupportedType
from wildsage.algorithms.spec import CSV, JSON, JSONLINES, RECORDIO
from wildsage.formats import recordio
from wildsage.formats.matrix import SparseMatrix
from wildsage.formats.records import Record, Tensor, serialize

ROWS = np.array([[1.5, 16.0, 0], [0, 2, 3]], np.float32)
SPARSE = [
    {"keys": [0, 1], "shape": [3], "values": [1.5, 16]},
    {"keys": [1, 2], "shape": [3], "values": [2, 3]},
]


def request(content_type: str, accept: str = "") -> InferenceRequest:
    return InferenceRequest.parse(registry.spec("kmeans"), content_type, accept)


def instances(items: list[object]) -> bytes:
    return json.dumps({"instances": items}).encode()


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("text/csv", b"1.5,16,0\n0,2,3\n"),
        ("text/csv; label_size=1", b"9,1.5,16,0\n9,0,2,3"),
        ("", b"1.5,16,0\n0,2,3\n"),
        ("application/json", instances([{"features": row} for row in ROWS.tolist()])),
        (
            "application/json",
            instances([{"data": {"features": {"values": row}}} for row in ROWS.tolist()]),
        ),
        ("application/json", instances([{"data": {"features": row}} for row in SPARSE])),
        (
            "application/json",
            instances([{"data": {"features": SPARSE[0]}}, {"features": ROWS[1].tolist()}]),
        ),
        ("application/jsonlines", b'{"features": [1.5, 16, 0]}\n\n{"features": [0, 2, 3]}\n'),
        (
            "application/jsonlines; charset=utf-8",
            b"\n".join(json.dumps({"data": {"features": row}}).encode() for row in SPARSE),
        ),
        ("application/x-recordio-protobuf", recordio.encode(ROWS)),
        ("application/x-recordio-protobuf", recordio.encode(SparseMatrix.from_dense(ROWS))),
    ],
)
def test_every_form_of_request(content_type: str, body: bytes) -> None:
    batch = requests.decode(body, request(content_type))
    np.testing.assert_array_equal(batch.dense(), ROWS)


def test_configurations() -> None:
    asked = request("application/json")
    body = {"configuration": {"k": 2}, "instances": [{"features": [1], "configuration": {"a": 1}}]}
    requests.decode(json.dumps(body).encode(), asked)
    assert (asked.configuration, asked.configurations) == ({"k": 2}, [{"a": 1}])


def test_sparse_rows_without_shape_have_the_models_width() -> None:
    asked = request("application/json")
    asked.feature_dim = 7
    body = instances([{"data": {"features": {"keys": [6], "values": [1]}}}])
    assert requests.decode(body, asked).width == 7


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("text/csv", b"a,b"),
        ("text/csv", b"1,2\n1,2,3"),
        ("application/json", b"{"),
        ("application/json", b"[1]"),
        ("application/json", b'{"instances": 3}'),
        ("application/json", b'{"instances": [3]}'),
        ("application/json", b'{"instances": [{}]}'),
        ("application/json", b'{"instances": [{"features": ["x"]}]}'),
        ("application/json", b'{"instances": [{"features": [1]}, {"features": [1, 2]}]}'),
        ("application/json", b'{"instances": [{"features": 3}]}'),
        ("application/json", b'{"instances": []}'),
        ("application/json", instances([{"data": {"features": {"keys": [3], "values": [1]}}}])),
        (
            "application/json",
            instances([{"data": {"features": {"keys": [3], "shape": [3], "values": [1]}}}]),
        ),
        (
            "application/json",
            instances([{"data": {"features": {"keys": [1, 2], "shape": [3], "values": [1]}}}]),
        ),
        ("application/jsonlines", b'{"features": [1]}\n{"feat'),
        ("application/x-recordio-protobuf", b"1,2,3"),
    ],
)
def test_bodies_that_cannot_be_read(content_type: str, body: bytes) -> None:
    with pytest.raises(PayloadError):
        requests.decode(body, request(content_type))


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        ("", JSON),
        ("*/*", JSON),
        ("application/json", JSON),
        ("text/csv", CSV),
        ("image/png, application/jsonlines", JSONLINES),
        ("application/x-recordio-protobuf", RECORDIO),
    ],
)
def test_accept(accept: str, chosen: str) -> None:
    assert request("text/csv", accept).accept == chosen


def test_verbose() -> None:
    assert request("text/csv", "application/json; verbose=True").verbose
    assert not request("text/csv", "application/json").verbose


def test_unknown_types() -> None:
    for content_type, accept in (("image/png", ""), ("text/csv", "image/png")):
        with pytest.raises(UnsupportedType):
            request(content_type, accept)


COLUMNS = {
    "label": np.array([1, 0], np.float32),
    "score": np.array([[0.5, 0.25], [1, 2]], np.float32),
}


@pytest.mark.parametrize(
    ("accept", "body"),
    [
        (
            "application/json",
            b'{"predictions":[{"label":1.0,"score":[0.5,0.25]},{"label":0.0,"score":[1.0,2.0]}]}',
        ),
        (
            "application/jsonlines",
            b'{"label":1.0,"score":[0.5,0.25]}\n{"label":0.0,"score":[1.0,2.0]}',
        ),
        ("text/csv", b"1.0,0.5,0.25\n0.0,1.0,2.0"),
    ],
)
def test_text_responses(accept: str, body: bytes) -> None:
    assert requests.encode(COLUMNS, request("text/csv", accept)) == (accept, body)


def test_recordio_responses_echo_notes() -> None:
    record = Record(features={"values": Tensor(ROWS[0])}, uid="row 1", metadata="m")
    asked = request("application/x-recordio-protobuf", "application/x-recordio-protobuf")
    body = recordio.frame(serialize(record)) + recordio.encode(ROWS[1:])
    requests.decode(body, asked)
    _, answer = requests.encode(COLUMNS, asked)
    first, second = recordio.decode_records(answer)
    assert (first.uid, first.metadata, second.uid) == ("row 1", "m", "")
    score = first.labels["score"]
    assert isinstance(score, Tensor) and score.values.tolist() == [0.5, 0.25]


def test_lists_of_different_lengths() -> None:
    columns: dict[str, list[Any]] = {"topics": [[1.0], [1.0, 2.0]], "name": ["a", "b"]}
    _, body = requests.encode(columns, request("text/csv", "text/csv"))
    assert body == b"1.0,a\n1.0,2.0,b"
