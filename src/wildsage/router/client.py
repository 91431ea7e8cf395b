"""A pooled HTTP/1.1 client for model servers: one Protocol, httptools, connections that are kept.

What can go wrong is told apart by what the model may have seen of the request:

- `Unreachable`: nothing. No connection could be made, or the server closed a kept one without
  reading what we sent (the kernel says so: EPIPE or ECONNRESET). Sending it again is safe.
- `Lost`: possibly everything. The connection ended after the server had read the request.
- `TimedOut`: it is still working on it.
"""

from __future__ import annotations

import asyncio
import errno
import math
import os
import socket
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import cast

import httptools

from wildsage import clock

MAX_CONNECTIONS = 128
MAX_ANSWER = 128 << 20
CONNECT_SECONDS = 5.0
# AWS: a streaming answer may take eight minutes in all.
STREAM_SECONDS = 480.0
_LONGEST_SOCKET_PATH = 100
_HIGH_WATER = 1 << 20
_COPIED = 1 << 16


class Unreachable(Exception):
    """The server has not seen the request."""


class Lost(Exception):
    """The connection ended before the answer did; the server may have seen the request."""


class TimedOut(Exception):
    """No answer in time."""


@dataclass(slots=True)
class Answer:
    status: int
    headers: dict[bytes, bytes]
    body: bytes


class Connection(asyncio.Protocol):
    """One connection; it carries one request at a time: `send`, look at the answer, `release`."""

    __slots__ = (
        "_answer", "_buffered", "_closed", "_deadline", "_error", "_parser", "_paused", "_pool",
        "_reusable", "_streaming", "_timer", "_transport", "_wanted", "chunks", "ended", "headers",
        "loop", "status",
    )  # fmt: skip

    status: int
    headers: dict[bytes, bytes]
    chunks: deque[bytes]
    _error: Exception | None

    def __init__(self, pool: Pool) -> None:
        self.loop = asyncio.get_running_loop()
        self._pool = pool
        self._closed = False
        self._paused = False
        self._answer: asyncio.Future[None] | None = None
        self._wanted: asyncio.Future[None] | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._timer: asyncio.TimerHandle | None = None
        self._deadline = math.inf

    @property
    def closed(self) -> bool:
        return self._closed or self._transport.is_closing()

    async def send(self, head: bytes, body: bytes, seconds: float, *, streaming: bool) -> None:
        """Send a request; return with the whole answer, or with its head when it streams."""
        if self.closed:  # by the server, as soon as it was made
            self._pool.give_back(self)
            raise Unreachable("The connection was closed before the request was sent.")
        self.status, self.headers, self.chunks, self.ended = 0, {}, deque(), False
        self._streaming, self._buffered, self._error = streaming, 0, None
        self._reusable = False
        answer = self._answer = self.loop.create_future()
        self._give(seconds)
        if len(body) > _COPIED:
            self._transport.writelines((head, body))
        else:
            self._transport.write(head + body)  # one buffer, one system call
        try:
            await answer
        except BaseException:
            self.release()
            raise

    async def more(self) -> None:
        """Wait until there are further chunks or the end; Lost or TimedOut when it breaks off."""
        if self._error is not None:
            raise self._error
        self._wanted = self.loop.create_future()
        await self._wanted

    def pop(self) -> bytes:
        """The oldest chunk that was not taken yet."""
        chunk = self.chunks.popleft()
        self._buffered -= len(chunk)
        if self._paused and self._buffered <= _HIGH_WATER // 2 and not self.closed:
            self._paused = False
            self._transport.resume_reading()
        return chunk

    def release(self) -> None:
        """Give the connection back; one whose answer was not read to its end is of no more use."""
        self._answer = None
        self._deadline = math.inf
        if not self._reusable or self._paused:
            self._transport.abort()
        self._pool.give_back(self)

    def close(self) -> None:
        self._transport.close()

    def abort(self) -> None:
        self._transport.abort()

    # -- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if self._answer is None:  # nothing was asked
            self._transport.abort()
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(Lost(f"Malformed HTTP response: {error}"))
            self._transport.abort()

    def eof_received(self) -> None:
        """An answer without a length ends with the connection."""
        if self._answer is None or self.ended or not self.status:
            return
        names = self.headers
        if b"content-length" not in names and b"transfer-encoding" not in names:
            self.on_message_complete()
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        if self._answer is None:
            self._pool.discard(self)
            return
        if self.ended:
            return
        unread = isinstance(exc, BrokenPipeError | ConnectionResetError) and not self.status
        self._fail(Unreachable(str(exc)) if unread else Lost("The connection was lost."))

    # -- httptools callbacks

    def on_message_begin(self) -> None:
        if self.ended:
            raise ValueError("More than one answer to one request")

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers[name.lower()] = value

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if status < 200:  # 100 Continue and the like
            self.headers = {}
            return
        self.status = status
        if self._streaming:
            self._give(STREAM_SECONDS)
            self._resolve()

    def on_body(self, body: bytes) -> None:
        self.chunks.append(body)
        self._buffered += len(body)
        if not self._streaming:
            if self._buffered > MAX_ANSWER:
                raise ValueError(f"The answer is larger than {MAX_ANSWER} bytes")
            return
        if not self._paused and self._buffered > _HIGH_WATER:  # faster than our client
            self._paused = True
            self._transport.pause_reading()
        self._wake()

    def on_message_complete(self) -> None:
        if not self.status:
            return
        self.ended = True
        self._reusable = self._parser.should_keep_alive()  # the parser forgets it afterwards
        self._wake() if self._streaming else self._resolve()

    # -- inside

    def _resolve(self) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(None)

    def _wake(self) -> None:
        if self._wanted is not None and not self._wanted.done():
            self._wanted.set_result(None)

    def _fail(self, error: Exception) -> None:
        self._error = error
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error)
        self._wake()

    def _give(self, seconds: float) -> None:
        """Set the time limit of the request. One timer serves many requests: it looks again."""
        self._deadline = self.loop.time() + seconds
        if self._timer is not None and self._timer.when() > self._deadline:
            self._timer.cancel()
            self._timer = None
        if self._timer is None:
            self._timer = self.loop.call_later(seconds, self._look)

    def _look(self) -> None:
        self._timer = None
        left = self._deadline - self.loop.time()
        if left <= 0:
            self._fail(TimedOut())
            self._transport.abort()
        elif left < math.inf:
            self._timer = self.loop.call_later(left, self._look)


@dataclass(slots=True)
class Stream:
    """An answer that is read while it comes. Whoever has one closes it."""

    status: int
    headers: dict[bytes, bytes]
    _connection: Connection | None
    on_close: Callable[[], None] | None = None

    async def read(self) -> bytes:
        """The next piece; empty at the end. Lost or TimedOut when it breaks off."""
        connection = self._connection
        while connection is not None:
            if connection.chunks:
                return connection.pop()
            if connection.ended:
                break
            await connection.more()
        return b""

    def abort(self) -> None:
        """Make a `read` that waits fail, and every one that follows."""
        if self._connection is not None:
            self._connection.abort()

    def close(self) -> None:
        if self._connection is not None:
            self._connection.release()
            self._connection = None
            if self.on_close is not None:
                self.on_close()


@dataclass(eq=False, slots=True)
class Pool:
    """The connections to one model server, on one event loop."""

    address: str
    limit: int = MAX_CONNECTIONS
    _idle: list[Connection] = field(default_factory=list)
    _open: int = 0
    _waiting: deque[asyncio.Future[None]] = field(default_factory=deque)

    async def ask(self, head: bytes, body: bytes, seconds: float) -> Answer:
        """The whole answer."""
        connection = self._take() or await self._get(seconds)
        await connection.send(head, body, seconds, streaming=False)
        chunks = connection.chunks
        whole = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        answer = Answer(connection.status, connection.headers, whole)
        connection.release()
        return answer

    async def begin(self, head: bytes, body: bytes, seconds: float) -> Stream:
        """The head of the answer, within `seconds`, and its body as it comes."""
        connection = self._take() or await self._get(seconds)
        await connection.send(head, body, seconds, streaming=True)
        return Stream(connection.status, connection.headers, connection)

    def _take(self) -> Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if not connection.closed:
                return connection
            self._open -= 1
        return None

    async def _get(self, seconds: float) -> Connection:
        """A new connection, or the next that becomes free when there are enough."""
        deadline = clock.monotonic() + seconds
        while self._open >= self.limit:
            place = asyncio.get_running_loop().create_future()
            self._waiting.append(place)
            try:
                async with asyncio.timeout(deadline - clock.monotonic()):
                    await place
            except BaseException as error:
                if not place.cancelled():
                    self._next()  # it had become ours, so it is the next one's
                if isinstance(error, TimeoutError):
                    raise TimedOut from None
                raise
            if connection := self._take():
                return connection
        self._open += 1
        try:
            return await connect(self.address, self)
        except OSError as error:
            self._left()
            raise Unreachable(str(error)) from None
        except BaseException:
            self._left()
            raise

    def give_back(self, connection: Connection) -> None:
        if connection.closed:
            self._left()
        else:
            self._idle.append(connection)
            self._next()

    def discard(self, connection: Connection) -> None:
        """A kept connection was closed by the server."""
        if connection in self._idle:
            self._idle.remove(connection)
            self._left()

    def close(self) -> None:
        """Close the connections that nobody uses."""
        for connection in self._idle:
            connection.close()

    def _left(self) -> None:
        self._open -= 1
        self._next()

    def _next(self) -> None:
        while self._waiting:
            place = self._waiting.popleft()
            if not place.done():
                place.set_result(None)
                return


async def connect(address: str, pool: Pool) -> Connection:
    """Connect to the path of a unix socket, or to `host:port`; OSError when that fails."""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            if address.startswith("/"):
                sock = await _connect_unix(address)
                _, made = await loop.create_unix_connection(lambda: Connection(pool), sock=sock)
            else:
                host, _, port = address.rpartition(":")
                _, made = await loop.create_connection(lambda: Connection(pool), host, int(port))
    except TimeoutError:
        raise ConnectionError(errno.ETIMEDOUT, f"No connection to {address} in time") from None
    return made


async def _connect_unix(path: str) -> socket.socket:
    """A connected unix socket. With a full backlog the kernel says EAGAIN at once, so ask again."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.setblocking(False)
    try:
        while True:
            try:
                connect_unix(sock, path)
                return sock
            except BlockingIOError:
                await asyncio.sleep(0.001)
    except BaseException:
        sock.close()
        raise


def connect_unix(sock: socket.socket, path: str) -> None:
    """Connect to `path`, however long it is: a socket's address holds about 100 characters only."""
    if len(os.fsencode(path)) <= _LONGEST_SOCKET_PATH:
        sock.connect(path)
        return
    folder, name = os.path.split(path)
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        sock.connect(f"/proc/self/fd/{descriptor}/{name}")
    finally:
        os.close(descriptor)
