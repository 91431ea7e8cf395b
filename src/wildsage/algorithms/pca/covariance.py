"""Regular mode: sums of rows and of their products, from which everything follows exactly.

Products are made in float32 over blocks, by BLAS's routine for symmetric results, and added up in
float64. Sparse rows are multiplied value by value where that is less work. While there are fewer
rows than features, the rows themselves are less work and less memory, and are kept.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from itertools import chain

import numpy as np

from wildsage.algorithms.pca.blocks import (
    Sums,
    arrays_of,
    expect_squares,
    in_threads,
    middle,
    shifted,
    sparse_sums,
    total_of,
)
from wildsage.algorithms.pca.few import FEW_FROM, FewRows, spectrum_of
from wildsage.algorithms.pca.spectrum import Spectrum, complete, leading, oriented
from wildsage.algorithms.rows import Features
from wildsage.contract.cluster import Cluster
from wildsage.formats.matrix import SparseMatrix

# Above this share of values that are not zero, dense rows are multiplied faster.
SPARSE_SHARE = 0.1

Product = tuple[int, np.ndarray, np.ndarray]


class Covariance:
    """The state of one pass; `add` takes blocks of rows, `finish` gives the components."""

    def __init__(self, width: int, *, subtract_mean: bool, cluster: Cluster | None = None) -> None:
        self.width = width
        self.subtract_mean = subtract_mean
        self.cluster = cluster or Cluster()
        self.shift: np.ndarray | None = None
        self.dense = Sums.empty(width)
        self.sparse = Sums.empty(width)
        self._gram: np.ndarray | None = None
        self._sparse_gram: np.ndarray | None = None
        self._few = FewRows(width) if width >= FEW_FROM else None

    def add(self, blocks: Iterable[Features]) -> Iterator[int]:
        """Take in the blocks; yields how many rows each one had."""
        blocks = iter(blocks)
        while self._few is not None:
            block = next(blocks, None)
            if block is None:
                return
            if self._few.take(block):
                yield len(block)
                continue
            self._release()
            blocks = chain([block], blocks)
        yield from self._multiply(blocks)

    def _release(self) -> None:
        """The rows have become too many to be kept."""
        few, self._few = self._few, None
        if few is not None:
            deque(self._multiply(few.blocks), maxlen=0)

    def _multiply(self, blocks: Iterable[Features]) -> Iterator[int]:
        for done in in_threads(self._multiplied, self._watched(blocks), self.width):
            if isinstance(done, SparseMatrix):
                self._add_sparse(done)
                yield len(done)
                continue
            rows, total, product = done
            expect_squares(float(np.trace(product)))
            self.dense.add(rows, total)
            if self._gram is None:
                self._gram = np.zeros((self.width, self.width))
            self._gram += product
            yield rows

    def _watched(self, blocks: Iterable[Features]) -> Iterator[Features]:
        """The same blocks: the first dense one gives the shift, before any is multiplied."""
        for block in blocks:
            if isinstance(block, SparseMatrix) and not _pays(block):
                block = block.to_dense()
            if self.shift is None and not isinstance(block, SparseMatrix):
                self.shift = middle(block)
            yield block

    def _multiplied(self, block: Features) -> Product | SparseMatrix:
        if isinstance(block, SparseMatrix):
            return block
        assert self.shift is not None
        rows = shifted(block, self.shift)
        return len(rows), total_of(rows), rows.T @ rows

    def _add_sparse(self, block: SparseMatrix) -> None:
        from wildsage.algorithms.pca.kernels import add_gram

        if self._sparse_gram is None:
            self._sparse_gram = np.zeros((self.width, self.width))
        add_gram(*arrays_of(block), self._sparse_gram)
        self.sparse.add(*sparse_sums(block))

    def finish(self, components: int) -> Spectrum:
        """The components of the rows of all hosts."""
        few = self._all_few()
        if few is not None:
            return spectrum_of(few, components, subtract_mean=self.subtract_mean)
        rows, mean, scatter = self._scatter()
        values, vectors = leading(scatter, components)
        return Spectrum(
            mean if self.subtract_mean else np.zeros(self.width),
            np.sqrt(values),
            oriented(complete(vectors, components)),
            rows,
            float(np.trace(scatter)),
        )

    def _all_few(self) -> np.ndarray | None:
        """The rows of all hosts, if all of them together are few."""
        if self.width < FEW_FROM:
            return None
        own = self.width + 1 if self._few is None else self._few.rows
        if int(np.asarray(self.cluster.allreduce(np.array([own])))[0]) > self.width:
            self._release()
            return None
        assert self._few is not None
        return np.concatenate(self.cluster.allgather(self._few.joined()))

    def _scatter(self) -> tuple[int, np.ndarray, np.ndarray]:
        """(rows, mean, the sum of products of rows less the mean or, on demand, as they are).

        Hosts agree on a shift and add up what they have, seen from there.
        """
        own = np.zeros(self.width) if self.shift is None else self.shift.astype(np.float64)
        shift = np.asarray(self.cluster.broadcast(own), np.float64)
        sums, gram = self._seen_from(shift, own)
        parts = np.concatenate([[sums.rows], sums.total])
        parts = np.asarray(self.cluster.allreduce(parts))
        gram = np.array(self.cluster.allreduce(gram))
        rows, total = int(parts[0]), parts[1:]
        mean = total / max(rows, 1)
        origin = mean if self.subtract_mean else -shift
        _move(gram, Sums(rows, total), -origin)
        return rows, shift + mean, gram

    def _seen_from(self, shift: np.ndarray, own: np.ndarray) -> tuple[Sums, np.ndarray]:
        """This host's sums and products, with `shift` as the origin."""
        gram = np.zeros((self.width, self.width)) if self._gram is None else self._gram.copy()
        _move(gram, self.dense, own - shift)
        sums = self.dense.moved(own - shift)
        if self._sparse_gram is not None:
            products = self._sparse_gram + self._sparse_gram.T
            np.fill_diagonal(products, np.diagonal(self._sparse_gram))
            _move(products, self.sparse, -shift)
            gram += products
            sums = sums.plus(self.sparse.moved(-shift))
        return sums, gram


def _pays(block: SparseMatrix) -> bool:
    """Whether to multiply sparse rows as they are."""
    return block.nnz <= SPARSE_SHARE * len(block) * block.shape[1]


def _move(gram: np.ndarray, sums: Sums, step: np.ndarray) -> None:
    """Make of the products of rows those of the same rows with `step` added to each."""
    if not sums.rows or not step.any():
        return
    other = sums.total + 0.5 * sums.rows * step
    for line, here, there in zip(gram, step, other, strict=True):
        line += here * other
        line += there * step
