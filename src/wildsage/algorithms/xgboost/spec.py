"""XGBoost's declaration: the container's hyperparameters, channels, metrics and images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wildsage.algorithms.spec import CSV as TEXT_CSV
from wildsage.algorithms.spec import (
    JSON,
    JSONLINES,
    RECORDIO,
    Channel,
    Choice,
    Hyperparameter,
    Integer,
    Metric,
    Real,
    Tunable,
)
from wildsage.algorithms.xgboost.dialect import (
    CONTENT_TYPES,
    DEFAULT_CONTENT_TYPE,
    IntegerTuple,
    NestedIntegers,
    WordList,
    XGBoostSpec,
)
from wildsage.algorithms.xgboost.names import (
    MAXIMIZED,
    MINIMIZED,
    MULTI_CLASS,
    OBJECTIVES,
    THRESHOLD_METRICS,
    UPDATERS,
)
from wildsage.contract.failure import ClientError

_TREE_UPDATERS = tuple(name for name in UPDATERS if name not in ("shotgun", "coord_descent"))
_GROWERS = ("grow_colmaker", "distcol", "grow_histmaker", "grow_quantile_histmaker")
_LINEAR_UPDATERS = ("shotgun", "coord_descent")
_RELEASES = ("0.90-1", "0.90-2", "1.0-1", "1.2-1", "1.2-2", "1.3-1", "1.5-1", "1.7-1", "3.0-5")
_INTERACTION_METHODS = ("exact", "hist", "approx")


def _tuned(low: float, high: float) -> Tunable:
    return Tunable(low, high, "Linear")


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


_TREES: tuple[Hyperparameter, ...] = (
    Real("eta", minimum=0, maximum=1, default=0.3, tunable=_tuned(0.1, 0.5)),
    Real("gamma", minimum=0, default=0.0, tunable=_tuned(0, 5)),
    Integer("max_depth", minimum=0, default=6, tunable=_tuned(0, 10)),
    Real("min_child_weight", minimum=0, default=1.0, tunable=_tuned(0, 120)),
    Real("max_delta_step", minimum=0, default=0.0, tunable=_tuned(0, 10)),
    *(
        Real(name, minimum=0, maximum=1, exclusive_minimum=True, default=1.0, tunable=tunable)
        for name, tunable in (
            ("subsample", _tuned(0.5, 1)),
            ("colsample_bytree", _tuned(0.5, 1)),
            ("colsample_bylevel", _tuned(0.1, 1)),
            ("colsample_bynode", _tuned(0.1, 1)),
        )
    ),
    Real("lambda", minimum=0, default=1.0, tunable=_tuned(0, 1000)),
    Real("alpha", minimum=0, default=0.0, tunable=_tuned(0, 1000)),
    Choice("tree_method", choices=("auto", "exact", "approx", "hist", "gpu_hist"), default="auto"),
    Real("sketch_eps", minimum=0, maximum=1, exclusive_minimum=True, exclusive_maximum=True),
    Real("scale_pos_weight", minimum=0, exclusive_minimum=True, default=1.0),
    WordList("updater", words=tuple(UPDATERS)),
    Choice("dsplit", choices=("row", "col")),
    Integer("refresh_leaf", minimum=0, maximum=1, default=1),
    Choice("process_type", choices=("default", "update"), default="default"),
    Choice("grow_policy", choices=("depthwise", "lossguide"), default="depthwise"),
    Integer("max_leaves", minimum=0, default=0),
    Integer("max_bin", minimum=0, default=256),
    Choice("predictor", choices=("auto", "cpu_predictor", "gpu_predictor")),
    IntegerTuple("monotone_constraints", values=(-1, 0, 1)),
    NestedIntegers("interaction_constraints"),
    Integer("num_parallel_tree", minimum=1, default=1),
    Choice("deterministic_histogram", choices=("true", "false")),
    Choice("sampling_method", choices=("uniform", "gradient_based"), default="uniform"),
    Integer("prob_buffer_row", minimum=1.0, exclusive_minimum=True),
)
_DART: tuple[Hyperparameter, ...] = (
    Choice("sample_type", choices=("uniform", "weighted"), default="uniform"),
    Choice("normalize_type", choices=("tree", "forest"), default="tree"),
    Real("rate_drop", minimum=0, maximum=1, default=0.0),
    Integer("one_drop", minimum=0, maximum=1, default=0),
    Real("skip_drop", minimum=0, maximum=1, default=0.0),
)
_TASK: tuple[Hyperparameter, ...] = (
    Real("lambda_bias", minimum=0, maximum=1),
    Real(
        "tweedie_variance_power",
        minimum=1,
        maximum=2,
        exclusive_minimum=True,
        exclusive_maximum=True,
        default=1.5,
    ),
    Choice("objective", choices=OBJECTIVES, default="reg:squarederror"),
    Integer("num_class", minimum=2),
    Real("base_score", minimum=0),
    Integer("_kfold", minimum=2),
    Integer("_num_cv_round", minimum=1),
    Choice(
        "_tuning_objective_metric",
        choices=tuple(f"validation:{name}" for name in (*MAXIMIZED, *MINIMIZED)),
    ),
    WordList("eval_metric"),
    Integer(
        "seed",
        minimum=-(2**31),
        maximum=2**31 - 1,
        exclusive_minimum=True,
        exclusive_maximum=True,
        default=0,
    ),
    Choice("aft_loss_distribution", choices=("normal", "logistic", "extreme")),
    Real("aft_loss_distribution_scale", minimum=0),
)
_RUN: tuple[Hyperparameter, ...] = (
    Integer("num_round", minimum=1, required=True, tunable=_tuned(1, 4000)),
    Integer("csv_weights", minimum=0, maximum=1, default=0),
    Integer("early_stopping_rounds", minimum=1),
    Choice("booster", choices=("gbtree", "gblinear", "dart"), default="gbtree"),
    Integer("verbosity", minimum=0, maximum=3, default=1),
    # Of the images up to 0.90, where tutorials set it; verbosity has taken its place.
    Integer("silent", minimum=0, maximum=1),
    Integer("nthread", minimum=1),
)
_SAVING: tuple[Hyperparameter, ...] = (
    Choice("save_model_on_termination", choices=("true", "false"), default="false"),
    Choice("use_dask_gpu_training", choices=("true", "false"), default="false"),
)


def _metric(split: str, name: str, maximize: bool) -> Metric:
    regex = rf".*\[[0-9]+\].*#011{split}-{name}:(\S+)"
    return Metric(f"{split}:{name}", regex, maximize=maximize, tunable=split == "validation")


def _metrics() -> tuple[Metric, ...]:
    directions = [(name, True) for name in MAXIMIZED] + [(name, False) for name in MINIMIZED]
    return tuple(_metric(split, *d) for split in ("validation", "train") for d in directions)


def _data_channel(name: str, *, required: bool) -> Channel:
    return Channel(
        name,
        content_types=CONTENT_TYPES,
        required=required,
        default_content_type=DEFAULT_CONTENT_TYPE,
    )


SPEC = XGBoostSpec(
    name="xgboost",
    title="XGBoost",
    image_names=("sagemaker-xgboost", "xgboost"),
    tags=(*_RELEASES, *(f"{tag}-cpu-py3" for tag in _RELEASES), "1", "latest"),
    hyperparameters=(*_RUN, *_TREES, *_DART, *_TASK, *_SAVING),
    hyperparameter_aliases=(
        ("learning_rate", "eta"),
        ("min_split_loss", "gamma"),
        ("reg_lambda", "lambda"),
        ("reg_alpha", "alpha"),
    ),
    channels=(
        _data_channel("train", required=True),
        _data_channel("validation", required=False),
        Channel(
            "code",
            content_types=("text/python",),
            modes=("File",),
            distribution=("FullyReplicated",),
            default_content_type="text/python",
        ),
    ),
    metrics=_metrics(),
    content_types=(TEXT_CSV, "text/libsvm", "text/x-libsvm", RECORDIO),
    accepts=(TEXT_CSV, JSON, JSONLINES, RECORDIO),
    rules=(_check_objective, _check_updater, _check_metrics, _check_constraints),
    announces_configuration=False,
    first_lines=("Docker entrypoint called with argument(s): {command}",),
    distributed=True,
    paper="https://arxiv.org/abs/1603.02754",
)
