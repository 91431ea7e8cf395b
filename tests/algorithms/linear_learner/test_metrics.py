"""The figures of the final log block against scikit-learn's."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as peer

from algorithms.linear_learner.helpers_linear import binary, defaults, multiclass, regression
from wildsage.algorithms.linear_learner.losses import loss_name
from wildsage.algorithms.linear_learner.model import LinearModel
from wildsage.algorithms.linear_learner.sources import MemorySource

RNG = np.random.default_rng(3)


def model(kind: str, outputs: int, threshold: float = 0.0) -> LinearModel:
    weight = RNG.normal(size=(5, outputs))
    return LinearModel(kind, loss_name(defaults(kind)), weight, RNG.normal(size=outputs), threshold)


def test_binary() -> None:
    features, labels = binary()
    features -= features.mean(axis=0)
    fitted = model("binary_classifier", 1, threshold=0.3)
    margins = fitted.margins(features)[:, 0]
    predicted, chance = margins >= 0.3, 1 / (1 + np.exp(-margins))
    figures = fitted.metrics(MemorySource([(features, labels)]), defaults(f_beta=2))
    expected = {
        "binary_classification_cross_entropy_objective": peer.log_loss(labels, chance),
        "binary_classification_accuracy": peer.accuracy_score(labels, predicted),
        "binary_f_2.000": peer.fbeta_score(labels, predicted, beta=2),
        "precision": peer.precision_score(labels, predicted),
        "recall": peer.recall_score(labels, predicted),
        "roc_auc_score": peer.roc_auc_score(labels, margins),
        "binary_balanced_accuracy": peer.balanced_accuracy_score(labels, predicted),
        "binary_log_loss": peer.log_loss(labels, chance),
    }
    assert figures == pytest.approx(expected, rel=1e-5)
    assert list(figures) == list(expected)


def test_multiclass() -> None:
    features, labels = multiclass(classes=4)
    fitted = model("multiclass_classifier", 4)
    scores = fitted.margins(features)
    predicted = scores.argmax(axis=1)
    chance = fitted.probabilities(scores)
    hyperparameters = defaults("multiclass_classifier", num_classes=4, accuracy_top_k=2)
    figures = fitted.metrics(MemorySource([(features, labels)]), hyperparameters)
    gains = peer.dcg_score(np.eye(4)[labels.astype(int)], scores)
    expected = {
        "multiclass_cross_entropy_objective": peer.log_loss(labels, chance),
        "multiclass_accuracy": peer.accuracy_score(labels, predicted),
        "multiclass_top_k_accuracy_2": peer.top_k_accuracy_score(labels, scores, k=2),
        "dcg": gains,
        "macro_recall": peer.recall_score(labels, predicted, average="macro"),
        "macro_precision": peer.precision_score(labels, predicted, average="macro"),
        "macro_f_1.000": peer.f1_score(labels, predicted, average="macro"),
        "multiclass_balanced_accuracy": peer.balanced_accuracy_score(labels, predicted),
        "multiclass_log_loss": peer.log_loss(labels, chance),
    }
    assert figures == pytest.approx(expected, rel=1e-5)
    assert list(figures) == list(expected)


def test_regression() -> None:
    features, labels = regression()
    fitted = model("regressor", 1)
    predicted = fitted.margins(features)[:, 0]
    figures = fitted.metrics(MemorySource([(features, labels)]), defaults("regressor"))
    mse = peer.mean_squared_error(labels, predicted)
    absolute = peer.mean_absolute_error(labels, predicted)
    expected = {
        "mse_objective": mse,
        "mse": mse,
        "absolute_loss": absolute,
        "rmse": mse**0.5,
        "r2": peer.r2_score(labels, predicted),
        "mae": absolute,
    }
    assert figures == pytest.approx(expected, rel=1e-5)
    assert list(figures) == list(expected)


def test_hinge_has_no_log_loss() -> None:
    features, labels = binary()
    hyperparameters = defaults(loss="hinge_loss")
    fitted = model("binary_classifier", 1)
    figures = fitted.metrics(MemorySource([(features, labels)]), hyperparameters)
    assert "binary_log_loss" not in figures
    assert "hinge_loss_objective" in figures


def test_one_class_only() -> None:
    features, _ = binary()
    fitted = model("binary_classifier", 1)
    figures = fitted.metrics(MemorySource([(features, np.zeros(600, np.float32))]), defaults())
    assert np.isnan(figures["roc_auc_score"])
    assert figures["recall"] == 0
