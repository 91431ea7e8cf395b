"""XGBoost as a library."""

from __future__ import annotations

import numpy as np
import pytest
import xgboost
from scipy.sparse import csr_matrix
from sklearn.base import clone

from algorithms.xgboost.helpers_xgboost import classes
from wildsage.algorithms.xgboost import XGBoost
from wildsage.contract.failure import ClientError


def test_it_is_the_library_s_model() -> None:
    features, labels = classes()
    model = XGBoost(5, "binary:logistic", parameters={"max_depth": 2, "eta": 0.5})
    assert model.fit(features, labels) is model
    matrix = xgboost.DMatrix(features, label=labels)
    expected = xgboost.train(
        {"objective": "binary:logistic", "max_depth": 2, "eta": 0.5}, matrix, 5
    )
    np.testing.assert_array_equal(model.predict_proba(features)[:, 1], expected.predict(matrix))
    assert (model.predict(features) == labels).mean() > 0.8


def test_classes_of_several() -> None:
    features, labels = classes(count=3)
    model = XGBoost(5, "multi:softprob", num_class=3).fit(csr_matrix(features), labels)
    assert model.predict_proba(features).shape == (300, 3)
    assert (model.predict(features) == labels).mean() > 0.8


def test_weights_and_evaluations() -> None:
    features, labels = classes()
    model = XGBoost(30, "binary:logistic", early_stopping_rounds=2, eval_metric="auc,logloss")
    model.fit(
        features, labels, sample_weight=np.ones(300), validation=(features[:50], 1 - labels[:50])
    )
    assert len(model.evaluations_) < 10
    assert list(model.evaluations_[0]) == [
        "train-auc",
        "train-logloss",
        "validation-auc",
        "validation-logloss",
    ]


def test_parameters_survive_a_clone_and_are_checked_as_a_job_s() -> None:
    model = XGBoost(3, parameters={"eta": 2})
    assert clone(model).get_params() == model.get_params()
    with pytest.raises(ClientError, match="Hyperparameter eta: 2.0 is not in"):
        model.fit(np.zeros((2, 2)), [0, 1])


def test_misuse() -> None:
    features, labels = classes(rows=10)
    model = XGBoost(2)
    with pytest.raises(ValueError, match="not fitted"):
        model.predict(features)
    with pytest.raises(ValueError, match="X has 10 rows and y has 9"):
        model.fit(features, labels[:9])
    with pytest.raises(ValueError, match="got 1 dimension"):
        model.fit(labels, labels)
    with pytest.raises(ValueError, match="does not predict probabilities"):
        model.fit(features, labels).predict_proba(features)


def test_a_missing_value_is_borne() -> None:
    features, labels = classes()
    features[::3, 1] = np.nan
    assert np.isfinite(XGBoost(3).fit(features, labels).predict(features)).all()
