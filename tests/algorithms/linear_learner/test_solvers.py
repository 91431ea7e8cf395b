"""Second-order steps on problems whose optimum is known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.linear_model import Lasso, LogisticRegression

from wildsage.algorithms.linear_learner.solvers import Lbfgs, Newton, Solver, coordinate_descent

Array = NDArray[Any]
RNG = np.random.default_rng(2)
X = RNG.normal(size=(200, 6)) @ RNG.normal(size=(6, 6))
Y = X @ np.array([1.0, -2.0, 0.0, 0.0, 0.5, 0.0]) + RNG.normal(size=200)
HESSIAN = X.T @ X / 200


def squared(points: Array) -> tuple[Array, Array]:
    """Half the mean squared error and its gradient, per model."""
    error = points @ X.T - Y
    return (error**2).mean(axis=1) / 2, error @ X / 200


def logistic(points: Array) -> tuple[Array, Array]:
    margins = points @ X.T
    labels = Y > 0
    losses = np.logaddexp(0, np.where(labels, -margins, margins)).mean(axis=1)
    return losses, (1 / (1 + np.exp(-margins)) - labels) @ X / 200


def solve(solver: Solver, function: Any, passes: int) -> Array:
    for _ in range(passes):
        solver.update(*function(solver.point))
        if solver.converged:
            break
    return solver.point


def newton(wd: Array, l1: Array, hessian: Array = HESSIAN) -> Newton:
    return Newton(
        np.zeros((len(wd), 6)),
        np.repeat(wd[:, None], 6, axis=1),
        np.repeat(l1[:, None], 6, axis=1),
        lambda points, models: np.repeat(hessian[None], models.sum(), axis=0),
    )


def lbfgs(wd: Array, l1: Array) -> Lbfgs:
    wd, l1 = (np.repeat(p[:, None], 6, axis=1) for p in (wd, l1))
    diagonal = np.broadcast_to(np.diag(HESSIAN), (len(wd), 6))
    return Lbfgs(np.zeros((len(wd), 6)), wd, l1, diagonal)


def test_newton_solves_least_squares_in_one_step() -> None:
    wd = np.array([0.0, 0.1, 2.0])
    found = solve(newton(wd, np.zeros(3)), squared, 1)
    for model in range(3):
        exact = np.linalg.solve(HESSIAN + wd[model] * np.eye(6), X.T @ Y / 200)
        np.testing.assert_allclose(found[model], exact, atol=1e-5)


def test_newton_with_l1_is_the_lasso() -> None:
    l1 = np.array([0.05, 0.5, 0.0])
    found = solve(newton(np.zeros(3), l1), squared, 10)
    for model in (0, 1):
        expected = Lasso(alpha=l1[model], fit_intercept=False, tol=1e-10).fit(X, Y).coef_
        np.testing.assert_allclose(found[model], expected, atol=2e-3)
        assert ((found[model] == 0) == (expected == 0)).all()


def test_newton_survives_a_hessian_that_is_far_too_small() -> None:
    """Steps that overshoot are halved until they do not."""
    found = solve(newton(np.zeros(1), np.zeros(1), HESSIAN / 7), squared, 60)
    assert squared(found)[0][0] <= squared(np.linalg.lstsq(X, Y)[0][None])[0][0] * 1.001


def test_coordinate_descent_minimises_the_penalised_model() -> None:
    gradient = RNG.normal(size=(1, 6))
    base, l1 = RNG.normal(size=(1, 6)), np.full((1, 6), 0.3)

    def value(move: Array) -> float:
        quadratic = gradient @ move + move @ HESSIAN @ move / 2
        return float(quadratic[0] + 0.3 * np.abs(base[0] + move).sum())

    best = coordinate_descent(HESSIAN[None], gradient, base, l1)[0]
    for _ in range(200):
        assert value(best) <= value(best + RNG.normal(size=6) * 0.05) + 1e-4


def test_lbfgs_is_logistic_regression() -> None:
    wd = np.array([0.01, 0.5])
    found = solve(lbfgs(wd, np.zeros(2)), logistic, 60)
    for model in range(2):
        peer = LogisticRegression(C=1 / (200 * wd[model]), fit_intercept=False, tol=1e-8)
        expected = peer.fit(X, Y > 0).coef_[0]
        np.testing.assert_allclose(found[model], expected, atol=0.02)


def test_lbfgs_with_l1_is_the_lasso() -> None:
    l1 = np.array([0.1, 0.5])
    found = solve(lbfgs(np.zeros(2), l1), squared, 100)
    for model in range(2):
        expected = Lasso(alpha=l1[model], fit_intercept=False, tol=1e-10).fit(X, Y).coef_
        points = np.vstack([found[model], expected])
        value, best = squared(points)[0] + l1[model] * np.abs(points).sum(axis=1)
        assert value <= best * 1.0001
    assert (found[1][expected == 0] == 0).all()


@pytest.mark.parametrize("make", [newton, lbfgs])
def test_settling_keeps_the_better_of_trial_and_base(make: Any) -> None:
    solver = make(np.zeros(1), np.zeros(1))
    solver.update(*squared(solver.point))
    solver.point = solver.base + 1000.0
    solver.settle(squared(solver.point)[0])
    np.testing.assert_array_equal(solver.point, solver.base)
    assert solver.converged


def test_a_restart_forgets_the_function_but_not_the_place() -> None:
    solver = newton(np.zeros(1), np.zeros(1))
    solve(solver, squared, 3)
    place = solver.base.copy()
    solver.restart()
    np.testing.assert_array_equal(solver.point, place)
    assert not solver.converged
