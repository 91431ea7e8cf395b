"""The declaration of ntm."""

from __future__ import annotations

import math
from dataclasses import dataclass

from wildsage.algorithms.spec import (
    AlgorithmSpec,
    Boolean,
    Channel,
    Choice,
    Integer,
    IntegerList,
    Real,
    Text,
    Tunable,
    quality,
)

TEXT = "text/plain"


@dataclass(frozen=True, slots=True)
class Limit(Real):
    """A number that may be infinite."""

    def contains(self, value: float) -> bool:
        return value == math.inf or Real.contains(self, value)

    def default_text(self) -> str | None:
        return "Infinity" if self.default == math.inf else Real.default_text(self)


SPEC = AlgorithmSpec(
    name="ntm",
    title="Neural Topic Model (NTM)",
    image_names=("ntm",),
    log_name="AWS/NTM",
    paper="Miao, Yu and Blunsom, Neural Variational Inference for Text Processing, ICML 2016",
    hyperparameters=(
        Integer(
            "feature_dim",
            minimum=1,
            maximum=1_000_000,
            required=True,
            description="Words in the vocabulary.",
        ),
        Integer(
            "num_topics", minimum=2, maximum=1000, required=True, description="Number of topics."
        ),
        Boolean(
            "batch_norm", default=False, description="Normalise the encoder's layers by batch."
        ),
        Limit(
            "clip_gradient",
            minimum=1e-3,
            default=math.inf,
            description="The most that a component of the gradient may be, up or down.",
        ),
        IntegerList(
            "encoder_layers",
            minimum=1,
            auto=True,
            default="auto",
            description="Sizes of the encoder's layers; `auto` is three and two times the topics.",
        ),
        Choice(
            "encoder_layers_activation",
            choices=("sigmoid", "tanh", "relu"),
            default="sigmoid",
            tunable=Tunable(values=("sigmoid", "tanh", "relu")),
            description="What follows each of the encoder's layers.",
        ),
        Integer("epochs", minimum=1, default=50, description="The most passes over the data."),
        Real(
            "learning_rate",
            minimum=1e-6,
            maximum=1,
            default=0.001,
            tunable=Tunable(1e-4, 0.1),
            description="The optimizer's step; for `adadelta`, in thousandths of its own.",
        ),
        Integer(
            "mini_batch_size",
            minimum=1,
            maximum=10_000,
            default=256,
            tunable=Tunable(16, 2048),
            description="Documents in a batch.",
        ),
        Integer(
            "num_patience_epochs",
            minimum=1,
            default=3,
            description="Epochs over which the loss must fall by more than `tolerance`.",
        ),
        Choice(
            "optimizer",
            choices=("sgd", "adam", "adagrad", "adadelta", "rmsprop"),
            default="adadelta",
            tunable=Tunable(values=("sgd", "adam", "adadelta")),
            description="How the gradient is followed.",
        ),
        Real(
            "rescale_gradient",
            minimum=1e-3,
            maximum=1,
            default=1.0,
            tunable=Tunable(0.1, 1.0),
            description="A factor on the gradient, before it is clipped.",
        ),
        Real(
            "sub_sample",
            minimum=0,
            maximum=1,
            default=1.0,
            description="The share of the documents that an epoch goes over, drawn anew each time.",
        ),
        Real(
            "tolerance",
            minimum=1e-6,
            maximum=0.1,
            default=0.001,
            description="The relative fall of the loss below which training stops.",
        ),
        Real(
            "weight_decay",
            minimum=0,
            maximum=1,
            default=0.0,
            tunable=Tunable(0.0, 1.0),
            description="The penalty on the squares of the weights.",
        ),
        Text("_kvstore", default="auto_gpu"),
        Text("_num_gpus", default="auto"),
        Text("_num_kv_servers", default="auto"),
        Text("_tuning_objective_metric"),
    ),
    channels=(
        Channel("train", required=True),
        Channel("validation", distribution=("FullyReplicated", "ShardedByS3Key")),
        Channel("test", distribution=("FullyReplicated", "ShardedByS3Key")),
        Channel(
            "auxiliary",
            content_types=(TEXT,),
            modes=("File",),
            default_content_type=TEXT,
            description="vocab.txt, a word per line; embeddings.txt, if any, in GloVe's format.",
        ),
    ),
    metrics=(
        quality("validation", "total_loss", "loss"),
        quality("validation", "total_loss", "loss", epoch=True),
        quality("train", "total_loss", "loss", epoch=True),
        quality("test", "total_loss", "loss"),
    ),
    gpu=True,
)
