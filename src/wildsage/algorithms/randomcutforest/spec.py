"""The declaration of randomcutforest."""

from __future__ import annotations

from wildsage.algorithms.spec import (
    CSV,
    JSON,
    JSONLINES,
    RECORDIO,
    AlgorithmSpec,
    Boolean,
    Channel,
    Integer,
    JsonList,
    Text,
    Tunable,
    quality,
)

SPEC = AlgorithmSpec(
    name="randomcutforest",
    title="Random Cut Forest",
    image_names=("randomcutforest",),
    log_name="RandomCutForest",
    paper="Guha, Mishra, Roy and Schrijvers, Robust Random Cut Forest Based Anomaly Detection on "
    "Streams, ICML 2016",
    hyperparameters=(
        Integer(
            "feature_dim",
            minimum=1,
            maximum=10000,
            required=True,
            description="Number of features.",
        ),
        Integer(
            "num_trees",
            minimum=50,
            maximum=1000,
            default=100,
            tunable=Tunable(50, 1000),
            description="Number of trees in the forest.",
        ),
        Integer(
            "num_samples_per_tree",
            minimum=1,
            maximum=2048,
            default=256,
            tunable=Tunable(1, 2048),
            description="Random rows given to each tree; about one over the share of anomalies.",
        ),
        JsonList(
            "eval_metrics",
            choices=("accuracy", "precision_recall_fscore"),
            default=["accuracy", "precision_recall_fscore"],
            description="What is reported for the test channel.",
        ),
        Integer(
            "mini_batch_size",
            minimum=1000,
            maximum=1000,
            default=1000,
            description="Rows in a batch: always 1000.",
        ),
        Integer(
            "epochs",
            minimum=1,
            default=1,
            description="Accepted; one pass over the data is all that sampling needs.",
        ),
        Boolean("force_dense", default=True, description="Accepted; rows of the sample are dense."),
        Text("_ftp_port", default="8999"),
        Text("_kvstore", default="dist_async"),
        Text("_log_level", default="info"),
        Text("_num_gpus", default="auto"),
        Text("_num_kv_servers", default="auto"),
        Text("_tuning_objective_metric", default=""),
    ),
    channels=(
        Channel(
            "train",
            content_types=(RECORDIO, CSV),
            distribution=("ShardedByS3Key",),
            required=True,
            description="Rows to learn what is normal from; labels are left out.",
        ),
        Channel(
            "test",
            content_types=(RECORDIO, CSV),
            distribution=("FullyReplicated",),
            description="Rows labelled 1 (an anomaly) or 0, to report metrics on.",
        ),
    ),
    metrics=(
        quality("test", "f1", "score"),
        quality("test", "accuracy", "score"),
        quality("test", "precision", "score"),
        quality("test", "recall", "score"),
    ),
    response_key="scores",
    content_types=(CSV, JSON, JSONLINES, RECORDIO),
)
