"""Documents with known topics, and training jobs of ntm in this process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from wildsage.algorithms import registry
from wildsage.algorithms.example import encode_csv
from wildsage.algorithms.instances import Instance
from wildsage.algorithms.ntm.example import documents
from wildsage.formats import recordio
from wildsage.formats.matrix import SparseMatrix

SPEC = registry.spec("ntm")
WORDS = 12
CSV = "text/csv;label_size=0"


def counts(rows: int = 120, seed: int = 0) -> np.ndarray:
    return documents(rows, WORDS, seed)[0]


def instance(folder: Path, *, host: str = "algo-1", **changes: Any) -> Instance:
    """A job of two topics; channels are to be added."""
    raw = {"feature_dim": WORDS, "num_topics": 2, "epochs": 2, "mini_batch_size": 40, **changes}
    return Instance(folder, {name: str(value) for name, value in raw.items()}, host=host)


def add(job: Instance, channel: str, rows: np.ndarray, **more: Any) -> Instance:
    job.add_channel(channel, encode_csv(rows), CSV, **more)
    return job


def add_recordio(job: Instance, channel: str, rows: np.ndarray, **more: Any) -> Instance:
    job.add_channel(channel, recordio.encode(SparseMatrix.from_dense(rows)), None, **more)
    return job


def add_files(job: Instance, channel: str, files: dict[str, bytes]) -> Instance:
    """A channel of named files."""
    job.add_channel(channel, b"", "text/plain")
    folder = job.paths.channel(channel)
    (folder / "part-0").unlink()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return job
