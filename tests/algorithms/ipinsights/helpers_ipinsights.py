"""Users with networks of their own, and jobs in this process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wildsage.algorithms import registry
from wildsage.algorithms.instances import Instance
from wildsage.algorithms.ipinsights.model import EmbeddingModel

Array = NDArray[Any]
SPEC = registry.spec("ipinsights")
USERS = 40


def home(user: int) -> tuple[int, int]:
    """The first bytes of a user's network; five users share one."""
    network = user // 5
    return 20 + 9 * network, 7 * network


def visits(count: int = 1000, seed: int = 0) -> list[tuple[str, str]]:
    """Users at home, each time at another address."""
    rng = np.random.default_rng(seed)
    return [_visit(user, user, rng) for user in rng.integers(0, USERS, count).tolist()]


def intrusions(count: int = 200, seed: int = 1) -> list[tuple[str, str]]:
    """Users at the home of others."""
    rng = np.random.default_rng(seed)
    users = rng.integers(0, USERS, count).tolist()
    return [_visit(user, (user + 5 + 5 * int(rng.integers(6))) % USERS, rng) for user in users]


def _visit(user: int, host: int, rng: np.random.Generator) -> tuple[str, str]:
    first, second = home(host)
    return f"user_{user}", f"{first}.{second}.{rng.integers(256)}.{rng.integers(256)}"


def csv(pairs: list[tuple[str, str]]) -> bytes:
    return "".join(f"{name},{address}\n" for name, address in pairs).encode()


def job(
    folder: Path,
    content: bytes,
    *,
    validation: bytes | None = None,
    host: str = "algo-1",
    **changes: Any,
) -> Instance:
    """An instance with its channels; `run` is still to come."""
    raw: dict[str, Any] = {
        "num_entity_vectors": 1000,
        "vector_dim": 8,
        "epochs": 2,
        "mini_batch_size": 100,
        "learning_rate": 0.02,
    }
    given = {name: str(value) for name, value in (raw | changes).items()}
    instance = Instance(folder, given, host=host)
    instance.add_channel("train", content, "text/csv")
    if validation is not None:
        instance.add_channel("validation", validation, "text/csv")
    return instance


def ran(instance: Instance) -> Instance:
    instance.run(SPEC)
    return instance


def model_of(instance: Instance) -> EmbeddingModel:
    return EmbeddingModel.load(instance.paths.model / "model_algo-1")


def auc(usual: Array, unusual: Array) -> float:
    return float(np.mean(usual[:, None] > unusual))
