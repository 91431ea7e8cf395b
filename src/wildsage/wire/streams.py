"""Bodies that do not fit in memory: what a handler reads from, and what it may answer with."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


class RequestBody:
    """A request's streaming payload, decoded and verified as it is read.

    Whatever is wrong with it (a chunk's signature, the declared SHA-256 or length, a client that
    goes away) is raised as `ApiError` by the read that meets it, at the latest by the read that
    would have met the end. So a body read to its end without an error is the one that was sent.
    """

    def __init__(
        self,
        chunks: AsyncIterator[bytes],
        content_length: int | None,
        trailers: Mapping[str, str] | None = None,
    ) -> None:
        self.content_length = content_length
        self.trailers: Mapping[str, str] = {} if trailers is None else trailers
        self._chunks = chunks
        self._rest = b""
        self._ended = False

    @classmethod
    def of(cls, data: bytes, trailers: Mapping[str, str] | None = None) -> RequestBody:
        """A body that is in memory already."""
        return cls(_once(data), len(data), trailers)

    async def read(self, n: int = -1) -> bytes:
        """Exactly `n` bytes, fewer only at the end; everything when `n` is negative."""
        parts, size = [self._rest] if self._rest else [], len(self._rest)
        while n < 0 or size < n:
            chunk = await self._next()
            if not chunk:
                break
            parts.append(chunk)
            size += len(chunk)
        data = parts[0] if len(parts) == 1 else b"".join(parts)
        if n < 0:
            n = size
        self._rest = data[n:]
        return data[:n] if len(data) > n else data

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """The chunks as they come, never empty."""
        if self._rest:
            rest, self._rest = self._rest, b""
            yield rest
        while chunk := await self._next():
            yield chunk

    async def _next(self) -> bytes:
        """The next chunk; empty at the end, and from then on."""
        while not self._ended:
            chunk = await anext(self._chunks, None)
            if chunk is None:
                self._ended = True
            elif chunk:
                return chunk
        return b""


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data


@dataclass(frozen=True, slots=True)
class FileSlice:
    """A streaming output payload that lies in a file: `length` bytes from `offset`."""

    path: Path
    offset: int
    length: int


@dataclass(slots=True)
class Response:
    """An answer whose handler sets the status (206, 304) or headers that the model lacks."""

    output: dict[str, Any] = field(default_factory=dict)
    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
