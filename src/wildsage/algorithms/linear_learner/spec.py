"""The declaration of linear-learner: hyperparameters, channels, metrics.

Sources: the developer guide's hyperparameter and tuning pages; the defaults as the container's
default-input.json has them; the metric definitions as DescribeHyperParameterTuningJob returned
them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from wildsage.algorithms.spec import (
    AlgorithmSpec,
    Boolean,
    Channel,
    Choice,
    Hyperparameter,
    Integer,
    Metric,
    Real,
    Text,
    Tunable,
)
from wildsage.contract.failure import ClientError

BINARY_LOSSES = ("logistic", "hinge_loss")
MULTICLASS_LOSSES = ("softmax_loss",)
REGRESSION_LOSSES = (
    "squared_loss",
    "absolute_loss",
    "eps_insensitive_squared_loss",
    "eps_insensitive_absolute_loss",
    "quantile_loss",
    "huber_loss",
)
LOSSES_OF = {
    "binary_classifier": BINARY_LOSSES,
    "multiclass_classifier": MULTICLASS_LOSSES,
    "regressor": REGRESSION_LOSSES,
}


@dataclass(frozen=True, slots=True)
class WeightMultiplier(Real):
    """A positive number, or the words `balanced` and `auto`."""

    def parse(self, text: str) -> Any:
        return text if text == "balanced" else Real.parse(self, text)

    @property
    def range_text(self) -> str:
        return "auto, balanced or (0, inf)"

    def number_pattern(self) -> str:
        return r"balanced|[0-9]*\.?[0-9]+([eE][-+]?[0-9]+)?"


def _positive(name: str, default: Any, **more: Any) -> Real:
    return Real(name, minimum=0, exclusive_minimum=True, default=default, **more)


def _fraction(name: str, default: Any, **more: Any) -> Real:
    """Inside (0, 1)."""
    return _positive(name, default, maximum=1, exclusive_maximum=True, **more)


def _decay(name: str, description: str) -> Real:
    """auto or [0, 1)."""
    return Real(
        name,
        minimum=0,
        maximum=1,
        exclusive_maximum=True,
        auto=True,
        default="auto",
        description=description,
    )


def _count(name: str, default: Any, **more: Any) -> Integer:
    return Integer(name, minimum=1, default=default, **more)


HYPERPARAMETERS: tuple[Hyperparameter, ...] = (
    Choice(
        "predictor_type",
        choices=tuple(LOSSES_OF),
        required=True,
        description="What the label is: one of two classes, one of several, or a number.",
    ),
    Integer(
        "num_classes",
        minimum=1,
        maximum=1_000_000,
        default=1,
        description="Number of classes, for `multiclass_classifier`: from 3 on.",
    ),
    _count(
        "feature_dim",
        "auto",
        auto=True,
        description="Number of features; `auto` takes it from the data.",
    ),
    _count(
        "mini_batch_size", 1000, tunable=Tunable(100, 5000), description="Rows in a mini-batch."
    ),
    _count("epochs", 15, description="The most passes over the data."),
    _count(
        "num_models",
        "auto",
        auto=True,
        description="Models trained side by side; `auto` is up to 32, 1 in a tuning job.",
    ),
    _count(
        "num_calibration_samples",
        10_000_000,
        auto=True,
        description="The most rows that the threshold is calibrated on.",
    ),
    Choice(
        "optimizer",
        choices=("sgd", "adam", "rmsprop"),
        auto=True,
        default="auto",
        description="`auto`: Adam, then second-order steps to the optimum.",
    ),
    Choice(
        "loss",
        choices=(*BINARY_LOSSES, *MULTICLASS_LOSSES, *REGRESSION_LOSSES),
        auto=True,
        default="auto",
        description="`auto`: `logistic`, `softmax_loss` or `squared_loss`.",
    ),
    _positive(
        "learning_rate",
        "auto",
        auto=True,
        tunable=Tunable(1e-5, 1),
        description="The optimizer's step size.",
    ),
    Real(
        "wd",
        minimum=0,
        auto=True,
        default="auto",
        tunable=Tunable(1e-7, 1),
        description="L2 penalty: half of it times the squared weights joins the mean loss.",
    ),
    Real(
        "l1",
        minimum=0,
        auto=True,
        default="auto",
        tunable=Tunable(1e-7, 1),
        description="L1 penalty: it times the absolute weights joins the mean loss.",
    ),
    _decay("momentum", description="Of `sgd`; `auto`: 0.9."),
    _decay("beta_1", description="Of `adam`: decay of the first moment; `auto`: 0.9."),
    _decay("beta_2", description="Of `adam`: decay of the second moment; `auto`: 0.999."),
    _positive(
        "bias_lr_mult",
        "auto",
        auto=True,
        description="The bias's learning rate, in multiples of the others'; `auto`: 1.",
    ),
    Real(
        "bias_wd_mult",
        minimum=0,
        auto=True,
        default="auto",
        description="The bias's L2 penalty, in multiples of `wd`; `auto`: 0.",
    ),
    Boolean(
        "use_bias",
        default=True,
        tunable=Tunable(values=("true", "false")),
        description="Whether there is a bias.",
    ),
    Boolean("use_lr_scheduler", default=True, description="Whether the learning rate falls."),
    _count(
        "lr_scheduler_step",
        "auto",
        auto=True,
        description="Updates between two falls; `auto`: 100.",
    ),
    _fraction(
        "lr_scheduler_factor",
        "auto",
        auto=True,
        description="What a fall leaves of the learning rate; `auto`: 0.99.",
    ),
    _positive(
        "lr_scheduler_minimum_lr",
        "auto",
        auto=True,
        description="It never falls below this; `auto`: 1e-5.",
    ),
    Choice(
        "init_method",
        choices=("uniform", "normal"),
        default="uniform",
        description="Distribution of the initial weights.",
    ),
    _positive("init_scale", 0.07, description="`uniform` draws between minus this and this."),
    _positive("init_sigma", 0.01, description="Standard deviation of `normal`."),
    Real("init_bias", default=0.0, description="The initial bias."),
    Boolean(
        "normalize_data",
        auto=True,
        default=True,
        description="Whether features are scaled to a standard deviation of 1.",
    ),
    Boolean(
        "normalize_label",
        auto=True,
        default="auto",
        description="The same for a regressor's label; `auto`: yes.",
    ),
    Boolean(
        "unbias_data",
        auto=True,
        default="auto",
        description="Whether features are shifted to a mean of 0; `auto`: if there is a bias.",
    ),
    Boolean(
        "unbias_label",
        auto=True,
        default="auto",
        description="The same for a regressor's label; `auto`: yes. Needs a bias.",
    ),
    _count(
        "num_point_for_scaler",
        10_000,
        description="Rows from which means and deviations are taken.",
    ),
    WeightMultiplier(
        "positive_example_weight_mult",
        minimum=0,
        exclusive_minimum=True,
        auto=True,
        default=1.0,
        tunable=Tunable(1e-5, 1e5),
        description="Weight of positive examples; `balanced`, `auto`: best of three.",
    ),
    Boolean(
        "balance_multiclass_weights",
        default=False,
        description="Whether every class has the same weight in the loss.",
    ),
    Choice(
        "binary_classifier_model_selection_criteria",
        choices=(
            "accuracy",
            "f1",
            "f_beta",
            "precision_at_target_recall",
            "recall_at_target_precision",
            "cross_entropy_loss",
            "loss_function",
        ),
        default="accuracy",
        description="What chooses the model and calibrates its threshold.",
    ),
    _fraction(
        "target_recall", 0.8, description="Recall to keep under `precision_at_target_recall`."
    ),
    _fraction(
        "target_precision", 0.8, description="Precision to keep under `recall_at_target_precision`."
    ),
    _positive("f_beta", 1.0, description="Beta of F scores: above 1 recall counts more."),
    Integer(
        "accuracy_top_k",
        minimum=1,
        maximum=1_000_000,
        default=3,
        description="k of the top-k accuracy.",
    ),
    Real("margin", minimum=0, default=1.0, description="Margin of `hinge_loss`."),
    _fraction(
        "quantile",
        0.5,
        description="Of `quantile_loss`: this share of labels lies below the predictions.",
    ),
    _positive(
        "loss_insensitivity",
        0.01,
        description="Errors up to this, in units of the (scaled) label, are none.",
    ),
    _positive(
        "huber_delta",
        1.0,
        description="Where `huber_loss` turns absolute, in units of the (scaled) label.",
    ),
    _count(
        "early_stopping_patience",
        3,
        description="Epochs without an improvement after which training ends.",
    ),
    _positive(
        "early_stopping_tolerance", 0.001, description="A relative improvement below this is none."
    ),
    Text("_tuning_objective_metric", default=""),
    Text("_log_level", default="info"),
    Text("_kvstore", default="auto"),
    Text("_num_kv_servers", default="auto"),
    Text("_num_gpus", default="auto"),
    Text("_enable_profiler", default="false"),
)


def _check_classes(values: Mapping[str, Any]) -> None:
    """num_classes: from 3 on for multiclass, ignored otherwise."""
    if values["predictor_type"] != "multiclass_classifier" or values["num_classes"] >= 3:
        return
    if values["num_classes"] == 1:
        raise ClientError(
            "No value(s) were specified for 'num_classes' which are required hyperparameter(s)",
            caused_by="ValidationError",
        )
    declared = Integer("num_classes", minimum=3, maximum=1_000_000)
    raise declared.refuse_number(str(values["num_classes"]))


def _check_loss(values: Mapping[str, Any]) -> None:
    accepted = ("auto", *LOSSES_OF[values["predictor_type"]])
    if values["loss"] not in accepted:
        quoted = ", ".join(f"'{name}'" for name in accepted)
        declared = Choice("loss", choices=accepted)
        raise declared.refuse(values["loss"], f"accepts one of the following: {quoted}")


# name -> (pattern in the line, is it a score); the columns of the guide's metric table.
_FINAL = {
    "binary_classification_accuracy": ("binary_classification_accuracy", True),
    "binary_f_beta": (r"binary_f_\S+", True),
    "precision": ("precision", True),
    "recall": ("recall", True),
    "roc_auc_score": ("roc_auc_score", True),
    "binary_balanced_accuracy": ("binary_balanced_accuracy", True),
    "binary_log_loss": ("binary_log_loss", False),
    "multiclass_accuracy": ("multiclass_accuracy", True),
    "multiclass_top_k_accuracy": (r"multiclass_top_k_accuracy_\S+", True),
    "dcg": ("dcg", True),
    "macro_recall": ("macro_recall", True),
    "macro_precision": ("macro_precision", True),
    "macro_f_beta": (r"macro_f_\S+", True),
    "multiclass_balanced_accuracy": ("multiclass_balanced_accuracy", True),
    "multiclass_log_loss": ("multiclass_log_loss", False),
    "mse": ("mse", False),
    "absolute_loss": ("absolute_loss", False),
    "rmse": ("rmse", False),
    "mae": ("mae", False),
    "r2": ("r2", True),
}
# The real log writes <score> at the log losses too, although less is better.
_WRITTEN_AS_LOSS = frozenset({"mse", "absolute_loss", "rmse", "mae"})


def written_as_loss(name: str) -> bool:
    """Whether a figure's line says <loss>."""
    return name in _WRITTEN_AS_LOSS or name.endswith("_objective")


def _metrics_of(split: str) -> list[Metric]:
    host = r"#quality_metric: host=\S+,"
    objective = rf"{split} \S+_objective <loss>=(\S+)"
    epochs = Metric(
        f"{split}:objective_loss",
        rf"{host} epoch=\S+, {objective}",
        maximize=False,
        tunable=split != "train",
    )
    final = Metric(f"{split}:objective_loss:final", rf"{host} {objective}", False, tunable=False)
    if split == "test":
        epochs = Metric("test:objective_loss", rf"{host} {objective}", maximize=False)
    metrics = [
        Metric(
            f"{split}:{name}",
            rf"{host} {split} {pattern} <{'loss' if written_as_loss(name) else 'score'}>=(\S+)",
            maximize=score,
            tunable=split != "train",
        )
        for name, (pattern, score) in _FINAL.items()
    ]
    return [epochs, *([] if split == "test" else [final]), *metrics]


SPEC = AlgorithmSpec(
    name="linear-learner",
    title="Linear Learner",
    image_names=("linear-learner",),
    hyperparameters=HYPERPARAMETERS,
    channels=(
        Channel("train", required=True),
        Channel("validation", distribution=("FullyReplicated",)),
        Channel("test", distribution=("FullyReplicated",)),
    ),
    metrics=tuple(m for split in ("train", "validation", "test") for m in _metrics_of(split)),
    distributed=True,
    gpu=False,
    paper=(
        "Bottou, L.: Large-Scale Machine Learning with Stochastic Gradient Descent, COMPSTAT 2010; "
        "Kingma, D. and Ba, J.: Adam, a Method for Stochastic Optimization, ICLR 2015; "
        "Lee, J. et al.: Proximal Newton-Type Methods for Minimizing Composite Functions, 2014"
    ),
    log_name="Linear Learner",
    rules=(_check_classes, _check_loss),
)
