"""Health checks: does a model server answer GET /ping with 200?

A `Prober` asks until it does, on a thread of its own that ends with the answer, the instance or the
time limit, so that neither a worker of the job engine nor the database is kept busy by the waiting.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable

from wildsage import clock
from wildsage.router.client import connect_unix

_REQUEST = b"GET /ping HTTP/1.1\r\nhost: model\r\nconnection: close\r\n\r\n"
_PAUSE = 0.01
_LONGEST_ANSWER = 2.0


def ping(address: str, seconds: float) -> bool:
    """Whether the model server is well; waits for its answer that long."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(seconds)
            connect_unix(connection, address)
            connection.sendall(_REQUEST)
            answer = b""
            while b"\r\n" not in answer:
                received = connection.recv(4096)
                if not received:
                    return False
                answer += received
    except OSError:
        return False
    return answer.split(b" ", 2)[1:2] == [b"200"]


class Prober:
    """Waits for model servers to become healthy."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[str, Callable[[], None]] = {}

    def wait(
        self, address: str, lives: Callable[[], bool], seconds: float, wake: Callable[[], None]
    ) -> None:
        """Call `wake` once the server is well; never when it dies or needs longer than that."""
        with self._lock:
            known = address in self._waiting
            self._waiting[address] = wake
        if not known:
            arguments = (address, lives, clock.monotonic() + seconds)
            threading.Thread(target=self._run, args=arguments, name="ping", daemon=True).start()

    def _run(self, address: str, lives: Callable[[], bool], deadline: float) -> None:
        well = False
        while not well and clock.monotonic() < deadline and lives():
            well = ping(address, _LONGEST_ANSWER)
            if not well:
                clock.sleep(_PAUSE)
        with self._lock:
            wake = self._waiting.pop(address)
        if well:
            wake()
