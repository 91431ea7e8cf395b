"""The gang of a training job's instances over TCP: allreduce, broadcast, gather, barrier.

The first host is the hub; every other one keeps a connection to it. Arrays are gathered there in
the order of ranks, so that sums have the same bits in every run and on every host. With one host
every call returns at once and no socket is opened.

A message is a length, a line that tells type and shape, and the array's bytes. A peer that hangs up
ends the job with an error that names it.
"""

from __future__ import annotations

import hashlib
import os
import socket
import struct
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from wildsage import clock
from wildsage.contract.env import TrainingEnvironment, host_order
from wildsage.contract.failure import AlgorithmError

PORT = 7442
CONNECT_SECONDS = 300.0
RETRY_SECONDS = 0.05
_HEAD = struct.Struct("<IQ")
_GREETING = struct.Struct("<I8s")


class Cluster:
    """One host's view of its gang. `rank` counts hosts in the order of their numbers."""

    def __init__(
        self,
        hosts: Sequence[str] = ("algo-1",),
        current_host: str = "algo-1",
        addresses: Mapping[str, str] | None = None,
        *,
        connect_seconds: float = CONNECT_SECONDS,
    ) -> None:
        self.hosts = tuple(sorted(hosts, key=host_order))
        self.current_host = current_host
        self.rank = self.hosts.index(current_host)
        self._addresses = dict(addresses or {})
        self._connect_seconds = connect_seconds
        self._peers: dict[int, socket.socket] = {}

    @classmethod
    def of(cls, environment: TrainingEnvironment) -> Cluster:
        """The gang of an instance; `WILDSAGE_HOST_ADDRESSES` or else the hosts' names say where."""
        text = os.environ.get("WILDSAGE_HOST_ADDRESSES", "")
        return cls(environment.hosts, environment.current_host, parse_addresses(text))

    @property
    def size(self) -> int:
        return len(self.hosts)

    @property
    def hub_address(self) -> str:
        """The first host's address, which every host can reach."""
        return self._endpoint()[0]

    # --- operations ------------------------------------------------------------------------------

    def allreduce(self, array: Any) -> np.ndarray:
        """The sum of every host's array, on every host."""
        parts = self.gather(array)
        return self.broadcast(None if parts is None else _sum(parts))

    def broadcast(self, array: Any, root: int = 0) -> np.ndarray:
        """The root's array, on every host; the others' argument is not looked at."""
        if self.size == 1:
            return np.asarray(array)
        if root != 0:
            array = self._hand_to_hub(array, root)
        if self.rank != 0:
            return self._receive(0)
        told: np.ndarray = np.asarray(array)
        for rank in range(1, self.size):
            self._send(rank, told)
        return told

    def _hand_to_hub(self, array: Any, root: int) -> Any:
        if self.rank == root:
            self._send(0, np.asarray(array))
        return self._receive(root) if self.rank == 0 else None

    def gather(self, array: Any) -> list[np.ndarray] | None:
        """Every host's array in order of rank, on the first host; None elsewhere."""
        array = np.asarray(array)
        if self.rank != 0:
            self._send(0, array)
            return None
        return [array, *(self._receive(rank) for rank in range(1, self.size))]

    def allgather(self, array: Any) -> list[np.ndarray]:
        """Every host's array in order of rank, on every host."""
        parts = self.gather(array)
        numbers = range(self.size)
        return [self.broadcast(None if parts is None else parts[rank]) for rank in numbers]

    def barrier(self) -> None:
        """Wait until every host has come here."""
        self.allreduce(np.zeros(1, np.uint8))

    def close(self) -> None:
        """Hang up."""
        for connection in self._peers.values():
            connection.close()
        self._peers = {}

    # --- messages --------------------------------------------------------------------------------

    def _send(self, rank: int, array: np.ndarray) -> None:
        content = np.ascontiguousarray(array)
        kind = f"{array.dtype.str} {' '.join(map(str, array.shape))}".encode()
        head = _HEAD.pack(len(kind), content.nbytes) + kind
        connection = self._connection(rank)
        try:
            connection.sendall(head)
            connection.sendall(content.reshape(-1).view(np.uint8).data)
        except OSError as error:
            raise self._lost(rank, error) from error

    def _receive(self, rank: int) -> np.ndarray:
        connection = self._connection(rank)
        try:
            size, length = _HEAD.unpack(_exactly(connection, _HEAD.size))
            dtype, *shape = _exactly(connection, size).decode().split(" ")
            content = _exactly(connection, length)
        except OSError as error:
            raise self._lost(rank, error) from error
        return np.frombuffer(content, np.dtype(dtype)).reshape([int(n) for n in shape if n])

    def _lost(self, rank: int, error: OSError) -> AlgorithmError:
        return AlgorithmError(
            f"Host {self.current_host} lost the connection to host {self.hosts[rank]}. "
            "Please check the logs of that host for the reason.",
            caused_by=error,
        )

    # --- connections -----------------------------------------------------------------------------

    def _connection(self, rank: int) -> socket.socket:
        if rank not in self._peers:
            if self.rank == 0:
                self._accept_all()
            else:
                self._peers[0] = self._dial()
        return self._peers[rank]

    def _accept_all(self) -> None:
        """As the hub: wait for every other host's call."""
        deadline = clock.monotonic() + self._connect_seconds
        with socket.create_server(self._endpoint(), backlog=self.size) as listener:
            while len(self._peers) < self.size - 1:
                listener.settimeout(max(0.01, deadline - clock.monotonic()))
                try:
                    connection, _ = listener.accept()
                except TimeoutError as error:
                    raise self._missing(error) from error
                self._admit(connection)

    def _admit(self, connection: socket.socket) -> None:
        """Keep a connection that begins with this job's greeting."""
        connection.settimeout(10)
        try:
            rank, job = _GREETING.unpack(_exactly(connection, _GREETING.size))
        except OSError:
            rank, job = 0, b""
        if job != _job_mark() or not 0 < rank < self.size or rank in self._peers:
            connection.close()
            return
        self._peers[rank] = _prepared(connection)

    def _missing(self, error: Exception) -> AlgorithmError:
        absent = [name for rank, name in enumerate(self.hosts) if rank and rank not in self._peers]
        return AlgorithmError(f"No connection from {', '.join(absent)}", caused_by=error)

    def _dial(self) -> socket.socket:
        """Call the hub until it answers: hosts do not start at the same moment."""
        deadline = clock.monotonic() + self._connect_seconds
        while True:
            try:
                connection = socket.create_connection(self._endpoint(), timeout=10)
                connection.sendall(_GREETING.pack(self.rank, _job_mark()))
                return _prepared(connection)
            except OSError as error:
                if clock.monotonic() > deadline:
                    raise self._lost(0, error) from error
                clock.sleep(RETRY_SECONDS)

    def _endpoint(self) -> tuple[str, int]:
        """The hub's address and port."""
        host, _, port = self._addresses.get(self.hosts[0], self.hosts[0]).partition(":")
        return host, int(port or PORT)


def parse_addresses(text: str) -> dict[str, str]:
    """{"algo-1": "127.64.3.1"} of `algo-1=127.64.3.1,...`; an address may have a port."""
    pairs = (pair.strip().partition("=") for pair in text.split(",") if pair.strip())
    return {name: address for name, _, address in pairs}


def _job_mark() -> bytes:
    """Tells this job's hosts from those of another that uses the same address."""
    return hashlib.sha256(os.environ.get("TRAINING_JOB_ARN", "").encode()).digest()[:8]


def _prepared(connection: socket.socket) -> socket.socket:
    connection.settimeout(None)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    return connection


def _exactly(connection: socket.socket, size: int) -> bytearray:
    received = bytearray(size)
    view, filled = memoryview(received), 0
    while filled < size:
        count = connection.recv_into(view[filled:])
        if not count:
            raise ConnectionError("the peer has hung up")
        filled += count
    return received


def _sum(parts: Sequence[np.ndarray]) -> np.ndarray:
    if len(parts) == 1:
        return parts[0]
    total = parts[0].copy()
    for part in parts[1:]:
        total += part
    return total
