"""The sparse matrix does what SciPy's does."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from wildsage.formats.matrix import SparseMatrix, concatenate

RNG = np.random.default_rng(0)


@pytest.fixture
def dense() -> np.ndarray:
    rows = RNG.normal(size=(12, 8)).astype(np.float32)
    rows[RNG.random(rows.shape) > 0.4] = 0
    rows[[0, 5, 11]] = 0
    return rows


def test_conversions(dense: np.ndarray) -> None:
    matrix = SparseMatrix.from_scipy(csr_matrix(dense))
    np.testing.assert_array_equal(matrix.to_dense(), dense)
    np.testing.assert_array_equal(SparseMatrix.from_dense(dense).to_dense(), dense)
    np.testing.assert_array_equal(matrix.to_scipy().toarray(), dense)
    assert matrix.nnz == np.count_nonzero(dense) and len(matrix) == 12


def test_products(dense: np.ndarray) -> None:
    matrix = SparseMatrix.from_dense(dense)
    right, left = RNG.normal(size=(8, 3)).astype(np.float32), RNG.normal(size=12)
    np.testing.assert_allclose(matrix.dot(right), dense @ right, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(matrix.dot(right[:, 0]), dense @ right[:, 0], rtol=1e-5, atol=1e-6)
    wide = np.stack([left, -left], axis=1).astype(np.float32)
    np.testing.assert_allclose(matrix.transposed_dot(wide), dense.T @ wide, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(matrix.transposed_dot(left), dense.T @ left, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(matrix.squared_norms(), (dense**2).sum(axis=1), rtol=1e-5)


def test_rows(dense: np.ndarray) -> None:
    matrix = SparseMatrix.from_dense(dense)
    np.testing.assert_array_equal(matrix[2:7].to_dense(), dense[2:7])
    np.testing.assert_array_equal(matrix[7:2].to_dense(), dense[7:2])
    chosen = np.array([9, 0, 9, 3])
    np.testing.assert_array_equal(matrix.take(chosen).to_dense(), dense[chosen])
    np.testing.assert_array_equal(concatenate([matrix[:4], matrix[4:]]).to_dense(), dense)
    with pytest.raises(IndexError):
        matrix[::2]


def test_duplicates_add_up() -> None:
    matrix = SparseMatrix(np.ones(3, np.float32), np.array([1, 1, 0]), np.array([0, 3]), (1, 2))
    assert matrix.to_dense().tolist() == [[1, 2]]
