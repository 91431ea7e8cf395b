"""The declaration of blazingtext."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wildsage.algorithms.spec import (
    JSON,
    JSONLINES,
    AlgorithmSpec,
    Boolean,
    Channel,
    Choice,
    Integer,
    Metric,
    Real,
    Text,
    Tunable,
)
from wildsage.contract.failure import ClientError

TEXT = "text/plain"
RECORDS = "application/x-recordio"
WORD_MODES = ("batch_skipgram", "skipgram", "cbow")


def subwords_have_a_mode(values: Mapping[str, Any]) -> None:
    """Subwords are learned by cbow and skipgram only (the guide, "Features")."""
    if values["subwords"] and values["mode"] == "batch_skipgram":
        raise ClientError(
            "The 'subwords' hyperparameter is not supported in batch_skipgram mode. "
            "Please set mode to skipgram or cbow."
        )


def characters_are_in_order(values: Mapping[str, Any]) -> None:
    if values["subwords"] and values["min_char"] > values["max_char"]:
        raise ClientError(
            f"The value of the 'min_char' hyperparameter ({values['min_char']}) must not be "
            f"greater than the value of the 'max_char' hyperparameter ({values['max_char']})."
        )


SPEC = AlgorithmSpec(
    name="blazingtext",
    title="BlazingText",
    image_names=("blazingtext",),
    paper="Gupta and Khare, BlazingText, MLHPC 2017; Bojanowski et al., TACL 2017; "
    "Joulin et al., EACL 2017; Ji et al., arXiv:1604.04661",
    hyperparameters=(
        Choice(
            "mode",
            choices=(*WORD_MODES, "supervised"),
            required=True,
            tunable=Tunable(values=WORD_MODES),
            description="What is learned: word vectors, in one of three ways, or labels of texts.",
        ),
        Integer(
            "batch_size",
            minimum=1,
            default=11,
            tunable=Tunable(8, 32),
            description="Context words that are handled at once in batch_skipgram mode.",
        ),
        Integer(
            "buckets",
            minimum=1,
            maximum=2**30,
            default=2_000_000,
            tunable=Tunable(1_000_000, 10_000_000),
            description="Hash buckets for subwords, or for word n-grams in supervised mode.",
        ),
        Boolean(
            "early_stopping",
            default=False,
            description="Stop when validation accuracy does not improve (supervised mode).",
        ),
        Integer(
            "epochs",
            minimum=1,
            default=5,
            tunable=Tunable(5, 15),
            description="Passes over the data; at most so many with early stopping.",
        ),
        Boolean(
            "evaluation",
            default=True,
            description="Compare word vectors with WordSim-353.",
        ),
        Real(
            "learning_rate",
            minimum=0,
            exclusive_minimum=True,
            default=0.05,
            tunable=Tunable(0.005, 0.01),
            description="The first step size; it falls to zero evenly.",
        ),
        Integer("max_char", minimum=1, default=6, description="Characters of the longest subword."),
        Integer(
            "min_char", minimum=1, default=3, description="Characters of the shortest subword."
        ),
        Integer(
            "min_count",
            minimum=0,
            default=5,
            tunable=Tunable(0, 100),
            description="Words that occur less often are left out.",
        ),
        Integer(
            "min_epochs",
            minimum=1,
            default=5,
            description="Epochs before early stopping may stop (supervised mode).",
        ),
        Integer(
            "negative_samples",
            minimum=1,
            default=5,
            tunable=Tunable(5, 25),
            description="Random words that a word's context is told apart from.",
        ),
        Integer(
            "patience",
            minimum=1,
            default=4,
            description="Epochs without improvement before early stopping stops (supervised mode).",
        ),
        Real(
            "sampling_threshold",
            minimum=0,
            exclusive_minimum=True,
            default=0.0001,
            tunable=Tunable(0.0001, 0.001),
            description="Words with a greater share of the text are thinned out.",
        ),
        Boolean("subwords", default=False, description="Learn vectors of subwords too."),
        Integer(
            "vector_dim",
            minimum=1,
            default=100,
            tunable=Tunable(32, 300),
            description="Numbers in a vector.",
        ),
        Integer(
            "window_size",
            minimum=1,
            default=5,
            tunable=Tunable(1, 10),
            description="How many words to each side are context.",
        ),
        Integer(
            "word_ngrams",
            minimum=1,
            default=2,
            tunable=Tunable(1, 3),
            description="Longest word n-gram that is a feature (supervised mode).",
        ),
        Text("_threads", default="auto"),
        Text("_tuning_objective_metric", default=""),
    ),
    channels=(
        Channel(
            "train",
            content_types=(TEXT, JSONLINES, RECORDS),
            distribution=("FullyReplicated",),
            required=True,
            default_content_type=TEXT,
            description="A sentence a line; with labels in supervised mode.",
        ),
        Channel(
            "validation",
            content_types=(TEXT, JSONLINES, RECORDS),
            distribution=("FullyReplicated",),
            default_content_type=TEXT,
            description="As train, in supervised mode.",
        ),
        Channel(
            "wordsim",
            content_types=(TEXT,),
            modes=("File",),
            distribution=("FullyReplicated",),
            default_content_type=TEXT,
            description="Word pairs and their similarity, one file a list (an addition to AWS).",
        ),
    ),
    metrics=(
        Metric("train:mean_rho", r"#mean_rho: (\S+)", maximize=True),
        Metric("train:accuracy", r"#train_accuracy: (\S+)", maximize=True, tunable=False),
        Metric("validation:accuracy", r"#validation_accuracy: (\S+)", maximize=True),
    ),
    response_key="",
    answers_in_kind=True,
    content_types=(JSON, JSONLINES),
    accepts=(JSON, JSONLINES),
    distributed=True,
    rules=(subwords_have_a_mode, characters_are_in_order),
    first_lines=("Arguments: {command}",),
    announces_configuration=False,
)
