"""The HTTP proxy that unmodified clients are pointed at with HTTPS_PROXY.

    CONNECT sts.us-east-1.amazonaws.com:443   TLS ends here; what is inside goes to the main port
    CONNECT pypi.org:443                      tunnelled, through the user's own proxy if he has one
    GET http://host/path                      forwarded; to the main port where the host is AWS's

No connection to one of AWS's hosts is ever opened: `_dial` refuses.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import SplitResult, urlsplit

from wildsage.proxy.ca import Authority
from wildsage.proxy.hosts import Upstream, Upstreams, is_aws, split_authority

log = logging.getLogger(__name__)

MAX_HEAD = 65_536
PIECE = 262_144
HEAD_SECONDS = 60.0
CONNECT_SECONDS = 30.0
HANDSHAKE_SECONDS = 20.0
_ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"
_HOST = re.compile(r"[a-z0-9._-]{1,253}")
# Headers between the client and this proxy alone; what follows them is one exchange.
_HOP = re.compile(rb"(?im)^(?:proxy-[a-z-]+|connection|keep-alive):[^\n]*\n")


class Streams(NamedTuple):
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter


class Refused(Exception):
    """What the client is told instead of being connected."""

    def __init__(self, status: str, text: str) -> None:
        super().__init__(status, text)
        self.status = status
        self.text = text


@dataclass(frozen=True, slots=True)
class _Head:
    method: str
    target: str
    raw: bytes


class Proxy:
    """The proxy of one server. `main` is where AWS's requests are answered."""

    def __init__(
        self,
        authority: Authority,
        main: tuple[str, int],
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._authority = authority
        self._main = main
        self._environment = os.environ if environment is None else environment
        self._upstreams = Upstreams(self._environment, 0)
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    @property
    def port(self) -> int:
        assert self._server
        return int(self._server.sockets[0].getsockname()[1])

    async def start(self, host: str, port: int) -> None:
        """Listen; port 0 picks a free one."""
        self._server = await asyncio.start_server(self._connected, host, port, limit=PIECE)
        self._upstreams = Upstreams(self._environment, self.port)

    async def close(self) -> None:
        """Stop listening and cut the connections that are left."""
        if self._server:
            self._server.close()
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(self._serve(Streams(reader, writer)))
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

    async def _serve(self, client: Streams) -> None:
        try:
            head = await _read_head(client.reader)
            if head is not None:
                await self._answer(head, client)
        except Refused as refused:
            client.writer.write(_refusal(refused))
        except (OSError, EOFError, TimeoutError) as error:
            log.debug("A connection ended: %s", error, extra={"action": "proxy_ended"})
        finally:
            client.writer.close()

    async def _answer(self, head: _Head, client: Streams) -> None:
        if head.method == "CONNECT":
            host, port = _authority(head.target, 443)
            if is_aws(host):
                await self._terminate(host, port, client)
            else:
                await self._tunnel(host, port, client)
        else:
            await self._forward(head, client)

    async def _terminate(self, host: str, port: int, client: Streams) -> None:
        """Be the host: end the client's TLS here and pass on what is inside."""
        if port != 443 or not _HOST.fullmatch(host):
            raise Refused("403 Forbidden", f"wildsage does not answer for {host}:{port}")
        loop = asyncio.get_running_loop()
        context = await loop.run_in_executor(None, self._authority.context, host)
        main = await _dial(*self._main)
        try:
            client.writer.write(_ESTABLISHED)
            await client.writer.start_tls(context, ssl_handshake_timeout=HANDSHAKE_SECONDS)
            await _pipe(client, main)
        finally:
            main.writer.close()

    async def _tunnel(self, host: str, port: int, client: Streams) -> None:
        upstream = self._upstreams.for_host("https", host)
        if upstream is None:
            remote, answer = await _dial(host, port), _ESTABLISHED
        else:
            remote, answer = await _dial_through(upstream, host, port)
        try:
            client.writer.write(answer)
            await _pipe(client, remote)
        finally:
            remote.writer.close()

    async def _forward(self, head: _Head, client: Streams) -> None:
        """One exchange of plain HTTP; the connection is not used again."""
        parts = _absolute(head.target)
        host, port = _authority(parts.netloc.rpartition("@")[2], 80)
        upstream = None if is_aws(host) else self._upstreams.for_host("http", host)
        if upstream is not None:
            remote = await _dial(upstream.host, upstream.port)
            target = head.target
        else:
            remote = await _dial(*(self._main if is_aws(host) else (host, port)))
            target = parts._replace(scheme="", netloc="").geturl() or "/"
        try:
            remote.writer.write(_forwarded(head, target, upstream))
            await _pipe(client, remote)
        finally:
            remote.writer.close()


# ---- the parts of an exchange


async def _read_head(reader: asyncio.StreamReader) -> _Head | None:
    """The request line and headers; None when the client left without a word."""
    try:
        raw = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), HEAD_SECONDS)
    except asyncio.IncompleteReadError as error:
        if not error.partial:
            return None
        raise Refused("400 Bad Request", "The request is cut off.") from None
    except asyncio.LimitOverrunError:
        raise Refused("431 Request Header Fields Too Large", "The headers are too long.") from None
    line = raw[: raw.index(b"\r\n")].decode("latin-1").split(" ")
    if len(raw) > MAX_HEAD or len(line) != 3 or not line[2].startswith("HTTP/1."):
        raise Refused("400 Bad Request", "The request is not HTTP/1.1.")
    return _Head(line[0], line[1], raw)


def _absolute(target: str) -> SplitResult:
    try:
        parts = urlsplit(target)
    except ValueError as error:
        raise Refused("400 Bad Request", str(error)) from None
    if parts.scheme != "http" or not parts.netloc:
        raise Refused("400 Bad Request", "This is wildsage's proxy; it takes proxy requests.")
    return parts


def _authority(text: str, default_port: int) -> tuple[str, int]:
    try:
        return split_authority(text, default_port)
    except ValueError as error:
        raise Refused("400 Bad Request", str(error)) from None


def _refusal(refused: Refused) -> bytes:
    body = refused.text.encode("utf-8", "replace") + b"\n"
    head = (
        f"HTTP/1.1 {refused.status}\r\nContent-Type: text/plain; charset=utf-8\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + body


def _forwarded(head: _Head, target: str, upstream: Upstream | None) -> bytes:
    """The head as the next server wants it, asking it to end the connection after its answer."""
    _, _, rest = head.raw.partition(b"\r\n")
    lines = f"{head.method} {target} HTTP/1.1\r\nConnection: close\r\n"
    if upstream and upstream.authorization:
        lines += f"Proxy-Authorization: {upstream.authorization}\r\n"
    return lines.encode("latin-1") + _HOP.sub(b"", rest)


async def _dial(host: str, port: int) -> Streams:
    if is_aws(host):
        raise Refused("403 Forbidden", f"wildsage answers for {host} itself.")
    try:
        opening = asyncio.open_connection(host, port, limit=PIECE)
        return Streams(*await asyncio.wait_for(opening, CONNECT_SECONDS))
    except TimeoutError:
        raise Refused("504 Gateway Timeout", f"{host}:{port} does not answer.") from None
    except OSError as error:
        raise Refused("502 Bad Gateway", f"Cannot connect to {host}:{port}: {error}") from None


async def _dial_through(upstream: Upstream, host: str, port: int) -> tuple[Streams, bytes]:
    """A tunnel through another proxy, and what that one answered; the client is told the same."""
    remote = await _dial(upstream.host, upstream.port)
    name = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    request = f"CONNECT {name} HTTP/1.1\r\nHost: {name}\r\n"
    if upstream.authorization:
        request += f"Proxy-Authorization: {upstream.authorization}\r\n"
    remote.writer.write(request.encode("latin-1") + b"\r\n")
    try:
        answer = await asyncio.wait_for(remote.reader.readuntil(b"\r\n\r\n"), CONNECT_SECONDS)
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, OSError, TimeoutError):
        remote.writer.close()
        raise Refused("502 Bad Gateway", "The proxy behind this one gave no answer.") from None
    return remote, answer


async def _pipe(one: Streams, other: Streams) -> None:
    """Both ways until both have ended, or either breaks."""
    ways = [
        asyncio.ensure_future(_copy(one.reader, other.writer)),
        asyncio.ensure_future(_copy(other.reader, one.writer)),
    ]
    try:
        await asyncio.wait(ways, return_when=asyncio.FIRST_EXCEPTION)
    finally:
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(PIECE):
        writer.write(data)
        await writer.drain()
    if writer.can_write_eof():
        writer.write_eof()
    else:
        writer.close()  # TLS has no half-open connections
