"""The declaration of forecasting-deepar."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from wildsage.algorithms.forecasting_deepar.names import ALIASES, LIKELIHOODS
from wildsage.algorithms.spec import (
    JSON,
    JSONLINES,
    AlgorithmSpec,
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

IGNORE = "ignore"
AUTOMATIC = "auto"
CONTENT_TYPES = (
    "auto",
    "json",
    "json.gz",
    "parquet",
    JSON,
    JSONLINES,
    "application/x-jsonlines",
    "application/x-parquet",
)


@dataclass(frozen=True, slots=True)
class OptionalInteger(Integer):
    """A whole number, or nothing: an empty text."""

    def parse(self, text: str) -> Any:
        return None if text == "" else Integer.parse(self, text)

    def default_text(self) -> str | None:
        return ""


@dataclass(frozen=True, slots=True)
class Counted(Hyperparameter):
    """`auto`, `ignore` (or nothing, which means the same), or what `convert` reads."""

    many: bool = False

    @property
    def range_text(self) -> str:
        return "auto, ignore, " + ("JSON list of integers >= 1" if self.many else "integer >= 1")

    def parse(self, text: str) -> Any:
        if text in (AUTOMATIC, IGNORE):
            return text
        return IGNORE if text == "" else self.convert(text)

    def convert(self, text: str) -> Any:
        number = "[1-9][0-9]*"
        pattern = rf"\[\s*{number}(\s*,\s*{number})*\s*\]" if self.many else number
        if not re.fullmatch(pattern, text.strip()):
            raise self.refuse_pattern(text, f"^({AUTOMATIC}|{IGNORE}||{pattern})$")
        return json.loads(text)


@dataclass(frozen=True, slots=True)
class Quantiles(Hyperparameter):
    """A JSON list of numbers between 0 and 1."""

    @property
    def range_text(self) -> str:
        return "JSON list of numbers in (0, 1)"

    def convert(self, text: str) -> list[float]:
        try:
            values = json.loads(text)
        except ValueError:
            raise self.refuse(text, "expects a JSON list of numbers between 0 and 1") from None
        if not isinstance(values, list) or not values or not all(map(_is_quantile, values)):
            raise self.refuse(text, "expects a JSON list of numbers between 0 and 1")
        return [float(value) for value in values]


def _is_quantile(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < 1


SPEC = AlgorithmSpec(
    name="forecasting-deepar",
    title="DeepAR Forecasting",
    image_names=("forecasting-deepar",),
    log_name="AWS/DeepAR",
    paper="Salinas, Flunkert, Gasthaus, DeepAR: Probabilistic Forecasting with Autoregressive "
    "Recurrent Networks, 2017, https://arxiv.org/abs/1704.04110",
    gpu=True,
    hyperparameters=(
        Integer(
            "context_length",
            minimum=1,
            required=True,
            tunable=Tunable(1, 200),
            description="How many periods the network reads before the forecast begins.",
        ),
        Integer(
            "epochs",
            minimum=1,
            required=True,
            tunable=Tunable(1, 1000),
            description="Most passes over the training data.",
        ),
        Integer(
            "prediction_length",
            minimum=1,
            required=True,
            description="How many periods are forecast.",
        ),
        Text(
            "time_freq",
            pattern=r"([1-9][0-9]*)?(M|W|D|H|min)",
            required=True,
            description="The length of a period: an integer followed by M, W, D, H or min.",
        ),
        Counted(
            "cardinality",
            many=True,
            default=AUTOMATIC,
            description="How many values each categorical feature has.",
        ),
        Real(
            "dropout_rate",
            minimum=0,
            maximum=1,
            exclusive_maximum=True,
            default=0.1,
            tunable=Tunable(0, 0.2),
            description="The share of hidden values that zoneout keeps from the step before.",
        ),
        OptionalInteger(
            "early_stopping_patience",
            minimum=1,
            description="Epochs without progress after which training stops.",
        ),
        Integer(
            "embedding_dimension",
            minimum=1,
            default=10,
            tunable=Tunable(1, 50),
            description="Numbers that are learned for each value of a categorical feature.",
        ),
        Real(
            "learning_rate",
            minimum=0,
            exclusive_minimum=True,
            default=0.001,
            tunable=Tunable(1e-5, 0.1, "Logarithmic"),
            description="The step size of Adam; on the way it is thrice as large, then small.",
        ),
        Choice(
            "likelihood",
            choices=LIKELIHOODS,
            aliases=ALIASES,
            default="student-T",
            description="The noise that is assumed.",
        ),
        Integer(
            "mini_batch_size",
            minimum=1,
            default=128,
            tunable=Tunable(32, 1028),
            description="Windows in a batch, over all instances.",
        ),
        Integer(
            "num_cells",
            minimum=1,
            default=40,
            tunable=Tunable(30, 200),
            description="Cells in each layer.",
        ),
        Counted(
            "num_dynamic_feat",
            default=AUTOMATIC,
            description="How many feature time series there are.",
        ),
        Integer(
            "num_eval_samples",
            minimum=1,
            default=100,
            description="Sample paths per series for the metrics of the test channel.",
        ),
        Integer(
            "num_layers",
            minimum=1,
            default=2,
            tunable=Tunable(1, 8),
            description="Layers of cells.",
        ),
        Quantiles(
            "test_quantiles",
            default=[0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9],
            description="Quantiles whose loss is computed on the test channel.",
        ),
        Text("_kvstore", default="auto"),
        Text("_num_gpus", default="auto"),
        Text("_num_kv_servers", default="auto"),
        Text("_tuning_objective_metric", default=""),
    ),
    channels=(
        Channel(
            "train",
            content_types=CONTENT_TYPES,
            modes=("File",),
            required=True,
            default_content_type=AUTOMATIC,
        ),
        Channel(
            "test",
            content_types=CONTENT_TYPES,
            modes=("File",),
            default_content_type=AUTOMATIC,
        ),
    ),
    metrics=(
        quality("test", "RMSE", "loss"),
        quality("test", "mean_wQuantileLoss", "loss"),
        quality("train", "final_loss", "loss"),
        quality("train", "loss", "loss", epoch=True),
        Metric(
            "train:loss",
            r"#quality_metric: host=\S+, epoch=\S+, batch=\S+ train loss <loss>=(\S+)",
            maximize=False,
            tunable=False,
        ),
    ),
    content_types=(JSON, JSONLINES),
    accepts=(JSON, JSONLINES),
)
