"""The figures of the final block of the log: a chosen model on the validation, training or test
rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wildsage.algorithms.linear_learner.calibration import (
    Curve,
    f_score,
    operating_curve,
    precision,
    recall,
    roc_auc,
)
from wildsage.algorithms.linear_learner.evaluation import Evaluator, scored
from wildsage.algorithms.linear_learner.losses import Logistic, loss_name

Array = NDArray[Any]
Figures = dict[str, float]
ALL_ROWS = 1 << 62


@dataclass(frozen=True, slots=True)
class JudgedRows:
    """Margins and labels of rows, and what every threshold would make of them."""

    margins: Array
    labels: Array
    curve: Curve


def final_metrics(
    evaluator: Evaluator, weights: Array, threshold: float, rows: JudgedRows | None = None
) -> Figures:
    """By the names of the log, in the order of the log; `rows` are the evaluator's, if known."""
    kind = evaluator.hyperparameters["predictor_type"]
    if kind == "binary_classifier":
        if rows is None:
            margins, labels = evaluator.margins(weights, ALL_ROWS)
            rows = JudgedRows(margins[:, 0], labels, operating_curve(margins[:, 0], labels))
        figures = binary_metrics(rows, threshold, evaluator.hyperparameters)
        losses, _ = evaluator.loss.evaluate(rows.margins[:, None].copy(), rows.labels)
        return {evaluator.loss.objective: float(losses[0]) / max(len(rows.labels), 1), **figures}
    if kind == "multiclass_classifier":
        return _multiclass(evaluator, weights)
    return _regression(evaluator, weights)


def binary_metrics(
    rows: JudgedRows, threshold: float, hyperparameters: Mapping[str, Any]
) -> Figures:
    margins, labels = rows.margins, rows.labels
    beta = float(hyperparameters["f_beta"])
    predicted, actual = margins >= threshold, labels > 0.5
    tp = float(np.count_nonzero(predicted & actual))
    fp = float(np.count_nonzero(predicted)) - tp
    positives = float(np.count_nonzero(actual))
    negatives = len(labels) - positives
    figures = {
        "binary_classification_accuracy": (tp + negatives - fp) / max(len(labels), 1),
        f"binary_f_{beta:.3f}": float(f_score(tp, fp, positives, beta)),
        "precision": float(precision(tp, fp)),
        "recall": float(recall(tp, positives)),
        "roc_auc_score": roc_auc(rows.curve),
        "binary_balanced_accuracy": _mean_of_rates(tp, positives, negatives - fp, negatives),
    }
    if loss_name(hyperparameters) == "logistic":
        losses, _ = Logistic().evaluate(margins[:, None].astype(np.float64), labels)
        figures["binary_log_loss"] = float(losses[0]) / max(len(labels), 1)
    return figures


def _mean_of_rates(tp: float, positives: float, tn: float, negatives: float) -> float:
    rates = [hit / of for hit, of in ((tp, positives), (tn, negatives)) if of]
    return sum(rates) / max(len(rates), 1)


def _multiclass(evaluator: Evaluator, weights: Array) -> Figures:
    classes = weights.shape[1]
    top = int(evaluator.hyperparameters["accuracy_top_k"])
    tally = np.zeros(4 + 3 * classes)
    for scores, labels in scored(evaluator.source, evaluator.scaler, weights):
        tally += _class_tally(scores, labels.astype(np.intp), top)
        tally[3] += evaluator.loss.evaluate(scores, labels)[0][0]
    tally = evaluator.total(tally)
    rows, in_top, gain, loss = tally[:4]
    hits, predicted, actual = tally[4:].reshape(3, classes)
    beta = float(evaluator.hyperparameters["f_beta"])
    recalls = (hits / np.maximum(actual, 1))[actual > 0]
    present = (actual > 0) | (predicted > 0)
    f_scores = f_score(hits, predicted - hits, actual, beta)[present]
    return {
        evaluator.loss.objective: loss / rows,
        "multiclass_accuracy": hits.sum() / rows,
        f"multiclass_top_k_accuracy_{top}": in_top / rows,
        "dcg": gain / rows,
        "macro_recall": float(recalls.mean()),
        "macro_precision": float((hits / np.maximum(predicted, 1))[present].mean()),
        f"macro_f_{beta:.3f}": float(f_scores.mean()),
        "multiclass_balanced_accuracy": float(recalls.mean()),
        "multiclass_log_loss": loss / rows,
    }


def _class_tally(scores: Array, truth: Array, top: int) -> Array:
    """[rows, within the top k, discounted gain, 0, hits..., predicted..., actual...]."""
    classes = scores.shape[1]
    own = scores[np.arange(len(truth)), truth]
    rank = np.count_nonzero(scores > own[:, None], axis=1)
    predicted = scores.argmax(axis=1)
    counts = [
        np.bincount(which, minlength=classes)
        for which in (truth[predicted == truth], predicted, truth)
    ]
    gain = float((1 / np.log2(rank + 2)).sum())
    return np.concatenate([[len(truth), np.count_nonzero(rank < top), gain, 0.0], *counts])


def _regression(evaluator: Evaluator, weights: Array) -> Figures:
    scaler = evaluator.scaler
    tally = np.zeros(6)
    for scores, labels in scored(evaluator.source, scaler, weights):
        error = (scores[:, 0] - labels).astype(np.float64) * scaler.label_scale
        raw = labels.astype(np.float64) * scaler.label_scale
        sums = [len(labels), (error**2).sum(), np.abs(error).sum(), raw.sum(), (raw**2).sum()]
        loss = evaluator.loss.evaluate(scores, labels)[0][0]
        tally += [*sums, loss * scaler.label_scale**evaluator.loss.power]
    rows, squares, absolute, total, label_squares, loss = evaluator.total(tally)
    mse = squares / rows
    variance = label_squares / rows - (total / rows) ** 2
    return {
        evaluator.loss.objective: loss / rows,
        "mse": mse,
        "absolute_loss": absolute / rows,
        "rmse": float(np.sqrt(mse)),
        "r2": float(1 - mse / variance) if variance > 0 else float("nan"),
        "mae": absolute / rows,
    }
