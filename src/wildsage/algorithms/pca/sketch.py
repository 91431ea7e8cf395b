"""Randomized mode: a sketch in one pass, and a refinement in each further pass.

The sketch adds up rows with random signs (the guide's B = sum of H_t X_t). Where the original has
one such matrix, this has several, which blocks go to in turn: for the same arithmetic, rows drown
one another less. A further pass multiplies the leading directions by the covariances (a step of the
power method) and takes the best components by Nystroem's approximation (Tropp, Yurtsever, Udell,
Cevher, Fixed-Rank Approximation of a Positive-Semidefinite Matrix from Streaming Data, 2017).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from wildsage.algorithms.pca.blocks import (
    Sums,
    arrays_of,
    expect_squares,
    in_threads,
    middle,
    shifted,
    sparse_sums,
    squares_of,
    total_of,
)
from wildsage.algorithms.pca.spectrum import Spectrum, complete, leading, left_vectors, oriented
from wildsage.algorithms.rows import Features
from wildsage.contract.cluster import Cluster
from wildsage.formats.matrix import SparseMatrix

GROUPS = 8
# Further passes take up more directions than were asked for: these cost arithmetic, one more pass
# costs reading.
FACTOR = 2
# Directions weaker than this share of the strongest are noise of float32 products.
NOISE = 1e-6

Part = tuple[int, np.ndarray, float, np.ndarray]


class Sketch:
    """The state of randomized mode: a first pass by `add`, further ones by `refine`."""

    def __init__(
        self,
        width: int,
        size: int,
        seed: int,
        *,
        subtract_mean: bool,
        cluster: Cluster | None = None,
    ) -> None:
        self.width, self.size = width, size
        self.subtract_mean = subtract_mean
        self.cluster = cluster or Cluster()
        # Other hosts, other signs: the same ones would be one host's rows added to another's.
        self._rng = np.random.default_rng([seed, self.cluster.rank])
        self.shift: np.ndarray | None = None
        self.dense, self.sparse = Sums.empty(width), Sums.empty(width)
        self._sketch = np.zeros((GROUPS, width, size), np.float32)
        self._signs = np.zeros((2, GROUPS, size))  # of dense rows, of sparse rows
        self._found: tuple[np.ndarray, np.ndarray] | None = None
        self._all: tuple[np.ndarray, Sums] | None = None

    # --- the first pass --------------------------------------------------------------------------

    def add(self, blocks: Iterable[Features]) -> Iterator[int]:
        """Take in the blocks; yields how many rows each one had."""
        self._found = self._all = None
        for number, done in enumerate(
            in_threads(self._signed, self._with_signs(blocks), self.width)
        ):
            block, signs, part = done
            group = number % GROUPS
            self._signs[int(part is None), group] += signs.sum(axis=0, dtype=np.float64)
            if part is None:
                self._add_sparse(block, signs, group)
            else:
                rows, total, squares, product = part
                expect_squares(squares)
                self.dense.add(rows, total, squares)
                self._sketch[group] += product
            yield len(block)

    def _with_signs(self, blocks: Iterable[Features]) -> Iterator[tuple[Features, np.ndarray]]:
        for block in blocks:
            if self.shift is None and not isinstance(block, SparseMatrix):
                self.shift = self._origin(block)
            yield block, _signs(self._rng, len(block), self.size)

    def _origin(self, block: Features) -> np.ndarray:
        return middle(block) if self.subtract_mean else np.zeros(self.width, np.float32)

    def _signed(
        self, item: tuple[Features, np.ndarray]
    ) -> tuple[Features, np.ndarray, Part | None]:
        block, signs = item
        if isinstance(block, SparseMatrix):
            return block, signs, None
        assert self.shift is not None
        rows = shifted(block, self.shift)
        return block, signs, (len(rows), total_of(rows), squares_of(rows), rows.T @ signs)

    def _add_sparse(self, block: Features, signs: np.ndarray, group: int) -> None:
        from wildsage.algorithms.pca.kernels import spread

        assert isinstance(block, SparseMatrix)
        rows, total, squares = sparse_sums(block)
        expect_squares(squares)
        spread(*arrays_of(block), signs, self._sketch[group])
        self.sparse.add(rows, total, squares)

    # --- what it tells ---------------------------------------------------------------------------

    def _agreed(self) -> tuple[np.ndarray, Sums]:
        """The mean of all hosts' rows, and their sums seen from it. All hosts ask together."""
        if self._all is None:
            own = self._own_shift()
            here = self.dense.moved(own).plus(self.sparse)
            parts = np.concatenate([[here.rows], here.total])
            parts = np.asarray(self.cluster.allreduce(parts))
            mean = parts[1:] / max(parts[0], 1)
            mean = mean if self.subtract_mean else np.zeros(self.width)
            seen = self.dense.moved(own - mean).plus(self.sparse.moved(-mean))
            squares = float(np.asarray(self.cluster.allreduce(np.array([seen.squares])))[0])
            self._all = mean, Sums(int(parts[0]), parts[1:], squares)
        return self._all

    def _own_shift(self) -> np.ndarray:
        return np.zeros(self.width) if self.shift is None else self.shift.astype(np.float64)

    def _directions(self) -> tuple[np.ndarray, np.ndarray]:
        """The leading singular values and directions known so far."""
        mean, _ = self._agreed()
        if self._found is None:
            signs = self._signs[0][:, None, :], self._signs[1][:, None, :]
            apart = (mean - self._own_shift())[:, None]
            centred = self._sketch - apart * signs[0] - mean[:, None] * signs[1]
            centred = np.asarray(self.cluster.allreduce(centred))
            joined = centred.transpose(1, 0, 2).reshape(self.width, -1)
            lengths, vectors = left_vectors(joined, FACTOR * self.size)
            # Each row stands in `size` sums.
            self._found = lengths / np.sqrt(self.size), vectors
        return self._found

    def finish(self, components: int) -> Spectrum:
        """The components of the rows of all hosts."""
        mean, sums = self._agreed()
        lengths, vectors = self._directions()
        values = np.zeros(components)
        values[: len(lengths)] = lengths[:components]
        vectors = oriented(complete(vectors, components))
        # An estimate may exceed what there is.
        excess = float(values @ values) / sums.squares if sums.squares else 1.0
        return Spectrum(mean, values / np.sqrt(max(1.0, excess)), vectors, sums.rows, sums.squares)

    # --- further passes --------------------------------------------------------------------------

    def refine(self, blocks: Iterable[Features]) -> Iterator[int]:
        """Go over all rows once more; yields how many rows each block had.

        What it finds counts when `keep` is called after the last block.
        """
        mean, _ = self._agreed()
        basis = np.ascontiguousarray(self._directions()[1], np.float32)
        shift = mean.astype(np.float32)
        self._basis, self._powered = basis, np.zeros(basis.shape)
        for rows, product in in_threads(
            lambda block: _powered(block, shift, basis), blocks, self.width
        ):
            self._powered += product
            yield rows

    def keep(self) -> None:
        """Take over what the last pass found. All hosts do it, or none."""
        powered = np.asarray(self.cluster.allreduce(self._powered))
        basis = self._basis.astype(np.float64)
        if not basis.shape[1]:
            return
        core = basis.T @ powered
        values, inner = leading((core + core.T) / 2, basis.shape[1])
        sound = values > NOISE * values[0]
        self._found = left_vectors(
            powered @ (inner[:, sound] / np.sqrt(values[sound])), basis.shape[1]
        )


def _signs(rng: np.random.Generator, rows: int, columns: int) -> np.ndarray:
    """A matrix of ±1."""
    count = rows * columns
    bits = np.unpackbits(rng.integers(0, 256, -(-count // 8), np.uint8), count=count)
    signs = bits.astype(np.float32)
    signs *= 2
    signs -= 1
    return signs.reshape(rows, columns)


def _powered(block: Features, shift: np.ndarray, basis: np.ndarray) -> tuple[int, np.ndarray]:
    """(rows, Xᵀ X basis) of the block's rows less the shift."""
    if isinstance(block, SparseMatrix):
        return len(block), _powered_sparse(block, shift, basis)
    rows = shifted(block, shift)
    return len(rows), rows.T @ (rows @ basis)


def _powered_sparse(block: SparseMatrix, shift: np.ndarray, basis: np.ndarray) -> np.ndarray:
    from wildsage.algorithms.pca.kernels import project, spread

    arrays = arrays_of(block)
    projected = np.tile(-(shift @ basis), (len(block), 1))
    project(*arrays, basis, projected)
    result = np.outer(-shift, total_of(projected))
    spread(*arrays, projected, result)
    return result
