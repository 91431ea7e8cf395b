"""The container's metrics against scikit-learn's."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn import metrics as reference

from wildsage.algorithms.xgboost.metrics import CUSTOM, evaluator, score

RANDOM = np.random.default_rng(5)
LABELS = RANDOM.integers(0, 2, 200).astype(np.float32)
PROBABILITIES = RANDOM.random(200).astype(np.float32)
CLASSES = RANDOM.integers(0, 4, 200).astype(np.float32)
SOFTPROB = RANDOM.random((200, 4)).astype(np.float32)

CLASSIFICATION: dict[str, Callable[..., Any]] = {
    "accuracy": reference.accuracy_score,
    "balanced_accuracy": reference.balanced_accuracy_score,
    "f1": lambda y, p: reference.f1_score(y, p, average="macro"),
    "f1_macro": lambda y, p: reference.f1_score(y, p, average="macro"),
    "f1_binary": reference.f1_score,
    "precision": reference.precision_score,
    "precision_macro": lambda y, p: reference.precision_score(y, p, average="macro"),
    "precision_micro": lambda y, p: reference.precision_score(y, p, average="micro"),
    "recall": reference.recall_score,
    "recall_macro": lambda y, p: reference.recall_score(y, p, average="macro"),
    "recall_micro": lambda y, p: reference.recall_score(y, p, average="micro"),
}
REGRESSION: dict[str, Callable[..., Any]] = {
    "mae": reference.mean_absolute_error,
    "mse": reference.mean_squared_error,
    "rmse": reference.root_mean_squared_error,
    "r2": reference.r2_score,
}
BINARY_ONLY = ("f1_binary", "precision", "recall")


def test_every_metric_has_its_reference() -> None:
    assert set(CLASSIFICATION) | set(REGRESSION) == CUSTOM


@pytest.mark.parametrize("name", CLASSIFICATION)
@pytest.mark.parametrize("objective", ["binary:logistic", "binary:logitraw"])
def test_binary(name: str, objective: str) -> None:
    values = PROBABILITIES if objective == "binary:logistic" else PROBABILITIES * 4 - 2
    predicted = PROBABILITIES > 0.5
    assert score(name, LABELS, values, objective) == pytest.approx(
        CLASSIFICATION[name](LABELS, predicted.astype(int))
    )


@pytest.mark.parametrize("name", [name for name in CLASSIFICATION if name not in BINARY_ONLY])
def test_multi_class(name: str) -> None:
    predicted = SOFTPROB.argmax(axis=1)
    expected = pytest.approx(CLASSIFICATION[name](CLASSES, predicted))
    assert score(name, CLASSES, SOFTPROB, "multi:softprob") == expected
    assert score(name, CLASSES, predicted.astype(np.float32), "multi:softmax") == expected


@pytest.mark.parametrize("name", BINARY_ONLY)
def test_metrics_of_two_classes_refuse_more(name: str) -> None:
    with pytest.raises(ValueError, match="Target is multiclass but average='binary'"):
        score(name, CLASSES, SOFTPROB, "multi:softprob")


@pytest.mark.parametrize("name", REGRESSION)
def test_regression(name: str) -> None:
    targets = RANDOM.normal(size=200).astype(np.float32)
    assert score(name, targets, PROBABILITIES, "reg:squarederror") == pytest.approx(
        REGRESSION[name](targets.astype(float), PROBABILITIES.astype(float))
    )
    with pytest.raises(ValueError, match="different number of output"):
        score(name, CLASSES, SOFTPROB, "multi:softprob")


@pytest.mark.parametrize("name", [*CLASSIFICATION, *REGRESSION])
def test_a_class_that_never_occurs(name: str) -> None:
    nothing, ones = np.zeros(20, np.float32), np.ones(20, np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn tells of every division by zero
        expected = {**CLASSIFICATION, **REGRESSION}[name](nothing, ones)
    assert score(name, nothing, ones, "binary:hinge") == pytest.approx(expected)


def test_an_evaluator_gives_its_metrics_in_order() -> None:
    class Matrix:
        def get_label(self) -> np.ndarray:
            return LABELS

    evaluate = evaluator(["recall", "accuracy"], "binary:logistic")
    assert evaluate is not None
    assert [name for name, _ in evaluate(PROBABILITIES, Matrix())] == ["recall", "accuracy"]
    assert evaluate(np.zeros(0), Matrix()) == [("recall", 0.0), ("accuracy", 0.0)]
    assert evaluator([], "binary:logistic") is None
