"""Blocks of rows on their way into products: their size, their shift, threads over them.

Rows are shifted by a point amid them before they are multiplied in float32: of numbers far from the
origin, squares would keep no digits for the differences.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from wildsage.algorithms.rows import Features
from wildsage.algorithms.threads import one_blas_thread, threaded
from wildsage.contract.failure import ClientError
from wildsage.formats.matrix import SparseMatrix

MOST_SQUARES = 1e38
# Up to so many times their spread, the way to the origin costs products a bit or two, and a copy of
# all rows would cost more.
NEAR = 2.0
NEAR_ROWS = 1024
PART_ROWS = 256
BLOCK_VALUES = 1 << 24
# From here on one product keeps all processors busy, and copies of results become large.
WIDE = 2048

Item = TypeVar("Item")
Result = TypeVar("Result")
_kept = threading.local()


def block_rows(mini_batch_size: int, width: int, most: int) -> int:
    """Whole mini-batches, as many as make a product worth its while."""
    wanted = max(1, min(most, BLOCK_VALUES // width))
    return mini_batch_size * math.ceil(wanted / mini_batch_size)


def in_threads(
    work: Callable[[Item], Result], items: Iterable[Item], width: int
) -> Iterator[Result]:
    """The results in order: by threads over narrow blocks, by BLAS's own over wide ones."""

    def quiet(item: Item) -> Result:
        with np.errstate(over="ignore", invalid="ignore"):  # `expect_squares` tells
            return work(item)

    if width >= WIDE:
        yield from map(quiet, items)
        return
    with one_blas_thread():
        yield from threaded(quiet, items)


def shifted(block: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """The block less the shift, in a buffer of this thread that the next call fills anew.

    The block itself, where there is nothing to subtract.
    """
    if not shift.any():
        return block
    buffer: np.ndarray | None = getattr(_kept, "buffer", None)
    if buffer is None or not block.size <= buffer.size <= 4 * max(block.size, 1 << 20):
        buffer = _kept.buffer = np.empty(block.size, np.float32)
    moved: np.ndarray = buffer[: block.size].reshape(block.shape)
    np.subtract(block, shift, out=moved)
    return moved


def middle(block: Features) -> np.ndarray:
    """The point that rows are shifted by: amid a dense block, or the origin where that is near.

    Sparse rows stay where they are.
    """
    if isinstance(block, SparseMatrix):
        return np.zeros(block.shape[1], np.float32)
    some = block[:NEAR_ROWS]
    mean = some.mean(axis=0, dtype=np.float64)
    spread = float(np.square(some - mean).sum()) / len(some)
    if float(mean @ mean) <= NEAR**2 * spread:
        mean[:] = 0
    found: np.ndarray = mean.astype(np.float32)
    return found


def expect_squares(squares: float) -> None:
    """Products of a block whose squares have this sum must be such as float32 holds."""
    if not squares <= MOST_SQUARES:
        raise ClientError(
            "The values are too large: their squares exceed the range of 32-bit floating point "
            "numbers. Please scale the features."
        )


def total_of(block: np.ndarray) -> np.ndarray:
    """The sum of the rows: in float32 over a few hundred at a time, in float64 over all."""
    ones, total = np.ones(PART_ROWS, np.float32), np.zeros(block.shape[1])
    for begin in range(0, len(block), PART_ROWS):
        part = block[begin : begin + PART_ROWS]
        total += ones[: len(part)] @ part
    return total


def squares_of(block: np.ndarray) -> float:
    """The sum of all squares: BLAS adds up a few rows at a time, so that float32 suffices."""
    parts = (block[begin : begin + 64].reshape(-1) for begin in range(0, len(block), 64))
    return float(sum(float(np.dot(part, part)) for part in parts))


@dataclass(slots=True)
class Sums:
    """How many rows, their sum, and the sum of their squared lengths, all seen from a shift."""

    rows: int
    total: np.ndarray
    squares: float = 0.0

    @classmethod
    def empty(cls, width: int) -> Sums:
        return cls(0, np.zeros(width))

    def add(self, rows: int, total: np.ndarray, squares: float = 0.0) -> None:
        self.rows += rows
        self.total += total
        self.squares += squares

    def moved(self, step: np.ndarray) -> Sums:
        """The sums of the same rows with `step` added to each."""
        squares = self.squares + 2 * float(step @ self.total) + self.rows * float(step @ step)
        return Sums(self.rows, self.total + self.rows * step, squares)

    def plus(self, other: Sums) -> Sums:
        return Sums(self.rows + other.rows, self.total + other.total, self.squares + other.squares)


def sparse_sums(block: SparseMatrix) -> tuple[int, np.ndarray, float]:
    """(rows, their sum, the sum of their squared values)."""
    total = np.bincount(block.indices, block.data, block.shape[1])
    values = block.data.astype(np.float64)
    return len(block), total, float(values @ values)


def arrays_of(block: SparseMatrix) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What kernels take, in the types they are compiled for."""
    return (
        np.ascontiguousarray(block.data, np.float32),
        np.ascontiguousarray(block.indices, np.int64),
        np.ascontiguousarray(block.indptr, np.int64),
    )
