"""Finding the threshold of a binary classifier that serves the chosen criterion best.

An example is called positive when its margin (the linear score before the logistic function) is at
least the threshold. All thresholds that matter are tried: one sort of the margins gives the counts
of true and false positives at each. The label rides in the lowest bit of the sorted key, so that
one integer sort orders margins and labels together.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
LOSS_CRITERIA = frozenset({"loss_function", "cross_entropy_loss"})


@dataclass(slots=True)
class Curve:
    """Counts when the k highest distinct margins are called positive, for k from none to all."""

    margins: Array
    true_positives: Array
    false_positives: Array

    @property
    def positives(self) -> int:
        return int(self.true_positives[-1])

    @property
    def negatives(self) -> int:
        return int(self.false_positives[-1])

    def thresholds(self, k: Array) -> Array:
        """Halfway between the last margin called positive and the next, for room on both sides; 0,
        which is where an uncalibrated classifier has it, if that lies between them."""
        last = len(self.margins) - 1
        above = self.margins[np.maximum(k - 1, 0)].astype(np.float64)
        below = self.margins[np.minimum(k, last)].astype(np.float64)
        between = np.where((below < 0) & (above >= 0), 0.0, (above + below) / 2)
        return np.where(k == 0, below + 1, np.where(k > last, above - 1, between))


def _ordered_keys(margins: Array, labels: Array) -> Array:
    """Integers that sort as the floats do, their lowest bit replaced by the label."""
    # Adding 0 makes -0 the 0 that it equals.
    bits = (np.asarray(margins, np.float32) + np.float32(0)).view(np.int32)
    keys = np.where(bits < 0, bits ^ np.int32(0x7FFFFFFF), bits)
    return (keys & np.int32(-2)) | (labels > 0.5)


def _as_floats(keys: Array) -> Array:
    bits = np.where(keys < 0, keys ^ np.int32(0x7FFFFFFF), keys).astype(np.int32)
    return bits.view(np.float32)


def operating_curve(margins: Array, labels: Array) -> Curve:
    keys = np.sort(_ordered_keys(margins, labels))[::-1]
    values = keys >> 1
    last_of_value = np.append(np.flatnonzero(values[1:] != values[:-1]), len(keys) - 1)
    true_positives = np.zeros(len(last_of_value) + 1, np.int64)
    true_positives[1:] = np.cumsum(keys & 1, dtype=np.int64)[last_of_value]
    false_positives = np.zeros_like(true_positives)
    false_positives[1:] = last_of_value + 1 - true_positives[1:]
    return Curve(_as_floats(values[last_of_value] << 1), true_positives, false_positives)


def precision(tp: Any, fp: Any) -> Array:
    return np.where(tp + fp > 0, tp / np.maximum(tp + fp, 1), 0.0)


def recall(tp: Any, positives: Any) -> Array:
    return np.asarray(tp / np.maximum(positives, 1))


def f_score(tp: Any, fp: Any, positives: Any, beta: float) -> Array:
    weight = beta * beta
    denominator = weight * positives + tp + fp
    return np.where(denominator > 0, (1 + weight) * tp / np.maximum(denominator, 1e-300), 0.0)


def roc_auc(curve: Curve) -> float:
    """Area under the ROC curve; ties count half. Not a number when one class is absent."""
    if not curve.positives or not curve.negatives:
        return float("nan")
    true_rate = curve.true_positives / curve.positives
    false_rate = curve.false_positives / curve.negatives
    return float(np.sum(np.diff(false_rate) * (true_rate[1:] + true_rate[:-1]) / 2))


def _accuracy(curve: Curve, _: Mapping[str, Any]) -> Array:
    total = curve.positives + curve.negatives
    return (curve.true_positives + curve.negatives - curve.false_positives) / max(total, 1)


def _f_beta(curve: Curve, hp: Mapping[str, Any]) -> Array:
    tp, fp = curve.true_positives, curve.false_positives
    return f_score(tp, fp, curve.positives, hp["f_beta"])


def _f1(curve: Curve, _: Mapping[str, Any]) -> Array:
    return f_score(curve.true_positives, curve.false_positives, curve.positives, 1.0)


def _precision_at_recall(curve: Curve, hp: Mapping[str, Any]) -> Array:
    reached = recall(curve.true_positives, curve.positives)
    value = precision(curve.true_positives, curve.false_positives)
    # Where the target is missed, the nearer to it the better, yet below any that meets it.
    return np.where(reached >= hp["target_recall"], value, reached - 2)


def _recall_at_precision(curve: Curve, hp: Mapping[str, Any]) -> Array:
    reached = precision(curve.true_positives, curve.false_positives)
    value = recall(curve.true_positives, curve.positives)
    return np.where(reached >= hp["target_precision"], value, reached - 2)


CRITERIA: dict[str, Callable[[Curve, Mapping[str, Any]], Array]] = {
    "accuracy": _accuracy,
    "f_beta": _f_beta,
    "f1": _f1,
    "precision_at_target_recall": _precision_at_recall,
    "recall_at_target_precision": _recall_at_precision,
}


def calibrate(curve: Curve, hyperparameters: Mapping[str, Any]) -> tuple[float, float]:
    """(threshold on the margin, value of the criterion there). Of equals, the threshold nearest 0.

    A criterion that is a loss does not depend on the threshold: it stays at margin 0.
    """
    name = hyperparameters["binary_classifier_model_selection_criteria"]
    if name in LOSS_CRITERIA:
        return 0.0, float("nan")
    values = CRITERIA[name](curve, hyperparameters)
    best = np.flatnonzero(values == values.max())
    thresholds = curve.thresholds(best)
    chosen = np.argmin(np.abs(thresholds))
    return float(thresholds[chosen]), float(values[best[chosen]])
