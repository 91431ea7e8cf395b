"""Judging models on rows they are to be judged by: losses of all models, and their calibration."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wildsage.algorithms.linear_learner.calibration import (
    LOSS_CRITERIA,
    calibrate,
    operating_curve,
)
from wildsage.algorithms.linear_learner.losses import Loss
from wildsage.algorithms.linear_learner.scaling import Scaler, product
from wildsage.algorithms.linear_learner.sources import Source
from wildsage.algorithms.threads import threaded

Array = NDArray[Any]
SCORES_AT_ONCE = 1 << 18
CALIBRATION_ROWS = 100_000


@dataclass(slots=True)
class Evaluation:
    """Per model: the mean loss in the label's own unit, the criterion and the threshold
    (binary)."""

    losses: Array
    criterion: Array | None
    thresholds: Array

    def of(self, model: int) -> tuple[float, float | None]:
        criterion = None if self.criterion is None else float(self.criterion[model])
        return float(self.losses[model]), criterion

    def best(self, tolerance: float, rows: int | None = None) -> int:
        """The model to choose.

        By loss; with a criterion, by the loss among those whose criterion is as good as the best
        one's: an improvement smaller than early_stopping_tolerance (relative) counts as none.
        """
        losses = np.where(np.isfinite(self.losses), self.losses, np.inf)
        if self.criterion is None:
            return int(np.argmin(losses))
        values = np.where(np.isfinite(self.losses), self.criterion, -np.inf)
        top = float(values.max())
        slack = tolerance * abs(top)
        if rows is not None and 0 < top < 1:
            slack = max(slack, np.sqrt(top * (1 - top) / rows))
        good = values >= top - slack
        return int(np.flatnonzero(good)[np.argmin(losses[good])])


def rows_at_once(columns: int) -> int:
    """Rows per block so that the scores stay in the processor's cache."""
    return int(np.clip(SCORES_AT_ONCE // max(columns, 1), 64, 16384))


def scored(source: Source, scaler: Scaler, weights: Array) -> Iterator[tuple[Array, Array]]:
    """(scores, labels) block by block, labels as the models see them; in the weights' precision."""
    raw, offset = (part.astype(weights.dtype) for part in scaler.fold(weights))
    for features, labels in source.blocks(rows_at_once(weights.shape[1])):
        scores = product(features, raw)
        scores += offset
        yield scores, scaler.label(labels)


def uses_threshold(hyperparameters: Mapping[str, Any]) -> bool:
    """Whether models are judged by what a calibrated threshold makes of them."""
    binary = hyperparameters["predictor_type"] == "binary_classifier"
    name = hyperparameters["binary_classifier_model_selection_criteria"]
    return binary and name not in LOSS_CRITERIA


def calibration_limit(hyperparameters: Mapping[str, Any]) -> int:
    limit = hyperparameters["num_calibration_samples"]
    return 10_000_000 if limit == "auto" else int(limit)


@dataclass(slots=True)
class Evaluator:
    """Evaluates matrices of models on one source.

    `total` adds arrays up and `pool` joins rows over the hosts when each has only a part of the
    rows.
    """

    source: Source
    scaler: Scaler
    loss: Loss
    hyperparameters: Mapping[str, Any]
    total: Callable[[Array], Array] = staticmethod(lambda array: array)
    pool: Callable[[Array], Array] = staticmethod(lambda array: array)

    def evaluate(self, weights: Array, models: int, rows: int = CALIBRATION_ROWS) -> Evaluation:
        """Losses on all rows; the criterion on up to `rows` of them, the thresholds with it."""
        sums = np.zeros(models + 1)
        kept: list[tuple[Array, Array]] = []
        stride = max(1, -(-(self.source.count or 0) // rows))
        judged = uses_threshold(self.hyperparameters)
        held = 0
        for scores, labels in scored(self.source, self.scaler, weights):
            if judged and held < rows:
                kept.append((scores[::stride].copy(), labels[::stride]))
                held += len(kept[-1][1])
            sums[:-1] += self.loss.evaluate(scores, labels)[0]
            sums[-1] += len(labels)
        sums = self.total(sums)
        losses = sums[:-1] / max(sums[-1], 1) * self.scaler.label_scale**self.loss.power
        if not judged:
            return Evaluation(losses, None, np.zeros(models))
        return self._judge(losses, kept)

    def judge_scores(self, kept: list[tuple[Array, Array]], models: int) -> Evaluation:
        """The same of scores that are there already."""
        sums = sum(self.loss.evaluate(scores.copy(), labels)[0] for scores, labels in kept)
        rows = sum(len(labels) for _, labels in kept)
        losses = np.asarray(sums) / rows * self.scaler.label_scale**self.loss.power
        if not uses_threshold(self.hyperparameters):
            return Evaluation(losses, None, np.zeros(models))
        return self._judge(losses, kept)

    def _judge(self, losses: Array, kept: list[tuple[Array, Array]]) -> Evaluation:
        margins = self.pool(np.concatenate([scores for scores, _ in kept]))
        labels = self.pool(np.concatenate([labels for _, labels in kept]))
        pairs = threaded(
            lambda column: calibrate(operating_curve(column, labels), self.hyperparameters),
            np.ascontiguousarray(margins.T),
        )
        thresholds, values = np.array(list(pairs)).T
        return Evaluation(losses, values, thresholds)

    def margins(self, weights: Array, rows: int) -> tuple[Array, Array]:
        """Scores of one model and labels, of up to `rows` rows over all hosts."""
        parts: list[tuple[Array, Array]] = []
        held = 0
        for scores, labels in scored(self.source, self.scaler, weights):
            parts.append((scores[: rows - held], labels[: rows - held]))
            held += len(parts[-1][1])
            if held >= rows and self.source.count is not None:
                break
        scores = np.concatenate([scores for scores, _ in parts])
        return self.pool(scores), self.pool(np.concatenate([labels for _, labels in parts]))
