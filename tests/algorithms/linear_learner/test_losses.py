"""Each loss against its definition, its gradient against finite differences."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from algorithms.linear_learner.helpers_linear import defaults
from wildsage.algorithms.linear_learner.losses import (
    Absolute,
    EpsilonInsensitiveAbsolute,
    EpsilonInsensitiveSquared,
    Hinge,
    Huber,
    Logistic,
    Loss,
    Quantile,
    Softmax,
    Squared,
    loss_name,
    make_loss,
)

Array = NDArray[Any]
RNG = np.random.default_rng(5)
SCORES = RNG.normal(size=(40, 3)) * 2
CLASSES = (RNG.random(40) < 0.4).astype(np.float64)
LABELS = RNG.normal(size=40)

CLASSIFIERS: list[Loss] = [Logistic(), Hinge(1.0), Hinge(0.3)]
REGRESSORS: list[Loss] = [
    Squared(),
    Absolute(),
    Quantile(0.9),
    Huber(0.7),
    EpsilonInsensitiveSquared(0.3),
    EpsilonInsensitiveAbsolute(0.3),
]
DEFINITIONS: dict[type[Loss], Any] = {
    Squared: lambda s, y: (s - y) ** 2,
    Absolute: lambda s, y: np.abs(s - y),
    Quantile: lambda s, y: np.where(y > s, 0.9 * (y - s), 0.1 * (s - y)),
    Huber: lambda s, y: np.where(
        np.abs(s - y) < 0.7, (s - y) ** 2 / 2, 0.7 * (np.abs(s - y) - 0.35)
    ),
    EpsilonInsensitiveSquared: lambda s, y: np.maximum(np.abs(s - y) - 0.3, 0) ** 2,
    EpsilonInsensitiveAbsolute: lambda s, y: np.maximum(np.abs(s - y) - 0.3, 0),
}


def labels_for(loss: Loss) -> Array:
    return CLASSES if isinstance(loss, Logistic | Hinge) else LABELS


def total(loss: Loss, scores: Array, width: float) -> Array:
    return loss.evaluate(scores.copy(), labels_for(loss), None, width)[0]


@pytest.mark.parametrize("loss", CLASSIFIERS + REGRESSORS, ids=lambda loss: type(loss).__name__)
@pytest.mark.parametrize("width", [0.0, 0.4])
def test_gradient_matches_finite_differences(loss: Loss, width: float) -> None:
    gradient = loss.evaluate(SCORES.copy(), labels_for(loss), None, width)[1]
    step = 1e-6
    for row in range(0, 40, 7):
        moved = SCORES.copy()
        moved[row] += step
        back = SCORES.copy()
        back[row] -= step
        slope = (total(loss, moved, width) - total(loss, back, width)) / (2 * step)
        np.testing.assert_allclose(slope, gradient[row], atol=2e-5)


@pytest.mark.parametrize("loss", REGRESSORS, ids=lambda loss: type(loss).__name__)
def test_values_are_the_definitions(loss: Loss) -> None:
    expected = DEFINITIONS[type(loss)](SCORES, LABELS[:, None]).sum(axis=0)
    np.testing.assert_allclose(total(loss, SCORES, 0.0), expected, rtol=1e-6)


def test_logistic_is_cross_entropy_and_survives_extreme_scores() -> None:
    chance = 1 / (1 + np.exp(-SCORES))
    expected = -np.where(CLASSES[:, None] > 0, np.log(chance), np.log(1 - chance)).sum(axis=0)
    np.testing.assert_allclose(total(Logistic(), SCORES, 0.0), expected)
    extreme = np.array([[500.0], [-500.0]], np.float32)
    losses, gradient = Logistic().evaluate(extreme, np.array([0, 0], np.float32))
    assert losses[0] == pytest.approx(500)
    np.testing.assert_allclose(gradient[:, 0], [1, 0], atol=1e-6)


def test_hinge_counts_what_the_margin_lacks() -> None:
    side = 2 * CLASSES[:, None] - 1
    expected = np.maximum(0, 0.3 - side * SCORES).sum(axis=0)
    np.testing.assert_allclose(total(Hinge(0.3), SCORES, 0.0), expected, rtol=1e-6)


@pytest.mark.parametrize("loss", CLASSIFIERS + REGRESSORS, ids=lambda loss: type(loss).__name__)
def test_rounding_off_changes_a_kinked_loss_by_less_than_its_width(loss: Loss) -> None:
    difference = np.abs(total(loss, SCORES, 0.1) - total(loss, SCORES, 0.0)) / len(SCORES)
    assert (difference <= (0.0 if loss.smooth else 0.1)).all()


@pytest.mark.parametrize("loss", REGRESSORS + [Hinge(1.0)], ids=lambda loss: type(loss).__name__)
def test_the_parabola_of_the_curvature_lies_above_the_loss(loss: Loss) -> None:
    """So that steps by it never overshoot."""
    labels = labels_for(loss)[:, None]
    values, slope = loss.pointwise(SCORES.copy(), labels, 0.2)
    slope = slope.copy()
    curvature = loss.curvature(SCORES.copy(), labels, 0.2)
    for move in (-3.0, -0.5, -0.05, 0.05, 0.5, 3.0):
        there = loss.pointwise(SCORES + move, labels, 0.2)[0]
        above = values + slope * move + curvature * move**2 / 2
        assert (above - there > -1e-6).all()


def test_logistic_curvature_is_the_second_derivative() -> None:
    step = 1e-4
    slopes = [
        Logistic().pointwise(SCORES + d, CLASSES[:, None], 0.0)[1].copy() for d in (step, -step)
    ]
    numeric = (slopes[0] - slopes[1]) / (2 * step)
    np.testing.assert_allclose(Logistic().curvature(SCORES, CLASSES), numeric, atol=1e-6)


def test_weights_multiply_losses_and_gradients() -> None:
    weights = np.where(CLASSES[:, None] > 0, np.array([1.0, 2.0, 5.0]), 1.0)
    losses, gradient = Logistic().evaluate(SCORES.copy(), CLASSES, weights)
    plain, plain_gradient = Logistic().evaluate(SCORES.copy(), CLASSES)
    np.testing.assert_allclose(gradient, plain_gradient * weights)
    assert losses[0] == pytest.approx(plain[0])
    assert losses[2] > losses[1] > plain[1] * 1.2


def test_softmax_of_two_models() -> None:
    scores = RNG.normal(size=(30, 8)).astype(np.float64)
    truth = RNG.integers(0, 4, 30).astype(np.float64)
    losses, gradient = Softmax(4).evaluate(scores.copy(), truth)
    for model in range(2):
        own = scores[:, 4 * model : 4 * model + 4]
        chance = np.exp(own) / np.exp(own).sum(axis=1, keepdims=True)
        expected = -np.log(chance[np.arange(30), truth.astype(int)]).sum()
        assert losses[model] == pytest.approx(expected)
        chance[np.arange(30), truth.astype(int)] -= 1
        np.testing.assert_allclose(gradient[:, 4 * model : 4 * model + 4], chance)
    weighted, _ = Softmax(4).evaluate(scores.copy(), truth, np.full((30, 1), 2.0))
    np.testing.assert_allclose(weighted, 2 * losses)


@pytest.mark.parametrize(
    ("predictor", "loss", "kind"),
    [
        ("binary_classifier", "auto", Logistic),
        ("binary_classifier", "hinge_loss", Hinge),
        ("multiclass_classifier", "auto", Softmax),
        ("regressor", "auto", Squared),
        ("regressor", "absolute_loss", Absolute),
        ("regressor", "huber_loss", Huber),
        ("regressor", "quantile_loss", Quantile),
        ("regressor", "eps_insensitive_squared_loss", EpsilonInsensitiveSquared),
        ("regressor", "eps_insensitive_absolute_loss", EpsilonInsensitiveAbsolute),
    ],
)
def test_the_loss_of_the_hyperparameters(predictor: str, loss: str, kind: type[Loss]) -> None:
    hyperparameters = defaults(predictor, loss=loss)
    made = make_loss(hyperparameters)
    assert type(made) is kind
    assert made.objective.endswith("_objective")
    assert loss_name(hyperparameters) != "auto"


def test_loss_parameters_come_from_the_hyperparameters() -> None:
    hyperparameters = defaults("regressor", loss="huber_loss", huber_delta=2.5)
    losses, _ = make_loss(hyperparameters).evaluate(
        np.array([[4.0]], np.float32), np.zeros(1, np.float32)
    )
    assert losses[0] == pytest.approx(2.5 * (4 - 1.25))
