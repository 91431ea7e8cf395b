"""From rows to runs of mini-batches, in random order.

Rows are shuffled within what is at hand: all of them when they are in memory, a block of some
megabytes when they stream by.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wildsage.algorithms.rows import Batch, Features, stack
from wildsage.formats.matrix import SparseMatrix

Array = NDArray[Any]

RUN_BYTES = 16 << 20
KEPT_BYTES = 256 << 20
SPARSE_BELOW = 0.25  # the share of values other than zero from which dense products are faster


@dataclass(slots=True)
class Run:
    """Consecutive mini-batches of `size` rows; the last may be smaller."""

    size: int
    labels: Array

    def __len__(self) -> int:
        """The number of mini-batches."""
        return -(-len(self.labels) // self.size)

    def labels_of(self, batch: int) -> Array:
        return self.labels[batch * self.size : (batch + 1) * self.size]


@dataclass(slots=True)
class DenseRun(Run):
    features: Array

    def features_of(self, batch: int) -> Array:
        return self.features[batch * self.size : (batch + 1) * self.size]


@dataclass(slots=True)
class SparseRun(Run):
    """Rows of a sparse matrix, in the order that mini-batches take them in."""

    matrix: SparseMatrix
    order: Array

    @property
    def rows(self) -> tuple[Array, Array, Array, Array]:
        """As the kernels take them."""
        indices = np.ascontiguousarray(self.matrix.indices, np.int32)
        return indices, self.matrix.data, self.matrix.indptr, self.order


@dataclass
class Assembler:
    """Makes runs of rows."""

    size: int
    rng: np.random.Generator

    def run(self, features: Features, labels: Array, order: Array) -> Run:
        """The rows of `order` as mini-batches."""
        if isinstance(features, SparseMatrix):
            return SparseRun(self.size, labels[order], features, order)
        return DenseRun(self.size, labels[order], features[order])

    def from_memory(self, rows: Batch) -> Iterator[Run]:
        """One epoch over rows in memory, in random order."""
        assert rows.labels is not None
        order = self.rng.permutation(len(rows))
        count = self.size * max(1, _rows_within(RUN_BYTES, rows) // self.size)
        for begin in range(0, len(order), count):
            yield self.run(rows.features, rows.labels, order[begin : begin + count])

    def from_pieces(self, pieces: Iterable[Batch]) -> Iterator[Run]:
        """One epoch over rows that come in pieces, each shuffled with its neighbours."""
        for block in _blocks(pieces, self.size):
            assert block.labels is not None
            yield self.run(block.features, block.labels, self.rng.permutation(len(block)))


def _rows_within(size: int, rows: Batch) -> int:
    return max(1, len(rows) * size // max(1, size_of(rows.features)))


def size_of(features: Features) -> int:
    """Bytes held."""
    if isinstance(features, SparseMatrix):
        return features.data.nbytes + features.indices.nbytes + features.indptr.nbytes
    return features.nbytes


def _blocks(pieces: Iterable[Batch], size: int) -> Iterator[Batch]:
    """Whole mini-batches, `RUN_BYTES` or more of them at a time; the rest at the end."""
    waiting: list[Batch] = []
    rows, held = 0, 0
    for piece in pieces:
        waiting.append(piece)
        rows += len(piece)
        held += size_of(piece.features)
        if rows < size or held < RUN_BYTES:
            continue
        joined, whole = stack(waiting), rows // size * size
        yield joined[:whole]
        waiting, rows = [joined[whole:]] if whole < rows else [], rows - whole
        held = size_of(waiting[0].features) if waiting else 0
    if rows:
        yield stack(waiting)


def suited(features: Features) -> Features:
    """Mostly zeros as a sparse matrix, others as they are; indices and values in small types."""
    if isinstance(features, np.ndarray):
        if np.count_nonzero(features) >= SPARSE_BELOW * features.size:
            return features
        features = SparseMatrix.from_dense(features)
    return SparseMatrix(
        np.ascontiguousarray(features.data, np.float32),
        np.ascontiguousarray(features.indices, np.int32),
        np.ascontiguousarray(features.indptr, np.int64),
        features.shape,
    )


@dataclass
class Rows:
    """A data set that is read once per epoch, and kept from the first one if it is small.

    `read(epoch)` gives checked pieces.
    """

    read: Callable[[int], Iterator[Batch]]
    assembler: Assembler
    kept: list[Batch] = field(default_factory=list)
    is_kept: bool = False
    budget: int = KEPT_BYTES

    def epoch(self, number: int) -> Iterator[Run]:
        """The mini-batches of an epoch."""
        if self.is_kept and number > 0:
            if len(self.kept) > 1:
                self.kept = [stack(self.kept)]
            return self.assembler.from_memory(self.kept[0])
        pieces = self.read(number)
        return self.assembler.from_pieces(self._keeping(pieces) if number == 0 else pieces)

    def _keeping(self, pieces: Iterator[Batch]) -> Iterator[Batch]:
        self.is_kept, held = True, 0
        for piece in pieces:
            held += size_of(piece.features)
            self.is_kept = self.is_kept and held <= self.budget
            if self.is_kept:
                self.kept.append(piece)
            else:
                self.kept = []
            yield piece
