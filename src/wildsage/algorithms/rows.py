"""Rows of numbers: what algorithms are fed with, and how users' arrays become that."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from wildsage.formats.matrix import SparseMatrix
from wildsage.formats.recordio import stack_features

Features = np.ndarray | SparseMatrix


@dataclass(slots=True)
class Batch:
    """Rows, and their labels: (n,) for one label a row, (n, m) for several, None for none."""

    features: Features
    labels: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.features)

    def __getitem__(self, rows: slice) -> Batch:
        return Batch(self.features[rows], None if self.labels is None else self.labels[rows])

    @property
    def width(self) -> int:
        return int(self.features.shape[1])

    def dense(self) -> np.ndarray:
        """The features as a dense array."""
        return dense(self.features)


def dense(features: Features) -> np.ndarray:
    return features.to_dense() if isinstance(features, SparseMatrix) else features


def stack(batches: Sequence[Batch]) -> Batch:
    """The rows of all batches in one."""
    if len(batches) == 1:
        return batches[0]
    labels = [batch.labels for batch in batches if batch.labels is not None]
    return Batch(
        stack_features([batch.features for batch in batches]),
        np.concatenate(labels) if labels else None,
    )


def as_features(values: Any) -> Features:
    """A user's matrix as float32 rows: arrays, lists, data frames, SciPy's sparse matrices."""
    if isinstance(values, SparseMatrix):
        return values
    if hasattr(values, "tocsr"):
        return SparseMatrix.from_scipy(values)
    return as_matrix(values)


def as_matrix(values: Any) -> np.ndarray:
    """A user's matrix as a dense, contiguous float32 array; ValueError where it is none."""
    if isinstance(values, SparseMatrix):
        return values.to_dense()
    if hasattr(values, "toarray"):
        values = values.toarray()
    matrix = np.ascontiguousarray(values, dtype=np.float32)
    if matrix.ndim != 2:
        raise ValueError(f"Expected a table of rows and columns, got {matrix.ndim} dimension(s)")
    if not all_finite(matrix):
        raise ValueError("Input contains NaN or infinity")
    return matrix


def all_finite(values: np.ndarray) -> bool:
    """Whether nothing is NaN or infinite. One sum tells in most cases, without a mask."""
    with np.errstate(over="ignore", invalid="ignore"):
        total = np.add.reduce(values, axis=None)
    return bool(np.isfinite(total) or np.isfinite(values).all())
