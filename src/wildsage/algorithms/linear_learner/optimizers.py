"""Mini-batch optimizers over a matrix of models: one column per model, the bias in the last row.

Every column has its own learning rate and its own l1 and wd. L2 joins the gradient, L1 is a
proximal step (soft threshold) after it, which gives weights that are exactly zero.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
EPSILON = 1e-8
RMSPROP_DECAY = 0.9
AUTO = {"momentum": 0.9, "beta_1": 0.9, "beta_2": 0.999, "bias_lr_mult": 1.0, "bias_wd_mult": 0.0}
AUTO_SCHEDULE = {
    "lr_scheduler_step": 100,
    "lr_scheduler_factor": 0.99,
    "lr_scheduler_minimum_lr": 1e-5,
}


def setting(hyperparameters: Mapping[str, Any], name: str) -> float:
    """A hyperparameter that may be `auto`."""
    value = hyperparameters[name]
    return float({**AUTO, **AUTO_SCHEDULE}[name] if value == "auto" else value)


def optimizer_name(hyperparameters: Mapping[str, Any]) -> str:
    name = str(hyperparameters["optimizer"])
    return "adam" if name == "auto" else name


@dataclass(slots=True)
class Schedule:
    """The learning rates of a step: multiplied by `factor` every `step` updates, down to
    `minimum`."""

    rates: Array
    step: int
    factor: float
    minimum: float
    active: bool = True

    @classmethod
    def create(cls, rates: Array, hyperparameters: Mapping[str, Any]) -> Schedule:
        return cls(
            rates,
            int(setting(hyperparameters, "lr_scheduler_step")),
            setting(hyperparameters, "lr_scheduler_factor"),
            setting(hyperparameters, "lr_scheduler_minimum_lr"),
            bool(hyperparameters["use_lr_scheduler"]),
        )

    def at(self, update: int) -> Array:
        if not self.active:
            return self.rates
        decayed = self.rates * self.factor ** (update // self.step)
        return np.maximum(decayed, np.minimum(self.rates, self.minimum))


@dataclass(slots=True)
class Optimizer:
    """Shared by all: schedule, penalties, bias multipliers; `direction` is what differs."""

    schedule: Schedule
    wd: Array
    l1: Array
    bias_lr: float = 1.0
    bias_wd: float = 0.0
    use_bias: bool = True
    updates: int = 0
    state: dict[str, Array] = field(default_factory=dict)

    def step(self, weights: Array, gradient: Array) -> None:
        """Move `weights` in place; `gradient` is of the mean loss and is used as scratch."""
        gradient[:-1] += self.wd * weights[:-1]
        if self.bias_wd:
            gradient[-1] += self.bias_wd * self.wd * weights[-1]
        rates = self.schedule.at(self.updates).astype(np.float32)
        self.updates += 1
        move = self.direction(gradient, rates)
        if self.bias_lr != 1:
            move[-1] *= self.bias_lr
        if self.use_bias:
            weights -= move
        else:
            weights[:-1] -= move[:-1]
        if self.l1.any():
            inner = weights[:-1]
            np.copyto(inner, np.sign(inner) * np.maximum(np.abs(inner) - rates * self.l1, 0))

    def direction(self, gradient: Array, rates: Array) -> Array:
        raise TypeError("an optimizer says how to move")

    def remembered(self, name: str, like: Array) -> Array:
        if name not in self.state:
            self.state[name] = np.zeros_like(like)
        return self.state[name]


class Sgd(Optimizer):
    """Plain gradient descent with heavy-ball momentum."""

    momentum = 0.9

    def direction(self, gradient: Array, rates: Array) -> Array:
        velocity = self.remembered("velocity", gradient)
        velocity *= self.momentum
        velocity += rates * gradient
        return velocity.copy()


class Adam(Optimizer):
    """Kingma and Ba 2015."""

    beta_1 = 0.9
    beta_2 = 0.999

    def direction(self, gradient: Array, rates: Array) -> Array:
        first, second = self.remembered("first", gradient), self.remembered("second", gradient)
        first *= self.beta_1
        first += (1 - self.beta_1) * gradient
        gradient *= gradient
        second *= self.beta_2
        second += (1 - self.beta_2) * gradient
        correction = np.sqrt(1 - self.beta_2**self.updates) / (1 - self.beta_1**self.updates)
        np.sqrt(second, out=gradient)
        gradient += EPSILON
        np.divide(first, gradient, out=gradient)
        gradient *= rates * np.float32(correction)
        return gradient


class RmsProp(Optimizer):
    """Tieleman and Hinton 2012."""

    def direction(self, gradient: Array, rates: Array) -> Array:
        second = self.remembered("second", gradient)
        second *= RMSPROP_DECAY
        second += (1 - RMSPROP_DECAY) * gradient * gradient
        return rates * gradient / (np.sqrt(second) + EPSILON)


def make_optimizer(
    hyperparameters: Mapping[str, Any], rates: Array, wd: Array, l1: Array
) -> Optimizer:
    """The optimizer that the hyperparameters ask for, over columns with these rates and
    penalties."""
    kinds: dict[str, type[Optimizer]] = {"sgd": Sgd, "adam": Adam, "rmsprop": RmsProp}
    optimizer = kinds[optimizer_name(hyperparameters)](
        Schedule.create(rates, hyperparameters),
        wd.astype(np.float32),
        l1.astype(np.float32),
        bias_lr=setting(hyperparameters, "bias_lr_mult"),
        bias_wd=setting(hyperparameters, "bias_wd_mult"),
        use_bias=bool(hyperparameters["use_bias"]),
    )
    if isinstance(optimizer, Adam):
        optimizer.beta_1 = setting(hyperparameters, "beta_1")
        optimizer.beta_2 = setting(hyperparameters, "beta_2")
    if isinstance(optimizer, Sgd):
        optimizer.momentum = setting(hyperparameters, "momentum")
    return optimizer
