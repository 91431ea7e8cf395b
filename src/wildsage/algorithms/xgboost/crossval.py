"""K-fold cross validation inside one job (`_kfold`, `_num_cv_round`): a model for every fold.

The out-of-fold predictions go to `predictions.csv` in the output data: the label, the mean
prediction (of the predicted class's probability, where there are classes) and the class most often
predicted.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from wildsage.algorithms.xgboost.boosting import Run
from wildsage.algorithms.xgboost.log import info, mean_figures, print_evaluation
from wildsage.algorithms.xgboost.metrics import predicted_labels
from wildsage.algorithms.xgboost.parameters import Plan

PREDICTIONS_FILE = "predictions.csv"


def splits(
    labels: np.ndarray, folds: int, repeats: int, *, stratified: bool, seed: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(train rows, validation rows) of each fold of each repeat; classes are spread evenly."""
    generator = np.random.default_rng(seed)
    for _ in range(repeats):
        order = generator.permutation(len(labels))
        if stratified:
            order = order[np.argsort(labels[order], kind="stable")]
        fold = np.empty(len(labels), np.int64)
        fold[order] = np.arange(len(labels)) % folds
        for number in range(folds):
            yield np.flatnonzero(fold != number), np.flatnonzero(fold == number)


def cross_validate(run: Run, matrix: Any, output: Path, *, seed: int = 0) -> list[Any]:
    """The boosters of all folds."""
    plan, folds = run.plan, run.plan.folds or 2
    info(f"Run {plan.repeats}-round of {folds}-fold cross validation with {matrix.num_row()} rows")
    boosters: list[Any] = []
    figures: list[dict[str, float]] = []
    recorder = Recorder.of(matrix.get_label(), plan)
    base = run.checkpoints
    for train, held_out in splits(
        recorder.labels, folds, plan.repeats, stratified=plan.is_classification, seed=seed
    ):
        info(f"Train cross validation fold {len(boosters) % folds + 1}")
        run.checkpoints = base / f"model-{len(boosters)}" if base else None
        validation = matrix.slice(held_out)
        booster = run.train(matrix.slice(train), validation)
        boosters.append(booster)
        figures.append(run.figures)
        recorder.record(held_out, booster.predict(validation))
        if run.was_stopped:
            return boosters
        if len(boosters) % folds == 0:
            info(f"The metrics of round {len(boosters) // folds} cross validation")
            print_evaluation(plan.rounds, mean_figures(figures[-folds:]))
    if run.is_master:
        recorder.save(output)
    if plan.repeats > 1:
        info(f"The overall metrics of {plan.repeats}-round cross validation")
        print_evaluation(plan.rounds, mean_figures(figures))
    return boosters


@dataclass
class Recorder:
    """Collects the predictions for rows that a fold's model has not seen."""

    labels: np.ndarray
    plan: Plan
    values: np.ndarray
    classes: np.ndarray
    counts: np.ndarray

    @classmethod
    def of(cls, labels: np.ndarray, plan: Plan) -> Recorder:
        shape = (len(labels), plan.repeats)
        return cls(labels, plan, np.zeros(shape), np.zeros(shape), np.zeros(len(labels), int))

    def record(self, rows: np.ndarray, predictions: np.ndarray) -> None:
        repeat = self.counts[rows]
        classes = predicted_labels(predictions, self.plan.objective)
        if predictions.ndim > 1:
            predictions = predictions[np.arange(len(rows)), classes]
        self.values[rows, repeat] = predictions
        self.classes[rows, repeat] = classes
        self.counts[rows] += 1

    def save(self, folder: Path) -> None:
        columns = [self.labels, self.values.mean(axis=1)]
        if self.plan.is_classification:
            columns.append(_most_frequent(self.classes))
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / PREDICTIONS_FILE
        info(f"Storing predictions on validation set(s) in {path}")
        np.savetxt(path, np.column_stack(columns), delimiter=",", fmt="%f")


def _most_frequent(classes: np.ndarray) -> np.ndarray:
    """The most frequent value of each row, the smallest of several."""
    values = np.unique(classes)
    counts = np.stack([(classes == value).sum(axis=1) for value in values], axis=1)
    return np.asarray(values[counts.argmax(axis=1)])
