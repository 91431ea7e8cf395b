"""scikit-learn's conventions, and users' arrays."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from scipy.sparse import csr_matrix
from sklearn.base import clone, is_clusterer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from wildsage.algorithms.base import Estimator, as_features, as_matrix
from wildsage.algorithms.kmeans import KMeans
from wildsage.formats.matrix import SparseMatrix

ROWS = np.random.default_rng(0).normal(size=(60, 3))


def test_parameters() -> None:
    estimator = KMeans(4, epochs=2)
    assert repr(estimator) == "KMeans(k=4, epochs=2)"
    assert estimator.get_params()["epochs"] == 2
    assert estimator.set_params(epochs=3).epochs == 3
    with pytest.raises(ValueError, match="Invalid parameter 'nothing'"):
        estimator.set_params(nothing=1)


def test_scikit_learn_clones_and_chains_it() -> None:
    copied = clone(KMeans(4, seed=3).fit(ROWS))
    assert copied.get_params() == KMeans(4, seed=3).get_params() and not hasattr(
        copied, "n_features_in_"
    )
    assert is_clusterer(copied)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        chain = make_pipeline(StandardScaler(), KMeans(4)).fit(ROWS)
        assert chain.predict(ROWS).shape == (60,)
        assert chain.transform(ROWS).shape == (60, 4)


def test_unfitted_estimators_say_so() -> None:
    with pytest.raises(ValueError, match="not fitted yet"):
        KMeans(4).predict(ROWS)
    assert not Estimator().__sklearn_is_fitted__()


def test_rows_in_every_form() -> None:
    for values in (ROWS, ROWS.tolist(), csr_matrix(ROWS), SparseMatrix.from_dense(ROWS)):
        np.testing.assert_array_equal(as_matrix(values), ROWS.astype(np.float32))
    assert isinstance(as_features(csr_matrix(ROWS)), SparseMatrix)
    assert isinstance(as_features(ROWS), np.ndarray)
    with pytest.raises(ValueError, match="1 dimension"):
        as_matrix(ROWS[0])
    with pytest.raises(ValueError, match="NaN or infinity"):
        as_matrix([[np.nan]])
