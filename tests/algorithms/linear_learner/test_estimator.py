"""`LinearLearner` as a library, against closed forms and scikit-learn."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_matrix
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.linear_model import LinearRegression, LogisticRegression, QuantileRegressor, Ridge
from sklearn.metrics import log_loss
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from algorithms.linear_learner.helpers_linear import binary, multiclass, regression
from wildsage.algorithms.linear_learner import LinearLearner

EXACT: dict[str, Any] = {"num_models": 1, "l1": 0, "early_stopping_patience": 99}


def test_squared_loss_is_least_squares() -> None:
    features, labels = regression()
    fitted = LinearLearner("regressor", wd=0, **EXACT).fit(features, labels)
    peer = LinearRegression().fit(features.astype(np.float64), labels)
    np.testing.assert_allclose(fitted.coef_[0], peer.coef_, rtol=1e-4)
    np.testing.assert_allclose(fitted.intercept_, peer.intercept_, rtol=1e-4)
    assert fitted.score(features, labels) == pytest.approx(peer.score(features, labels), abs=1e-6)


def test_wd_is_half_the_squared_length_per_row() -> None:
    """Mean squared error + wd/2 |w|^2 on scaled data is Ridge with alpha = wd n / 2."""
    features, labels = regression()
    fitted = LinearLearner("regressor", wd=0.3, **EXACT).fit(features, labels)
    scaled = StandardScaler().fit_transform(features.astype(np.float64))
    peer = Ridge(alpha=0.3 * len(labels) / 2).fit(scaled, labels)
    np.testing.assert_allclose(fitted.predict(features), peer.predict(scaled), rtol=1e-4, atol=1e-3)


def test_logistic_loss_is_logistic_regression() -> None:
    features, labels = binary()
    wd = 0.05
    fitted = LinearLearner(wd=wd, **EXACT).fit(features, labels)
    peer = make_pipeline(StandardScaler(), LogisticRegression(C=1 / (wd * len(labels)), tol=1e-8))
    chance = peer.fit(features, labels).predict_proba(features)
    np.testing.assert_allclose(fitted.predict_proba(features), chance, atol=5e-4)


def test_softmax_loss_is_multinomial_logistic_regression() -> None:
    features, labels = multiclass()
    fitted = LinearLearner("multiclass_classifier", wd=0.01, **EXACT).fit(features, labels)
    peer = make_pipeline(StandardScaler(), LogisticRegression(C=1 / (0.01 * 600), tol=1e-8))
    chance = peer.fit(features, labels).predict_proba(features)
    np.testing.assert_allclose(fitted.predict_proba(features), chance, atol=5e-3)


@pytest.mark.parametrize("quantile", [0.2, 0.5, 0.9])
def test_quantile_loss_is_quantile_regression(quantile: float) -> None:
    features, labels = regression()
    options = {**EXACT, "epochs": 25, "wd": 0}
    fitted = LinearLearner("regressor", loss="quantile_loss", quantile=quantile, **options)
    predicted = fitted.fit(features, labels).predict(features)
    peer = QuantileRegressor(quantile=quantile, alpha=0).fit(features, labels)

    def pinball(scores: Any) -> float:
        error = labels - scores
        return float(np.maximum(quantile * error, (quantile - 1) * error).mean())

    assert pinball(predicted) <= pinball(peer.predict(features)) * 1.01
    assert np.mean(labels <= predicted) == pytest.approx(quantile, abs=0.03)


def test_hinge_loss_separates_with_a_margin() -> None:
    features, labels = binary()
    fitted = LinearLearner(loss="hinge_loss").fit(features, labels)
    assert fitted.score(features, labels) > 0.75
    with pytest.raises(AttributeError, match="probabilities"):
        fitted.predict_proba(features)


def test_all_models_on_few_rows_do_not_overfit() -> None:
    """Thirty noise features, sixty rows: the penalty is chosen by rows that were held out."""
    rng = np.random.default_rng(0)
    features = rng.normal(size=(1060, 30))
    labels = (features[:, 0] + rng.normal(size=1060) > 0).astype(int)
    fitted = LinearLearner().fit(features[:60], labels[:60])
    free = LinearLearner(num_models=1, wd=0, l1=0).fit(features[:60], labels[:60])
    losses = [
        log_loss(labels[60:], m.predict_proba(features[60:]), labels=[0, 1]) for m in (fitted, free)
    ]
    assert losses[0] < 0.65 < losses[1]


def test_validation_rows_decide() -> None:
    features, labels = binary(rows=80, width=30)
    flipped = 1 - labels
    honest = LinearLearner().fit(features, labels, validation=(features, labels))
    misled = LinearLearner().fit(features, labels, validation=(features, flipped))
    assert np.abs(misled.coef_).sum() < np.abs(honest.coef_).sum()
    assert honest.history_[0].criterion == "sampled_accuracy"


def test_sparse_rows_give_the_dense_model() -> None:
    features, labels = binary()
    features = np.where(np.abs(features) > 0.7, features, 0).astype(np.float32)
    options: dict[str, Any] = {"num_models": 2, "epochs": 40, "early_stopping_patience": 99}
    dense = LinearLearner(**options).fit(features, labels)
    sparse = LinearLearner(**options).fit(csr_matrix(features), labels)
    np.testing.assert_allclose(dense.coef_, sparse.coef_, atol=5e-3)
    np.testing.assert_allclose(
        dense.decision_function(features), sparse.decision_function(csr_matrix(features)), atol=0.02
    )


def test_means_far_from_zero_cost_no_precision() -> None:
    features, labels = binary()
    scaled = StandardScaler().fit_transform(features)
    near = LinearLearner(num_models=1).fit(scaled, labels)
    far = LinearLearner(num_models=1).fit(scaled + 5000, labels)
    np.testing.assert_allclose(far.coef_, near.coef_, atol=2e-3)


def test_classes_may_be_any_labels() -> None:
    features, labels = binary()
    words = np.where(labels > 0, "yes", "no")
    fitted = LinearLearner(num_models=2).fit(features, words)
    assert list(fitted.classes_) == ["no", "yes"]
    assert set(fitted.predict(features)) == {"no", "yes"}
    assert fitted.score(features, words) > 0.7
    three, classes = multiclass()
    names = np.array(["a", "b", "c"])[classes.astype(int)]
    many = LinearLearner("multiclass_classifier", num_models=2).fit(three, names)
    assert many.predict_proba(three).shape == (600, 3)
    assert many.score(three, names) > 0.6


def test_scikit_learn_conventions() -> None:
    features, labels = binary()
    fitted = LinearLearner(epochs=3, num_models=2, random_state=4)
    copy = clone(fitted)
    assert copy.get_params() == fitted.get_params()
    assert is_classifier(fitted)
    assert is_regressor(LinearLearner("regressor"))
    assert repr(copy) == "LinearLearner(epochs=3, num_models=2, random_state=4)"
    fitted.fit(features, labels)
    decision = fitted.decision_function(features)
    np.testing.assert_array_equal(fitted.predict(features), (decision >= 0).astype(float))
    assert fitted.coef_.shape == (1, 5)
    assert fitted.n_features_in_ == 5
    assert fitted.n_iter_ == 3
    pipeline = make_pipeline(StandardScaler(), LinearLearner(num_models=2))
    assert cross_val_score(pipeline, features, labels, cv=3).mean() > 0.7
    assert set(fitted.best_hyperparameters_) >= {"l1", "wd", "learning_rate"}
    assert fitted.metrics(features, labels)["binary_classification_accuracy"] == pytest.approx(
        fitted.score(features, labels)
    )


def test_the_same_seed_gives_the_same_model() -> None:
    features, labels = multiclass()
    one, same, other = (
        LinearLearner("multiclass_classifier", epochs=1, random_state=seed).fit(features, labels)
        for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(one.coef_, same.coef_)
    assert (one.coef_ != other.coef_).any()


def test_bad_input() -> None:
    features, labels = binary(rows=30)
    with pytest.raises(ValueError, match="Two classes are needed, found 1"):
        LinearLearner().fit(features, np.ones(30))
    with pytest.raises(ValueError, match="X has 30 rows, y has 29"):
        LinearLearner().fit(features, labels[:29])
    with pytest.raises(ValueError, match="NaN or infinity"):
        LinearLearner("regressor").fit(features * np.nan, labels)
    with pytest.raises(ValueError, match="not valid for the 'epochs' hyperparameter"):
        LinearLearner(epochs=0).fit(features, labels)
    with pytest.raises(ValueError, match="not fitted yet"):
        LinearLearner().predict(features)
    fitted = LinearLearner(num_models=1, epochs=1).fit(features, labels)
    with pytest.raises(ValueError, match="X has 4 features"):
        fitted.predict(features[:, :4])
    with pytest.raises(ValueError, match="not among the classes"):
        fitted.fit(features, labels, validation=(features, labels + 7))
