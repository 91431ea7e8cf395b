"""RecordIO-protobuf, the first-party algorithms' format: many records at a time, by NumPy.

A frame is `uint32 0xCED7230A | uint32 length | payload | zeros to a multiple of 4`. Frames of one
layout (dense rows of one width) are read and written through a template: the first record is
parsed, and where all other bytes than the values are equal the values are copied out as a block.
Sparse rows go through `sparse_records`, whatever is left through `records`, one by one.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np

from wildsage.formats import records, sparse_records
from wildsage.formats.matrix import SparseMatrix, concatenate
from wildsage.formats.records import Bytes, Record, RecordFormatError, Tensor

__all__ = ["Record", "RecordFormatError", "Records", "decode", "encode", "encode_columns", "frames"]

MAGIC = 0xCED7230A
MAGIC_BYTES = MAGIC.to_bytes(4, "little")
BLOCK_BYTES = 8 << 20
_HEADER = 8
_SHORT_RUN = 16
_TABLE_BYTES = 1 << 18


@dataclass(slots=True)
class Records:
    """Decoded rows. `notes` has each record's (uid, metadata) where any record has one."""

    features: np.ndarray | SparseMatrix
    labels: np.ndarray | None = None
    notes: list[tuple[str, str]] | None = None

    def __len__(self) -> int:
        return len(self.features)


@dataclass(slots=True)
class Frames:
    """Where the payloads of complete frames lie; `end` is where the last of them ends."""

    starts: np.ndarray
    lengths: np.ndarray
    end: int

    def __len__(self) -> int:
        return len(self.starts)


# --- frames --------------------------------------------------------------------------------------


def frames(data: np.ndarray, *, final: bool = True) -> Frames:
    """Find the frames in `data` (uint8). Unless `final`, a frame cut off is left out."""
    size = len(data)
    if size < _HEADER:
        if final and size:
            raise RecordFormatError("the last record is cut off")
        return Frames(np.zeros(0, np.int64), np.zeros(0, np.int64), 0)
    found = _chain(data)
    if found is None:
        found = _walk(data)
    starts, lengths = found
    complete = starts + lengths <= size
    if final and not complete.all():
        raise RecordFormatError("the last record is cut off")
    starts, lengths = starts[complete], lengths[complete]
    end = int(starts[-1] + (lengths[-1] + 3 & ~3)) if len(starts) else 0
    if not final and end > size:  # the padding is still to come
        starts, lengths = starts[:-1], lengths[:-1]
        end = int(starts[-1] + (lengths[-1] + 3 & ~3)) if len(starts) else 0
    elif final and size - end >= _HEADER or final and end < size and data[end:].any():
        raise RecordFormatError(_bad_magic(end))
    return Frames(starts, lengths, min(end, size))


def _chain(data: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """All headers at once: every magic word, if each one leads to the next; else None."""
    words = data[: len(data) & ~3].view("<u4")
    length = int(words[1])
    stride = 2 + (length + 3 >> 2)
    rows = len(words) // stride
    if words[0] == MAGIC and rows > 1 and _uniform(words, stride, rows):
        positions = np.arange(rows, dtype=np.int64) * stride
        rest = words[rows * stride :]
        if len(rest) < 2:
            return positions * 4 + _HEADER, np.full(rows, length, np.int64)
        # A last frame that is cut off, or of another length: the general way finds it.
        if rest[0] == MAGIC and rest[1] == length:
            return positions * 4 + _HEADER, np.full(rows, length, np.int64)
    heads = np.flatnonzero(words[:-1] == MAGIC)
    lengths = words[heads + 1].astype(np.int64)
    following = heads + 2 + (lengths + 3 >> 2)
    if not len(heads) or heads[0] != 0 or (following[:-1] != heads[1:]).any():
        return None
    if following[-1] < len(words) - 1:
        return None
    return heads * 4 + _HEADER, lengths


def _uniform(words: np.ndarray, stride: int, rows: int) -> bool:
    table = words[: rows * stride].reshape(rows, stride)
    return bool((table[:, 0] == MAGIC).all() and (table[:, 1] == table[0, 1]).all())


def _walk(data: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Header by header: for data in which the magic word also stands inside payloads."""
    starts, lengths = [], []
    position, size = 0, len(data)
    view = np.ascontiguousarray(data).data
    while position + _HEADER <= size:
        if view[position : position + 4] != MAGIC_BYTES:
            raise RecordFormatError(_bad_magic(position))
        length = int.from_bytes(view[position + 4 : position + 8], "little")
        starts.append(position + _HEADER)
        lengths.append(length)
        position += _HEADER + (length + 3 & ~3)
    return np.array(starts, np.int64), np.array(lengths, np.int64)


def _bad_magic(position: int) -> str:
    # AWS's words, as they stand in FailureReason below "Caused by".
    return (
        f"The header of the MXNet RecordIO record at position {position} in the dataset does not "
        "start with a valid magic number."
    )


def as_bytes(buffer: Any) -> np.ndarray:
    """Any buffer as an array of bytes, not copied."""
    return np.frombuffer(buffer, np.uint8)


# --- decoding ------------------------------------------------------------------------------------


def decode(buffer: Any, feature_dim: int | None = None) -> Records:
    """All records of `buffer`. `feature_dim` is the width of sparse rows without shape."""
    data = as_bytes(buffer)
    parts = list(_decode_runs(data, frames(data), feature_dim))
    if not parts:
        return Records(np.zeros((0, feature_dim or 0), np.float32))
    return parts[0] if len(parts) == 1 else join(parts)


def read(
    stream: BinaryIO, feature_dim: int | None = None, block_bytes: int = BLOCK_BYTES
) -> Iterator[Records]:
    """The records of a stream, some at a time: what fits into `block_bytes`, at least one."""
    rest = np.zeros(0, np.uint8)
    final = False
    while not final:
        want = max(block_bytes, 2 * len(rest))
        block, final = _fill(stream, rest, want)
        found = frames(block, final=final)
        yield from _decode_runs(block, found, feature_dim)
        rest = block[found.end :]


def _fill(stream: BinaryIO, rest: np.ndarray, size: int) -> tuple[np.ndarray, bool]:
    """A block of `size` bytes that begins with `rest`; and whether the stream has ended."""
    block = np.empty(size, np.uint8)
    block[: len(rest)] = rest
    view, filled = block.data, len(rest)
    readinto = getattr(stream, "readinto", None)
    while filled < size:
        if readinto is not None:
            count = readinto(view[filled:])
        else:
            part = stream.read(size - filled)
            count = len(part)
            view[filled : filled + count] = part
        if not count:
            return block[:filled], True
        filled += count
    return block, False


def join(parts: Sequence[Records]) -> Records:
    """The records of all parts in one; sparse as soon as one part is."""
    labels = [part.labels for part in parts]
    missing = [label is None for label in labels]
    if any(missing) and not all(missing):
        raise RecordFormatError("some records have a label and some have none")
    return Records(
        stack_features([part.features for part in parts]),
        None if any(missing) else _stack_labels([x for x in labels if x is not None]),
        [note for part in parts for note in part.notes or [("", "")] * len(part)]
        if any(part.notes for part in parts)
        else None,
    )


def stack_features(parts: Sequence[np.ndarray | SparseMatrix]) -> np.ndarray | SparseMatrix:
    if any(isinstance(part, SparseMatrix) for part in parts):
        return concatenate(
            [p if isinstance(p, SparseMatrix) else SparseMatrix.from_dense(p) for p in parts]
        )
    dense = [part for part in parts if isinstance(part, np.ndarray)]
    if len({part.shape[1] for part in dense}) > 1:
        raise RecordFormatError("records differ in their number of features")
    return np.concatenate(dense)


def _stack_labels(labels: list[np.ndarray]) -> np.ndarray:
    if len({label.shape[1:] for label in labels}) > 1:
        raise RecordFormatError("records differ in their number of labels")
    return np.concatenate(labels)


def _decode_runs(data: np.ndarray, found: Frames, feature_dim: int | None) -> Iterator[Records]:
    """Runs of equal records by template, then sparse ones, then one by one."""
    position, total = 0, len(found)
    while position < total:
        run = _dense_run(data, found, position)
        if run is not None:
            position += len(run)
            yield run
            if len(run) >= _SHORT_RUN or position == total:
                continue
        yield from _other_records(
            data, found.starts[position:], found.lengths[position:], feature_dim
        )
        return


def _other_records(
    data: np.ndarray, starts: np.ndarray, lengths: np.ndarray, feature_dim: int | None
) -> Iterator[Records]:
    """Sparse rows, a block that fits the cache at a time; one by one where a block has others."""
    rows = max(1, sparse_records.BLOCK_BYTES * len(starts) // (int(lengths.sum()) + 1))
    for begin in range(0, len(starts), rows):
        block = starts[begin : begin + rows], lengths[begin : begin + rows]
        found = sparse_records.decode(data, *block, feature_dim)
        yield Records(*found) if found else _decode_singly(data, *block, feature_dim)


def _dense_run(data: np.ndarray, found: Frames, first: int) -> Records | None:
    """The records from `first` on that look like it; None where it is not a plain dense row."""
    start, length = int(found.starts[first]), int(found.lengths[first])
    record = records.parse(data[start : start + length].tobytes())
    features, label = record.features.get("values"), record.labels.get("values")
    slots = [features] if label is None else [features, label]
    if record.uid or record.metadata or record.configuration or len(record.features) != 1:
        return None
    if len(record.labels) != (label is not None) or not all(map(_is_plain, slots)):
        return None
    tensors = [slot for slot in slots if isinstance(slot, Tensor)]
    rows = _like_first(data, found, first, tensors)
    columns = [_column(rows, tensor) for tensor in tensors]
    labels = None if label is None else columns[1]
    return Records(
        columns[0], labels[:, 0] if labels is not None and labels.shape[1] == 1 else labels
    )


def _is_plain(value: Tensor | Bytes | None) -> bool:
    """Whether the values lie in one piece and have a fixed size."""
    return isinstance(value, Tensor) and value.offset >= 0 and value.values.dtype.kind == "f"


def _like_first(data: np.ndarray, found: Frames, first: int, tensors: list[Tensor]) -> np.ndarray:
    """The frames from `first` on that differ from it in the tensors' values only, as a table."""
    length = int(found.lengths[first])
    stride = _HEADER + (length + 3 & ~3)
    begin = int(found.starts[first]) - _HEADER
    limit = min(len(found) - first, (len(data) - begin) // stride)
    if limit < 1:  # the very last frame may lack its padding
        return data[begin : begin + _HEADER + length].reshape(1, -1)
    table = data[begin : begin + limit * stride].reshape(limit, stride)
    position, equal = 0, np.ones(limit, bool)
    for tensor in sorted(tensors, key=lambda item: item.offset):
        equal &= _rows_equal(table[:, position : _HEADER + tensor.offset])
        position = _HEADER + tensor.offset + tensor.values.nbytes
    equal &= _rows_equal(table[:, position : _HEADER + length])
    return table[: limit if equal.all() else int(np.argmin(equal))]


def _rows_equal(part: np.ndarray) -> np.ndarray:
    equal: np.ndarray = (part == part[0]).all(axis=1)
    return equal


def _column(rows: np.ndarray, tensor: Tensor) -> np.ndarray:
    start = _HEADER + tensor.offset
    raw = np.ascontiguousarray(rows[:, start : start + tensor.values.nbytes])
    values: np.ndarray = raw.view(tensor.values.dtype).reshape(len(rows), -1)
    return values.astype(np.float32, copy=False)


def _decode_singly(
    data: np.ndarray, starts: np.ndarray, lengths: np.ndarray, feature_dim: int | None
) -> Records:
    parsed = [
        records.parse(data[start : start + length].tobytes())
        for start, length in zip(starts.tolist(), lengths.tolist(), strict=True)
    ]
    notes = [(record.uid, record.metadata) for record in parsed]
    parts = [_single(record, feature_dim) for record in parsed]
    joined = join(parts)
    joined.notes = notes if any(map(any, notes)) else None
    return joined


def _single(record: Record, feature_dim: int | None) -> Records:
    tensor = _required_tensor(record)
    label = record.labels.get("values")
    if isinstance(label, Bytes):
        raise RecordFormatError("labels must be numbers")
    labels = None if label is None else label.values.astype(np.float32)
    if labels is not None:
        labels = labels if len(labels) == 1 else labels[None, :]
    values = tensor.values.astype(np.float32)
    if tensor.keys is None:
        return Records(values[None, :], labels)
    width = int(np.prod(tensor.shape)) if tensor.shape else feature_dim
    if width is None:
        raise RecordFormatError("a sparse record has no shape")
    if len(tensor.keys) and int(tensor.keys.max()) >= width:
        raise RecordFormatError("a key of a sparse record is not below its shape")
    indptr = np.array([0, len(values)], np.int64)
    return Records(SparseMatrix(values, tensor.keys, indptr, (1, width)), labels)


def _required_tensor(record: Record) -> Tensor:
    value = record.features.get("values")
    if not isinstance(value, Tensor):
        raise RecordFormatError("a record has no tensor named 'values' in its features")
    return value


def decode_records(buffer: Any) -> list[Record]:
    """All records as they are: every feature, label and note, with its own type."""
    data = as_bytes(buffer)
    found = frames(data)
    spans = zip(found.starts.tolist(), found.lengths.tolist(), strict=True)
    return [records.parse(data[start : start + length].tobytes()) for start, length in spans]


# --- encoding ------------------------------------------------------------------------------------


def frame(payload: bytes) -> bytes:
    """One frame."""
    header = MAGIC_BYTES + len(payload).to_bytes(4, "little")
    return header + payload + bytes(-len(payload) % 4)


def encode(features: np.ndarray | SparseMatrix, labels: np.ndarray | None = None) -> bytes:
    """Rows as the SDK's `write_numpy_to_dense_tensor` (and its sparse twin) write them."""
    if isinstance(features, SparseMatrix):
        return sparse_records.encode(features, labels)
    columns = [features] if labels is None else [features, labels]
    if not len(features):
        return b""
    if any(records.tensor_dtype(column).kind == "i" for column in columns):
        return b"".join(_encode_singly(features, labels))
    first = Record(features={"values": Tensor(features[0])})
    if labels is not None:
        first.labels["values"] = Tensor(np.atleast_1d(labels[0]))
    return _fill_template(first, columns)


def encode_columns(
    columns: Mapping[str, np.ndarray | Sequence[Any]],
    notes: Sequence[tuple[str, str]] | None = None,
) -> bytes:
    """A response: a record per row without features, the columns as its labels (float32)."""
    count = len(next(iter(columns.values()))) if columns else 0
    arrays = {name: _as_float_column(column) for name, column in columns.items()}
    if count and notes is None and all(isinstance(a, np.ndarray) for a in arrays.values()):
        first = Record(labels={name: Tensor(np.atleast_1d(a[0])) for name, a in arrays.items()})
        return _fill_template(first, [np.asarray(array) for array in arrays.values()])
    written = []
    for row in range(count):
        uid, metadata = notes[row] if notes else ("", "")
        cells = {name: np.asarray(a[row], np.float32) for name, a in arrays.items()}
        written.append(frame(records.serialize(records.labels_record(cells, uid, metadata))))
    return b"".join(written)


def _as_float_column(column: np.ndarray | Sequence[Any]) -> np.ndarray | list[np.ndarray]:
    """A table where every row has the same number of values, else a list of rows."""
    if isinstance(column, np.ndarray):
        return column.astype(np.float32, copy=False)
    rows = [np.asarray(cell, np.float32) for cell in column]
    return np.stack(rows) if len({row.shape for row in rows}) == 1 else rows


def _fill_template(first: Record, columns: Sequence[np.ndarray]) -> bytes:
    """The first record's frame for every row, with each row's values written over the first's."""
    head = frame(records.serialize(first))
    template = np.frombuffer(head, np.uint8)
    parsed = records.parse(head[_HEADER : _HEADER + int.from_bytes(head[4:8], "little")])
    tensors = [*parsed.features.values(), *parsed.labels.values()]
    # Block by block through a table that stays in the cache; BytesIO hands its bytes over uncopied.
    rows = max(1, _TABLE_BYTES // len(template))
    table = np.tile(template, (min(rows, len(columns[0])), 1))
    written = io.BytesIO()
    for begin in range(0, len(columns[0]), rows):
        part = table[: len(columns[0]) - begin]
        for tensor, column in zip(tensors, columns, strict=True):
            assert isinstance(tensor, Tensor)
            cells = np.ascontiguousarray(column[begin : begin + rows], tensor.values.dtype)
            start = _HEADER + tensor.offset
            raw = cells.reshape(len(part), -1).view(np.uint8)
            part[:, start : start + tensor.values.nbytes] = raw
        written.write(part.data)
    return written.getvalue()


def _encode_singly(features: np.ndarray, labels: np.ndarray | None) -> Iterator[bytes]:
    for row, values in enumerate(features):
        record = Record(features={"values": Tensor(values)})
        if labels is not None:
            record.labels["values"] = Tensor(np.atleast_1d(labels[row]))
        yield frame(records.serialize(record))
