"""Sparse RecordIO-protobuf rows, all at once: every step is taken in all records side by side.

A sparse row is `features["values"].float32_tensor {values, keys, shape}` and perhaps a label.
`decode` walks through all records in step, a field at a time; it gives up (None) as soon as one
of them has another layout. `encode` lays out all records from the sizes of their parts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from wildsage.formats import varints
from wildsage.formats.matrix import SparseMatrix

_NAME = b"\x0a\x06values"
_FEATURES, _LABEL, _VALUE, _TENSOR = 0x0A, 0x12, 0x12, 0x12
_VALUES, _KEYS, _SHAPE = 0x0A, 0x12, 0x1A
BLOCK_BYTES = 1 << 21  # what a core's cache holds: the arrays of one block are gone over many times


class _OtherLayout(Exception):
    """Some record is not laid out as a sparse row."""


Decoded = tuple[SparseMatrix, np.ndarray | None]


def decode(
    data: np.ndarray, starts: np.ndarray, lengths: np.ndarray, feature_dim: int | None
) -> Decoded | None:
    """The rows of the payloads, and their labels; None where they are not all sparse rows."""
    try:
        return _decode(data, starts, starts + lengths, feature_dim)
    except (_OtherLayout, ValueError, IndexError):
        return None


def _decode(
    data: np.ndarray, starts: np.ndarray, ends: np.ndarray, feature_dim: int | None
) -> Decoded:
    cursor = _Cursor(data, starts.copy(), ends)
    tensor = cursor.tensor(_FEATURES)
    labels = None
    if (cursor.positions < ends).any():
        labels = _labels(cursor.tensor(_LABEL), data)
    if (cursor.positions != ends).any():
        raise _OtherLayout
    return _matrix(data, tensor, feature_dim), labels


@dataclass(slots=True)
class _Spans:
    """Where each record's packed values, keys and shape lie; lengths are 0 where absent."""

    values: tuple[np.ndarray, np.ndarray]
    keys: tuple[np.ndarray, np.ndarray]
    shape: tuple[np.ndarray, np.ndarray]


@dataclass(slots=True)
class _Cursor:
    """A position in every record."""

    data: np.ndarray
    positions: np.ndarray
    ends: np.ndarray

    def tensor(self, entry: int) -> _Spans:
        """Go through a map entry `"values": {float32_tensor: ...}`; all records must have one."""
        self._enter(entry)
        self._expect(_NAME)
        self._enter(_VALUE)
        ends = self._enter(_TENSOR)
        values, keys, shape = (self._optional(tag, ends) for tag in (_VALUES, _KEYS, _SHAPE))
        if (self.positions != ends).any():
            raise _OtherLayout
        return _Spans(values, keys, shape)

    def _enter(self, tag: int) -> np.ndarray:
        """Step into a message; returns where it ends."""
        self._expect(bytes([tag]))
        size, self.positions = varints.decode_at(self.data, self.positions)
        inner: np.ndarray = self.positions + size
        if (inner > self.ends).any():
            raise _OtherLayout
        return inner

    def _expect(self, constant: bytes) -> None:
        for byte in constant:
            if (self.data[self.positions] != byte).any():
                raise _OtherLayout
            self.positions = self.positions + 1

    def _optional(self, tag: int, ends: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The span of a packed field in the records that have it next."""
        inside = self.positions < ends
        last = len(self.data) - 1
        present = np.flatnonzero(inside & (self.data[np.minimum(self.positions, last)] == tag))
        sizes = np.zeros(len(self.positions), np.int64)
        begins = self.positions.copy()
        sizes[present], begins[present] = varints.decode_at(self.data, begins[present] + 1)
        self.positions = begins + sizes
        if (self.positions > ends).any():
            raise _OtherLayout
        return begins, sizes


def _labels(spans: _Spans, data: np.ndarray) -> np.ndarray:
    begins, sizes = spans.values
    if spans.keys[1].any() or (sizes != sizes[0]).any() or sizes[0] == 0 or sizes[0] % 4:
        raise _OtherLayout
    table = np.ascontiguousarray(data[begins[:, None] + np.arange(sizes[0])])
    labels: np.ndarray = table.view("<f4")
    return labels[:, 0] if labels.shape[1] == 1 else labels


def _matrix(data: np.ndarray, spans: _Spans, feature_dim: int | None) -> SparseMatrix:
    sizes = spans.values[1]
    if (sizes % 4).any() or ((sizes > 0) != (spans.keys[1] > 0)).any():
        raise _OtherLayout
    indptr = np.concatenate(([0], np.cumsum(sizes // 4)))
    values = take(data, *spans.values).view("<f4")
    packed = take(data, *spans.keys)
    ends = varints.last_bytes(packed)
    # Every row must have as many keys as values.
    if (np.searchsorted(ends, np.cumsum(spans.keys[1])) != indptr[1:]).any():
        raise _OtherLayout
    keys = varints.decode_to(packed, ends)
    width = _width(data, spans.shape, feature_dim)
    if len(keys) and int(keys.max()) >= width:
        raise _OtherLayout
    return SparseMatrix(values, keys, indptr, (len(sizes), width))


def _width(data: np.ndarray, shape: tuple[np.ndarray, np.ndarray], feature_dim: int | None) -> int:
    if not shape[1].any():
        if feature_dim is None:
            raise _OtherLayout
        return feature_dim
    if not shape[1].all():
        raise _OtherLayout
    sides, after = varints.decode_at(data, shape[0])
    if (after != shape[0] + shape[1]).any():  # more than one side
        raise _OtherLayout
    return int(sides.max())


def take(data: np.ndarray, starts: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """The bytes of all spans, which lie in order and apart, one after the other."""
    if not len(starts):
        return data[:0]
    first, last = int(starts[0]), int(starts[-1] + sizes[-1])
    return np.ascontiguousarray(data[first:last][_mask(starts - first, sizes, last - first)])


def _mask(starts: np.ndarray, sizes: np.ndarray, total: int) -> np.ndarray:
    """True inside the spans."""
    ends = starts + sizes
    runs = np.empty(2 * len(starts) + 1, np.int64)
    runs[1::2] = sizes
    runs[2:-1:2] = starts[1:] - ends[:-1]
    runs[0], runs[-1] = starts[0], total - ends[-1]
    inside = np.zeros(len(runs), bool)
    inside[1::2] = True
    return np.repeat(inside, runs)


# --- writing -------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Piece:
    """Some bytes of each record, `sizes` many, all in `content` one after the other."""

    content: np.ndarray
    sizes: np.ndarray


def encode(matrix: SparseMatrix, labels: np.ndarray | None) -> bytes:
    """Rows as the SDK writes them, values and labels in float32."""
    if not len(matrix):
        return b""
    rows = max(1, BLOCK_BYTES * len(matrix) // (6 * matrix.nnz + 50 * len(matrix)))
    return b"".join(
        _encode(matrix[begin : begin + rows], None if labels is None else labels[begin:][:rows])
        for begin in range(0, len(matrix), rows)
    )


def _encode(matrix: SparseMatrix, labels: np.ndarray | None) -> bytes:
    count = len(matrix)
    features = _entry(_FEATURES, _tensor_pieces(matrix), count)
    pieces = features if labels is None else features + _label_pieces(labels, count)
    payload = np.sum([piece.sizes for piece in pieces], axis=0)
    padding = -payload % 4
    magic = np.frombuffer(b"\x0a\x23\xd7\xce", np.uint8)
    lengths = payload.astype("<u4").view(np.uint8)
    head = [_constant(magic, count), _Piece(lengths, np.full(count, 4))]
    tail = [_Piece(np.zeros(int(padding.sum()), np.uint8), padding)]
    return _assemble([*head, *pieces, *tail])


def _tensor_pieces(matrix: SparseMatrix) -> list[_Piece]:
    counts = np.diff(matrix.indptr)
    values = np.ascontiguousarray(matrix.data, "<f4").view(np.uint8)
    keys = np.asarray(matrix.indices)
    bounds = np.concatenate(([0], np.cumsum(varints.sizes(keys))))[matrix.indptr]
    shape = np.frombuffer(varints.encode_one(matrix.shape[1]), np.uint8)
    return [
        *_packed(_VALUES, _Piece(values, counts * 4)),
        *_packed(_KEYS, _Piece(varints.encode(keys), np.diff(bounds))),
        *_packed(_SHAPE, _constant(shape, len(matrix))),
    ]


def _label_pieces(labels: np.ndarray, count: int) -> list[_Piece]:
    raw = np.ascontiguousarray(labels, "<f4").reshape(count, -1)
    sizes = np.full(count, raw.shape[1] * 4)
    return _entry(_LABEL, _packed(_VALUES, _Piece(raw.view(np.uint8).reshape(-1), sizes)), count)


def _packed(tag: int, piece: _Piece) -> list[_Piece]:
    """A field with its tag and length, left out where it is empty."""
    present = piece.sizes > 0
    tags = np.full(int(present.sum()), tag, np.uint8)
    lengths = np.where(present, varints.sizes(piece.sizes), 0)
    return [
        _Piece(tags, present.astype(np.int64)),
        _Piece(varints.encode(piece.sizes[present]), lengths),
        piece,
    ]


def _entry(tag: int, tensor: Sequence[_Piece], count: int) -> list[_Piece]:
    """The map entry around a tensor: three messages, each with the size of what is inside."""
    pieces = list(tensor)
    name = np.frombuffer(_NAME, np.uint8)
    for wrapper, prefix in ((_TENSOR, None), (_VALUE, None), (tag, name)):
        if prefix is not None:
            pieces = [_constant(prefix, count), *pieces]
        inner = np.sum([piece.sizes for piece in pieces], axis=0)
        opening = _constant(np.array([wrapper], np.uint8), count)
        pieces = [opening, _Piece(varints.encode(inner), varints.sizes(inner)), *pieces]
    return pieces


def _constant(content: np.ndarray, count: int) -> _Piece:
    return _Piece(np.tile(content, count), np.full(count, len(content)))


def _assemble(pieces: Sequence[_Piece]) -> bytes:
    sizes = np.stack([piece.sizes for piece in pieces], axis=1)
    ends = np.cumsum(sizes.ravel()).reshape(sizes.shape)
    total = int(ends[-1, -1])
    out = np.empty(total, np.uint8)
    for column, piece in enumerate(pieces):
        if len(piece.content):
            starts = ends[:, column] - piece.sizes
            out[_mask(starts, piece.sizes, total)] = piece.content
    return out.tobytes()
