"""Several hosts, one model: the library's own collective, whose tracker runs on the first host.

The gang first tells one another who has data and who failed to read it, over the contract's
cluster; hosts without data step aside, as in the container, and the others boost together.
"""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from wildsage.algorithms.xgboost import library
from wildsage.contract.cluster import Cluster
from wildsage.contract.failure import ClientError

_TIMEOUT_SECONDS = 300


@dataclass(frozen=True, slots=True)
class Share:
    """What one host says about its part of the data."""

    host: str
    rows: int = 0
    columns: int = 0
    error: str = ""

    @property
    def has_data(self) -> bool:
        return self.rows > 0


def exchange(cluster: Cluster, share: Share) -> list[Share]:
    """Every host's share; a host that could not read its data fails them all."""
    said = _allgather(cluster, {name: getattr(share, name) for name in share.__slots__})
    shares = [Share(**each) for each in said]
    for each in shares:
        if each.error:
            raise ClientError(each.error)
    return shares


@contextlib.contextmanager
def gang(cluster: Cluster, shares: list[Share]) -> Iterator[bool]:
    """Join the hosts with data into the library's collective; gives whether this is its master.

    Every host of the cluster calls it, those without data too: the first host runs the tracker.
    """
    members = [share.host for share in shares if share.has_data]
    master = members[0] == cluster.current_host
    if len(members) == 1:
        yield master
        return
    xgboost = library.load()
    tracker = _start_tracker(cluster, len(members)) if cluster.rank == 0 else None
    arguments = _allgather(cluster, dict(tracker.worker_args()) if tracker else {})[0]
    if cluster.current_host in members:
        arguments["dmlc_task_id"] = f"{members.index(cluster.current_host):06d}"
        arguments["dmlc_timeout"] = _TIMEOUT_SECONDS
        with library.translated_errors(), xgboost.collective.CommunicatorContext(**arguments):
            yield master
    else:
        yield False
    if tracker is not None:
        tracker.wait_for()


def _start_tracker(cluster: Cluster, members: int) -> Any:
    from xgboost.tracker import RabitTracker

    tracker = RabitTracker(members, socket.gethostbyname(cluster.hub_address), sortby="task")
    tracker.start()
    return tracker


def _allgather(cluster: Cluster, message: Mapping[str, Any]) -> list[dict[str, Any]]:
    encoded = np.frombuffer(json.dumps(message).encode(), np.uint8)
    return [json.loads(array.tobytes()) for array in cluster.allgather(encoded)]
