"""Channels as batches of rows, and AWS's errors for data that cannot be read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from wildsage.algorithms.base import Channel, require_labels
from wildsage.algorithms.instances import Instance, feeding
from wildsage.algorithms.rows import Batch
from wildsage.contract.failure import ClientError
from wildsage.formats import recordio
from wildsage.formats.matrix import SparseMatrix

ROWS = np.random.default_rng(0).normal(size=(103, 4)).astype(np.float32)
LABELS = np.arange(103, dtype=np.float32)
RECORDIO = "application/x-recordio-protobuf"


def csv(table: np.ndarray) -> bytes:
    return "\n".join(",".join(map(repr, row)) for row in table.tolist()).encode()


def channel(folder: Path, content: bytes, content_type: str | None, **options: str) -> Channel:
    instance = Instance(folder)
    instance.add_channel("train", content, content_type, **options)
    return Channel(instance.channels["train"], feature_dim=4)


@pytest.mark.parametrize(
    ("content", "content_type"),
    [
        (recordio.encode(ROWS, LABELS), None),
        (recordio.encode(ROWS.astype(np.float64), LABELS), RECORDIO),
        (csv(np.hstack([LABELS[:, None], ROWS])), "text/csv"),
        (csv(np.hstack([LABELS[:, None], ROWS])), "text/csv; label_size=1"),
    ],
    ids=["recordio", "float64", "csv", "label_size"],
)
@pytest.mark.parametrize("mode", ["File", "FastFile", "Pipe"])
def test_batches_are_the_same_whatever_the_way(
    tmp_path: Path, content: bytes, content_type: str | None, mode: str
) -> None:
    source = channel(tmp_path, content, content_type, mode=mode)
    if mode == "Pipe":
        with feeding(source.config.paths, "train", content):
            epochs = [list(source.batches(25, epoch=epoch)) for epoch in (0, 1)]
    else:
        epochs = [list(source.batches(25, epoch=epoch)) for epoch in (0, 1)]
    for batches in epochs:
        assert [len(batch) for batch in batches] == [25, 25, 25, 25, 3]
        np.testing.assert_array_equal(np.concatenate([b.dense() for b in batches]), ROWS)
        labels = np.concatenate([require_labels(b, "train") for b in batches])
        np.testing.assert_array_equal(labels, LABELS)


def test_sparse_rows_stay_sparse(tmp_path: Path) -> None:
    matrix = SparseMatrix.from_dense(np.where(ROWS > 1, ROWS, 0))
    source = channel(tmp_path, recordio.encode(matrix), None)
    batches = list(source.batches(40))
    assert all(isinstance(batch.features, SparseMatrix) for batch in batches)
    np.testing.assert_array_equal(np.concatenate([b.dense() for b in batches]), matrix.to_dense())
    assert source.matrix().width == 4


def test_several_files_are_read_in_order(tmp_path: Path) -> None:
    source = channel(tmp_path, csv(ROWS[:50]), "text/csv;label_size=0")
    (source.config.paths.channel("train") / "part-1").write_bytes(csv(ROWS[50:]))
    np.testing.assert_array_equal(source.matrix().dense(), ROWS)
    assert source.matrix().labels is None and source.label_size == 0


def test_label_vectors(tmp_path: Path) -> None:
    source = channel(tmp_path, csv(np.hstack([ROWS, ROWS])), "text/csv;label_size=4")
    batch = source.matrix()
    assert batch.labels is not None and batch.labels.shape == (103, 4)
    with pytest.raises(ClientError, match="Label size on train dataset found to be 4"):
        require_labels(batch, "train")


def test_wrapped_objects(tmp_path: Path) -> None:
    content = recordio.frame(csv(ROWS[:50])) + recordio.frame(csv(ROWS[50:]))
    options = {"mode": "Pipe", "record_wrapper": "RecordIO"}
    source = channel(tmp_path, content, "text/csv;label_size=0", **options)
    with feeding(source.config.paths, "train", content):
        np.testing.assert_array_equal(source.matrix().dense(), ROWS)


def test_lines(tmp_path: Path) -> None:
    source = channel(tmp_path, b"a b\r\n\nc", "text/plain")
    assert list(source.lines()) == [b"a b", b"", b"c"]


def test_a_pass_ends_early_when_the_job_stops(tmp_path: Path) -> None:
    source = channel(tmp_path, csv(ROWS[:50]), "text/csv;label_size=0")
    (source.config.paths.channel("train") / "part-1").write_bytes(csv(ROWS[50:]))
    source.stopping = lambda: True
    assert 0 < sum(len(batch) for batch in source.batches(10)) <= 50
    assert len(list(source.lines())) == 0


@pytest.mark.parametrize(
    ("content", "content_type", "text"),
    [
        (
            b"1,2,3,nan\n",
            "text/csv;label_size=0",
            "Unable to read data channel 'train'. Found missing (NaN) values. Please remove any "
            "missing (NaN) values in the input data. (caused by MXNetError)",
        ),
        (
            b"1,2,3,-inf\n",
            "text/csv;label_size=0",
            "Unable to read data channel 'train'. Found infinite floating point values. Please "
            "remove any infinite floating point values in the input data. (caused by MXNetError)",
        ),
        (
            b"a,b,c,d\n",
            "text/csv;label_size=0",
            "Unable to read data channel 'train'. Requested content-type is "
            "'text/csv;label_size=0'. Please verify the data matches the requested content-type. "
            "(caused by MXNetError)",
        ),
        (
            b"1,2,3,4\n",
            "text/csv",
            "Incorrect configuration or train dataset provided. The value of feature_dim "
            "hyperparameter '4' doesn't match train data dimensionality '3'. Please set "
            "feature_dim to the number of features in train dataset.",
        ),
        (
            b"",
            "text/csv",
            "Unable to read data channel 'train'. Please verify the correct data channel "
            "configuration is provided. (caused by MXNetError)",
        ),
        (
            b"1,2,3,4\n",
            RECORDIO,
            "Unable to read data channel 'train'. Requested content-type is "
            f"'{RECORDIO}'. Please verify the data matches the requested content-type. "
            "(caused by MXNetError)",
        ),
        (b"", "image/png", "No iterator has been registered for ContentType ('image/png', '1.0')"),
        (
            b"1\n",
            "text/csv",
            "Unable to read data channel 'train'. Requested content-type is 'text",
        ),
    ],
)
def test_data_errors(tmp_path: Path, content: bytes, content_type: str, text: str) -> None:
    with pytest.raises(ClientError) as caught:
        list(channel(tmp_path, content, content_type).batches())
    assert str(caught.value).startswith(text)


def test_nan_in_labels_and_huge_values(tmp_path: Path) -> None:
    with pytest.raises(ClientError, match=r"missing \(NaN\)"):
        channel(tmp_path, b"nan,1,2,3,4\n", "text/csv").matrix()
    huge = np.full((3, 4), 3e38, np.float32)  # the sum overflows, no value is infinite
    assert len(channel(tmp_path / "huge", recordio.encode(huge), None).matrix()) == 3


def test_missing_labels() -> None:
    with pytest.raises(ClientError, match="found to be 0. Please provide a properly labeled"):
        require_labels(Batch(ROWS), "test")


def test_memory_stays_flat(tmp_path: Path) -> None:
    """A channel hands on a block at a time: the blocks before it can be let go."""
    source = channel(tmp_path, recordio.encode(np.ones((600_000, 4), np.float32)), None)
    sizes = [len(batch) for batch in source.batches()]
    assert len(sizes) > 2 and sum(sizes) == 600_000
