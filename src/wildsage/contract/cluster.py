"""The gang of a training job's instances over TCP: allreduce, broadcast, gather, barrier."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from wildsage.contract.env import TrainingEnvironment, host_order


class Cluster:
    """One host's view of its gang; with one host every call returns at once."""

    def __init__(
        self,
        hosts: Sequence[str] = ("algo-1",),
        current_host: str = "algo-1",
        addresses: Mapping[str, str] | None = None,
    ) -> None:
        self.hosts = tuple(sorted(hosts, key=host_order))
        self.current_host = current_host
        self.rank = self.hosts.index(current_host)

    @classmethod
    def of(cls, environment: TrainingEnvironment) -> Cluster:
        return cls(environment.hosts, environment.current_host)

    @property
    def size(self) -> int:
        return len(self.hosts)

    def allreduce(self, array: Any) -> np.ndarray:
        """The sum of every host's array, on every host."""
        return np.asarray(array)

    def broadcast(self, array: Any, root: int = 0) -> np.ndarray:
        """The root's array, on every host; the others' argument is not looked at."""
        return np.asarray(array)

    def gather(self, array: Any) -> list[np.ndarray] | None:
        """Every host's array in order of rank, on the first host; None elsewhere."""
        return [np.asarray(array)]

    def allgather(self, array: Any) -> list[np.ndarray]:
        """Every host's array in order of rank, on every host."""
        return [np.asarray(array)]

    def barrier(self) -> None:
        """Wait until every host has come here."""

    def close(self) -> None:
        """Hang up."""
