"""Checks across hyperparameters, in the container's words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wildsage.algorithms.spec import Rule
from wildsage.algorithms.xgboost.names import (
    MAXIMIZED,
    MINIMIZED,
    MULTI_CLASS,
    THRESHOLD_METRICS,
    UPDATERS,
)
from wildsage.contract.failure import ClientError

_LINEAR_UPDATERS = ("shotgun", "coord_descent")
_TREE_UPDATERS = tuple(name for name in UPDATERS if name not in _LINEAR_UPDATERS)
_GROWERS = ("grow_colmaker", "distcol", "grow_histmaker", "grow_quantile_histmaker")
_INTERACTION_METHODS = ("exact", "hist", "approx")


def _check_objective(values: Mapping[str, Any]) -> None:
    if values.get("objective") in MULTI_CLASS and values.get("num_class") is None:
        raise ClientError("Require input for parameter 'num_class' for multi-classification")


def _check_updater(values: Mapping[str, Any]) -> None:
    updaters = values.get("updater")
    if updaters is None:
        return
    if values.get("booster") == "gblinear":
        if len(updaters) != 1 or updaters[0] not in _LINEAR_UPDATERS:
            options = ", ".join(f"'{name}'" for name in _LINEAR_UPDATERS)
            raise ClientError(f"Linear updater should be one of these options: {options}.")
    elif values.get("process_type") == "update":
        if any(name not in ("refresh", "prune") for name in updaters):
            raise ClientError(
                "process_type 'update' can only be used with updater 'refresh' and 'prune'"
            )
    else:
        _check_tree_updaters(updaters)


def _check_tree_updaters(updaters: list[str]) -> None:
    # "shortgun" and the missing blank are the container's.
    if any(name not in _TREE_UPDATERS for name in updaters):
        raise ClientError(
            "Tree updater should be selected from these options: 'grow_colmaker', 'distcol', "
            "'grow_histmaker', 'grow_skmaker', 'grow_quantile_histmaker', 'sync', 'refresh', "
            "'prune', 'shortgun', 'coord_descent'."
        )
    if sum(name in _GROWERS for name in updaters) > 1:
        raise ClientError(
            "Only one tree grow plugin can be selected. Choose one from the"
            "following: 'grow_colmaker', 'distcol', 'grow_histmaker', 'grow_skmaker'"
        )


def _check_metrics(values: Mapping[str, Any]) -> None:
    metrics = values.get("eval_metric") or []
    for metric in metrics:
        _check_metric(metric, metrics)
    objective = values.get("objective", "reg:squarederror")
    if "auc" in metrics and not objective.startswith(("binary:", "rank:")):
        raise ClientError(
            "Metric 'auc' can only be applied for classification and ranking problems."
        )
    if "aft-nloglik" in metrics and objective != "survival:aft":
        raise ClientError("Metric 'aft-nloglik' can only be applied for 'survival:aft' objective.")


def _check_metric(metric: str, metrics: list[str]) -> None:
    if "<function" in metric:
        raise ClientError(f"User defined evaluation metric {metric} is not supported yet.")
    name, at, threshold = metric.partition("@")
    if not at:
        if metric not in (*MAXIMIZED, *MINIMIZED):
            accepted = [*MAXIMIZED, *MINIMIZED]
            raise ClientError(
                f"Hyperparameter eval_metric: value {metrics} not in range {accepted}"
            )
        return
    if name.strip() not in THRESHOLD_METRICS:
        raise ClientError(
            f"Metric '{metric}' is not supported. Parameter 'eval_metric' with customized "
            "threshold should be one of these options: 'error', 'ndcg', 'map'."
        )
    try:
        float(threshold)
    except ValueError:
        raise ClientError(
            f"Threshold value 't' in '{name.strip()}@t' expects float input."
        ) from None


def _check_constraints(values: Mapping[str, Any]) -> None:
    method = values.get("tree_method")
    if values.get("monotone_constraints") is not None and method not in ("exact", "hist"):
        raise ClientError(
            "monotone_constraints can be used only when the tree_method parameter is set to "
            "either 'exact' or 'hist'."
        )
    constrained = values.get("interaction_constraints") is not None
    if constrained and method not in _INTERACTION_METHODS:
        raise ClientError(
            "interaction_constraints can be used only when the tree_method parameter is set to "
            "either 'exact', 'hist' or 'approx'."
        )


RULES: tuple[Rule, ...] = (_check_objective, _check_updater, _check_metrics, _check_constraints)
