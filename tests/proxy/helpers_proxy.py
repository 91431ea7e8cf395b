"""Little servers to stand behind a proxy, and a proxy in a thread."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from threading import Thread
from typing import Any

from wildsage.proxy.ca import Authority
from wildsage.proxy.connect import Proxy

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Loop:
    """An event loop in a thread of its own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def run(self, awaitable: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(awaitable, self._loop).result(10)

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()


class Echo:
    """Answers every request with what it was asked, and remembers it."""

    def __init__(self) -> None:
        self.heads: list[str] = []

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                self.heads.append(head.decode())
                length = next(
                    (int(h.split(b":")[1]) for h in head.lower().split(b"\r\n")
                     if h.startswith(b"content-length")),
                    0,
                )  # fmt: skip
                body = b"you said " + await reader.readexactly(length)
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
                await writer.drain()
                if b"connection: close" in head.lower():
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@contextmanager
def listening(loop: Loop, handler: Handler) -> Iterator[int]:
    """A server on a free port."""
    server = loop.run(asyncio.start_server(handler, "127.0.0.1", 0))
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        loop.run(_close(server))


async def _close(server: asyncio.Server) -> None:
    server.close()


@contextmanager
def proxying(
    loop: Loop, authority: Authority, main: int, environment: Mapping[str, str] | None = None
) -> Iterator[Proxy]:
    proxy = Proxy(authority, ("127.0.0.1", main), environment or {})
    loop.run(proxy.start("127.0.0.1", 0))
    try:
        yield proxy
    finally:
        loop.run(proxy.close())
