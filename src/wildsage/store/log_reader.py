"""Reads a log stream's file by offset, so that a page costs the same at 1 kB and at 10 GB.

Events stand in the order of arrival. Where writers sent older events after newer ones, `slack` is
the largest step back in milliseconds; a search by time allows for it and stays exact.

Nothing keeps a file open between two reads: a thousand streams can be merged at once, and a stream
can be deleted under a reader.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from wildsage import logfile
from wildsage.logfile import LogEvent

_CHUNK = 1 << 17  # read at once, at most; a search by time stops at a span of this size
_FIRST_CHUNK = 1 << 12


class Line(NamedTuple):
    """An event, and where its line starts and ends in the file."""

    offset: int
    end: int
    event: LogEvent


class LogReader:
    def __init__(self, path: Path, slack: int = 0) -> None:
        self._path = path
        self.slack = slack

    def size(self) -> int:
        """The file's length up to its last whole line; 0 when there is no file yet."""
        end = self._length()
        for chunk in _chunks():
            if end <= 0:
                break
            start = max(0, end - chunk)
            newline = self._read(start, end - start).rfind(b"\n")
            if newline >= 0:
                return start + newline + 1
            end = start
        return 0

    def is_boundary(self, offset: int) -> bool:
        """Whether a line may start here."""
        return offset == 0 or (0 < offset <= self._length() and self._read(offset - 1, 1) == b"\n")

    def forward(self, offset: int) -> Iterator[Line]:
        """The lines from `offset`, which is a boundary, to the end of the file."""
        rest = b""
        for chunk in _chunks():
            read = self._read(offset + len(rest), chunk)
            if not read:
                return
            block = rest + read
            cut = block.rfind(b"\n") + 1
            yield from _lines(block[:cut], offset)
            rest = block[cut:]
            offset += cut

    def backward(self, offset: int) -> Iterator[Line]:
        """The lines that end at or before `offset`, which is a boundary; the last one first."""
        rest = b""
        for chunk in _chunks():
            if offset <= 0:
                return
            start = max(0, offset - chunk)
            block = self._read(start, offset - start) + rest
            cut = block.find(b"\n") + 1 if start > 0 else 0
            yield from reversed(list(_lines(block[cut:], start + cut)))
            rest = block[:cut]
            offset = start

    def first(self) -> LogEvent | None:
        return next((line.event for line in self.forward(0)), None)

    def last(self) -> LogEvent | None:
        return next((line.event for line in self.backward(self.size())), None)

    def seek_start(self, timestamp: int) -> int:
        """A boundary before which every event is older than `timestamp`: where to start reading."""
        low, high = 0, self.size()
        while high - low > _CHUNK:
            middle = (low + high) // 2
            line = self._first_between(middle, high)
            if line is not None and line.event.timestamp + self.slack < timestamp:
                low = line.end
            else:
                high = middle
        return low

    def seek_end(self, timestamp: int) -> int:
        """A boundary from which on no event is older than `timestamp`: where to read backwards."""
        low, high = 0, self.size()
        while high - low > _CHUNK:
            middle = (low + high) // 2
            line = self._first_between(middle, high)
            if line is None:
                high = self._align(middle)
                break
            if line.event.timestamp - self.slack >= timestamp:
                high = line.offset
            else:
                low = line.end
        return high

    def _first_between(self, low: int, high: int) -> Line | None:
        line = next(self.forward(self._align(low)), None)
        return line if line is not None and line.offset < high else None

    def _align(self, offset: int) -> int:
        """The first boundary at or after `offset`."""
        if offset <= 0:
            return 0
        position = offset - 1
        for chunk in _chunks():
            read = self._read(position, chunk)
            newline = read.find(b"\n")
            if newline >= 0:
                return position + newline + 1
            if not read:
                break
            position += len(read)
        return position

    def _length(self) -> int:
        try:
            return self._path.stat().st_size
        except FileNotFoundError:
            return 0

    def _read(self, offset: int, length: int) -> bytes:
        try:
            descriptor = os.open(self._path, os.O_RDONLY)
        except FileNotFoundError:
            return b""
        try:
            return os.pread(descriptor, length, offset)
        finally:
            os.close(descriptor)


def _chunks() -> Iterator[int]:
    """How much to read each time: little for one line, more for many."""
    size = min(_FIRST_CHUNK, _CHUNK)
    while True:
        yield size
        size = min(2 * size, _CHUNK)


def _lines(block: bytes, offset: int) -> Iterator[Line]:
    """The events of whole lines. A line cut by a crash and written over is no event: skipped."""
    for text in block.split(b"\n")[:-1]:
        end = offset + len(text) + 1
        try:
            event = logfile.decode(text)
        except ValueError:
            event = None
        if event is not None:
            yield Line(offset, end, event)
        offset = end
