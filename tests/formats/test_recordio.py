"""RecordIO-protobuf against Google's protobuf and against the SDK's own writer."""

from __future__ import annotations

import importlib.util
import io
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wildsage.formats import recordio
from wildsage.formats.matrix import SparseMatrix
from wildsage.formats.recordio import Record, RecordFormatError
from wildsage.formats.records import Bytes, Tensor, parse, serialize

RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def record_class() -> Iterator[Any]:
    """The SDK's generated protobuf class, without importing the SDK."""
    found = importlib.util.find_spec("sagemaker")
    assert found is not None and found.submodule_search_locations
    path = Path(found.submodule_search_locations[0]) / "amazon" / "record_pb2.py"
    spec = importlib.util.spec_from_file_location("record_pb2", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        spec.loader.exec_module(module)
    yield module.Record


def payloads(content: bytes) -> list[bytes]:
    data = recordio.as_bytes(content)
    found = recordio.frames(data)
    spans = zip(found.starts.tolist(), found.lengths.tolist(), strict=True)
    return [content[start : start + length] for start, length in spans]


def sparse(rows: int = 40, columns: int = 300, filled: float = 0.05) -> SparseMatrix:
    dense = RNG.normal(size=(rows, columns)).astype(np.float32)
    dense[RNG.random(dense.shape) > filled] = 0
    dense[3] = 0  # a row without values
    return SparseMatrix.from_dense(dense)


def test_frames_are_magic_length_payload_padding() -> None:
    assert recordio.frame(b"12345") == b"\x0a\x23\xd7\xce\x05\0\0\0" + b"12345" + b"\0\0\0"


@pytest.mark.parametrize("kind", ["float32", "float64", "int64"])
@pytest.mark.parametrize("label_kind", [None, "float32", "float64", "int64"])
def test_dense_rows_are_protobuf(record_class: Any, kind: str, label_kind: str | None) -> None:
    rows = (RNG.normal(size=(20, 7)) * 10).astype(kind)
    labels = None if label_kind is None else (RNG.normal(size=20) * 5).astype(label_kind)
    content = recordio.encode(rows, labels)
    tensor = {"float32": "float32_tensor", "float64": "float64_tensor", "int64": "int32_tensor"}
    for number, payload in enumerate(payloads(content)):
        record = record_class.FromString(payload)
        assert list(getattr(record.features["values"], tensor[kind]).values) == list(rows[number])
        assert record.SerializeToString(deterministic=True) == payload
        if labels is not None and label_kind is not None:
            value = getattr(record.label["values"], tensor[label_kind]).values
            assert list(value) == [labels[number]]
    decoded = recordio.decode(content)
    np.testing.assert_array_equal(decoded.features, rows.astype(np.float32))
    if labels is not None:
        np.testing.assert_array_equal(decoded.labels, labels.astype(np.float32))


def test_sparse_rows_are_protobuf(record_class: Any) -> None:
    matrix = sparse()
    labels = RNG.normal(size=len(matrix)).astype(np.float32)
    content = recordio.encode(matrix, labels)
    dense = matrix.to_dense()
    for number, payload in enumerate(payloads(content)):
        record = record_class.FromString(payload)
        value = record.features["values"].float32_tensor
        assert list(value.keys) == np.flatnonzero(dense[number]).tolist()
        assert list(value.shape) == [300]
        assert record.SerializeToString(deterministic=True) == payload
    decoded = recordio.decode(content)
    assert isinstance(decoded.features, SparseMatrix)
    np.testing.assert_array_equal(decoded.features.to_dense(), dense)
    np.testing.assert_array_equal(decoded.labels, labels)


def test_several_labels_per_row() -> None:
    rows, labels = RNG.normal(size=(9, 3)), RNG.normal(size=(9, 2)).astype(np.float32)
    for features in (rows.astype(np.float32), SparseMatrix.from_dense(rows)):
        decoded = recordio.decode(recordio.encode(features, labels))
        np.testing.assert_array_equal(decoded.labels, labels)


def test_wide_sparse_rows_use_long_varints() -> None:
    keys = np.array([0, 127, 128, 16_383, 16_384, 2_097_152, 3_000_000_000])
    matrix = SparseMatrix(np.arange(7, dtype=np.float32), keys, np.array([0, 7]), (1, 1 << 33))
    decoded = recordio.decode(recordio.encode(matrix)).features
    assert isinstance(decoded, SparseMatrix)
    assert decoded.indices.tolist() == keys.tolist()


@pytest.mark.parametrize("block", [64, 1000, 1 << 20])
def test_a_stream_is_read_in_blocks(block: int) -> None:
    rows = RNG.normal(size=(50, 11)).astype(np.float32)
    parts = list(recordio.read(io.BytesIO(recordio.encode(rows)), block_bytes=block))
    assert (len(parts) > 1) == (block < 2000)
    np.testing.assert_array_equal(recordio.join(parts).features, rows)


def test_a_pipe_hands_over_little_at_a_time() -> None:
    class Trickle(io.RawIOBase):
        def __init__(self, content: bytes) -> None:
            self.rest = memoryview(content)

        def readable(self) -> bool:
            return True

        def readinto(self, buffer: Any) -> int:
            count = min(7, len(self.rest), len(buffer))
            buffer[:count] = self.rest[:count]
            self.rest = self.rest[count:]
            return count

    matrix = sparse()
    parts = list(recordio.read(Trickle(recordio.encode(matrix)), block_bytes=512))  # type: ignore[arg-type]
    joined = recordio.join(parts).features
    assert isinstance(joined, SparseMatrix)
    np.testing.assert_array_equal(joined.to_dense(), matrix.to_dense())


def test_rows_of_several_layouts_in_one_file() -> None:
    rows = RNG.normal(size=(30, 4)).astype(np.float32)
    content = recordio.encode(rows[:20]) + recordio.encode(rows[20:25].astype(np.float64))
    content += recordio.encode(SparseMatrix.from_dense(rows[25:]))
    decoded = recordio.decode(content).features
    assert isinstance(decoded, SparseMatrix)
    np.testing.assert_array_equal(decoded.to_dense(), rows)


def test_the_magic_word_may_stand_in_the_data() -> None:
    rows = RNG.normal(size=(6, 5)).astype(np.float32)
    rows.view(np.uint32)[2, 1] = recordio.MAGIC
    texts = [Record(features={"values": Tensor(row)}, uid="x" * n) for n, row in enumerate(rows)]
    content = b"".join(recordio.frame(serialize(record)) for record in texts)
    decoded = recordio.decode(content)
    assert np.asarray(decoded.features).tobytes() == rows.tobytes()
    assert decoded.notes is not None and decoded.notes[3] == ("xxx", "")


def test_notes_bytes_and_integers_survive() -> None:
    record = Record(
        features={
            "source": Tensor(np.array([3, -1, 70_000])),
            "image": Bytes([b"\xff\xd8"], "jpg"),
        },
        labels={"values": Tensor(np.array([1.5]))},
        uid="a",
        metadata="b",
        configuration="c",
    )
    again = recordio.decode_records(recordio.frame(serialize(record)))[0]
    source, image = again.features["source"], again.features["image"]
    assert isinstance(source, Tensor) and source.values.tolist() == [3, -1, 70_000]
    assert image == Bytes([b"\xff\xd8"], "jpg")
    assert (again.uid, again.metadata, again.configuration) == ("a", "b", "c")


def test_unpacked_values_are_read(record_class: Any) -> None:
    values = b"".join(b"\x0d" + np.float32(v).tobytes() for v in (1, 2, 3))
    tensor = b"\x12" + bytes([len(values)]) + values
    entry = b"\x0a\x06values\x12" + bytes([len(tensor)]) + tensor
    payload = b"\x0a" + bytes([len(entry)]) + entry
    assert list(record_class.FromString(payload).features["values"].float32_tensor.values) == [
        1,
        2,
        3,
    ]
    assert np.asarray(recordio.decode(recordio.frame(payload)).features).tolist() == [[1, 2, 3]]


def test_responses_are_labels_of_a_record(record_class: Any) -> None:
    columns = {"score": np.array([0.5, 1.5]), "vector": np.arange(4.0).reshape(2, 2)}
    for notes in (None, [("u", "m"), ("", "")]):
        records = [
            record_class.FromString(p) for p in payloads(recordio.encode_columns(columns, notes))
        ]
        assert [list(r.label["score"].float32_tensor.values) for r in records] == [[0.5], [1.5]]
        assert list(records[1].label["vector"].float32_tensor.values) == [2, 3]
        assert not records[0].features and records[0].uid == ("u" if notes else "")
    ragged = recordio.encode_columns({"topics": [[1.0], [2.0, 3.0]]})
    records = [record_class.FromString(payload) for payload in payloads(ragged)]
    assert [list(r.label["topics"].float32_tensor.values) for r in records] == [[1], [2, 3]]


def test_an_empty_file_has_no_rows() -> None:
    assert len(recordio.decode(b"")) == 0
    assert list(recordio.read(io.BytesIO(b""))) == []


@pytest.mark.parametrize(
    "content",
    [
        b"1.0,2.0\n3.0,4.0\n",
        b"abc",
        recordio.encode(np.ones((3, 4), np.float32))[:-9],
        recordio.encode(np.ones((3, 4), np.float32)) + b"rest",
        recordio.frame(b"\xff\xff\xff"),
        recordio.frame(serialize(Record())),
    ],
    ids=["text", "short", "cut", "rest", "garbage", "no features"],
)
def test_what_is_no_recordio_is_refused(content: bytes) -> None:
    with pytest.raises(RecordFormatError):
        recordio.decode(content)
    with pytest.raises(RecordFormatError):
        list(recordio.read(io.BytesIO(content), block_bytes=16))


def test_a_key_beyond_the_shape_is_refused() -> None:
    matrix = SparseMatrix(np.ones(1, np.float32), np.array([9]), np.array([0, 1]), (1, 5))
    with pytest.raises(RecordFormatError, match="not below its shape"):
        recordio.decode(recordio.encode(matrix))


def test_rows_of_different_width_are_refused() -> None:
    content = recordio.encode(np.ones((20, 3), np.float32)) * 1
    content += recordio.encode(np.ones((20, 4), np.float32))
    with pytest.raises(RecordFormatError, match="number of features"):
        recordio.decode(content)


def test_random_bytes_never_crash() -> None:
    base = recordio.encode(sparse(5, 40))
    for _ in range(300):
        broken = bytearray(base)
        for position in RNG.integers(0, len(base), 3):
            broken[position] = RNG.integers(256)
        try:
            recordio.decode(bytes(broken))
        except RecordFormatError:
            continue


def test_parsing_is_the_inverse_of_serializing() -> None:
    record = Record(features={"values": Tensor(np.array([2.5], np.float32), np.array([7]), (9,))})
    again = parse(serialize(record)).features["values"]
    assert isinstance(again, Tensor) and again.keys is not None
    assert (again.values.tolist(), again.keys.tolist(), again.shape) == ([2.5], [7], (9,))


SDK_WRITER = """
import sys, numpy as np, scipy.sparse as sp
from sagemaker.amazon.common import write_numpy_to_dense_tensor, write_spmatrix_to_sparse_tensor
folder = sys.argv[1]
rng = np.random.default_rng(1)
for kind in ("float32", "float64", "int64"):
    rows = (rng.normal(size=(30, 9)) * 9).astype(kind)
    np.save(f"{folder}/{kind}.npy", rows)
    with open(f"{folder}/{kind}.rec", "wb") as file:
        write_numpy_to_dense_tensor(file, rows, rows[:, 0])
matrix = sp.random(50, 4000, 0.002, format="csr", dtype=np.float32, random_state=1)
np.save(f"{folder}/sparse.npy", matrix.toarray())
with open(f"{folder}/sparse.rec", "wb") as file:
    write_spmatrix_to_sparse_tensor(file, matrix, rng.normal(size=50).astype(np.float32) * 0 + 1)
"""


@pytest.mark.acceptance
def test_the_bytes_are_those_of_the_sdk(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-c", SDK_WRITER, str(tmp_path)], check=True, capture_output=True
    )
    for kind in ("float32", "float64", "int64"):
        rows = np.load(tmp_path / f"{kind}.npy")
        assert recordio.encode(rows, rows[:, 0]) == (tmp_path / f"{kind}.rec").read_bytes()
    matrix = SparseMatrix.from_dense(np.load(tmp_path / "sparse.npy"))
    labels = np.ones(len(matrix), np.float32)
    assert recordio.encode(matrix, labels) == (tmp_path / "sparse.rec").read_bytes()
