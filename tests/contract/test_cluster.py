"""Hosts that add up arrays."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from wildsage.contract.cluster import Cluster, parse_addresses
from wildsage.contract.env import TrainingEnvironment
from wildsage.contract.failure import AlgorithmError


def on_all(size: int, work: Callable[[Cluster], Any]) -> list[Any]:
    """What `work` gives on each of `size` hosts; an exception counts as a result."""
    hosts = [f"algo-{number + 1}" for number in range(size)]
    with socket.create_server(("127.0.0.1", 0)) as free:
        addresses = {"algo-1": f"127.0.0.1:{free.getsockname()[1]}"}
    results: list[Any] = [None] * size

    def run(rank: int) -> None:
        cluster = Cluster(hosts, hosts[rank], addresses, connect_seconds=10)
        try:
            results[rank] = work(cluster)
        except AlgorithmError as error:
            results[rank] = error
        finally:
            cluster.close()

    threads = [threading.Thread(target=run, args=(rank,)) for rank in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def test_one_host_needs_nobody() -> None:
    cluster = Cluster()
    array = np.arange(3)
    assert cluster.allreduce(array) is array
    assert cluster.broadcast(array) is array
    assert cluster.gather(array) == [array] and cluster.allgather(array) == [array]
    cluster.barrier()
    cluster.close()


@pytest.mark.parametrize("size", [2, 3])
def test_sums_are_equal_to_the_bit_everywhere(size: int) -> None:
    parts = np.random.default_rng(0).normal(size=(size, 1000)).astype(np.float32)
    results = on_all(size, lambda cluster: cluster.allreduce(parts[cluster.rank]).tobytes())
    assert len(set(results)) == 1
    np.testing.assert_allclose(np.frombuffer(results[0], np.float32), parts.sum(0), rtol=1e-5)


def test_broadcast_from_any_host() -> None:
    for root in range(3):
        results = on_all(3, lambda c, r=root: c.broadcast([[c.rank]] if c.rank == r else None, r))  # type: ignore[misc]
        assert [result.tolist() for result in results] == [[[root]]] * 3


def test_gathering_keeps_order_shape_and_type() -> None:
    def work(cluster: Cluster) -> Any:
        return cluster.gather(np.full((cluster.rank, 2), cluster.rank, np.int16))

    first, *others = on_all(3, work)
    assert others == [None, None]
    assert [part.shape for part in first] == [(0, 2), (1, 2), (2, 2)]
    assert first[2].dtype == np.int16
    everywhere = on_all(3, lambda cluster: cluster.allgather(np.float64(cluster.rank)))
    assert [[float(x) for x in parts] for parts in everywhere] == [[0, 1, 2]] * 3


def test_a_peer_that_dies_is_named() -> None:
    def work(cluster: Cluster) -> None:
        cluster.barrier()
        if cluster.rank != 2:
            cluster.barrier()

    first, second, third = on_all(3, work)
    assert third is None
    assert "algo-1 lost the connection to host algo-3" in str(first)
    assert "algo-2 lost the connection to host algo-1" in str(second)


def test_a_peer_that_never_comes_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    addresses = {"algo-1": f"127.0.0.1:{port}"}
    for host, other in (("algo-1", "algo-2"), ("algo-2", "algo-1")):
        cluster = Cluster(["algo-1", "algo-2"], host, addresses, connect_seconds=0.02)
        with pytest.raises(AlgorithmError, match=other):
            cluster.barrier()


def test_strangers_are_turned_away() -> None:
    hosts = ["algo-1", "algo-2"]
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    addresses = {"algo-1": f"127.0.0.1:{port}"}
    clusters = [Cluster(hosts, host, addresses, connect_seconds=10) for host in hosts]
    sums: list[np.ndarray] = []
    hub = threading.Thread(target=lambda: sums.append(clusters[0].allreduce(np.ones(1))))
    hub.start()
    while True:
        try:
            stranger = socket.create_connection(("127.0.0.1", port))
            break
        except OSError:
            continue
    with stranger:
        stranger.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert clusters[1].allreduce(np.ones(1)).tolist() == [2]
    hub.join()
    assert sums[0].tolist() == [2]
    for cluster in clusters:
        cluster.close()


def test_addresses_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    assert parse_addresses("algo-1=127.64.3.1, algo-2=127.64.3.2") == {
        "algo-1": "127.64.3.1",
        "algo-2": "127.64.3.2",
    }
    monkeypatch.setenv("WILDSAGE_HOST_ADDRESSES", "algo-1=127.64.3.1:99")
    cluster = Cluster.of(TrainingEnvironment(hosts=("algo-2", "algo-1"), current_host="algo-2"))
    assert (cluster.rank, cluster.size, cluster._endpoint()) == (1, 2, ("127.64.3.1", 99))
    monkeypatch.delenv("WILDSAGE_HOST_ADDRESSES")
    assert Cluster.of(TrainingEnvironment())._endpoint() == ("algo-1", 7442)
