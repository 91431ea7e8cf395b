"""The declaration of knn."""

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
    Metric,
    Text,
    Tunable,
    quality,
)
from wildsage.contract.failure import ClientError

PQ_M = (1, 2, 3, 4, 8, 12, 16, 20, 24, 28, 32, 40, 48, 56, 64, 96)


def needs_a_target(values: Mapping[str, Any]) -> None:
    """A dimension reduction must be told how far to go, and must reduce."""
    if values["dimension_reduction_type"] is None:
        return
    target, width = values["dimension_reduction_target"], values["feature_dim"]
    if target is None:
        raise _missing("dimension_reduction_target")
    if isinstance(width, int) and target >= width:
        raise ClientError(
            f"The value '{target}' is not valid for the 'dimension_reduction_target' "
            f"hyperparameter which must be less than feature_dim '{width}'",
            caused_by="ValidationError",
        )


def suits_product_quantization(values: Mapping[str, Any]) -> None:
    """faiss.IVFPQ needs to know the number of its codes, and knows no metric but L2."""
    if values["index_type"] != "faiss.IVFPQ":
        return
    if values["faiss_index_pq_m"] is None:
        raise _missing("faiss_index_pq_m")
    metric = values["index_metric"]
    if metric != "L2":
        raise ClientError(
            f"The value '{metric}' is not valid for the 'index_metric' hyperparameter when "
            "training with index_type 'faiss.IVFPQ', which accepts one of the following: 'L2'",
            caused_by="ValidationError",
        )


def _missing(name: str) -> ClientError:
    return ClientError(
        f"No value(s) were specified for '{name}' which are required hyperparameter(s)",
        caused_by="ValidationError",
    )


SPEC = AlgorithmSpec(
    name="knn",
    title="K-Nearest Neighbors (k-NN)",
    image_names=("knn",),
    log_name="AWS/KNN",
    paper="Johnson, Douze and Jegou, Billion-scale similarity search with GPUs, 2017",
    hyperparameters=(
        Integer(
            "feature_dim", minimum=1, required=True, auto=True, description="Number of features."
        ),
        Integer(
            "k",
            minimum=1,
            required=True,
            tunable=Tunable(1, 1024),
            description="Number of nearest neighbors.",
        ),
        Choice(
            "predictor_type",
            choices=("classifier", "regressor"),
            required=True,
            description="Whether neighbors vote on a class or their labels are averaged.",
        ),
        Integer(
            "sample_size",
            minimum=1,
            required=True,
            tunable=Tunable(256, 20_000_000),
            description="Rows sampled from the training data.",
        ),
        Choice(
            "dimension_reduction_type",
            choices=("sign", "fjlt"),
            description="Random projection of the rows before they are indexed.",
        ),
        Integer(
            "dimension_reduction_target",
            minimum=1,
            description="Dimensions after the reduction, fewer than feature_dim.",
        ),
        Choice(
            "index_type",
            choices=("faiss.Flat", "faiss.IVFFlat", "faiss.IVFPQ"),
            default="faiss.Flat",
            description="Exact, inverted lists, or inverted lists of product-quantized codes.",
        ),
        Choice(
            "index_metric",
            choices=("L2", "INNER_PRODUCT", "COSINE"),
            default="L2",
            description="What near means.",
        ),
        Integer(
            "faiss_index_ivf_nlists",
            minimum=1,
            default="auto",
            auto=True,
            description="Inverted lists of the index; auto: the square root of the sample's size.",
        ),
        Choice(
            "faiss_index_pq_m",
            choices=tuple(map(str, PQ_M)),
            description="Bytes that faiss.IVFPQ keeps of a row.",
        ),
        Integer(
            "mini_batch_size", minimum=1, default=5000, description="Rows in a batch of the reader."
        ),
        Integer("_faiss_index_nprobe", minimum=1, default="auto", auto=True),
        Boolean("_enable_profiler", default=False),
        Text("_kvstore", default="dist_async"),
        Text("_log_level", default="info"),
        Text("_num_gpus", default="auto"),
        Text("_num_kv_servers", default="1"),
        Text("_tuning_objective_metric", default=""),
    ),
    channels=(
        Channel("train", content_types=(RECORDIO, CSV), required=True),
        Channel("test", content_types=(RECORDIO, CSV)),
    ),
    metrics=(
        quality("test", "accuracy", "score"),
        quality("test", "mse", "loss"),
        Metric(
            "test:macro_f_1.000",
            r"#quality_metric: host=\S+, test macro_f_1.000 <score>=(\S+)",
            maximize=True,
            tunable=False,
        ),
    ),
    content_types=(CSV, JSON, JSONLINES, RECORDIO),
    rules=(needs_a_target, suits_product_quantization),
)
