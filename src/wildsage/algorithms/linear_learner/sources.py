"""Where rows come from, epoch by epoch: from memory when they fit, else from the channel each time.

A source hands out blocks of rows, (features, labels); each call of `blocks` is a pass. `sample`
gives rows that stand for all: spread over the data when it is in memory, the first rows when it
streams.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from wildsage.algorithms.linear_learner.scaling import Features
from wildsage.formats.matrix import SparseMatrix, concatenate

Array = NDArray[Any]
Block = tuple[Features, Array]
# (rows in a block or None for any number, epoch) -> the blocks of that epoch
Read = Callable[[int | None, int], Iterator[Block]]


class Source(Protocol):
    """Rows that can be gone through again and again."""

    @property
    def count(self) -> int | None:
        """How many rows there are; None when they stream."""

    def blocks(self, rows: int) -> Iterator[Block]:
        """All rows, at most `rows` in a block."""

    def sample(self, rows: int) -> Block:
        """Up to `rows` rows."""

    def transformed(self, change: Callable[[Features], Features]) -> Source:
        """The same rows with changed features."""


def block_size(features: Features) -> int:
    """Bytes held."""
    if isinstance(features, SparseMatrix):
        return features.data.nbytes + features.indices.nbytes + features.indptr.nbytes
    return features.nbytes


def join(parts: Sequence[Block]) -> Block:
    labels = np.concatenate([labels for _, labels in parts])
    features = [features for features, _ in parts]
    if all(isinstance(part, SparseMatrix) for part in features):
        return concatenate([part for part in features if isinstance(part, SparseMatrix)]), labels
    dense = [part.to_dense() if isinstance(part, SparseMatrix) else part for part in features]
    return np.concatenate(dense), labels


@dataclass(slots=True)
class MemorySource:
    """Rows in memory, as blocks of any size."""

    parts: Sequence[Block]

    @property
    def count(self) -> int | None:
        return sum(len(labels) for _, labels in self.parts)

    def blocks(self, rows: int) -> Iterator[Block]:
        """Exactly `rows` rows but in the last; only blocks over the end of a part are copied."""
        rest: Block | None = None
        for features, labels in self.parts:
            start = 0
            if rest is not None:
                start = min(rows - len(rest[1]), len(labels))
                rest = join([rest, (features[:start], labels[:start])])
                if len(rest[1]) < rows:
                    continue
                yield rest
            end = start + (len(labels) - start) // rows * rows
            for first in range(start, end, rows):
                yield features[first : first + rows], labels[first : first + rows]
            rest = (features[end:], labels[end:]) if end < len(labels) else None
        if rest is not None:
            yield rest

    def sample(self, rows: int) -> Block:
        stride = max(1, -(-(self.count or 0) // rows))
        parts = []
        offset = 0
        for features, labels in self.parts:
            chosen = np.arange(-offset % stride, len(labels), stride)
            parts.append((taken(features, chosen), labels[chosen]))
            offset += len(labels)
        return join(parts)

    def transformed(self, change: Callable[[Features], Features]) -> Source:
        return MemorySource([(change(features), labels) for features, labels in self.parts])


def folds(source: Source, count: int) -> Iterator[tuple[MemorySource, MemorySource]]:
    """(rows to train on, rows to judge by), `count` times, every row being judged by once."""
    features, labels = join(list(source.blocks(1 << 62)))
    order = np.random.default_rng(0).permutation(len(labels))
    for fold in range(count):
        judged = np.zeros(len(labels), bool)
        judged[order[fold::count]] = True
        pair = (np.flatnonzero(rows) for rows in (~judged, judged))
        train, rest = (MemorySource([(taken(features, rows), labels[rows])]) for rows in pair)
        yield train, rest


def taken(features: Features, rows: Array) -> Features:
    return features.take(rows) if isinstance(features, SparseMatrix) else features[rows]


@dataclass(slots=True)
class StreamSource:
    """Rows read anew in every pass: `read(rows, epoch)`, the epochs (of a pipe) as `passes` counts
    them."""

    read: Read
    head: Block
    passes: Iterator[int]
    change: Callable[[Features], Features] | None = None

    @property
    def count(self) -> int | None:
        return None

    def blocks(self, rows: int) -> Iterator[Block]:
        for features, labels in self.read(rows, next(self.passes)):
            yield (features if self.change is None else self.change(features)), labels

    def sample(self, rows: int) -> Block:
        features, labels = self.head
        first = features[:rows]
        return (first if self.change is None else self.change(first)), labels[:rows]

    def transformed(self, change: Callable[[Features], Features]) -> Source:
        return StreamSource(self.read, self.head, self.passes, change)


def open_source(read: Read, *, head_rows: int, budget: int) -> Source:
    """Read the first epoch: a memory source when it stays within `budget` bytes, else a stream.

    A stream is left where the budget ran out; its later passes read the next epochs from the start.
    """
    parts: list[Block] = []
    held = 0
    for features, labels in read(None, 0):
        parts.append((features, labels))
        held += block_size(features) + labels.nbytes
        if held > budget and sum(len(labels) for _, labels in parts) >= head_rows:
            return StreamSource(read, join(parts), itertools.count(1))
    return MemorySource(parts)
