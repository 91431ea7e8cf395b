"""From small matrices to components: leading eigenvectors, their signs, and a full set of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from wildsage.algorithms.pca.lapack import largest
from wildsage.algorithms.threads import one_blas_thread

# Up to this share of all vectors, it pays to leave out the others.
FEW = 0.5


@dataclass(slots=True)
class Spectrum:
    """Components by falling variance: `vectors` (features × components) has one in each column.

    `singular_values` are those of the matrix of all rows (less their mean), `squares` is the sum of
    that matrix's squares, so that `singular_values ** 2 / squares` are shares of the variance.
    """

    mean: np.ndarray
    singular_values: np.ndarray
    vectors: np.ndarray
    rows: int
    squares: float


def leading(matrix: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The largest eigenvalues of a symmetric matrix, falling, and their vectors in columns."""
    # BLAS's own threads would meet at each of thousands of small steps.
    with one_blas_thread():
        few = count <= FEW * len(matrix)
        found = largest(matrix, count) if few else None
        values, vectors = np.linalg.eigh(matrix) if found is None else found
    falling = slice(None, -count - 1, -1)
    return np.maximum(values[falling], 0), vectors[:, falling]


def left_vectors(tall: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The largest singular values of a matrix and its left vectors; only those that are not noise.

    Taken from the products of its rows or its columns, whichever are fewer.
    """
    rows, columns = tall.shape
    if rows <= columns:
        values, vectors = leading(tall @ tall.T, count)
        return np.sqrt(values), vectors
    values, inner = leading(tall.T @ tall, count)
    sound = values > values[0] * 1e-12 if len(values) and values[0] > 0 else values > 0
    lengths = np.sqrt(values[sound])
    # A product of rounded factors is not quite orthogonal; a second look at it is.
    vectors, triangle = np.linalg.qr(tall @ (inner[:, sound] / lengths))
    return lengths, vectors * np.where(np.diagonal(triangle) < 0, -1.0, 1.0)


def complete(vectors: np.ndarray, count: int) -> np.ndarray:
    """`count` orthogonal columns, where the data have fewer directions than were asked for."""
    missing = count - vectors.shape[1]
    if missing <= 0:
        return vectors[:, :count]
    others = np.random.default_rng(0).normal(size=(len(vectors), missing))
    for _ in range(2):
        others -= vectors @ (vectors.T @ others)
    return np.hstack([vectors, np.linalg.qr(others)[0]])


def oriented(vectors: np.ndarray) -> np.ndarray:
    """Each vector or its opposite: the one whose largest entry is positive."""
    largest = np.abs(vectors).argmax(axis=0)
    signs = np.sign(vectors[largest, np.arange(vectors.shape[1])])
    result: np.ndarray = vectors * np.where(signs == 0, 1, signs)
    return result
