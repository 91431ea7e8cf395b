"""Second-order steps for all models at once, one pass over the data each.

A pass over the data gives every model's loss and exact gradient at its trial point; a solver
decides whether the point is better than the last one and proposes the next. `Newton` uses Hessians
of a sample of rows (the gradient is exact, so the optimum is too) and coordinate descent where
there is an L1 penalty. `Lbfgs` (orthant-wise for L1, Andrew and Gao 2007) serves wide, sparse and
multiclass models. Arrays are (models, parameters), the parameters of one model including its
biases at the end.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
HISTORY = 8
SWEEPS = 12
RIDGE = 1e-9
SMALLEST_STEP = 2.0**-20
NOISE = 1e-6


class Solver:
    """The acceptance of trial points, common to all solvers.

    `point` is what the next pass evaluates. Each model has its own step size: halved when the
    trial was worse than the base, 1 again after a success. A model is done when its next step
    promises less than `tolerance` of its objective; that step is still made.
    """

    tolerance = 1e-6

    def __init__(self, point: Array, wd: Array, l1: Array) -> None:
        """`wd` and `l1` are per parameter: a bias bears none, or little."""
        self.point = np.array(point, np.float64)
        self.wd = wd
        self.l1 = l1
        self.base = self.point.copy()
        self.base_value = np.full(len(point), np.inf)
        self.gradient = np.zeros_like(self.point)
        self.move = np.zeros_like(self.point)
        self.size = np.ones(len(point))
        self.expected = np.full(len(point), np.inf)
        self.done = np.zeros(len(point), bool)

    @property
    def converged(self) -> bool:
        return bool(self.done.all())

    def objective(self, losses: Array, point: Array) -> Array:
        penalty = (self.wd / 2 * point * point + self.l1 * np.abs(point)).sum(axis=1)
        return np.asarray(losses + penalty)

    def update(self, losses: Array, gradient: Array) -> None:
        """Take in the losses and loss gradients at `point`; sets `point` to the next trial."""
        value = self.objective(losses, self.point)
        # Losses are summed in float32: a rise within its noise is none.
        better = np.isfinite(value) & (value <= self.base_value + NOISE * np.abs(value))
        better &= ~self.done
        self.accept(better, value, gradient + self.wd * self.point)
        if better.any():
            move = self.direction(better)
            self.move[better] = move
            self.expected[better] = self.expected_decrease(better, move)
            self.size[better] = 1.0
            small = self.expected <= self.tolerance * (np.abs(self.base_value) + 1e-3)
            self.done |= better & small
        worse = ~better & ~self.done
        self.size[worse] /= 2
        self.done |= self.size < SMALLEST_STEP
        self.point = self.trial()

    def settle(self, losses: Array) -> None:
        """Take in the losses at `point` and stay at the better of it and the base."""
        value = self.objective(losses, self.point)
        better = self.done | (value <= self.base_value)
        self.base[better] = self.point[better]
        self.point = self.base.copy()
        self.done[:] = True

    def restart(self) -> None:
        """The function has changed (another smoothing width): forget values, keep the points."""
        self.base_value[:] = np.inf
        self.done[:] = False
        self.point = self.base.copy()

    def accept(self, better: Array, value: Array, gradient: Array) -> None:
        self.base[better] = self.point[better]
        self.base_value[better] = value[better]
        self.gradient[better] = gradient[better]

    def trial(self) -> Array:
        return np.asarray(self.base + self.size[:, None] * self.move)

    def direction(self, models: Array) -> Array:
        """The moves of the chosen models, from the gradients at their base points."""
        raise TypeError("a solver says where to go")

    def expected_decrease(self, models: Array, move: Array) -> Array:
        """How much the linear part of the move promises; half of it for a full Newton step."""
        base, l1 = self.base[models], self.l1[models]
        linear = (self.gradient[models] * move).sum(axis=1)
        change = (l1 * (np.abs(base + move) - np.abs(base))).sum(axis=1)
        return np.asarray(-(linear + change) / 2)


class Newton(Solver):
    """Steps by the inverse of sampled Hessians.

    `hessian(points, models)` gives the mean loss's Hessians of the chosen models at their points.
    What a step leaves is a small fraction of what it gains, so the last one may be large.
    """

    tolerance = 3e-5

    def __init__(
        self, point: Array, wd: Array, l1: Array, hessian: Callable[[Array, Array], Array]
    ) -> None:
        super().__init__(point, wd, l1)
        self.sampled = hessian
        self.matrices: Array | None = None

    def restart(self) -> None:
        super().restart()
        self.matrices = None

    def _refresh(self) -> Array:
        """Hessians at the base points; a model's old one serves while its steps are small."""
        near = self.expected <= 1e-3 * (np.abs(self.base_value) + 1e-3)
        moved = ~near if self.matrices is not None else np.ones(len(near), bool)
        if self.matrices is None:
            parameters = self.base.shape[1]
            self.matrices = np.empty((len(near), parameters, parameters))
        if moved.any():
            matrices = self.sampled(self.base, moved)
            diagonal = np.einsum("mii->mi", matrices)
            diagonal += self.wd[moved] + RIDGE + 1e-7 * diagonal.mean(axis=1, keepdims=True)
            self.matrices[moved] = matrices
        return self.matrices

    def direction(self, models: Array) -> Array:
        matrices = self._refresh()[models]
        gradient = self.gradient[models]
        move = -np.linalg.solve(matrices, gradient[:, :, None])[:, :, 0]
        lasso = self.l1[models].any(axis=1)
        if lasso.any():
            move[lasso] = coordinate_descent(
                matrices[lasso], gradient[lasso], self.base[models][lasso], self.l1[models][lasso]
            )
        return move


def coordinate_descent(hessians: Array, gradients: Array, base: Array, l1: Array) -> Array:
    """The minimum of g'm + m'Hm/2 + l1|base + m| over m, for every model; one coordinate at a
    time."""
    move = np.zeros_like(base)
    slope = gradients.copy()
    diagonal = np.einsum("mii->mi", hessians)
    shrink = l1 / diagonal
    for _ in range(SWEEPS):
        before = move.copy()
        for j in range(base.shape[1]):
            value = base[:, j] + move[:, j]
            target = value - slope[:, j] / diagonal[:, j]
            # Soft threshold: what is left of the target outside [-shrink, shrink].
            step = target - np.minimum(np.maximum(target, -shrink[:, j]), shrink[:, j]) - value
            move[:, j] += step
            slope += hessians[:, :, j] * step[:, None]
        if np.abs(move - before).max() < 1e-6:
            break
    return move


class Lbfgs(Solver):
    """Limited-memory quasi-Newton steps from a diagonal guess of the Hessian."""

    def __init__(self, point: Array, wd: Array, l1: Array, diagonal: Array) -> None:
        """`diagonal` approximates the loss's second derivatives, (models, parameters)."""
        super().__init__(point, wd, l1)
        self.inverse = 1 / (diagonal + self.wd + RIDGE)
        self.steps: deque[tuple[Array, Array, Array]] = deque(maxlen=HISTORY)

    def restart(self) -> None:
        super().restart()
        self.steps.clear()

    def accept(self, better: Array, value: Array, gradient: Array) -> None:
        """Remember how the gradient changed over the step, for the models that made one."""
        known = better & np.isfinite(self.base_value)
        if known.any():
            step = np.where(known[:, None], self.point - self.base, 0.0)
            change = np.where(known[:, None], gradient - self.gradient, 0.0)
            along = (step * change).sum(axis=1)
            useful = along > 1e-12 * (change * change).sum(axis=1)
            self.steps.append((step, change, np.where(useful, 1 / np.where(useful, along, 1), 0.0)))
        super().accept(better, value, gradient)

    def pseudo_gradient(self) -> Array:
        """The gradient with L1's part; at zero the side that descends, if one does."""
        sided = self.gradient + np.sign(self.base) * self.l1
        at_zero = np.sign(self.gradient) * np.maximum(np.abs(self.gradient) - self.l1, 0)
        return np.asarray(np.where((self.base == 0) & (self.l1 > 0), at_zero, sided))

    def direction(self, models: Array) -> Array:
        pseudo = self.pseudo_gradient()
        move = -self._two_loops(pseudo)
        # What is at zero leaves it on the side that descends, or stays.
        move[(self.l1 > 0) & (self.base == 0) & (move * pseudo >= 0)] = 0
        downhill = (move * pseudo).sum(axis=1) < 0
        move[~downhill] = -(self.inverse * pseudo)[~downhill]
        return np.asarray(move[models])

    def expected_decrease(self, models: Array, move: Array) -> Array:
        """Crossing zero does not count: the trial stops there."""
        return np.asarray(-(self.pseudo_gradient()[models] * move).sum(axis=1) / 2)

    def _two_loops(self, gradient: Array) -> Array:
        result = gradient.copy()
        shares: list[Array] = []
        for step, change, weight in reversed(self.steps):
            share = weight * (step * result).sum(axis=1)
            result -= share[:, None] * change
            shares.append(share)
        result *= self.inverse
        for (step, change, weight), share in zip(self.steps, reversed(shares), strict=True):
            result += (share - weight * (change * result).sum(axis=1))[:, None] * step
        return np.asarray(result)

    def trial(self) -> Array:
        """No weight under L1 may change its sign in one step: it stops at zero."""
        trial = super().trial()
        orthant = np.where(self.base != 0, np.sign(self.base), -np.sign(self.pseudo_gradient()))
        trial[(self.l1 > 0) & (trial * orthant < 0)] = 0
        return trial
