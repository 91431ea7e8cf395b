"""The second-order phase: which solver serves a plan, what it needs to know, and its passes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wildsage.algorithms.linear_learner.optimizers import setting
from wildsage.algorithms.linear_learner.passes import Sums, full_pass
from wildsage.algorithms.linear_learner.preparation import Plan
from wildsage.algorithms.linear_learner.solvers import Lbfgs, Newton, Solver
from wildsage.algorithms.threads import threaded
from wildsage.contract.cluster import Cluster
from wildsage.formats.matrix import SparseMatrix

Array = NDArray[Any]
HESSIAN_ROWS = 8_192
HESSIAN_WORK = 3e10
MOST_PARAMETERS = 4_000_000
# Kinked losses are rounded off over these widths in turn, in units of the label's deviation.
WIDTHS = (0.2, 0.05, 0.01)
PASSES_PER_WIDTH = 4


class Stage:
    """Passes over all rows, one step of all models after each."""

    def __init__(
        self, plan: Plan, solver: Solver, cluster: Cluster, widths: list[float], use_bias: bool
    ) -> None:
        self.plan = plan
        self.solver = solver
        self.cluster = cluster
        self.widths = widths
        self.use_bias = use_bias
        self.passes = 0
        self.losses = np.full(plan.models, np.inf)

    @property
    def width(self) -> float:
        return self.widths[0]

    @property
    def finished(self) -> bool:
        return self.solver.converged and len(self.widths) == 1

    @property
    def weights(self) -> Array:
        return from_models(self.solver.point, self.plan.classes)

    def advance(self) -> tuple[Array, int]:
        """One pass and one step; the mean losses before the step, and the rows seen."""
        active, sums = self._pass()
        gradient = np.zeros_like(self.solver.point)
        gradient[active] = self._gradient(sums)
        self.solver.update(self.losses, gradient)
        self.passes += 1
        if len(self.widths) > 1 and (self.solver.converged or self.passes % PASSES_PER_WIDTH == 0):
            del self.widths[0]
            self.solver.restart()
        return self.losses.copy(), int(sums.rows)

    def _pass(self) -> tuple[Array, Sums]:
        """A pass for the models that are not done yet."""
        active = np.flatnonzero(~self.solver.done)
        weights = from_models(self.solver.point[active], self.plan.classes)
        sums = full_pass(self.plan, weights, active, self.cluster, self.width)
        self.losses[active] = sums.losses / max(sums.rows, 1)
        return active, sums

    def settle(self) -> None:
        """Make sure of the last steps of models that are not done: one more look at the rows."""
        if not self.solver.converged:
            self._pass()
            self.solver.settle(self.losses)

    def _gradient(self, sums: Sums) -> Array:
        gradient = self.plan.working.unfold(sums.product, sums.total) / max(sums.rows, 1)
        if not self.use_bias:
            gradient[-1] = 0
        return to_models(gradient, self.plan.classes)


def to_models(weights: Array, classes: int) -> Array:
    """(width + 1, columns) -> (models, parameters)."""
    cube = weights.reshape(len(weights), -1, classes).transpose(1, 0, 2)
    return cube.reshape(len(cube), -1).astype(np.float64)


def from_models(points: Array, classes: int) -> Array:
    """The inverse of `to_models`, in float32."""
    cube = points.reshape(len(points), -1, classes).transpose(1, 0, 2)
    return cube.reshape(len(cube), -1).astype(np.float32)


def make_stage(
    plan: Plan, hyperparameters: Mapping[str, Any], weights: Array, cluster: Cluster
) -> Stage | None:
    """None where the models are too large for a solver's memory."""
    width, columns = len(weights), weights.shape[1]
    if width * columns > MOST_PARAMETERS:
        return None
    use_bias = bool(hyperparameters["use_bias"])
    point = to_models(weights, plan.classes)
    wd, l1 = _penalties(plan, hyperparameters, width)
    features, labels = plan.source.sample(max(HESSIAN_ROWS, 20 * width) // cluster.size)
    labels = plan.working.label(labels)
    widths = [0.0] if plan.loss.smooth else [w * _spread(labels, plan, cluster) for w in WIDTHS]
    work = len(labels) * width**2 * plan.models
    solver: Solver
    if plan.classes == 1 and not isinstance(features, SparseMatrix) and work <= HESSIAN_WORK:
        rows = plan.working.apply(features)
        sampled = SampledHessian(rows, labels, plan, widths, cluster, use_bias)
        solver = Newton(point, wd, l1, sampled)
    else:
        solver = Lbfgs(point, wd, l1, _diagonal(plan, point))
    return Stage(plan, solver, cluster, widths, use_bias)


def _penalties(plan: Plan, hyperparameters: Mapping[str, Any], width: int) -> tuple[Array, Array]:
    """wd and l1 of every parameter; the biases (last) bear bias_wd_mult of wd and no l1."""
    share = np.ones((width, plan.classes))
    share[-1] = setting(hyperparameters, "bias_wd_mult")
    bearing = np.ones((width, plan.classes))
    bearing[-1] = 0
    wd = plan.candidates.wd[:, None] * share.ravel()
    return wd, plan.candidates.l1[:, None] * bearing.ravel()


def _spread(labels: Array, plan: Plan, cluster: Cluster) -> float:
    """The label's deviation, or 1 for a classifier's margin."""
    if plan.loss.power == 0:
        return 1.0
    sums = cluster.allreduce(np.array([len(labels), labels.sum(), (labels**2).sum()], np.float64))
    variance = sums[2] / sums[0] - (sums[1] / sums[0]) ** 2
    return float(np.sqrt(variance)) if variance > 0 else 1.0


def _diagonal(plan: Plan, point: Array) -> Array:
    """A guess of the second derivatives: the features' second moments times a typical curvature."""
    moments, scaler = plan.moments, plan.scaler
    variance = moments.squares / moments.count - (moments.total / moments.count) ** 2
    second = (np.maximum(variance, 0) + (moments.mean - scaler.mean) ** 2) * scaler.inverse**2
    second = np.maximum(second, 1e-3 * max(second.max(initial=0), 1e-12))
    typical = 1.0 if plan.loss.power else 0.25
    if plan.classes > 1:
        typical = (1 - 1 / plan.classes) / plan.classes
    per_weight = np.repeat(np.append(second, 1.0), plan.classes) * typical
    return np.broadcast_to(per_weight, point.shape)


class SampledHessian:
    """The Hessians of the mean loss over a sample of scaled rows, one per model, over all hosts."""

    def __init__(
        self,
        rows: Array,
        labels: Array,
        plan: Plan,
        widths: list[float],
        cluster: Cluster,
        use_bias: bool,
    ) -> None:
        self.rows = np.hstack([rows, np.ones((len(rows), 1), np.float32)])
        self.labels = labels[:, None].astype(np.float32)
        self.weights = plan.example_weights(labels, slice(None))
        self.loss = plan.loss
        self.widths = widths
        self.cluster = cluster
        self.use_bias = use_bias

    def __call__(self, points: Array, models: Array) -> Array:
        scores = self.rows @ points[models].T.astype(np.float32)
        curvature = self.loss.curvature(scores, self.labels, self.widths[0])
        if self.weights is not None:
            curvature = curvature * self.weights[:, models]
        sums = self._products(curvature)
        flat = np.append(sums.ravel(), len(self.rows)).astype(np.float64)
        flat = self.cluster.allreduce(flat)
        hessians = (flat[:-1] / flat[-1]).reshape(sums.shape)
        if not self.use_bias:
            hessians[:, -1, :] = hessians[:, :, -1] = 0
            hessians[:, -1, -1] = 1
        return np.asarray(hessians)

    def _products(self, curvature: Array) -> Array:
        if curvature.min() == curvature.max():
            once = (self.rows.T @ self.rows) * curvature.flat[0]
            return np.repeat(once[None], curvature.shape[1], axis=0)
        products = threaded(lambda c: (self.rows * c[:, None]).T @ self.rows, curvature.T)
        return np.stack(list(products))
