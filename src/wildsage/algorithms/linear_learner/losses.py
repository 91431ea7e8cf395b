"""The loss functions of linear-learner, for many models at once.

Scores come as one matrix: a row per example, a column per model (softmax: `classes` columns per
model). `evaluate` returns each model's summed loss and turns the scores into the gradient in the
same memory; `curvature` is what second-order steps divide by: the second derivative or, where a
loss is not strictly convex, that of a parabola above it.

The losses with a kink (hinge, absolute, quantile, epsilon-insensitive) are all made of the ramp
max(0, t). A `width` above zero rounds the kink off into a parabola of that width, so that the same
second-order solver serves them; with width 0 they are exact.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wildsage.algorithms.linear_learner.spec import LOSSES_OF

Array = NDArray[Any]
LARGEST_EXPONENT = 80.0


def _column_sums(values: Array) -> Array:
    """Sums over rows by BLAS, which is faster and more exact in float32 than a plain reduction."""
    return (np.ones(len(values), values.dtype) @ values).astype(np.float64)


def ramp(t: Array, width: float) -> Array:
    """max(0, t), its kink rounded off over [0, width]."""
    if width == 0:
        return np.maximum(t, 0)
    inner = np.clip(t, 0, width)
    return inner * (t - inner / 2) / np.float32(width)


def ramp_slope(t: Array, width: float) -> Array:
    if width == 0:
        return (t > 0).astype(t.dtype)
    return np.clip(t, 0, width) / np.float32(width)


def ramp_curvature(t: Array, width: float) -> Array:
    """That of the parabola which touches the rounded ramp at t and lies above it everywhere.

    The ramp's own is zero but for the kink; steps by this one never overshoot (Hunter and Lange
    2004).
    """
    half = np.float32(width / 2)
    return np.float32(0.5) / np.maximum(np.abs(t - half), half)


class Loss:
    """One loss. `power` says how it scales with the label's unit: squared losses 2, absolute 1."""

    objective = ""
    power = 0
    smooth = True

    def evaluate(
        self, scores: Array, labels: Array, weights: Array | None = None, width: float = 0.0
    ) -> tuple[Array, Array]:
        """Summed loss per model, and the gradient by scores. May overwrite `scores`."""
        values, gradient = self.pointwise(scores, labels[:, None], width)
        if weights is not None:
            values *= weights
            gradient *= weights
        return _column_sums(values), gradient

    def pointwise(self, scores: Array, labels: Array, width: float) -> tuple[Array, Array]:
        raise TypeError(f"{type(self).__name__} has no pointwise form")

    def curvature(self, scores: Array, labels: Array, width: float = 0.0) -> Array:
        raise TypeError(f"{type(self).__name__} has no pointwise curvature")


class Logistic(Loss):
    objective = "binary_classification_cross_entropy_objective"

    def pointwise(self, scores: Array, labels: Array, width: float) -> tuple[Array, Array]:
        # With sign = -1 for positives, the loss is log(1 + exp(sign * score)): one exp, one log.
        sign = 1 - 2 * labels
        scores *= sign
        excess = None
        if scores.max(initial=0.0) > LARGEST_EXPONENT:
            excess = np.maximum(scores - LARGEST_EXPONENT, 0)
            np.minimum(scores, LARGEST_EXPONENT, out=scores)
        np.exp(scores, out=scores)
        scores += 1
        values = np.log(scores)
        if excess is not None:
            values += excess
        np.reciprocal(scores, out=scores)
        np.subtract(1, scores, out=scores)
        scores *= sign
        return values, scores

    def curvature(self, scores: Array, labels: Array, width: float = 0.0) -> Array:
        half = np.tanh(scores / 2)
        return (1 - half * half) / 4


class Hinge(Loss):
    objective = "hinge_loss_objective"
    smooth = False

    def __init__(self, margin: float = 1.0) -> None:
        self.margin = np.float32(margin)

    def pointwise(self, scores: Array, labels: Array, width: float) -> tuple[Array, Array]:
        side = 2 * labels - 1
        shortfall = self.margin - side * scores
        return ramp(shortfall, width), -side * ramp_slope(shortfall, width)

    def curvature(self, scores: Array, labels: Array, width: float = 0.0) -> Array:
        return ramp_curvature(self.margin - (2 * labels - 1) * scores, width)


class Squared(Loss):
    objective = "mse_objective"
    power = 2

    def pointwise(self, scores: Array, labels: Array, width: float) -> tuple[Array, Array]:
        scores -= labels
        return scores * scores, 2 * scores

    def curvature(self, scores: Array, labels: Array, width: float = 0.0) -> Array:
        return np.full_like(scores, 2)


class Quantile(Loss):
    """The pinball loss: predictions below the label cost `quantile`, above it 1 - `quantile`."""

    objective = "quantile_loss_objective"
    power = 1
    smooth = False

    def __init__(self, quantile: float = 0.5) -> None:
        self.below, self.above = np.float32(quantile), np.float32(1 - quantile)

    def pointwise(self, scores: Array, labels: Array, width: float) -> tuple[Array, Array]:
        error = scores - labels
        values = self.above * ramp(error, width) + self.below * ramp(-error, width)
        slope = self.above * ramp_slope(error, width) - self.below * ramp_slope(-error, width)
        return values, slope

    def curvature(self, scores: Array, labels: Array, width: float = 0.0) -> Array:
        error = scores - labels
        over, under = ramp_curvature(error, width), ramp_curvature(-error, width)
        return self.above * over + self.below * under


class Absolute(Quantile):
    objective = "absolute_loss_objective"

    def __init__(self) -> None:
        super().__init__()
        self.below = self.above = np.float32(1)


class Huber(Loss):
    objective = "huber_loss_objective"
    power = 2

    def __init__(self, delta: float = 1.0) -> None:
        self.delta = np.float32(delta)

    def pointwise(self, scores: Array, labels: Array, width: float) -> tuple[Array, Array]:
        scores -= labels
        slope = np.clip(scores, -self.delta, self.delta)
        return slope * (scores - slope / 2), slope

    def curvature(self, scores: Array, labels: Array, width: float = 0.0) -> Array:
        return np.asarray(self.delta / np.maximum(np.abs(scores - labels), self.delta))


class EpsilonInsensitiveSquared(Loss):
    objective = "eps_insensitive_squared_loss_objective"
    power = 2

    def __init__(self, insensitivity: float = 0.01) -> None:
        self.insensitivity = np.float32(insensitivity)

    def pointwise(self, scores: Array, labels: Array, width: float) -> tuple[Array, Array]:
        error = scores - labels
        beyond = np.maximum(np.abs(error) - self.insensitivity, 0)
        return beyond * beyond, 2 * np.sign(error) * beyond

    def curvature(self, scores: Array, labels: Array, width: float = 0.0) -> Array:
        return np.full_like(scores, 2)


class EpsilonInsensitiveAbsolute(Loss):
    objective = "eps_insensitive_absolute_loss_objective"
    power = 1
    smooth = False

    def __init__(self, insensitivity: float = 0.01) -> None:
        self.insensitivity = np.float32(insensitivity)

    def pointwise(self, scores: Array, labels: Array, width: float) -> tuple[Array, Array]:
        error = scores - labels
        beyond = np.abs(error) - self.insensitivity
        return ramp(beyond, width), np.sign(error) * ramp_slope(beyond, width)

    def curvature(self, scores: Array, labels: Array, width: float = 0.0) -> Array:
        error = scores - labels
        over = ramp_curvature(error - self.insensitivity, width)
        return over + ramp_curvature(-error - self.insensitivity, width)


class Softmax(Loss):
    """Cross entropy over `classes` columns per model."""

    objective = "multiclass_cross_entropy_objective"

    def __init__(self, classes: int) -> None:
        self.classes = classes

    def evaluate(
        self, scores: Array, labels: Array, weights: Array | None = None, width: float = 0.0
    ) -> tuple[Array, Array]:
        rows = len(scores)
        cube = scores.reshape(rows, -1, self.classes)
        truth = labels.astype(np.intp)
        cube -= cube.max(axis=2, keepdims=True)
        at_truth = cube[np.arange(rows), :, truth]
        np.exp(cube, out=cube)
        total = cube.sum(axis=2)
        values = np.log(total) - at_truth
        cube /= total[:, :, None]
        cube[np.arange(rows), :, truth] -= 1
        if weights is not None:
            values *= weights
            cube *= weights[:, :, None]
        return _column_sums(values), cube.reshape(rows, -1)


def loss_name(hyperparameters: Mapping[str, Any]) -> str:
    """The loss in force: `auto` is the first one of the predictor type."""
    name = str(hyperparameters["loss"])
    return LOSSES_OF[hyperparameters["predictor_type"]][0] if name == "auto" else name


def make_loss(hyperparameters: Mapping[str, Any]) -> Loss:
    name = loss_name(hyperparameters)
    if name == "softmax_loss":
        return Softmax(int(hyperparameters["num_classes"]))
    if name == "hinge_loss":
        return Hinge(hyperparameters["margin"])
    if name == "quantile_loss":
        return Quantile(hyperparameters["quantile"])
    if name == "huber_loss":
        return Huber(hyperparameters["huber_delta"])
    if name == "eps_insensitive_squared_loss":
        return EpsilonInsensitiveSquared(hyperparameters["loss_insensitivity"])
    if name == "eps_insensitive_absolute_loss":
        return EpsilonInsensitiveAbsolute(hyperparameters["loss_insensitivity"])
    simple: dict[str, type[Loss]] = {
        "logistic": Logistic,
        "squared_loss": Squared,
        "absolute_loss": Absolute,
    }
    return simple[name]()
