"""HTTP/1.1 on one connection, as far as a model server needs it. httptools parses.

A client may send its next request before the answer to the last one (pipelining): requests wait in
`_queue` and are answered one after another. Reading pauses while too many wait.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from typing import cast

import httptools

from wildsage.serving.handler import Reply

MAX_QUEUED = 8
LINGER_SECONDS = 2.0
_REASONS = {status.value: status.phrase.encode() for status in HTTPStatus}


@dataclass(slots=True)
class Request:
    method: str
    path: str
    headers: dict[bytes, bytes]
    body: bytes
    keep_alive: bool

    def header(self, name: bytes) -> str:
        return self.headers.get(name, b"").decode("latin-1")


# Answers a request by calling the second argument once, now or later, always on the loop's thread.
Answer = Callable[[Request, Callable[[Reply], None]], None]


def refusal(status: int, message: str) -> Reply:
    return Reply(status, "text/plain; charset=utf-8", message.encode())


def encode(reply: Reply, keep_alive: bool) -> bytes:
    """The reply as it goes over the wire."""
    reason = _REASONS.get(reply.status, b"Unknown")
    lines = [b"HTTP/1.1 %d %b\r\n" % (reply.status, reason)]
    if reply.status != 204:
        content_type = _clean(reply.content_type)
        lines.append(
            b"content-type: %b\r\ncontent-length: %d\r\n" % (content_type, len(reply.body))
        )
    if reply.attributes is not None:
        attributes = _clean(reply.attributes)
        lines.append(b"x-amzn-sagemaker-custom-attributes: %b\r\n" % attributes)
    lines.append(b"\r\n" if keep_alive else b"connection: close\r\n\r\n")
    if reply.status != 204:
        lines.append(reply.body)
    return b"".join(lines)


def _clean(value: str) -> bytes:
    """A header value that cannot start a header of its own."""
    return value.replace("\r", " ").replace("\n", " ").encode("latin-1", "replace")


@dataclass(slots=True, eq=False)
class Connection(asyncio.Protocol):
    """One client. `connections` is the server's set of open ones, kept for draining."""

    answer: Answer
    max_body: int
    connections: set[Connection]
    draining: bool = False
    _transport: asyncio.Transport = field(init=False)
    _parser: httptools.HttpRequestParser = field(init=False)
    _queue: deque[Request] = field(default_factory=deque)
    _busy: bool = False
    _answering: bool = False
    _paused: bool = False
    _discarding: bool = False
    _refused: Reply | None = None
    _url: bytes = b""
    _headers: dict[bytes, bytes] = field(default_factory=dict)
    _body: list[bytes] = field(default_factory=list)
    _size: int = 0

    # -- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._parser = httptools.HttpRequestParser(self)
        self.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.connections.discard(self)
        self._queue.clear()

    def data_received(self, data: bytes) -> None:
        if self._discarding:
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._refuse(refusal(400, "Upgrading the connection is not supported."))
        except httptools.HttpParserError as error:
            self._refuse(self._refused or refusal(400, f"Malformed HTTP request: {error}"))
        else:
            self._next()

    def drain(self) -> None:
        """Close once every request that has arrived is answered."""
        self.draining = True
        if not self._busy and not self._queue and not self._transport.is_closing():
            self._transport.close()

    # -- httptools callbacks

    def on_message_begin(self) -> None:
        self._url, self._headers, self._body, self._size = b"", {}, [], 0

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.lower()] = value

    def on_headers_complete(self) -> None:
        declared = self._headers.get(b"content-length", b"0")
        if declared.isdigit() and int(declared) > self.max_body:
            self._too_large()
        if self._headers.get(b"expect", b"").lower() == b"100-continue":
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        self._size += len(body)
        if self._size > self.max_body:
            self._too_large()
        self._body.append(body)

    def on_message_complete(self) -> None:
        body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        path = self._url.partition(b"?")[0].decode("latin-1")
        method = self._parser.get_method().decode("latin-1")
        keep_alive = self._parser.should_keep_alive()
        self._queue.append(Request(method, path, self._headers, body, keep_alive))
        if len(self._queue) > MAX_QUEUED and not self._paused:
            self._paused = True
            self._transport.pause_reading()

    # -- answering

    def _too_large(self) -> None:
        text = f"The request is larger than the limit of {self.max_body} bytes."
        self._refused = refusal(413, text)
        raise ValueError(text)  # ends the parsing: httptools turns it into HttpParserCallbackError

    def _refuse(self, reply: Reply) -> None:
        """Answer and hang up, but read on for a moment: a reset would destroy the answer."""
        self._queue.clear()
        self._discarding = True
        self._transport.write(encode(reply, keep_alive=False))
        if self._transport.can_write_eof():
            self._transport.write_eof()
        asyncio.get_running_loop().call_later(LINGER_SECONDS, self._transport.close)

    def _next(self) -> None:
        self._answering = True
        while self._queue and not self._busy:
            self._busy = True
            request = self._queue.popleft()
            self.answer(request, partial(self._reply, request.keep_alive))
        self._answering = False
        if self._paused and len(self._queue) <= MAX_QUEUED and not self._transport.is_closing():
            self._paused = False
            self._transport.resume_reading()

    def _reply(self, keep_alive: bool, reply: Reply) -> None:
        self._busy = False
        if self._transport.is_closing():
            return
        keep_alive = keep_alive and not (self.draining and not self._queue)
        self._transport.write(encode(reply, keep_alive))
        if not keep_alive:
            self._transport.close()
        elif not self._answering:
            self._next()
