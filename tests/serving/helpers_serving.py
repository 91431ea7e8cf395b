"""Model servers with toy models, in a thread of the test's process, and a plain client for them."""

from __future__ import annotations

import asyncio
import http.client
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uvloop

from wildsage.router.client import connect_unix
from wildsage.serving import server
from wildsage.serving.handler import InvocationError, Reply


@dataclass
class Toy:
    """A model that obeys its requests: `echo`, `refuse 415`, `crash`, `block`, `count N`."""

    name: str = "toy"
    seen: list[tuple[bytes, str, str, str | None]] = field(default_factory=list)
    entered: threading.Event = field(default_factory=threading.Event)
    released: threading.Event = field(default_factory=threading.Event)
    threads: set[str] = field(default_factory=set)

    def __call__(
        self, body: bytes, content_type: str, accept: str, attributes: str | None
    ) -> Reply:
        self.seen.append((body, content_type, accept, attributes))
        self.threads.add(threading.current_thread().name)
        word, _, rest = body.partition(b" ")
        if word == b"refuse":
            raise InvocationError(int(rest), f"refused with {int(rest)}")
        if word == b"crash":
            raise ValueError("the model is confused")
        if word == b"block":
            self.entered.set()
            assert self.released.wait(10)
        if word == b"big":
            return Reply(200, "application/octet-stream", b"x" * int(rest))
        return Reply(200, accept or "text/plain", self.name.encode() + b":" + body, attributes)

    def execution_parameters(self) -> dict[str, Any]:
        return {"MaxConcurrentTransforms": 1}


@dataclass
class Running:
    """A server in a thread; `stop` lets it drain and waits for its end."""

    thread: threading.Thread
    loop: asyncio.AbstractEventLoop
    event: asyncio.Event

    def stop(self) -> None:
        if self.thread.is_alive():
            self.loop.call_soon_threadsafe(self.event.set)
            self.thread.join(10)
        assert not self.thread.is_alive()


def in_thread(run: Callable[[asyncio.Event], Any]) -> Running:
    """Run `run(stop)` (a coroutine function) on a loop of its own."""
    ready: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = Future()

    async def main() -> None:
        stop = asyncio.Event()
        ready.set_result((asyncio.get_running_loop(), stop))
        await run(stop)

    thread = threading.Thread(target=lambda: uvloop.run(main()), daemon=True)
    thread.start()
    return Running(thread, *ready.result(10))


def start_model(path: Path, toy: Any, workers: int = 1) -> Running:
    """A model server on a unix socket that answers when this returns."""
    listener = server.bind_unix(path)
    return in_thread(lambda stop: server.run(toy, listener, workers, stop))


@contextmanager
def model_server(path: Path, toy: Any | None = None, workers: int = 1) -> Iterator[Toy]:
    toy = toy or Toy()
    running = start_model(path, toy, workers)
    try:
        yield toy
    finally:
        toy.released.set()
        running.stop()


class UnixConnection(http.client.HTTPConnection):
    """http.client over a unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("model", timeout=10)
        self.path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(10)
        connect_unix(self.sock, str(self.path))


@contextmanager
def connection(path: Path) -> Iterator[UnixConnection]:
    opened = UnixConnection(path)
    try:
        yield opened
    finally:
        opened.close()


def ask(
    client: http.client.HTTPConnection,
    method: str,
    path: str,
    body: bytes | None = None,
    **headers: str,
) -> tuple[int, str, bytes]:
    """Status, content type and body of one request."""
    client.request(method, path, body, {k.replace("_", "-"): v for k, v in headers.items()})
    answer = client.getresponse()
    return answer.status, answer.getheader("content-type") or "", answer.read()
