"""The models that are trained side by side: their l1, wd, learning rates and positive weights.

The first model has exactly what was asked for (or the defaults where that is `auto`); the others
have other values where it was `auto`, and close values where a value was given. A penalty given as
0 stays 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wildsage.algorithms.linear_learner.optimizers import (
    AUTO_SCHEDULE,
    optimizer_name,
    setting,
)

Array = NDArray[Any]
AUTO_MODELS = 32
MOST_PARAMETERS = 8_000_000
AUTO_WD = (1e-4, 1e-7, 1e-6, 1e-5, 1e-3, 1e-2, 1e-1, 1.0)
AUTO_L1 = (0.0, 1e-4, 1e-3, 1e-2)
AUTO_RATES = {"adam": (0.005, 0.1), "sgd": (0.01, 0.1), "rmsprop": (0.001, 0.01)}
CLOSE = (1.0, 0.5, 2.0, 0.25, 4.0, 0.75, 1.5, 3.0)
CLOSE_RATES = (1.0, 0.5)


@dataclass(frozen=True, slots=True)
class Candidates:
    """One entry per model in every array."""

    l1: Array
    wd: Array
    rates: Array
    positive_weights: Array

    def __len__(self) -> int:
        return len(self.l1)

    def take(self, models: Array) -> Candidates:
        return Candidates(
            self.l1[models], self.wd[models], self.rates[models], self.positive_weights[models]
        )

    def describe(self, model: int, hyperparameters: Mapping[str, Any]) -> dict[str, Any]:
        """The content of the `Best model found for hyperparameters:` line."""
        return {
            "optimizer": optimizer_name(hyperparameters),
            "learning_rate": float(self.rates[model]),
            "l1": float(self.l1[model]),
            "wd": float(self.wd[model]),
            "lr_scheduler_step": int(setting(hyperparameters, "lr_scheduler_step")),
            **{name: setting(hyperparameters, name) for name in list(AUTO_SCHEDULE)[1:]},
        }


def _values(given: Any, automatic: Sequence[float], close: Sequence[float]) -> Array:
    if given == "auto":
        return np.array(automatic)
    return np.array([float(given) * factor for factor in close[: len(automatic)]])


def model_count(hyperparameters: Mapping[str, Any], parameters_per_model: int) -> int:
    """How many models to train; one only inside a tuning job, which does the searching itself."""
    if hyperparameters.get("_tuning_objective_metric"):
        return 1
    if hyperparameters["num_models"] != "auto":
        return int(hyperparameters["num_models"])
    return max(1, min(AUTO_MODELS, MOST_PARAMETERS // max(parameters_per_model, 1)))


def _positive_weights(given: Any, balance: float, models: Array) -> Array:
    """`balance` is negatives per positive."""
    if given == "balanced":
        return np.full(len(models), balance)
    if given == "auto":
        return np.take([1.0, balance, np.sqrt(balance)], models % 3)
    return np.full(len(models), float(given))


def make_candidates(
    hyperparameters: Mapping[str, Any],
    *,
    parameters_per_model: int,
    balance: float = 1.0,
    rates_matter: bool = True,
) -> Candidates:
    """The candidates; with an automatic count, those that would be trained alike are left out.

    Where the optimum is solved for, learning rates only lead to the start: one careful one serves
    all.
    """
    models = np.arange(model_count(hyperparameters, parameters_per_model))
    wd = _values(hyperparameters["wd"], AUTO_WD, CLOSE)
    l1 = _values(hyperparameters["l1"], AUTO_L1, CLOSE)
    automatic_rates: Sequence[float] = AUTO_RATES[optimizer_name(hyperparameters)]
    if not rates_matter:
        automatic_rates = automatic_rates[:1]
    rates = _values(hyperparameters["learning_rate"], automatic_rates, CLOSE_RATES)
    row = models // len(wd)
    beyond = 1.5 ** (row // len(l1))
    mult = hyperparameters["positive_example_weight_mult"]
    candidates = Candidates(
        l1=l1[row % len(l1)] * beyond,
        wd=wd[models % len(wd)] * beyond,
        rates=rates[(models + row) % len(rates)],
        positive_weights=_positive_weights(mult, balance, models),
    )
    if hyperparameters["num_models"] != "auto":
        return candidates
    return candidates.take(_distinct(candidates))


def _distinct(candidates: Candidates) -> Array:
    """The first of each sort."""
    every = (candidates.l1, candidates.wd, candidates.rates, candidates.positive_weights)
    seen: dict[tuple[float, ...], int] = {}
    for model, key in enumerate(zip(*(array.tolist() for array in every), strict=True)):
        seen.setdefault(key, model)
    return np.array(list(seen.values()))
