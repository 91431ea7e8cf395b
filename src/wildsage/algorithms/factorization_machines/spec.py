"""The declaration of factorization-machines.

Sources: the developer guide's hyperparameter, tuning and format pages; the defaults as the
container's default-input.json has them, which names a few more than the guide.
"""

from __future__ import annotations

from wildsage.algorithms.spec import (
    JSON,
    JSONLINES,
    RECORDIO,
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
    quality,
)

METHODS = ("normal", "uniform", "constant")
_WIDE = Tunable(1e-8, 512)


def _group(
    name: str, what: str, rate: float, decay: float, sigma: float
) -> tuple[Hyperparameter, ...]:
    """The hyperparameters that bias, linear weights and factors each have."""
    return (
        Choice(
            f"{name}_init_method",
            choices=METHODS,
            default="normal",
            tunable=Tunable(values=METHODS),
            description=f"How {what} begins.",
        ),
        Real(
            f"{name}_init_scale",
            minimum=0,
            tunable=_WIDE,
            description="`uniform` draws between minus this and this; 0.07 where not given.",
        ),
        Real(
            f"{name}_init_sigma",
            minimum=0,
            default=sigma,
            tunable=_WIDE,
            description="Standard deviation of `normal`.",
        ),
        Real(
            f"{name}_init_value",
            tunable=_WIDE,
            description="The value of `constant`; 0 where not given.",
        ),
        Real(
            f"{name}_lr",
            minimum=0,
            default=rate,
            tunable=_WIDE,
            description=f"Learning rate of {what}.",
        ),
        Real(
            f"{name}_wd",
            minimum=0,
            default=decay,
            tunable=_WIDE,
            description=f"Weight decay (L2 penalty) of {what}.",
        ),
    )


HYPERPARAMETERS: tuple[Hyperparameter, ...] = (
    Integer("feature_dim", minimum=1, required=True, description="Number of features."),
    Integer("num_factors", minimum=1, required=True, description="Number of factors of a feature."),
    Choice(
        "predictor_type",
        choices=("binary_classifier", "regressor"),
        required=True,
        description="What the label is: 0 or 1, or a number.",
    ),
    Integer(
        "epochs",
        minimum=1,
        default=1,
        tunable=Tunable(1, 1000),
        description="Passes over the data.",
    ),
    Integer(
        "mini_batch_size",
        minimum=1,
        default=1000,
        tunable=Tunable(100, 10000),
        description="Rows in a mini-batch.",
    ),
    *_group("bias", "the bias", 0.1, 0.01, 0.01),
    *_group("linear", "the linear weights", 0.001, 0.001, 0.01),
    *_group("factors", "the factors", 0.0001, 0.00001, 0.001),
    Real(
        "clip_gradient",
        description="Gradients are clipped to between minus this and this; negative: they are not.",
    ),
    Real(
        "eps", minimum=0, description="Added to what the optimizer divides by; 1e-8 if not given."
    ),
    Real(
        "rescale_grad",
        minimum=0,
        description="Times the summed gradient of a batch; one over its rows if not given.",
    ),
    Boolean("use_bias", default=True, description="Whether there is a bias."),
    Boolean("use_linear", default=True, description="Whether there are linear weights."),
    Integer(
        "batch_metrics_publish_interval",
        minimum=1,
        default=500,
        description="Batches between two reports of a batch's metrics.",
    ),
    Choice(
        "_optimizer",
        choices=("adam", "adagrad", "sgd"),
        default="adam",
        description="What turns gradients into steps.",
    ),
    Real("_learning_rate", minimum=0, default=1.0, description="Times each learning rate."),
    Real("_wd", minimum=0, default=1.0, description="Times each weight decay."),
    Text("_tuning_objective_metric", default=""),
    Text("_log_level", default="info"),
    Text("_kvstore", default="auto"),
    Text("_num_kv_servers", default="auto"),
    Text("_num_gpus", default="auto"),
    Text("_enable_profiler", default="false"),
)

_TRAIN: tuple[tuple[str, str], ...] = (
    ("rmse", "loss"),
    ("mse", "loss"),
    ("absolute_loss", "loss"),
    ("binary_classification_cross_entropy", "loss"),
    ("binary_classification_accuracy", "score"),
)


def _while_training(name: str, kind: str) -> tuple[Metric, Metric]:
    """A training metric of each epoch, and of some batches."""
    where = r"#quality_metric: host=\S+, epoch=\S+, "
    return (
        Metric(
            f"train:{name}:epoch",
            rf"{where}train {name} <{kind}>=(\S+)",
            maximize=kind == "score",
            tunable=False,
        ),
        Metric(
            f"train:{name}",
            rf"{where}batch=\S+ train {name} <{kind}>=(\S+)",
            maximize=kind == "score",
            tunable=False,
        ),
    )


SPEC = AlgorithmSpec(
    name="factorization-machines",
    title="Factorization Machines",
    image_names=("factorization-machines",),
    log_name="factorization-machines",
    paper="Rendle, Factorization Machines, ICDM 2010; Kingma and Ba, Adam, ICLR 2015",
    hyperparameters=HYPERPARAMETERS,
    channels=(
        Channel("train", content_types=(RECORDIO,), required=True),
        Channel("test", content_types=(RECORDIO,)),
    ),
    metrics=(
        quality("test", "rmse", "loss"),
        quality("test", "binary_classification_accuracy", "score"),
        quality("test", "binary_classification_cross_entropy", "loss"),
        Metric(
            "test:binary_f_beta",
            r"#quality_metric: host=\S+, test binary_f_\S+ <score>=(\S+)",
            maximize=True,
        ),
        *(metric for name, kind in _TRAIN for metric in _while_training(name, kind)),
    ),
    content_types=(JSON, JSONLINES, RECORDIO),
    accepts=(JSON, JSONLINES, RECORDIO),
)
