"""The declaration of object2vec."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from wildsage.algorithms.spec import (
    JSON,
    JSONLINES,
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
from wildsage.contract.failure import ClientError

COMPARATORS = ("hadamard", "concat", "abs_diff")
NETWORKS = ("hcnn", "bilstm", "pooled_embedding")
LAZY_OPTIMIZERS = ("adam", "adagrad", "sgd")
_FILE_NAME = r"[A-Za-z0-9._\-]*"


@dataclass(frozen=True, slots=True)
class Words(Hyperparameter):
    """Some of a few words, separated by commas."""

    choices: tuple[str, ...] = ()

    @property
    def range_text(self) -> str:
        return f"comma-separated words of {', '.join(self.choices)}"

    def convert(self, text: str) -> list[str]:
        words = [word.strip() for word in text.split(",")]
        if not all(word in self.choices for word in words) or len(set(words)) < len(words):
            accepted = ", ".join(f"'{choice}'" for choice in self.choices)
            raise self.refuse(text, f"accepts a comma-separated list of the following: {accepted}")
        return words

    def default_text(self) -> str | None:
        return ", ".join(self.default)


def _encoder(number: int) -> tuple[Hyperparameter, ...]:
    """The hyperparameters of one side; those of enc1 without a default follow enc0."""
    name, first = f"enc{number}", number == 0

    def default(value: Any) -> Any:
        return value if first else None

    return (
        Integer(
            f"{name}_max_seq_len",
            minimum=1,
            maximum=5000,
            required=first,
            description="The most tokens of a sequence that are looked at.",
        ),
        Integer(
            f"{name}_vocab_size",
            minimum=2,
            maximum=3_000_000,
            required=first,
            description="Different tokens: they are numbered from 0.",
        ),
        Choice(
            f"{name}_network",
            choices=NETWORKS if first else ("enc0", *NETWORKS),
            default="hcnn" if first else "enc0",
            tunable=Tunable(values=NETWORKS if first else ("enc0", *NETWORKS)),
            description="The kind of encoder." if first else "`enc0`: built as the other encoder.",
        ),
        Integer(
            f"{name}_cnn_filter_width",
            minimum=1,
            maximum=9,
            default=default(3),
            tunable=Tunable(1, 5),
            description="Tokens under a filter of `hcnn`.",
        ),
        Integer(
            f"{name}_layers",
            minimum=1,
            maximum=4,
            auto=True,
            default=default("auto"),
            tunable=Tunable(1, 4),
            description="Layers; `auto`: 4 for `hcnn`, 1 for `bilstm`.",
        ),
        *_token_embedding(number),
    )


def _token_embedding(number: int) -> tuple[Hyperparameter, ...]:
    """How one side turns tokens into vectors."""
    name, first = f"enc{number}", number == 0
    return (
        Integer(
            f"{name}_token_embedding_dim",
            minimum=2,
            maximum=1000,
            default=300 if first else None,
            tunable=Tunable(5, 300),
            description="Size of a token's embedding.",
        ),
        Text(
            f"{name}_pretrained_embedding_file",
            pattern=_FILE_NAME,
            default="",
            description="Name of a file of token embeddings in the auxiliary channel.",
        ),
        Text(
            f"{name}_vocab_file",
            pattern=_FILE_NAME,
            default="",
            description="Name of the file there that gives tokens their numbers.",
        ),
        Boolean(
            f"{name}_freeze_pretrained_embedding",
            default=True if first else None,
            description="Leave pretrained embeddings as they are.",
        ),
    )


def completed(values: Mapping[str, Any]) -> dict[str, Any]:
    """The hyperparameters with those of enc1 filled in."""
    own = {"cnn_filter_width": 3, "layers": "auto", "token_embedding_dim": 300}
    own |= {"pretrained_embedding_file": "", "vocab_file": ""}
    own |= {"freeze_pretrained_embedding": True, "max_seq_len": None, "vocab_size": None}
    alike = values["enc1_network"] == "enc0"
    filled = dict(values)
    for name, default in own.items():
        if filled.get(f"enc1_{name}") in (None, ""):
            filled[f"enc1_{name}"] = values[f"enc0_{name}"] if alike else default
    if alike:
        filled["enc1_network"] = values["enc0_network"]
    if filled["token_embedding_storage_type"] == "row_sparse":
        filled["bucket_width"] = 0
    return filled


def second_encoder_is_described(values: Mapping[str, Any]) -> None:
    filled = completed(values)
    names = ("enc1_max_seq_len", "enc1_vocab_size")
    if missing := [name for name in names if filled[name] is None]:
        quoted = ", ".join(f"'{name}'" for name in missing)
        raise ClientError(
            f"No value(s) were specified for {quoted} which are required hyperparameter(s)",
            caused_by="ValidationError",
        )


def tied_embeddings_are_alike(values: Mapping[str, Any]) -> None:
    if not values["tied_token_embedding_weight"]:
        return
    filled = completed(values)
    for name in ("vocab_size", "token_embedding_dim"):
        if filled[f"enc0_{name}"] != filled[f"enc1_{name}"]:
            raise ClientError(
                f"The values of 'enc0_{name}' and 'enc1_{name}' must be equal when "
                "'tied_token_embedding_weight' is true."
            )


def lazy_updates_suit_the_optimizer(values: Mapping[str, Any]) -> None:
    sparse = values["token_embedding_storage_type"] == "row_sparse"
    if sparse and values["optimizer"] not in LAZY_OPTIMIZERS:
        raise ClientError(
            f"The value '{values['optimizer']}' is not valid for the 'optimizer' hyperparameter "
            "which accepts one of the following: 'adam', 'adagrad', 'sgd' when "
            "'token_embedding_storage_type' is 'row_sparse'."
        )


def embeddings_have_a_vocabulary(values: Mapping[str, Any]) -> None:
    filled = completed(values)
    for name in ("enc0", "enc1"):
        if filled[f"{name}_pretrained_embedding_file"] and not filled[f"{name}_vocab_file"]:
            raise ClientError(
                f"A value of '{name}_vocab_file' is required when "
                f"'{name}_pretrained_embedding_file' is specified."
            )


_SHARED: tuple[Hyperparameter, ...] = (
    Integer(
        "enc_dim",
        minimum=4,
        maximum=10_000,
        default=4096,
        tunable=Tunable(4, 4096),
        description="Size of an object's embedding.",
    ),
    Words(
        "comparator_list",
        choices=COMPARATORS,
        default=list(COMPARATORS),
        description="How the two embeddings are compared, in this order.",
    ),
    Integer(
        "mlp_layers",
        minimum=0,
        maximum=10,
        default=2,
        tunable=Tunable(1, 4),
        description="Layers between comparison and output.",
    ),
    Integer(
        "mlp_dim",
        minimum=2,
        maximum=10_000,
        default=512,
        tunable=Tunable(16, 1024),
        description="Their size.",
    ),
    Choice(
        "mlp_activation",
        choices=("tanh", "relu", "linear"),
        default="linear",
        tunable=Tunable(values=("tanh", "relu", "linear")),
        description="What follows each of them.",
    ),
    Choice(
        "output_layer",
        choices=("softmax", "mean_squared_error"),
        default="softmax",
        tunable=Tunable(values=("softmax", "mean_squared_error")),
        description="Classification or regression.",
    ),
    Integer("num_classes", minimum=2, maximum=30, default=2, description="Classes, for `softmax`."),
    Real(
        "dropout",
        minimum=0,
        maximum=1,
        default=0.0,
        tunable=Tunable(0.0, 1.0),
        description="The chance that a value of the comparison or of a layer is left out.",
    ),
    Integer(
        "negative_sampling_rate",
        minimum=0,
        default=0,
        description="Random pairs, labelled 0, that are made for each given one.",
    ),
    Boolean(
        "tied_token_embedding_weight",
        default=False,
        description="Both encoders share their tokens' embeddings.",
    ),
    Choice(
        "token_embedding_storage_type",
        choices=("dense", "row_sparse"),
        default="dense",
        description="`row_sparse` updates the embeddings of a batch's tokens only.",
    ),
    Choice(
        "optimizer",
        choices=("adadelta", "adagrad", "adam", "sgd", "rmsprop"),
        default="adam",
        tunable=Tunable(values=("adadelta", "adagrad", "adam", "sgd", "rmsprop")),
        description="How the gradient is followed.",
    ),
    Real(
        "learning_rate",
        minimum=1e-6,
        maximum=1,
        default=0.0004,
        tunable=Tunable(1e-6, 1.0),
        description="The optimizer's step.",
    ),
    Real(
        "weight_decay",
        minimum=0,
        maximum=10_000,
        default=0.0,
        tunable=Tunable(0.0, 10_000.0),
        description="The penalty on the squares of the weights.",
    ),
    Integer("epochs", minimum=1, maximum=100, default=30, description="The most passes."),
    Integer(
        "mini_batch_size",
        minimum=1,
        maximum=10_000,
        default=32,
        tunable=Tunable(8, 512),
        description="Pairs in a batch.",
    ),
    Integer(
        "bucket_width",
        minimum=0,
        maximum=100,
        default=0,
        description="Pairs in a batch differ by less than so many tokens; 0: by any number.",
    ),
    Integer(
        "early_stopping_patience",
        minimum=1,
        maximum=5,
        default=3,
        description="Epochs in a row that may bring no improvement.",
    ),
    Real(
        "early_stopping_tolerance",
        minimum=1e-6,
        maximum=0.1,
        default=0.01,
        description="The fall of the loss that is an improvement.",
    ),
    Text("_kvstore", default="device"),
    Text("_num_gpus", default="auto"),
    Text("_num_kv_servers", default="auto"),
    Text("_tuning_objective_metric"),
)


def _metrics() -> tuple[Metric, ...]:
    kinds: tuple[tuple[str, Any], ...] = (
        ("accuracy", "score"),
        ("cross_entropy", "loss"),
        ("mean_squared_error", "loss"),
    )
    found = [quality(s, n, k) for s in ("test", "validation") for n, k in kinds]
    found += [quality(s, n, k, epoch=True) for s in ("validation", "train") for n, k in kinds]
    return tuple(found)


SPEC = AlgorithmSpec(
    name="object2vec",
    title="Object2Vec",
    image_names=("object2vec",),
    log_name="AWS/Object2Vec",
    paper="Conneau et al., Supervised Learning of Universal Sentence Representations, EMNLP 2017",
    ignored=("feature_dim",),
    hyperparameters=(*_encoder(0), *_encoder(1), *_SHARED),
    channels=(
        Channel("train", (JSONLINES,), ("File",), required=True, default_content_type=JSONLINES),
        Channel("validation", (JSONLINES,), ("File",), default_content_type=JSONLINES),
        Channel("test", (JSONLINES,), ("File",), default_content_type=JSONLINES),
        Channel(
            "auxiliary",
            ("text/plain", JSON, JSONLINES),
            ("File",),
            default_content_type="text/plain",
            description="Files of pretrained embeddings and of vocabularies.",
        ),
    ),
    metrics=_metrics(),
    content_types=(JSONLINES, JSON),
    accepts=(JSON, JSONLINES),
    distributed=False,
    gpu=True,
    rules=(
        second_encoder_is_described,
        tied_embeddings_are_alike,
        lazy_updates_suit_the_optimizer,
        embeddings_have_a_vocabulary,
    ),
)
