"""Scaling folded into the weights: the same as scaling the data, without touching it."""

from __future__ import annotations

import numpy as np
import pytest

from algorithms.linear_learner.helpers_linear import defaults, regression
from wildsage.algorithms.linear_learner import scaling
from wildsage.algorithms.linear_learner.preparation import fit_scaler
from wildsage.algorithms.linear_learner.scaling import Moments, Scaler, product, transposed_product
from wildsage.contract.cluster import Cluster
from wildsage.formats.matrix import SparseMatrix

X, Y = regression(300, 4)
SCALER = Scaler(X.mean(axis=0, dtype=np.float64), 1 / X.std(axis=0, dtype=np.float64))
SCALED = (X - SCALER.mean) * SCALER.inverse


def test_moments_are_mean_and_deviation_even_of_huge_means() -> None:
    values = X.astype(np.float64) + 1e6
    moments = Moments.of(values, values[:10].mean(axis=0))
    np.testing.assert_allclose(moments.mean, values.mean(axis=0))
    np.testing.assert_allclose(moments.deviation, X.std(axis=0), rtol=1e-4)


def test_moments_of_parts_add_up() -> None:
    shift = X[:10].mean(axis=0)
    parts = [Moments.of(part, shift).packed() for part in (X[:100], X[100:])]
    joined = Moments.of(X[:1], shift).unpacked(parts[0] + parts[1])
    np.testing.assert_allclose(joined.mean, X.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(joined.deviation, X.std(axis=0), rtol=1e-5)


def test_a_constant_feature_is_left_unscaled() -> None:
    constant = np.full((50, 2), [1.0, 7.3], np.float32)
    np.testing.assert_array_equal(Moments.of(constant, constant[0]).deviation, [1, 1])


def test_sparse_moments_equal_dense_ones() -> None:
    dense = np.where(X > 1, X, 0).astype(np.float32)
    zero = np.zeros(4)
    one, other = (Moments.of(m, zero) for m in (dense, SparseMatrix.from_dense(dense)))
    np.testing.assert_allclose(one.packed(), other.packed(), rtol=1e-5)


def test_folded_weights_score_raw_rows_as_scaled_ones() -> None:
    weights = np.random.default_rng(0).normal(size=(5, 3))
    raw, offset = SCALER.fold(weights)
    expected = SCALED @ weights[:-1] + weights[-1]
    for features in (X, SparseMatrix.from_dense(X)):
        np.testing.assert_allclose(product(features, raw) + offset, expected, atol=1e-4)


def test_unfolded_products_are_the_scaled_rows_gradient() -> None:
    residuals = np.random.default_rng(1).normal(size=(300, 3)).astype(np.float32)
    expected = np.vstack([SCALED.T @ residuals, residuals.sum(axis=0)])
    for features in (X, SparseMatrix.from_dense(X)):
        raw = transposed_product(features, residuals)
        np.testing.assert_allclose(SCALER.unfold(raw, residuals.sum(axis=0)), expected, atol=2e-3)


def test_sparse_products_with_and_without_scipy(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    dense = np.where(rng.random((20, 7)) < 0.3, 1.5, 0).astype(np.float32)
    sparse = SparseMatrix.from_dense(dense)
    weights, residuals = (rng.normal(size=(n, 2)).astype(np.float32) for n in (7, 20))
    for available in (True, False):
        monkeypatch.setattr(scaling, "_has_scipy", lambda available=available: available)
        np.testing.assert_allclose(product(sparse, weights), dense @ weights, atol=1e-5)
        np.testing.assert_allclose(
            transposed_product(sparse, residuals), dense.T @ residuals, atol=1e-5
        )


def test_restored_weights_predict_raw_labels() -> None:
    scaler = Scaler(SCALER.mean, SCALER.inverse, label_mean=20.0, label_scale=3.0)
    weights = np.random.default_rng(0).normal(size=(5, 1))
    raw, bias = scaler.restore(weights)
    expected = (SCALED @ weights[:-1] + weights[-1]) * 3 + 20
    np.testing.assert_allclose(X @ raw + bias, expected, atol=1e-4)
    np.testing.assert_allclose(scaler.label(np.array([20.0, 23.0])), [0, 1], atol=1e-6)


def test_means_that_dwarf_deviations_ask_for_a_scaled_copy() -> None:
    assert not SCALER.needs_copy
    far = Scaler(SCALER.mean + 1e4 / SCALER.inverse, SCALER.inverse)
    assert far.needs_copy
    np.testing.assert_allclose(SCALER.apply(X), SCALED, atol=1e-5)
    assert not far.identity().needs_copy


@pytest.mark.parametrize(
    ("changes", "mean", "inverse", "label_mean", "label_scale"),
    [
        ({}, True, True, True, True),
        ({"normalize_data": "false"}, True, False, True, True),
        ({"unbias_data": "false"}, False, True, True, True),
        ({"normalize_label": "false"}, True, True, True, False),
        ({"unbias_label": "false"}, True, True, False, True),
        ({"use_bias": "false"}, False, True, False, True),
        ({"use_bias": "false", "unbias_data": "true"}, True, True, False, True),
        ({"normalize_data": "auto", "unbias_data": "auto"}, True, True, True, True),
    ],
)
def test_what_is_scaled(
    changes: dict[str, str], mean: bool, inverse: bool, label_mean: bool, label_scale: bool
) -> None:
    scaler = fit_scaler(X, Y, defaults("regressor", **changes), Cluster())[0]
    assert bool(scaler.mean.any()) is mean
    assert bool((scaler.inverse != 1).any()) is inverse
    assert (scaler.label_mean != 0) is label_mean
    assert (scaler.label_scale != 1) is label_scale


def test_labels_of_classifiers_are_never_scaled() -> None:
    labels = (Y.mean() < Y).astype(np.float32)
    scaler = fit_scaler(X, labels, defaults(normalize_label="true"), Cluster())[0]
    assert (scaler.label_mean, scaler.label_scale) == (0.0, 1.0)
