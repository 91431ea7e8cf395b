"""Epochs, early stopping, and that every hyperparameter does something."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from algorithms.linear_learner.helpers_linear import SPEC, binary, defaults, multiclass, regression
from wildsage.algorithms.linear_learner.model import LinearModel
from wildsage.algorithms.linear_learner.sources import MemorySource
from wildsage.algorithms.linear_learner.training import (
    EpochReport,
    Progress,
    Trainer,
    finished_model,
)

Array = NDArray[Any]
DATA = {
    "binary_classifier": binary(300),
    "regressor": regression(300),
    "multiclass_classifier": multiclass(300),
}
BINARY, REGRESSOR, MULTICLASS = DATA


@dataclass
class Trained:
    trainer: Trainer
    reports: list[EpochReport]
    model: LinearModel


def train(kind: str, **changes: Any) -> Trained:
    trainer = Trainer.start(MemorySource([DATA[kind]]), None, defaults(kind, **changes))
    reports = list(trainer.epochs())
    return Trained(trainer, reports, finished_model(trainer, trainer.choose()))


def outcome(kind: str, **changes: Any) -> Array:
    """What a user sees of a model: weights, bias, threshold, losses of the epochs."""
    trained = train(kind, **changes)
    model = trained.model
    losses = np.concatenate([report.train_losses for report in trained.reports])
    return np.concatenate([model.weight.ravel(), model.bias, [model.threshold], losses])


SGD = {"optimizer": "sgd", "learning_rate": 0.05, "num_models": 1, "epochs": 2}
ADAM = {**SGD, "optimizer": "adam", "mini_batch_size": 50}
ONE = {"num_models": 1, "epochs": 2}

# hyperparameter -> (predictor type, its other value, what else is set)
EFFECTS: dict[str, tuple[str, Any, dict[str, Any]]] = {
    "mini_batch_size": (BINARY, 30, ADAM | {"mini_batch_size": 100}),
    "epochs": (BINARY, 3, ONE),
    "num_models": (BINARY, 2, ONE),
    "optimizer": (BINARY, "rmsprop", ADAM),
    "loss": (BINARY, "hinge_loss", ONE),
    "learning_rate": (BINARY, 0.01, ADAM),
    "wd": (BINARY, 0.5, ONE),
    "l1": (BINARY, 0.1, ONE),
    "momentum": (BINARY, 0.2, SGD | {"mini_batch_size": 50}),
    "beta_1": (BINARY, 0.5, ADAM),
    "beta_2": (BINARY, 0.5, ADAM),
    "bias_lr_mult": (BINARY, 5, ADAM),
    "bias_wd_mult": (BINARY, 5, ADAM | {"wd": 1, "init_bias": 1}),
    "use_bias": (BINARY, "false", ONE),
    "use_lr_scheduler": (BINARY, "false", ADAM | {"lr_scheduler_step": 1}),
    "lr_scheduler_step": (BINARY, 1, ADAM),
    "lr_scheduler_factor": (BINARY, 0.5, ADAM | {"lr_scheduler_step": 1}),
    "lr_scheduler_minimum_lr": (
        BINARY,
        0.04,
        ADAM | {"lr_scheduler_step": 1, "lr_scheduler_factor": 0.1},
    ),
    "init_method": (BINARY, "normal", ADAM),
    "init_scale": (BINARY, 0.5, ADAM),
    "init_sigma": (BINARY, 0.5, ADAM | {"init_method": "normal"}),
    "init_bias": (BINARY, 1.0, ADAM),
    "normalize_data": (BINARY, "false", ADAM),
    "normalize_label": (REGRESSOR, "false", ADAM),
    "unbias_data": (BINARY, "false", ADAM),
    "unbias_label": (REGRESSOR, "false", ADAM),
    "num_point_for_scaler": (BINARY, 20, ADAM),
    "positive_example_weight_mult": (BINARY, 3, ONE),
    "balance_multiclass_weights": (MULTICLASS, "true", ONE),
    "binary_classifier_model_selection_criteria": (BINARY, "precision_at_target_recall", ONE),
    "target_recall": (
        BINARY,
        0.95,
        ONE | {"binary_classifier_model_selection_criteria": "precision_at_target_recall"},
    ),
    "target_precision": (
        BINARY,
        0.95,
        ONE | {"binary_classifier_model_selection_criteria": "recall_at_target_precision"},
    ),
    "f_beta": (BINARY, 5, ONE | {"binary_classifier_model_selection_criteria": "f_beta"}),
    "margin": (BINARY, 0.1, ONE | {"loss": "hinge_loss"}),
    "quantile": (REGRESSOR, 0.9, ONE | {"loss": "quantile_loss"}),
    "loss_insensitivity": (REGRESSOR, 0.8, ONE | {"loss": "eps_insensitive_absolute_loss"}),
    "huber_delta": (REGRESSOR, 0.1, ONE | {"loss": "huber_loss"}),
    "num_calibration_samples": (BINARY, 20, ONE),
    "early_stopping_patience": (BINARY, 1, ADAM | {"epochs": 6, "early_stopping_tolerance": 0.9}),
    "early_stopping_tolerance": (BINARY, 0.9, ADAM | {"epochs": 6}),
    "num_classes": (MULTICLASS, 5, ONE),
}
# These steer what is read or reported and are tested where that is.
ELSEWHERE = {"predictor_type", "feature_dim", "accuracy_top_k"}


@pytest.mark.parametrize("name", EFFECTS)
def test_every_hyperparameter_acts(name: str) -> None:
    kind, other, base = EFFECTS[name]
    one = outcome(kind, **base)
    two = outcome(kind, **{**base, name: other})
    assert len(one) != len(two) or not np.allclose(one, two, atol=1e-6)


def test_no_hyperparameter_is_left_out() -> None:
    declared = {p.name for p in SPEC.hyperparameters if not p.hidden}
    assert declared == set(EFFECTS) | ELSEWHERE


def test_a_repeated_run_is_the_same_run() -> None:
    np.testing.assert_array_equal(outcome(BINARY, **ADAM), outcome(BINARY, **ADAM))


def test_balanced_weights_even_out_the_recalls() -> None:
    features, labels = DATA[BINARY]
    rare = np.concatenate([np.flatnonzero(labels == 0), np.flatnonzero(labels == 1)[:15]])

    def bias(value: Any) -> float:
        hyperparameters = defaults(BINARY, positive_example_weight_mult=value, num_models=1)
        source = MemorySource([(features[rare], labels[rare])])
        trainer = Trainer.start(source, None, hyperparameters)
        for _ in trainer.epochs():
            pass
        margins = finished_model(trainer, trainer.choose()).margins(features[rare])[:, 0]
        return float(np.mean((margins >= 0) == 1))

    assert bias(1.0) < bias("balanced")


def test_the_second_order_phase_ends_at_the_optimum() -> None:
    trained = train(REGRESSOR, wd=0, l1=0, num_models=1)
    assert trained.trainer.stage is not None
    assert trained.trainer.stage.finished
    assert trained.trainer.next_epoch < 15
    values = [report.value for report in trained.reports]
    assert values == sorted(values, reverse=True)


def test_an_optimizer_that_was_asked_for_is_the_one_that_works() -> None:
    asked: tuple[dict[str, Any], ...] = ({"optimizer": "adam"}, {"learning_rate": 0.01})
    for changes in asked:
        assert train(BINARY, num_models=1, epochs=3, **changes).trainer.stage is None
    assert train(BINARY, num_models=1, epochs=3).trainer.stage is not None


def test_mini_batches_alone_come_near_the_optimum_too() -> None:
    free: dict[str, Any] = {"wd": 0, "l1": 0, "num_models": 1}
    steps: dict[str, Any] = {"optimizer": "adam", "learning_rate": 0.05, "mini_batch_size": 20}
    exact, stepped = train(BINARY, **free), train(BINARY, epochs=20, **steps, **free)
    assert stepped.reports[-1].value == pytest.approx(exact.reports[-1].value, rel=0.05)


def test_training_stops_early() -> None:
    slow: dict[str, Any] = {"optimizer": "adam", "learning_rate": 1e-5, "epochs": 30}
    assert train(BINARY, early_stopping_patience=2, **slow).trainer.next_epoch == 3


def test_progress_counts_small_improvements_as_none() -> None:
    progress = Progress(patience=2, tolerance=0.01)
    weights = np.zeros(1)
    assert progress.take(1.0, 0, weights)
    assert progress.take(0.995, 1, weights)
    assert progress.stale == 1
    assert progress.take(0.9, 2, weights + 1)
    assert (progress.stale, progress.best_epoch) == (0, 2)
    assert not progress.take(0.95, 3, weights)
    assert not progress.take(0.95, 4, weights)
    assert progress.exhausted
    assert progress.best_weights is not None
    assert progress.best_weights[0] == 1


def test_the_best_epoch_is_kept_when_later_ones_are_worse() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(40, 30)).astype(np.float32)
    labels = (rng.random(40) < 0.5).astype(np.float32)
    fresh = (rng.normal(size=(400, 30)).astype(np.float32), labels.repeat(10))
    hyperparameters = defaults(
        num_models=1,
        wd=0,
        l1=0,
        early_stopping_patience=99,
        binary_classifier_model_selection_criteria="loss_function",
    )
    source, judged = MemorySource([(features, labels)]), MemorySource([fresh])
    trainer = Trainer.start(source, judged, hyperparameters)
    losses = [report.value for report in trainer.epochs()]
    choice = trainer.choose()
    assert losses[-1] > min(losses)
    assert choice.judged[0] == pytest.approx(min(losses), rel=1e-5)


def test_kinked_losses_are_trained_with_narrowing_widths() -> None:
    trained = train(REGRESSOR, loss="absolute_loss", num_models=1, early_stopping_patience=99)
    assert trained.trainer.stage is not None
    assert trained.trainer.stage.width == pytest.approx(0.01, rel=0.1)


def test_state_goes_on_where_it_was_left() -> None:
    source = MemorySource([DATA[BINARY]])
    hyperparameters = defaults(BINARY, **(ADAM | {"epochs": 4}))
    whole = Trainer.start(source, None, hyperparameters)
    list(whole.epochs())
    first = Trainer.start(source, None, hyperparameters)
    epochs = first.epochs()
    next(epochs)
    next(epochs)
    second = Trainer.start(source, None, hyperparameters)
    assert second.restore(*first.state())
    assert [report.epoch for report in second.epochs()] == [2, 3]
    np.testing.assert_allclose(second.weights, whole.weights)
    other = Trainer.start(source, None, defaults(BINARY, num_models=3))
    assert not other.restore(*first.state())
