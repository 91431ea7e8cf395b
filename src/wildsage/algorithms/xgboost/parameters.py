"""From SageMaker's hyperparameters to a plan for `xgboost.train`.

Names and values that the library has given up are translated to what they mean today, each with a
warning; what only steers the job is kept out of the library's parameters.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from wildsage.algorithms.xgboost.log import info, warn
from wildsage.algorithms.xgboost.metrics import CUSTOM, NATIVE
from wildsage.algorithms.xgboost.names import MAXIMIZED, UPDATERS
from wildsage.contract.failure import ClientError

DEFAULT_OBJECTIVE = "reg:squarederror"
# Steer the job, not the library.
_JOB = (
    "num_round",
    "early_stopping_rounds",
    "csv_weights",
    "save_model_on_termination",
    "use_dask_gpu_training",
    "eval_metric",
    "_kfold",
    "_num_cv_round",
    "_tuning_objective_metric",
)
_GONE = ("predictor", "dsplit", "deterministic_histogram", "prob_buffer_row", "lambda_bias")


@dataclass(slots=True)
class Plan:
    """What one training run does."""

    parameters: dict[str, Any]
    rounds: int
    metrics: list[str] = field(default_factory=list)
    custom_metrics: list[str] = field(default_factory=list)
    early_stopping_rounds: int | None = None
    stopping_metric: str | None = None
    folds: int | None = None
    repeats: int = 1

    @property
    def objective(self) -> str:
        return str(self.parameters.get("objective", DEFAULT_OBJECTIVE))

    @property
    def is_classification(self) -> bool:
        return self.objective.startswith(("binary:", "multi:"))

    @property
    def maximizes(self) -> bool | None:
        """Whether the stopping metric is the better the larger; None lets the library decide."""
        if self.stopping_metric is None:
            return None
        return self.stopping_metric.partition("@")[0] in MAXIMIZED

    @property
    def updates(self) -> bool:
        return bool(self.parameters.get("process_type") == "update")

    @property
    def has_trees(self) -> bool:
        return bool(self.parameters.get("booster", "gbtree") != "gblinear")


def make_plan(values: Mapping[str, Any], *, weighted: bool = False) -> Plan:
    """The plan of validated hyperparameters."""
    _refuse_dask(values)
    tuned = _tuned_metrics(values)
    names = _union(tuned, values.get("eval_metric"))
    custom = [name for name in names if name in CUSTOM and (weighted or name not in NATIVE)]
    stopping = tuned or values.get("eval_metric") or []
    return Plan(
        _library_parameters(values),
        values["num_round"],
        [name for name in names if name not in custom],
        custom,
        values.get("early_stopping_rounds"),
        stopping[-1] if stopping else None,
        values.get("_kfold"),
        values.get("_num_cv_round", 1),
    )


def _refuse_dask(values: Mapping[str, Any]) -> None:
    if values.get("use_dask_gpu_training") == "true":
        raise ClientError(
            "Some configurations unsuitable for Dask GPU training were found: Dask training is "
            "only available for `hist` (or `gpu_hist`) training on GPU instances."
        )


def _tuned_metrics(values: Mapping[str, Any]) -> list[str]:
    """The metric that a tuning job optimizes: `validation:auc` adds auc."""
    objective = values.get("_tuning_objective_metric")
    if objective is None:
        return []
    name = str(objective).split(":")[1]
    info(f"Setting up HPO optimized metric to be : {name}")
    return name.split(",")


def _union(tuned: Sequence[str], metrics: Sequence[str] | None) -> list[str]:
    """Every host of a gang must evaluate in one order: sorted, where two lists are joined."""
    if tuned and metrics:
        return sorted({*tuned, *metrics})
    return list(tuned or metrics or [])


def _library_parameters(values: Mapping[str, Any]) -> dict[str, Any]:
    parameters = {name: value for name, value in values.items() if name not in _JOB}
    for name in _GONE:
        if parameters.pop(name, None) is not None:
            warn(f"Parameter '{name}' is deprecated and is not used.")
    _translate_objective(parameters)
    _translate_tree_method(parameters)
    _translate_verbosity(parameters)
    if "updater" in parameters:
        parameters["updater"] = ",".join(_updaters(parameters["updater"]))
    for name in ("monotone_constraints", "interaction_constraints"):
        if name in parameters:
            parameters[name] = str(parameters[name])
    return parameters


def _translate_objective(parameters: dict[str, Any]) -> None:
    if parameters.get("objective") == "reg:linear":
        warn("reg:linear is now deprecated in favor of reg:squarederror.")
        parameters["objective"] = DEFAULT_OBJECTIVE


def _translate_tree_method(parameters: dict[str, Any]) -> None:
    if parameters.get("tree_method") == "gpu_hist":
        warn("The tree method `gpu_hist` is deprecated: `hist` on the CPU is used.")
        parameters["tree_method"] = "hist"
    epsilon = parameters.pop("sketch_eps", None)
    if epsilon is not None:
        warn("Parameter 'sketch_eps' is deprecated: it is translated to 'max_bin'.")
        if parameters.get("tree_method") == "approx":
            parameters.setdefault("max_bin", max(2, math.ceil(1 / epsilon)))


def _translate_verbosity(parameters: dict[str, Any]) -> None:
    silent = parameters.pop("silent", None)
    if silent is not None:
        warn("Parameter 'silent' is deprecated: use 'verbosity'.")
        parameters.setdefault("verbosity", 0 if silent else 1)


def _updaters(names: Sequence[str]) -> list[str]:
    for name in names:
        if UPDATERS[name] != name:
            warn(f"Updater '{name}' is deprecated: '{UPDATERS[name]}' is used.")
    return [UPDATERS[name] for name in names]
