"""The declaration of ipinsights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wildsage.algorithms.spec import (
    CSV,
    JSON,
    JSONLINES,
    AlgorithmSpec,
    Channel,
    Integer,
    Metric,
    Real,
    Text,
    Tunable,
)
from wildsage.contract.failure import ClientError

MOST_NEGATIVES = 500


def _check_negatives(values: Mapping[str, Any]) -> None:
    """There must be something to tell the real pairs from."""
    total = values["random_negative_sampling_rate"] + values["shuffled_negative_sampling_rate"]
    if not 1 <= total <= MOST_NEGATIVES:
        raise ClientError(
            "The sum of 'random_negative_sampling_rate' and 'shuffled_negative_sampling_rate' "
            f"must be between 1 and {MOST_NEGATIVES}, but it is {total}.",
            caused_by="ValidationError",
        )


def _rate(name: str, description: str) -> Integer:
    return Integer(
        name,
        minimum=0,
        maximum=MOST_NEGATIVES,
        default=1,
        tunable=Tunable(0, 10),
        description=description,
    )


_WHERE = r"#quality_metric: host=\S+, epoch=\S+, "


def _while_training(name: str, kind: str) -> tuple[Metric, Metric]:
    """A training metric of each epoch, and of some batches."""
    return (
        Metric(
            f"train:{name}:epoch",
            rf"{_WHERE}train {name} <{kind}>=(\S+)",
            maximize=kind == "score",
            tunable=False,
        ),
        Metric(
            f"train:{name}",
            rf"{_WHERE}batch=\S+ train {name} <{kind}>=(\S+)",
            maximize=kind == "score",
            tunable=False,
        ),
    )


SPEC = AlgorithmSpec(
    name="ipinsights",
    title="IP Insights",
    image_names=("ipinsights",),
    log_name="AWS/IPInsights",
    paper="Mikolov et al., Distributed Representations of Words and Phrases, NeurIPS 2013",
    ignored=("feature_dim",),
    hyperparameters=(
        Integer(
            "num_entity_vectors",
            minimum=1,
            maximum=250_000_000,
            required=True,
            tunable=Tunable(10_000, 1_000_000),
            description="Entities are hashed to this many; twice the number of entities or more.",
        ),
        Integer(
            "vector_dim",
            minimum=4,
            maximum=4096,
            required=True,
            tunable=Tunable(8, 256),
            description="Size of the vectors of entities and addresses.",
        ),
        Integer(
            "batch_metrics_publish_interval",
            minimum=1,
            default=1000,
            description="Batches between two reports of a batch's metrics.",
        ),
        Integer(
            "epochs",
            minimum=1,
            default=10,
            tunable=Tunable(1, 100),
            description="Passes over the data.",
        ),
        Real(
            "learning_rate",
            minimum=1e-6,
            maximum=10,
            default=0.001,
            tunable=Tunable(1e-4, 0.1),
            description="Adam's step size.",
        ),
        Integer(
            "mini_batch_size",
            minimum=1,
            maximum=500_000,
            default=10_000,
            tunable=Tunable(100, 50_000),
            description="Pairs in a mini-batch.",
        ),
        Integer(
            "num_ip_encoder_layers",
            minimum=0,
            maximum=100,
            default=1,
            tunable=Tunable(1, 10),
            description="Fully connected layers over the sum of an address's prefix vectors.",
        ),
        _rate(
            "random_negative_sampling_rate",
            "Pairs of an entity and a random address, for each real pair.",
        ),
        _rate(
            "shuffled_negative_sampling_rate",
            "Pairs of an entity and another's address of the batch, for each real pair.",
        ),
        Real(
            "weight_decay",
            minimum=0,
            maximum=10,
            default=0.00001,
            tunable=Tunable(0, 1),
            description="L2 penalty.",
        ),
        Text("_tuning_objective_metric", default=""),
        Text("_log_level", default="info"),
        Text("_kvstore", default="auto"),
        Text("_num_kv_servers", default="auto"),
        Text("_num_gpus", default="auto"),
        Text("_enable_profiler", default="false"),
    ),
    channels=(
        Channel(
            "train", content_types=(CSV,), modes=("File",), required=True, default_content_type=CSV
        ),
        Channel("validation", content_types=(CSV,), modes=("File",), default_content_type=CSV),
    ),
    metrics=(
        Metric(
            "validation:discriminator_auc",
            rf"{_WHERE}validation discriminator_auc <score>=(\S+)",
            maximize=True,
        ),
        *_while_training("binary_classification_cross_entropy", "loss"),
        *_while_training("binary_classification_accuracy", "score"),
    ),
    content_types=(CSV, JSON, JSONLINES),
    accepts=(JSON, JSONLINES),
    rules=(_check_negatives,),
)
