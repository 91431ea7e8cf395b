"""Feature and label scaling, folded into the weights instead of into the data.

Standardising is affine, so a model on standardised features is a model on the raw ones: the
products are taken with the data as they are, dense or sparse, and only the small weight matrices
are scaled. That keeps sparse data sparse and copies nothing. Where a feature's mean dwarfs its
deviation float32 would lose digits to that, so such data (`needs_copy`) are shifted for real,
batch by batch.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wildsage.formats.matrix import SparseMatrix

Array = NDArray[Any]
Features = Array | SparseMatrix
SAFE_RATIO = 64.0


@dataclass(frozen=True, slots=True)
class Scaler:
    """x -> (x - mean) * inverse for features, y -> (y - label_mean) / label_scale for labels."""

    mean: Array
    inverse: Array
    label_mean: float = 0.0
    label_scale: float = 1.0

    def fold(self, weights: Array) -> tuple[Array, Array]:
        """Weights and offsets for raw features, of weights for scaled ones (the bias in the last
        row)."""
        raw = weights[:-1] * self.inverse[:, None]
        return raw, weights[-1] - self.mean @ raw

    def unfold(self, product: Array, total: Array) -> Array:
        """The gradient by the scaled model's weights, of raw features' product with the
        residuals."""
        inner = (product - self.mean[:, None] * total) * self.inverse[:, None]
        return np.vstack([inner, total[None]])

    def label(self, labels: Array) -> Array:
        if self.label_mean == 0 and self.label_scale == 1:
            return labels
        return (labels - np.float32(self.label_mean)) * np.float32(1 / self.label_scale)

    def restore(self, weights: Array) -> tuple[Array, Array]:
        """Weights and biases on raw features that predict raw labels, in float64."""
        raw, bias = self.fold(np.asarray(weights, np.float64))
        return raw * self.label_scale, bias * self.label_scale + self.label_mean

    @property
    def needs_copy(self) -> bool:
        return bool(np.any(np.abs(self.mean) * self.inverse > SAFE_RATIO))

    def apply(self, features: Array) -> Array:
        """Scaled features, as a copy."""
        scaled = features - self.mean.astype(np.float32)
        scaled *= self.inverse.astype(np.float32)
        return scaled

    def scaled(self, features: Features) -> Features:
        """For a source of dense rows."""
        return self.apply(features.to_dense() if isinstance(features, SparseMatrix) else features)

    def identity(self) -> Scaler:
        """For data that `apply` has scaled already: nothing is left but the label."""
        return replace(self, mean=np.zeros_like(self.mean), inverse=np.ones_like(self.inverse))


@dataclass(slots=True)
class Moments:
    """Sums over rows from which means and deviations follow; those of several hosts add up.

    They are taken around a shift (the first rows' mean), or large means would swallow the
    deviations.
    """

    shift: Array
    count: float
    total: Array
    squares: Array

    @classmethod
    def of(cls, values: Features, shift: Array) -> Moments:
        if isinstance(values, SparseMatrix):
            return cls._of_sparse(values, shift)
        centred = values.astype(np.float64) - shift
        return cls(shift, len(values), centred.sum(axis=0), (centred * centred).sum(axis=0))

    @classmethod
    def _of_sparse(cls, values: SparseMatrix, shift: Array) -> Moments:
        """Stored values only, as no shift may be taken from sparse rows: it is zero there."""
        columns = values.shape[1]
        data = values.data.astype(np.float64)
        total = np.bincount(values.indices, data, columns)
        squares = np.bincount(values.indices, data * data, columns)
        return cls(shift, len(values), total, squares)

    def packed(self) -> Array:
        return np.concatenate([[self.count], self.total, self.squares])

    def unpacked(self, sums: Array) -> Moments:
        half = (len(sums) - 1) // 2
        return Moments(self.shift, float(sums[0]), sums[1 : half + 1], sums[half + 1 :])

    @property
    def mean(self) -> Array:
        return self.shift + self.total / max(self.count, 1)

    @property
    def deviation(self) -> Array:
        """The standard deviation; 1 for a constant, so that it may be divided by."""
        mean = self.total / max(self.count, 1)
        variance = np.maximum(self.squares / max(self.count, 1) - mean * mean, 0)
        scale = np.abs(self.shift) + np.abs(mean)
        constant = variance <= (1e-7 * scale) ** 2
        return np.where(constant, 1.0, np.sqrt(variance))


def product(features: Features, weights: Array) -> Array:
    if isinstance(features, SparseMatrix) and _has_scipy():
        return np.asarray(features.to_scipy() @ weights)
    return features.dot(weights)


def transposed_product(features: Features, residuals: Array) -> Array:
    if not isinstance(features, SparseMatrix):
        return features.T @ residuals
    if _has_scipy():
        return np.asarray(features.to_scipy().T @ residuals)
    return features.transposed_dot(residuals)


@cache
def _has_scipy() -> bool:
    """SciPy's sparse products are some twenty times as fast as those that NumPy can do."""
    return find_spec("scipy") is not None
