"""The calibrated threshold against trying every threshold."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import fbeta_score, precision_score, recall_score, roc_auc_score

from algorithms.linear_learner.helpers_linear import defaults
from wildsage.algorithms.linear_learner.calibration import calibrate, operating_curve, roc_auc

Array = NDArray[Any]
CRITERIA = ("accuracy", "f1", "f_beta", "precision_at_target_recall", "recall_at_target_precision")


def brute_force(margins: Array, labels: Array, hyperparameters: dict[str, Any]) -> float:
    """The criterion's best value over every threshold."""
    distinct = np.unique(margins)
    candidates = [distinct[0] - 1, *(distinct[:-1] + distinct[1:]) / 2, distinct[-1] + 1]
    return max(value_at(t, margins, labels, hyperparameters) for t in candidates)


def value_at(
    threshold: float, margins: Array, labels: Array, hyperparameters: dict[str, Any]
) -> float:
    predicted = margins >= threshold
    name = hyperparameters["binary_classifier_model_selection_criteria"]
    if name == "accuracy":
        return float((predicted == labels).mean())
    if name in ("f1", "f_beta"):
        beta = 1.0 if name == "f1" else hyperparameters["f_beta"]
        return float(fbeta_score(labels, predicted, beta=beta, zero_division=0.0))
    precision = float(precision_score(labels, predicted, zero_division=0.0))
    recall = float(recall_score(labels, predicted))
    if name == "precision_at_target_recall":
        return precision if recall >= hyperparameters["target_recall"] else recall - 2
    return recall if precision >= hyperparameters["target_precision"] else precision - 2


def sample(seed: int, ties: bool) -> tuple[Array, Array]:
    rng = np.random.default_rng(seed)
    labels = (rng.random(40) < 0.35).astype(np.float32)
    margins = rng.normal(size=40) + 1.2 * labels - 0.5
    margins = np.round(margins * 2) / 2 if ties else margins
    return margins.astype(np.float32), labels


@pytest.mark.parametrize("criterion", CRITERIA)
@pytest.mark.parametrize("ties", [False, True])
def test_calibration_finds_the_best_threshold(criterion: str, ties: bool) -> None:
    hyperparameters = defaults(
        binary_classifier_model_selection_criteria=criterion,
        f_beta=2.0,
        target_recall=0.7,
        target_precision=0.75,
    )
    for seed in range(4):
        margins, labels = sample(seed, ties)
        threshold, value = calibrate(operating_curve(margins, labels), hyperparameters)
        assert value == pytest.approx(brute_force(margins, labels, hyperparameters))
        assert value == pytest.approx(value_at(threshold, margins, labels, hyperparameters))


def test_a_target_out_of_reach_gives_the_nearest() -> None:
    labels = np.array([1, 0, 0, 0], np.float32)
    margins = np.array([-1.0, 0.0, 1.0, 2.0], np.float32)
    hyperparameters = defaults(
        binary_classifier_model_selection_criteria="recall_at_target_precision",
        target_precision=0.9,
    )
    threshold, value = calibrate(operating_curve(margins, labels), hyperparameters)
    assert value < 0
    assert (margins >= threshold).all()


@pytest.mark.parametrize("criterion", ["loss_function", "cross_entropy_loss"])
def test_a_loss_as_criterion_leaves_the_threshold_at_one_half(criterion: str) -> None:
    hyperparameters = defaults(binary_classifier_model_selection_criteria=criterion)
    curve = operating_curve(*sample(0, False))
    assert calibrate(curve, hyperparameters)[0] == 0.0


def test_of_equal_thresholds_the_one_nearest_to_one_half_is_taken() -> None:
    margins = np.array([-3.0, -1.0, 2.0, 4.0], np.float32)
    labels = np.array([0, 0, 1, 1], np.float32)
    assert calibrate(operating_curve(margins, labels), defaults()) == (0.0, 1.0)


@pytest.mark.parametrize("ties", [False, True])
def test_area_under_the_curve(ties: bool) -> None:
    margins, labels = sample(3, ties)
    assert roc_auc(operating_curve(margins, labels)) == pytest.approx(
        roc_auc_score(labels, margins)
    )


def test_area_needs_both_classes() -> None:
    assert np.isnan(roc_auc(operating_curve(np.zeros(3, np.float32), np.ones(3, np.float32))))
