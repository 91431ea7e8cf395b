"""Documents as counts of words, for many passes: from memory when they fit, else read again.

`Corpus.batches` hands out mini-batches in an order of its own in every epoch: of all documents when
they are in memory, within windows of many batches when they stream.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from wildsage.algorithms.rows import Features
from wildsage.formats.matrix import SparseMatrix, concatenate

MEMORY_SHARE = 4
SAMPLE_DOCUMENTS = 20_000
WINDOW_BATCHES = 64

# epoch -> the documents of a pass, in pieces of any size
Read = Callable[[int], Iterator[SparseMatrix]]


class NegativeCount(ValueError):
    """A word cannot occur fewer than zero times."""


def as_counts(features: Features) -> SparseMatrix:
    """Documents as sparse counts; NegativeCount where a count is none."""
    rows = features if isinstance(features, SparseMatrix) else SparseMatrix.from_dense(features)
    if rows.nnz and rows.data.min() < 0:
        raise NegativeCount("a count of words is negative")
    return rows


def memory_budget() -> int:
    """Bytes of documents that may be kept."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_AVPHYS_PAGES") // MEMORY_SHARE


def size_of(rows: SparseMatrix) -> int:
    return int(rows.data.nbytes + rows.indices.nbytes + rows.indptr.nbytes)


@dataclass
class Corpus:
    """`documents` are all of them, or the first ones where `read` gives each pass anew."""

    documents: SparseMatrix
    read: Read | None = None
    _passes: int = field(default=0, init=False)

    @classmethod
    def open(cls, read: Read, budget: int | None = None) -> Corpus:
        """Keep what `read(0)` gives, unless that is more than `budget` bytes."""
        budget = memory_budget() if budget is None else budget
        parts: list[SparseMatrix] = []
        held = 0
        pieces = read(0)
        for piece in pieces:
            parts.append(_compact(piece))
            held += size_of(parts[-1])
            if held > budget:
                head = concatenate(parts)[: max(1, SAMPLE_DOCUMENTS)]
                for _ in pieces:  # a pipe must be read to its end before the next one opens
                    pass
                return cls(head, read)
        return cls(concatenate(parts))

    def sample(self, rng: np.random.Generator, count: int = SAMPLE_DOCUMENTS) -> SparseMatrix:
        """Up to `count` documents that stand for all: any, or the first ones of a stream."""
        if len(self.documents) <= count:
            return self.documents
        chosen = rng.choice(len(self.documents), count, replace=False)
        return self.documents.take(np.sort(chosen))

    def batches(
        self, size: int, rng: np.random.Generator, share: float = 1.0
    ) -> Iterator[SparseMatrix]:
        """One epoch: a random `share` of the documents in random order."""
        for window in self._windows(size):
            order = rng.permutation(len(window))[: max(1, round(share * len(window)))]
            for begin in range(0, len(order), size):
                yield window.take(order[begin : begin + size])

    def in_order(self, size: int) -> Iterator[SparseMatrix]:
        """All documents as they come, to be judged."""
        for window in self._windows(size):
            for begin in range(0, len(window), size):
                yield window[begin : begin + size]

    def _windows(self, size: int) -> Iterator[SparseMatrix]:
        if self.read is None:
            yield self.documents
            return
        self._passes += 1
        waiting: list[SparseMatrix] = []
        count = 0
        for piece in self.read(self._passes):
            waiting.append(piece)
            count += len(piece)
            if count >= size * WINDOW_BATCHES:
                yield concatenate(waiting)
                waiting, count = [], 0
        if waiting:
            yield concatenate(waiting)


def _compact(rows: SparseMatrix) -> SparseMatrix:
    """With as few bytes per index as do."""
    return SparseMatrix(rows.data, rows.indices.astype(np.int32), rows.indptr, rows.shape)
