"""Random projections to fewer dimensions, made again from type, seed and dimensions alone.

`sign` multiplies by a matrix of random signs (Achlioptas 2003). `fjlt` is the fast
Johnson-Lindenstrauss transform in its subsampled form (Ailon and Chazelle 2006; Tropp 2011): random
signs, a Walsh-Hadamard transform, some of its coordinates. Both keep distances and inner products
on average. All that is random comes from `RandomState`, whose stream NumPy promises to keep.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any, Self

import numpy as np

_BLOCK_FLOATS = 1 << 20


class Reduction:
    """From `input_dim` to `target_dim` dimensions."""

    def __init__(self, type: str, seed: int, target_dim: int, input_dim: int) -> None:
        self.type = type
        self.seed = seed
        self.target_dim = target_dim
        self.input_dim = input_dim

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> Self:
        kind = document["type"]
        if kind not in ("sign", "fjlt"):
            raise ValueError(f"Unknown type of dimension reduction: {kind!r}")
        numbers = (int(document[name]) for name in ("seed", "target_dim", "input_dim"))
        return cls(kind, *numbers)

    def as_json(self) -> dict[str, Any]:
        return {
            "type": self.type,
            "seed": self.seed,
            "target_dim": self.target_dim,
            "input_dim": self.input_dim,
        }

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        """The rows in `target_dim` dimensions, float32."""
        if self.type == "sign":
            projected: np.ndarray = rows @ self._matrix
            return projected
        reduced = np.empty((len(rows), self.target_dim), np.float32)
        step = max(1, _BLOCK_FLOATS // self._padded)
        for begin in range(0, len(rows), step):
            reduced[begin : begin + step] = self._transform(rows[begin : begin + step])
        return reduced

    # --- sign ------------------------------------------------------------------------------------

    @cached_property
    def _matrix(self) -> np.ndarray:
        bits = self._random().randint(0, 2, size=(self.input_dim, self.target_dim))
        matrix: np.ndarray = ((2 * bits - 1) / np.sqrt(self.target_dim)).astype(np.float32)
        return matrix

    def _random(self) -> np.random.RandomState:
        return np.random.RandomState(self.seed)

    # --- fjlt ------------------------------------------------------------------------------------

    @cached_property
    def _padded(self) -> int:
        """The next power of two."""
        return 1 << (max(self.input_dim, self.target_dim) - 1).bit_length()

    @cached_property
    def _signs_and_coordinates(self) -> tuple[np.ndarray, np.ndarray]:
        random = self._random()
        signs = 2 * random.randint(0, 2, size=self.input_dim) - 1
        coordinates = random.permutation(self._padded)[: self.target_dim]
        return signs.astype(np.float32), coordinates

    @cached_property
    def _factors(self) -> tuple[np.ndarray, np.ndarray]:
        """Two small Hadamard matrices whose Kronecker product is the large one."""
        power = self._padded.bit_length() - 1
        return hadamard(power // 2), hadamard(power - power // 2)

    def _transform(self, rows: np.ndarray) -> np.ndarray:
        signs, coordinates = self._signs_and_coordinates
        left, right = self._factors
        padded = np.zeros((len(rows), self._padded), np.float32)
        np.multiply(rows, signs, out=padded[:, : self.input_dim])
        folded = padded.reshape(len(rows), len(left), len(right))
        spread = np.matmul(np.matmul(left, folded), right).reshape(len(rows), -1)
        scaled: np.ndarray = spread[:, coordinates] * np.float32(1 / np.sqrt(self.target_dim))
        return scaled


def hadamard(power: int) -> np.ndarray:
    """The Walsh-Hadamard matrix of side 2**power, of ones and minus ones."""
    matrix = np.ones((1, 1), np.float32)
    for _ in range(power):
        matrix = np.block([[matrix, matrix], [matrix, -matrix]])
    return matrix


def normalized(rows: np.ndarray) -> np.ndarray:
    """Rows of length one; a row of zeros stays as it is."""
    lengths = np.sqrt(np.einsum("ij,ij->i", rows, rows, dtype=np.float64))
    scaled: np.ndarray = rows * (1 / np.where(lengths > 0, lengths, 1))[:, None].astype(np.float32)
    return scaled
