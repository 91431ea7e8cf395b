"""The container's own evaluation metrics, as scikit-learn defines them.

XGBoost hands a metric the predictions as the objective gives them: probabilities, classes, margins
or values. `predicted_labels` turns them into classes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

_HALF = ("binary:logistic", "binary:hinge", "reg:logistic")

Evaluate = Callable[[np.ndarray, Any], list[tuple[str, float]]]


def evaluator(names: Sequence[str], objective: str) -> Evaluate | None:
    """The `custom_metric` of `xgboost.train` for these metrics; None where there are none."""
    if not names:
        return None

    def evaluate(predictions: np.ndarray, matrix: Any) -> list[tuple[str, float]]:
        labels = matrix.get_label()
        return [(name, score(name, labels, predictions, objective)) for name in names]

    return evaluate


def score(name: str, labels: np.ndarray, predictions: np.ndarray, objective: str) -> float:
    """One metric; 0 where there is nothing to evaluate."""
    if not predictions.size:
        return 0.0
    if name in _VALUES:
        if predictions.ndim > 1:
            width = predictions.shape[1]
            raise ValueError(f"y_true and y_pred have different number of output (1!={width})")
        return float(_VALUES[name](labels.astype(np.float64), predictions.astype(np.float64)))
    counts = Counts.of(labels, predicted_labels(predictions, objective))
    return float(_CLASSES[name](counts))


def predicted_labels(predictions: np.ndarray, objective: str) -> np.ndarray:
    """The class of each row."""
    if predictions.ndim > 1:
        return np.asarray(predictions.argmax(axis=-1))
    if objective == "multi:softmax":
        return predictions.astype(np.int64)
    return (predictions > (0.5 if objective in _HALF else 0.0)).astype(np.int64)


@dataclass(slots=True)
class Counts:
    """How often each class was right, predicted and true."""

    classes: np.ndarray
    right: np.ndarray
    predicted: np.ndarray
    true: np.ndarray

    @classmethod
    def of(cls, labels: np.ndarray, predictions: np.ndarray) -> Counts:
        classes, codes = np.unique(np.concatenate((labels, predictions)), return_inverse=True)
        true, predicted = codes[: len(labels)], codes[len(labels) :]
        size = len(classes)
        right = np.bincount(true[true == predicted], minlength=size)
        totals = (np.bincount(codes, minlength=size) for codes in (predicted, true))
        return cls(classes, right, *totals)

    @property
    def precision(self) -> np.ndarray:
        return _ratio(self.right, self.predicted)

    @property
    def recall(self) -> np.ndarray:
        return _ratio(self.right, self.true)

    @property
    def f1(self) -> np.ndarray:
        return _ratio(2 * self.right, self.predicted + self.true)

    @property
    def accuracy(self) -> float:
        return float(self.right.sum() / self.true.sum())

    @property
    def balanced_accuracy(self) -> float:
        return float(self.recall[self.true > 0].mean())

    def positive(self, figures: np.ndarray) -> float:
        """The figure of class 1."""
        if len(self.classes) > 2:
            # The text is scikit-learn's; users search for it.
            raise ValueError(
                "Target is multiclass but average='binary'. Please choose another average "
                "setting, one of [None, 'micro', 'macro', 'weighted']."
            )
        return float(figures[self.classes == 1].sum())


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """0 where there is nothing, as scikit-learn has it."""
    ratio = np.zeros(len(part))
    np.divide(part, whole, out=ratio, where=whole > 0)
    return ratio


def _r2(labels: np.ndarray, predictions: np.ndarray) -> float:
    residual = float(((labels - predictions) ** 2).sum())
    total = float(((labels - labels.mean()) ** 2).sum())
    if len(labels) < 2:
        return float("nan")
    if total == 0:
        return 1.0 if residual == 0 else 0.0
    return 1.0 - residual / total


def _mse(labels: np.ndarray, predictions: np.ndarray) -> float:
    return float(((labels - predictions) ** 2).mean())


_VALUES: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {
    "mae": lambda labels, predictions: float(np.abs(labels - predictions).mean()),
    "mse": _mse,
    "r2": _r2,
    "rmse": lambda labels, predictions: float(np.sqrt(_mse(labels, predictions))),
}
_CLASSES: dict[str, Callable[[Counts], float]] = {
    "accuracy": lambda counts: counts.accuracy,
    "balanced_accuracy": lambda counts: counts.balanced_accuracy,
    "f1": lambda counts: float(counts.f1.mean()),
    "f1_binary": lambda counts: counts.positive(counts.f1),
    "f1_macro": lambda counts: float(counts.f1.mean()),
    "precision": lambda counts: counts.positive(counts.precision),
    "precision_macro": lambda counts: float(counts.precision.mean()),
    "precision_micro": lambda counts: counts.accuracy,
    "recall": lambda counts: counts.positive(counts.recall),
    "recall_macro": lambda counts: float(counts.recall.mean()),
    "recall_micro": lambda counts: counts.accuracy,
}
CUSTOM = frozenset((*_VALUES, *_CLASSES))
# XGBoost computes these itself, to the same figure and over all hosts; with weights it weighs rows,
# which the container does not.
NATIVE = frozenset(("mae", "rmse"))
