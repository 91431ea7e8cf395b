"""Data with known answers, and training jobs of linear-learner in this process."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wildsage.algorithms import registry
from wildsage.algorithms.base import TrainingJob
from wildsage.algorithms.linear_learner import program
from wildsage.algorithms.linear_learner.model import LinearModel
from wildsage.algorithms.reporting import AlgorithmLog
from wildsage.contract.cluster import Cluster
from wildsage.contract.env import TrainingEnvironment
from wildsage.contract.paths import Paths
from wildsage.formats import recordio

Array = NDArray[Any]
SPEC = registry.spec("linear-learner")
RECORDIO = "application/x-recordio-protobuf"


def defaults(predictor_type: str = "binary_classifier", **changes: Any) -> dict[str, Any]:
    """Typed hyperparameters."""
    if predictor_type == "multiclass_classifier":
        changes.setdefault("num_classes", 3)
    raw = {"predictor_type": predictor_type, **{k: str(v) for k, v in changes.items()}}
    return SPEC.validate(raw)


def regression(rows: int = 400, width: int = 5, seed: int = 0) -> tuple[Array, Array]:
    rng = np.random.default_rng(seed)
    scale = np.exp(rng.normal(size=width))
    features = rng.normal(size=(rows, width)) * scale + rng.normal(size=width)
    labels = features @ (rng.normal(size=width) / scale) + 3 + rng.normal(size=rows) * 0.5
    return features.astype(np.float32), labels.astype(np.float32)


def binary(rows: int = 600, width: int = 5, seed: int = 0) -> tuple[Array, Array]:
    features, score = regression(rows, width, seed)
    rng = np.random.default_rng(seed + 1)
    chance = 1 / (1 + np.exp(-1.5 * (score - score.mean())))
    return features, (rng.random(rows) < chance).astype(np.float32)


def multiclass(
    rows: int = 600, width: int = 5, classes: int = 3, seed: int = 0
) -> tuple[Array, Array]:
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(rows, width)).astype(np.float32)
    scores = features @ rng.normal(size=(width, classes)) + rng.gumbel(size=(rows, classes))
    return features, scores.argmax(axis=1).astype(np.float32)


def csv(features: Array, labels: Array | None = None) -> bytes:
    table = features if labels is None else np.column_stack([labels, features])
    return "\n".join(",".join(f"{v:.9g}" for v in row) for row in table.tolist()).encode()


@dataclass
class Input:
    """One channel of a job."""

    content: bytes
    content_type: str = "text/csv"
    mode: str = "File"


def recordio_input(features: Array, labels: Array, mode: str = "File") -> Input:
    return Input(recordio.encode(features, labels), RECORDIO, mode)


def csv_input(features: Array, labels: Array) -> Input:
    return Input(csv(features, labels))


def lay_out(
    base: Path,
    hyperparameters: Mapping[str, Any],
    channels: Mapping[str, Input],
    hosts: tuple[str, ...] = ("algo-1",),
    host: str = "algo-1",
) -> Paths:
    paths = Paths(base)
    paths.config.mkdir(parents=True, exist_ok=True)
    raw = {name: str(value) for name, value in hyperparameters.items()}
    paths.hyperparameters.write_text(json.dumps(raw))
    paths.resource_config.write_text(json.dumps({"current_host": host, "hosts": list(hosts)}))
    entries = {}
    for name, channel in channels.items():
        entries[name] = {
            "ContentType": channel.content_type,
            "TrainingInputMode": channel.mode,
            "S3DistributionType": "FullyReplicated",
        }
        if channel.mode == "File":
            paths.channel(name).mkdir(parents=True, exist_ok=True)
            (paths.channel(name) / "part-0").write_bytes(channel.content)
    paths.channel("x").parent.mkdir(parents=True, exist_ok=True)
    paths.input_data_config.write_text(json.dumps(entries))
    return paths


@dataclass
class Ran:
    """A finished job."""

    paths: Paths
    lines: list[str] = field(default_factory=list)

    @property
    def model(self) -> LinearModel:
        return LinearModel.load(self.paths.model / "model_algo-1")

    def value(self, text: str) -> float:
        """The figure at the end of the line that has `text`."""
        found = [line for line in self.lines if text in line]
        assert len(found) == 1, found
        return float(found[0].rpartition("=")[2])


def run_job(paths: Paths, cluster: Cluster | None = None, **more: Any) -> Ran:
    """`train` on what is laid out in a folder, in this process."""
    environment = TrainingEnvironment.load(paths)
    ran = Ran(paths)
    log = AlgorithmLog(environment.current_host, "Linear Learner", write=ran.lines.append)
    job = TrainingJob.create(
        SPEC,
        environment,
        SPEC.validate(environment.hyperparameters),
        cluster=cluster or Cluster(),
        log=log,
        **more,
    )
    program.train(job)
    return ran
