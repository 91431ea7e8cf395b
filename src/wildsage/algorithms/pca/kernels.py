"""Products of sparse rows, in machine code: no row is made dense, no matrix is transposed."""

from __future__ import annotations

import numpy as np

from wildsage.algorithms.compiling import compiled


@compiled
def add_gram(data: np.ndarray, indices: np.ndarray, indptr: np.ndarray, gram: np.ndarray) -> None:
    """Each pair of values of a row into one of the two places it belongs to.

    The matrix of all products is `gram + gram.T` with gram's diagonal taken once.
    """
    for row in range(len(indptr) - 1):
        begin, end = indptr[row], indptr[row + 1]
        for p in range(begin, end):
            value, column = np.float64(data[p]), indices[p]
            line = gram[column]
            line[column] += value * value
            for q in range(begin, p):
                other = indices[q]
                product = value * data[q]
                line[other] += product + product if other == column else product


@compiled
def project(
    data: np.ndarray,
    indices: np.ndarray,
    indptr: np.ndarray,
    vectors: np.ndarray,
    out: np.ndarray,
) -> None:
    """out += rows @ vectors"""
    for row in range(len(indptr) - 1):
        for p in range(indptr[row], indptr[row + 1]):
            value, source = data[p], vectors[indices[p]]
            for k in range(vectors.shape[1]):
                out[row, k] += value * source[k]


@compiled
def spread(
    data: np.ndarray,
    indices: np.ndarray,
    indptr: np.ndarray,
    weights: np.ndarray,
    out: np.ndarray,
) -> None:
    """out += rows.T @ weights"""
    for row in range(len(indptr) - 1):
        source = weights[row]
        for p in range(indptr[row], indptr[row + 1]):
            value, target = data[p], out[indices[p]]
            for k in range(weights.shape[1]):
                target[k] += value * source[k]
