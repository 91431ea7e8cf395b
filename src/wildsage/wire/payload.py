"""From the bytes on the socket to a body that can be trusted.

    socket -> aws-chunked: sizes, chunk signatures, trailers -> length, SHA-256 -> RequestBody

The stages are generators, so that a body of any size passes through in pieces. That what has been
read was forged may show only at the end of its chunk: nothing counts until the body has ended well.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from hashlib import sha256
from hmac import compare_digest
from hmac import digest as hmac_digest
from typing import Any

from wildsage.wire import sigv4
from wildsage.wire.errors import ApiError
from wildsage.wire.request import HttpRequest
from wildsage.wire.sigv4 import EMPTY_SHA256, Signed
from wildsage.wire.streams import RequestBody

Receive = Callable[[], Awaitable[Any]]

MAX_LINE = 8192
MAX_TRAILERS = 16
_SIGNED_MARKS = (
    "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
    "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER",
)
_UNSIGNED_MARK = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"


def open_body(request: HttpRequest, signed: Signed | None, receive: Receive) -> RequestBody:
    """The body of a request; without `signed` there is nothing to hold it against."""
    declared = signed.payload if signed else sigv4.UNSIGNED_PAYLOAD
    chunks = _from_socket(receive)
    length = _length(request.headers.get("content-length"))
    if not declared.startswith("STREAMING-"):
        expected = None if declared == sigv4.UNSIGNED_PAYLOAD else declared
        return RequestBody(_checked(chunks, length, expected), length)
    if declared not in (*_SIGNED_MARKS, _UNSIGNED_MARK):
        raise ApiError("NotImplemented", f"{declared} is not supported.", 501)
    length = _length(request.headers.get("x-amz-decoded-content-length"))
    if length is None:
        text = "You must provide the Content-Length HTTP header."
        raise ApiError("MissingContentLength", text, 411)
    trailers: dict[str, str] = {}
    chain = _Chain(signed) if signed and declared in _SIGNED_MARKS else None
    names = request.headers.get("x-amz-trailer", "").lower().split(",")
    announced = {name.strip() for name in names if name.strip()}
    decoded = _unchunk(chunks, chain, trailers, announced)
    return RequestBody(_checked(decoded, length, None), length, trailers)


def forget_chunking(request: HttpRequest) -> None:
    """After verification the headers are to tell of the body itself, not of its encoding."""
    headers = dict(request.headers)
    encodings = [part.strip() for part in headers.get("content-encoding", "").split(",")]
    if "aws-chunked" in encodings:
        encodings.remove("aws-chunked")
        headers["content-encoding"] = ",".join(encodings)
        if not headers["content-encoding"]:
            del headers["content-encoding"]
    if "x-amz-decoded-content-length" in headers:
        headers["content-length"] = headers["x-amz-decoded-content-length"]
    request.headers = headers


async def _from_socket(receive: Receive) -> AsyncIterator[bytes]:
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _incomplete()
        more = message.get("more_body", False)
        yield message.get("body", b"")


async def _checked(
    chunks: AsyncIterator[bytes], length: int | None, expected: str | None
) -> AsyncIterator[bytes]:
    """Hold the body against the length and SHA-256 it was announced with."""
    size, hashed = 0, sha256()
    async for chunk in chunks:
        size += len(chunk)
        if length is not None and size > length:
            raise _incomplete()
        if expected is not None:
            hashed.update(chunk)
        yield chunk
    if length is not None and size != length:
        raise _incomplete()
    if expected is not None and not compare_digest(hashed.hexdigest(), expected):
        raise sigv4.content_mismatch()


def _length(text: str | None) -> int | None:
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) < 19):
        raise ApiError("InvalidArgument", f"Invalid content length: {text!r}")
    return int(text)


def _incomplete() -> ApiError:
    return ApiError(
        "IncompleteBody",
        "You did not provide the number of bytes specified by the Content-Length HTTP header",
    )


# ---- aws-chunked: <size in hex>[;chunk-signature=<hex>]\r\n<bytes>\r\n … 0…\r\n<trailers>\r\n


async def _unchunk(
    chunks: AsyncIterator[bytes],
    chain: _Chain | None,
    trailers: dict[str, str],
    announced: set[str],
) -> AsyncIterator[bytes]:
    source = _Source(chunks)
    size = -1
    while size:
        size, signature = _chunk_head(await source.line())
        left, hashed = size, sha256()
        while left:
            data = await source.some(left)
            left -= len(data)
            if chain:
                hashed.update(data)
            yield data
        if chain:
            chain.check_chunk(hashed.hexdigest(), signature)
        if size and await source.line():
            raise _malformed()
    await _read_trailers(source, chain, trailers, announced)


def _chunk_head(line: bytes) -> tuple[int, bytes]:
    size, _, extension = line.partition(b";")
    signature = extension.removeprefix(b"chunk-signature=")
    try:
        if not 0 < len(size) <= 15 or not size.isalnum():
            raise ValueError
        return int(size, 16), signature
    except ValueError:
        raise _malformed() from None


async def _read_trailers(
    source: _Source, chain: _Chain | None, trailers: dict[str, str], announced: set[str]
) -> None:
    """Everything after the last chunk: `name: value` lines, and blank ones."""
    signature = ""
    for _ in range(MAX_TRAILERS):
        line = await source.line()
        name, colon, value = line.decode("latin-1").partition(":")
        if name == "x-amz-trailer-signature":
            signature = value.strip()
        elif colon:
            trailers[name.strip().lower()] = value.strip()
        elif line:
            raise _malformed()
        elif await source.at_end():
            break
    else:
        raise _malformed()
    if not announced <= trailers.keys():
        raise ApiError(
            "MalformedTrailerError",
            "The request contained trailing data that was not well-formed "
            "or did not conform to our published schema.",
        )
    if chain and trailers:
        chain.check_trailers(trailers, signature.encode("latin-1"))


def _malformed() -> ApiError:
    return ApiError("IncompleteBody", "The request body's chunks are not well-formed.")


class _Source:
    """Lines and runs of bytes, taken from chunks of any size."""

    def __init__(self, chunks: AsyncIterator[bytes]) -> None:
        self._chunks = chunks
        self._data = b""
        self._at = 0

    async def line(self) -> bytes:
        """The next line without its end; empty at the end of the body."""
        while (end := self._data.find(b"\n", self._at)) < 0:
            if len(self._data) - self._at > MAX_LINE:
                raise _malformed()
            if not await self._more():
                end = len(self._data)
                break
        line, self._at = self._data[self._at : end], end + 1
        return line.rstrip(b"\r")

    async def some(self, most: int) -> bytes:
        """Between one and `most` bytes."""
        while self._at >= len(self._data):
            if not await self._more():
                raise _incomplete()
        start, self._at = self._at, min(self._at + most, len(self._data))
        whole = start == 0 and self._at == len(self._data)
        return self._data if whole else self._data[start : self._at]

    async def at_end(self) -> bool:
        return self._at >= len(self._data) and not await self._more()

    async def _more(self) -> bool:
        async for chunk in self._chunks:
            if chunk:
                self._data, self._at = self._data[self._at :] + chunk, 0
                return True
        return False


class _Chain:
    """The signatures of chunks: each covers the one before it, the first the request's own."""

    def __init__(self, signed: Signed) -> None:
        self._signed = signed
        self._previous = signed.signature

    def check_chunk(self, chunk_sha256: str, signature: bytes) -> None:
        self._check("AWS4-HMAC-SHA256-PAYLOAD", f"{EMPTY_SHA256}\n{chunk_sha256}", signature)

    def check_trailers(self, trailers: dict[str, str], signature: bytes) -> None:
        lines = "".join(f"{name}:{value}\n" for name, value in trailers.items())
        hashed = sha256(lines.encode("latin-1")).hexdigest()
        self._check("AWS4-HMAC-SHA256-TRAILER", hashed, signature)

    def _check(self, kind: str, covered: str, signature: bytes) -> None:
        signed = self._signed
        text = f"{kind}\n{signed.timestamp}\n{signed.scope}\n{self._previous}\n{covered}"
        expected = hmac_digest(signed.signing_key, text.encode(), "sha256").hex()
        if not compare_digest(expected.encode(), signature):
            raise sigv4.mismatch(signed.credential.access_key, signed.service)
        self._previous = expected
