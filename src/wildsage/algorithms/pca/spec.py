"""The declaration of pca."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wildsage.algorithms.spec import (
    CSV,
    JSON,
    JSONLINES,
    RECORDIO,
    AlgorithmSpec,
    Boolean,
    Channel,
    Choice,
    Integer,
    Text,
)
from wildsage.contract.failure import ClientError


def components_fit_the_features(values: Mapping[str, Any]) -> None:
    """There are no more components than features."""
    components, features = values["num_components"], values["feature_dim"]
    if components > features:
        raise ClientError(
            f"The value '{components}' is not valid for the 'num_components' hyperparameter which "
            f"must not be greater than the value of the 'feature_dim' hyperparameter ({features})",
            caused_by="ValidationError",
        )


SPEC = AlgorithmSpec(
    name="pca",
    title="Principal Component Analysis",
    image_names=("pca",),
    log_name="PCA",
    paper="Halko, Martinsson, Tropp, Finding Structure with Randomness, SIAM Review 2011",
    hyperparameters=(
        Integer("feature_dim", minimum=1, required=True, description="Number of features."),
        Integer("mini_batch_size", minimum=1, required=True, description="Rows in a batch."),
        Integer("num_components", minimum=1, required=True, description="Number of components."),
        Choice(
            "algorithm_mode",
            choices=("regular", "randomized"),
            default="regular",
            description="Exact from the matrix of covariances, or from a sketch for many features.",
        ),
        Integer(
            "extra_components",
            minimum=-1,
            default=-1,
            description="Further directions that randomized mode keeps track of; "
            "-1: as many as components, at least 10.",
        ),
        Boolean(
            "subtract_mean",
            default=True,
            description="Subtract the mean from the rows, in training and in inference.",
        ),
        Integer("epochs", minimum=1, default=1, description="Passes over the data."),
        Boolean("force_dense", default=True, description="Turn sparse rows into dense ones."),
        Boolean("_disable_wait_to_read", default=False),
        Boolean("_enable_profiler", default=False),
        Text("_kvstore", default="auto"),
        Text("_log_level", default="info"),
        Text("_num_gpus", default="auto"),
        Text("_num_kv_servers", default="auto"),
        Text("_seed"),
    ),
    channels=(
        Channel("train", content_types=(RECORDIO, CSV), required=True),
        Channel("test", content_types=(RECORDIO, CSV)),
    ),
    response_key="projections",
    content_types=(CSV, JSON, JSONLINES, RECORDIO),
    rules=(components_fit_the_features,),
)
