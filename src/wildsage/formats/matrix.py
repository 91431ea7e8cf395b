"""A sparse matrix of float32 rows (CSR): as much as the algorithms need, without SciPy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(slots=True)
class SparseMatrix:
    """Row i holds `data[indptr[i]:indptr[i+1]]` in the columns `indices[indptr[i]:indptr[i+1]]`."""

    data: np.ndarray
    indices: np.ndarray
    indptr: np.ndarray
    shape: tuple[int, int]

    @classmethod
    def from_scipy(cls, matrix: Any) -> SparseMatrix:
        """From anything with SciPy's CSR attributes, or that turns into it by `tocsr`."""
        csr = matrix.tocsr()
        rows, columns = csr.shape
        return cls(
            np.asarray(csr.data, np.float32),
            np.asarray(csr.indices),
            np.asarray(csr.indptr, np.int64),
            (int(rows), int(columns)),
        )

    @classmethod
    def from_dense(cls, dense: np.ndarray) -> SparseMatrix:
        rows, columns = np.nonzero(dense)
        indptr = np.zeros(len(dense) + 1, np.int64)
        np.cumsum(np.bincount(rows, minlength=len(dense)), out=indptr[1:])
        data = np.ascontiguousarray(dense[rows, columns], dtype=np.float32)
        return cls(data, columns, indptr, (dense.shape[0], dense.shape[1]))

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def nnz(self) -> int:
        return len(self.data)

    def row_numbers(self) -> np.ndarray:
        """The row of each stored value."""
        return np.repeat(np.arange(len(self)), np.diff(self.indptr))

    def to_dense(self) -> np.ndarray:
        """Duplicate entries add up, as everywhere."""
        dense = np.zeros(self.shape, np.float32)
        np.add.at(dense, (self.row_numbers(), self.indices), self.data)
        return dense

    def to_scipy(self) -> Any:
        """A `scipy.sparse.csr_matrix` on the same arrays."""
        from scipy.sparse import csr_matrix

        return csr_matrix((self.data, self.indices, self.indptr), shape=self.shape)

    def __getitem__(self, rows: slice) -> SparseMatrix:
        """A run of rows; the values are not copied."""
        start, stop, step = rows.indices(len(self))
        if step != 1:
            raise IndexError("rows of a sparse matrix are taken in runs")
        stop = max(start, stop)
        first, last = int(self.indptr[start]), int(self.indptr[stop])
        indptr = self.indptr[start : stop + 1] - first
        columns = self.shape[1]
        return SparseMatrix(
            self.data[first:last], self.indices[first:last], indptr, (stop - start, columns)
        )

    def take(self, rows: np.ndarray) -> SparseMatrix:
        """The given rows in the given order."""
        lengths = np.diff(self.indptr)[rows]
        indptr = np.concatenate(([0], np.cumsum(lengths)))
        positions = np.arange(indptr[-1]) + np.repeat(self.indptr[:-1][rows] - indptr[:-1], lengths)
        shape = (len(rows), self.shape[1])
        return SparseMatrix(self.data[positions], self.indices[positions], indptr, shape)

    def dot(self, dense: np.ndarray) -> np.ndarray:
        """The product with a dense vector or matrix, in float32."""
        weighted = dense[self.indices] * (self.data if dense.ndim == 1 else self.data[:, None])
        result = np.zeros((len(self), *dense.shape[1:]), np.result_type(self.data, dense))
        filled = np.flatnonzero(np.diff(self.indptr))
        if len(filled):
            result[filled] = np.add.reduceat(weighted, self.indptr[filled], axis=0)
        return result

    def transposed_dot(self, dense: np.ndarray) -> np.ndarray:
        """The product of the transposed matrix with a dense vector or matrix of as many rows."""
        rows = self.row_numbers()
        if dense.ndim == 1:
            return np.bincount(self.indices, self.data * dense[rows], self.shape[1]).astype(
                np.float32
            )
        result = np.zeros((self.shape[1], dense.shape[1]), np.float32)
        np.add.at(result, self.indices, self.data[:, None] * dense[rows])
        return result

    def squared_norms(self) -> np.ndarray:
        """The squared length of each row."""
        squares = np.bincount(self.row_numbers(), self.data * self.data, len(self))
        return squares.astype(np.float32)


def concatenate(matrices: Sequence[SparseMatrix]) -> SparseMatrix:
    """The rows of all, one matrix after the other; the widest gives the width."""
    ends = np.cumsum([0, *(matrix.nnz for matrix in matrices)])
    starts = [matrix.indptr[:-1] + end for matrix, end in zip(matrices, ends[:-1], strict=True)]
    return SparseMatrix(
        np.concatenate([matrix.data for matrix in matrices]),
        np.concatenate([matrix.indices for matrix in matrices]),
        np.concatenate([*starts, ends[-1:]]),
        (sum(map(len, matrices)), max(matrix.shape[1] for matrix in matrices)),
    )
