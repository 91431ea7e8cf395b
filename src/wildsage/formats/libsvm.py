"""LIBSVM text: lines of `label[:weight] [qid:query] index:value index:value ...`, read at once.

Indices are taken as they stand (from 0, as XGBoost reads them); `base` tells the smallest one so
that a caller can decide whether they count from 1. `#` begins a comment.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import BinaryIO

import numpy as np

from wildsage.formats.decimals import Fields, scan, scan_all
from wildsage.formats.matrix import SparseMatrix

_QUERY = -1
_COLON, _NEWLINE = ord(":"), ord("\n")
_SEPARATORS = b" \t\r:\n"
_COMMENT = re.compile(rb"#[^\n]*")


@dataclass(slots=True)
class LibsvmRows:
    """The rows of a LIBSVM text; `base` is the smallest index of all."""

    features: SparseMatrix
    labels: np.ndarray | None = None
    weights: np.ndarray | None = None
    queries: np.ndarray | None = None
    base: int | None = None

    def __len__(self) -> int:
        return len(self.features)


@dataclass(slots=True)
class _Part:
    """One piece of text: every row has a number; parts join into `LibsvmRows`."""

    lengths: np.ndarray
    indices: np.ndarray
    values: np.ndarray
    labels: np.ndarray | None
    weights: np.ndarray | None
    queries: np.ndarray | None


def decode(
    text: bytes | BinaryIO, *, labelled: bool = True, columns: int | None = None
) -> LibsvmRows:
    """The rows of a text or a stream of it; `columns` gives the least width. Raises ValueError.

    `labelled` rows begin with `label` or `label:weight`. Others may begin with a label, which is
    skipped; a first field with a colon is a feature.
    """
    parts = scan_all(text, partial(_decode_piece, labelled=labelled))
    return _join([part for part in parts if part is not None], columns)


def encode(features: SparseMatrix, labels: np.ndarray | None = None) -> bytes:
    """LIBSVM text of a matrix, indices from 0."""
    lines = []
    for row in range(len(features)):
        start, end = int(features.indptr[row]), int(features.indptr[row + 1])
        pairs = zip(features.indices[start:end], features.data[start:end], strict=True)
        head = [] if labels is None else [f"{labels[row]:g}"]
        lines.append(" ".join((*head, *(f"{index}:{value:.9g}" for index, value in pairs))))
    return ("\n".join(lines) + "\n").encode()


def _decode_piece(text: bytes, *, labelled: bool) -> _Part | None:
    if b"#" in text:
        text = _COMMENT.sub(b"", text)
    if b"q" in text:  # one letter is found ten times faster than a word
        text = text.replace(b"qid:", b"%d:" % _QUERY)
    fields = _compact(scan(text, _SEPARATORS), text)
    if not len(fields.values):
        return None
    colons = fields.separators == _COLON
    last = np.flatnonzero(fields.separators == _NEWLINE)
    first = np.concatenate(([0], last[:-1] + 1))
    after_colon = np.concatenate(([False], colons[:-1]))
    if (colons & after_colon).any() or colons[last].any():
        raise ValueError("a field is not of the form index:value")
    if labelled:
        return _labelled(fields, first, last, colons)
    return _part(fields, first + ~colons[first], last, colons, None, None)


def _labelled(fields: Fields, first: np.ndarray, last: np.ndarray, colons: np.ndarray) -> _Part:
    labels = fields.values[first].astype(np.float32)
    weighted = colons[first]
    weights = None
    if weighted.any():
        weights = np.ones(len(first), np.float32)
        weights[weighted] = fields.values[first[weighted] + 1]
        colons[first[weighted]] = False
    begin = first + 1 + weighted
    return _part(fields, begin, last, colons, labels, weights)


def _part(
    fields: Fields,
    begin: np.ndarray,
    last: np.ndarray,
    colons: np.ndarray,
    labels: np.ndarray | None,
    weights: np.ndarray | None,
) -> _Part:
    """The index:value pairs that stand from `begin` to `last` of each line."""
    lengths = last - begin + 1
    # A key is never next to a key, nor at a line's end: where half of all fields are keys, every
    # line is key, value, key, value.
    keys = np.flatnonzero(colons)
    if 2 * len(keys) != lengths.sum():
        raise ValueError("a field is not of the form index:value")
    indices = fields.values[keys]
    if not np.array_equal(indices, np.floor(indices)) or (indices < _QUERY).any():
        raise ValueError("a feature index is not a whole number")
    part = _Part(lengths >> 1, indices, fields.values[keys + 1], labels, weights, None)
    return _narrow(_take_queries(part))


def _take_queries(part: _Part) -> _Part:
    """Moves the pairs that stand for `qid:n` out of the features."""
    marked = part.indices == _QUERY
    if not marked.any():
        return part
    rows = np.repeat(np.arange(len(part.lengths)), part.lengths)[marked]
    if len(rows) != len(part.lengths) or not np.array_equal(rows, np.arange(len(rows))):
        raise ValueError("every line needs one qid, or none does")
    part.queries = part.values[marked].astype(np.int64)
    part.lengths = part.lengths - 1
    part.indices, part.values = part.indices[~marked], part.values[~marked]
    return part


def _narrow(part: _Part) -> _Part:
    """float32 values and 32-bit indices wherever they fit: half the memory to hold and to join."""
    small = part.indices.max(initial=0) < 2**31
    part.indices = part.indices.astype(np.int32 if small else np.int64)
    part.values = part.values.astype(np.float32)
    return part


def _compact(fields: Fields, text: bytes) -> Fields:
    """Without the empty fields that blanks and blank lines leave; a line keeps its newline."""
    if fields.bad.any():
        end = int(fields.ends[np.flatnonzero(fields.bad)[0]])
        start = max(text.rfind(bytes([mark]), 0, end) for mark in _SEPARATORS) + 1
        word = text[start:end].decode("utf-8", "replace")
        raise ValueError(f"could not convert string to float: {word!r}")
    if not fields.empty.any():
        return fields
    kept = np.flatnonzero(~fields.empty)
    separators = fields.separators[kept]
    # A newline behind blanks belongs to the last field before them.
    newlines = np.flatnonzero(fields.empty & (fields.separators == _NEWLINE))
    owners = np.searchsorted(kept, newlines) - 1
    owned = owners[owners >= 0]
    if (separators[owned] == _COLON).any():
        raise ValueError("a feature has no value")
    separators[owned] = _NEWLINE
    no = np.zeros(len(kept), bool)
    return Fields(fields.values[kept], separators, fields.ends[kept], no, no)


def _join(parts: Sequence[_Part], columns: int | None) -> LibsvmRows:
    if not parts:
        nothing = np.zeros(0, np.float32)
        no_rows = SparseMatrix(nothing, nothing.astype(np.int32), np.zeros(1, np.int64), (0, 0))
        return LibsvmRows(no_rows)
    lengths = np.concatenate([part.lengths for part in parts])
    indices = np.concatenate([part.indices for part in parts])
    widest = int(indices.max()) + 1 if len(indices) else 0
    indptr = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths, out=indptr[1:])
    values = np.concatenate([part.values for part in parts])
    shape = (len(lengths), max(widest, columns or 0))
    return LibsvmRows(
        SparseMatrix(values, indices, indptr, shape),
        _column(parts, "labels"),
        _column(parts, "weights", np.float32(1)),
        _column(parts, "queries"),
        int(indices.min()) if len(indices) else None,
    )


def _column(
    parts: Sequence[_Part], name: str, default: np.float32 | None = None
) -> np.ndarray | None:
    """One figure per row over all parts; parts that lack it get `default`, or it is refused."""
    columns: list[np.ndarray | None] = [getattr(part, name) for part in parts]
    present = [column for column in columns if column is not None]
    if not present:
        return None
    if len(present) < len(parts) and default is None:
        raise ValueError(f"some lines have {name} and others have none")
    filled = [
        np.full(len(part.lengths), default) if column is None else column
        for part, column in zip(parts, columns, strict=True)
    ]
    return np.concatenate(filled)
