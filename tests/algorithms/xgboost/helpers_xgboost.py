"""Instances on disk: what a training job of the xgboost image finds under /opt/ml."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wildsage.algorithms.__main__ import main
from wildsage.contract.paths import Paths

# Small data on a busy machine: threads that wait for each other cost more than they give.
os.environ.setdefault("OMP_NUM_THREADS", "1")


@dataclass
class Input:
    """One channel: its content type and its files."""

    files: dict[str, bytes]
    content_type: str | None = "text/csv"
    mode: str = "File"


@dataclass
class Outcome:
    """How a run of the program ended."""

    code: int
    lines: list[str]
    paths: Paths
    failure: str = ""
    evaluations: list[str] = field(default_factory=list)


def lay_out(
    base: Path,
    hyperparameters: dict[str, str],
    channels: dict[str, Input],
    *,
    hosts: tuple[str, ...] = ("algo-1",),
    host: str = "algo-1",
) -> Paths:
    """Write the configuration and the data of one instance."""
    paths = Paths(base)
    paths.config.mkdir(parents=True, exist_ok=True)
    paths.hyperparameters.write_text(json.dumps(hyperparameters))
    paths.resource_config.write_text(json.dumps({"current_host": host, "hosts": list(hosts)}))
    entries = {}
    for name, channel in channels.items():
        entries[name] = {
            "TrainingInputMode": channel.mode,
            "S3DistributionType": "FullyReplicated",
            "RecordWrapperType": "None",
        }
        if channel.content_type:
            entries[name]["ContentType"] = channel.content_type
        folder = paths.channel(name)
        folder.mkdir(parents=True, exist_ok=True)
        for file, content in channel.files.items():
            target = folder / file
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
    paths.input_data_config.write_text(json.dumps(entries))
    return paths


def train(
    paths: Paths, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Outcome:
    """`python -m wildsage.algorithms train xgboost`, in this process."""
    monkeypatch.setenv("SAGEMAKER_BASE_DIR", str(paths.base))
    capsys.readouterr()
    code = main(["train", "xgboost"])
    lines = capsys.readouterr().out.splitlines()
    failure = paths.failure.read_text() if paths.failure.exists() else ""
    evaluations = [line for line in lines if line.startswith("[") and "#011" in line]
    return Outcome(code, lines, paths, failure, evaluations)


def booster(paths: Paths, name: str = "xgboost-model") -> Any:
    """The artifact, read by the library alone."""
    import xgboost

    return xgboost.Booster(model_file=bytearray((paths.model / name).read_bytes()))


def classes(rows: int = 300, columns: int = 4, *, count: int = 2, seed: int = 0) -> Any:
    """(features, labels) that trees can learn."""
    features = np.random.default_rng(seed).normal(size=(rows, columns)).astype(np.float32)
    score = features[:, 0] + features[:, 1] * features[:, 2]
    labels = np.searchsorted(np.quantile(score, np.arange(1, count) / count), score)
    return features, labels.astype(np.float32)


def as_csv(features: np.ndarray, *columns: np.ndarray, delimiter: str = ",") -> bytes:
    """Rows with the given columns before the features."""
    table = np.column_stack([*columns, features])
    return "".join(delimiter.join(map(repr, row)) + "\n" for row in table.tolist()).encode()


def as_libsvm(features: np.ndarray, labels: np.ndarray, *, first: int = 0) -> bytes:
    """Rows of label and index:value, indices from `first`."""
    lines = (
        " ".join((f"{label:g}", *(f"{i}:{v!r}" for i, v in enumerate(row, first))))
        for label, row in zip(labels.tolist(), features.tolist(), strict=True)
    )
    return ("\n".join(lines) + "\n").encode()
