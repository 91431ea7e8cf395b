"""Mini-batch steps against the formulas of the papers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from algorithms.linear_learner.helpers_linear import defaults
from wildsage.algorithms.linear_learner.optimizers import Optimizer, Schedule, make_optimizer

Array = NDArray[Any]
GRADIENTS = np.random.default_rng(0).normal(size=(4, 3, 2)).astype(np.float32)
RATES = np.array([0.1, 0.01])


def optimizer(wd: float = 0.0, l1: float = 0.0, **changes: Any) -> Optimizer:
    changes = {"use_lr_scheduler": "false", **changes}
    columns = (np.full(2, wd), np.full(2, l1))
    return make_optimizer(defaults(**changes), RATES, *columns)


def run(stepper: Optimizer, gradients: Array = GRADIENTS) -> Array:
    weights = np.ones((3, 2), np.float32)
    for gradient in gradients:
        stepper.step(weights, gradient.copy())
    return weights


def test_adam() -> None:
    weights = np.ones((3, 2))
    first = second = np.zeros((3, 2))
    for number, gradient in enumerate(GRADIENTS, 1):
        first = 0.8 * first + 0.2 * gradient
        second = 0.95 * second + 0.05 * gradient**2
        unbiased = first / (1 - 0.8**number), second / (1 - 0.95**number)
        weights = weights - RATES * unbiased[0] / (np.sqrt(unbiased[1]) + 1e-8)
    actual = run(optimizer(optimizer="adam", beta_1=0.8, beta_2=0.95))
    np.testing.assert_allclose(actual, weights, rtol=1e-4)


def test_sgd_with_momentum() -> None:
    weights, velocity = np.ones((3, 2)), np.zeros((3, 2))
    for gradient in GRADIENTS:
        velocity = 0.5 * velocity + RATES * gradient
        weights = weights - velocity
    np.testing.assert_allclose(run(optimizer(optimizer="sgd", momentum=0.5)), weights, rtol=1e-5)


def test_rmsprop() -> None:
    weights, second = np.ones((3, 2)), np.zeros((3, 2))
    for gradient in GRADIENTS:
        second = 0.9 * second + 0.1 * gradient**2
        weights = weights - RATES * gradient / (np.sqrt(second) + 1e-8)
    np.testing.assert_allclose(run(optimizer(optimizer="rmsprop")), weights, rtol=1e-5)


def test_weight_decay_spares_the_bias() -> None:
    nothing = np.zeros((1, 3, 2), np.float32)
    moved = run(optimizer(wd=0.5, optimizer="sgd"), nothing)
    np.testing.assert_allclose(moved[:-1], 1 - RATES * 0.5 * np.ones((2, 2)))
    np.testing.assert_array_equal(moved[-1], [1, 1])
    moved = run(optimizer(wd=0.5, optimizer="sgd", bias_wd_mult=2), nothing)
    np.testing.assert_allclose(moved[-1], 1 - RATES)


def test_l1_gives_exact_zeros_and_spares_the_bias() -> None:
    nothing = np.zeros((1, 3, 2), np.float32)
    moved = run(optimizer(l1=50.0, optimizer="sgd"), nothing)
    np.testing.assert_allclose(moved, [[0.0, 0.5], [0.0, 0.5], [1.0, 1.0]])


def test_the_bias_has_its_own_rate_or_does_not_move() -> None:
    ones = np.ones((1, 3, 2), np.float32)
    moved = run(optimizer(optimizer="sgd", bias_lr_mult=3), ones)
    np.testing.assert_allclose(moved[-1], 1 - 3 * RATES)
    assert (run(optimizer(optimizer="sgd", use_bias="false"), ones)[-1] == 1).all()


def test_schedule() -> None:
    hyperparameters = defaults(
        lr_scheduler_step=10, lr_scheduler_factor=0.5, lr_scheduler_minimum_lr=0.02
    )
    schedule = Schedule.create(RATES, hyperparameters)
    np.testing.assert_allclose(schedule.at(9), RATES)
    # A rate that is below the minimum already stays.
    np.testing.assert_allclose(schedule.at(10), [0.05, 0.01])
    np.testing.assert_allclose(schedule.at(1000), [0.02, 0.01])


@pytest.mark.parametrize("name", ["sgd", "adam", "rmsprop"])
def test_every_optimizer_finds_the_bottom_of_a_bowl(name: str) -> None:
    stepper = optimizer(optimizer=name)
    target = np.array([[1.0, -1.0], [2.0, 0.5], [0.3, 0.1]], np.float32)
    weights = np.zeros((3, 2), np.float32)
    for _ in range(800):
        stepper.step(weights, weights - target)
    np.testing.assert_allclose(weights, target, atol=0.1)
