"""Answers out of files: opened while the handler's thread is at it, then sent in large pieces."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from concurrent.futures import Executor

from wildsage.wire.streams import FileSlice

PIECE = 1 << 20


class OpenedFile:
    """A slice of a file that stays readable when the file is deleted meanwhile."""

    def __init__(self, part: FileSlice) -> None:
        self.length = part.length
        self._descriptor = os.open(part.path, os.O_RDONLY | os.O_CLOEXEC)
        self._offset = part.offset
        self.first = b""
        try:
            self.first = self._read(0)
        except OSError:
            self.close()
            raise

    def _read(self, at: int) -> bytes:
        return os.pread(self._descriptor, min(PIECE, self.length - at), self._offset + at)

    async def pieces(self, executor: Executor) -> AsyncIterator[bytes]:
        """The bytes, the next piece being read while the last one is sent."""
        loop = asyncio.get_running_loop()
        piece, at = self.first, len(self.first)
        while piece:
            following = loop.run_in_executor(executor, self._read, at) if at < self.length else None
            try:
                yield piece
            finally:
                piece = await following if following else b""
            at += len(piece)
        if at < self.length:
            raise EOFError(f"the file is {self.length - at} bytes shorter than its answer")

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
