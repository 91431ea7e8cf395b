"""Fewer rows than features: the rows are kept, and their own products tell all.

What varies lies in the span of the rows, so that a matrix of rows × rows has it, where that of
features × features would be mostly empty.
"""

from __future__ import annotations

import numpy as np

from wildsage.algorithms.pca.spectrum import Spectrum, complete, left_vectors, oriented
from wildsage.algorithms.rows import Features, dense

# Narrower data are not worth the trouble.
FEW_FROM = 1000


class FewRows:
    """Rows as they come, while there are no more of them than features."""

    def __init__(self, width: int) -> None:
        self.width = width
        self.blocks: list[np.ndarray] = []
        self.rows = 0

    def take(self, block: Features) -> bool:
        """Keep a copy of the block, if there is room for it."""
        if self.rows + len(block) > self.width:
            return False
        self.blocks.append(np.array(dense(block), np.float32))
        self.rows += len(block)
        return True

    def joined(self) -> np.ndarray:
        self.blocks = [np.concatenate([np.empty((0, self.width), np.float32), *self.blocks])]
        return self.blocks[0]


def spectrum_of(rows: np.ndarray, components: int, *, subtract_mean: bool) -> Spectrum:
    """The components of a few rows."""
    mean = np.zeros(rows.shape[1])
    if subtract_mean:
        mean = rows.mean(axis=0, dtype=np.float64)
    centred = rows - mean
    lengths, vectors = left_vectors(centred.T, components)
    values = np.zeros(components)
    values[: len(lengths)] = lengths
    squares = float(np.vdot(centred, centred))
    return Spectrum(mean, values, oriented(complete(vectors, components)), len(rows), squares)
