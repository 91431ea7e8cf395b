"""Log events: append-only files, one per stream, with rows for groups and streams.

Supervisors append to a stream's file directly (`stream_file`), so a job's log goes on while the
server is down; PutLogEvents appends to the same kind of file. Every read looks at the file, by
offset.

    log_rows      groups and streams, names and file names
    log_reader    one file, forwards, backwards, by time
    log_patterns  filter patterns
    logs          this: what CloudWatch Logs offers, upon the three
"""

from __future__ import annotations

import heapq
import os
import shutil
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from wildsage import logfile
from wildsage.arns import Scope
from wildsage.logfile import LogEvent
from wildsage.store.database import Database
from wildsage.store.errors import InvalidToken
from wildsage.store.log_patterns import compile_pattern
from wildsage.store.log_reader import Line, LogReader
from wildsage.store.log_rows import GROUP, STREAM, Group, LogRows, Stream, now_ms, require
from wildsage.store.tokens import Tokens

MAX_EVENTS = 10_000
_MAX_BYTES = 1 << 20  # of messages in one answer
_EVENT_OVERHEAD = 26  # bytes that CloudWatch counts for each event besides its message
_SCAN_EVENTS = 500_000  # that one FilterLogEvents looks at before it answers with a token
_DAY_MS = 24 * 3600 * 1000
_LOCKS = 64


@dataclass(frozen=True, slots=True)
class StreamSummary:
    """A stream and what its file tells: the times of its first and last event."""

    stream: Stream
    first: int | None
    last: int | None
    last_ingestion: int | None


class EventPage(NamedTuple):
    events: list[LogEvent]
    forward: str
    backward: str


class FoundEvent(NamedTuple):
    """One event of FilterLogEvents. The order of these tuples is the order of the answer."""

    timestamp: int
    stream: str
    offset: int
    event: LogEvent
    event_id: str


class FoundPage(NamedTuple):
    events: list[FoundEvent]
    next_token: str | None


class Logs:
    """All log groups of all accounts and regions. Thread-safe."""

    def __init__(self, database: Database, root: Path) -> None:
        self._root = root
        self._database = database
        self._rows = LogRows(database)
        self._locks = [threading.Lock() for _ in range(_LOCKS)]
        self._edges: dict[Path, tuple[int, LogEvent | None, LogEvent | None]] = {}

    @cached_property
    def _tokens(self) -> Tokens:
        return Tokens(self._database.secret("page-tokens"))

    # Groups

    def create_group(
        self,
        scope: Scope,
        name: str,
        *,
        kms_key: str | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        require(self._rows.create_group(scope, name, kms_key, tags or {}), GROUP, name)

    def find_group(self, scope: Scope, name: str) -> Group:
        return self._rows.group(scope, name)

    def describe_groups(
        self,
        scope: Scope,
        *,
        prefix: str = "",
        contains: str = "",
        limit: int = 50,
        token: str | None = None,
    ) -> tuple[list[Group], str | None]:
        binding = repr(("groups", *scope, prefix, contains))
        after = self._tokens.open(token, binding) if token else ""
        found = self._rows.list_groups(scope, prefix, contains, after, limit + 1)
        if len(found) <= limit:
            return found, None
        return found[:limit], self._tokens.seal(found[limit - 1].name, binding)

    def set_retention(self, scope: Scope, name: str, days: int | None) -> None:
        """Hide events older than `days` from now on; `tidy` reclaims their space."""
        self._rows.update_group(scope, name, retention_days=days)

    def set_group_tags(self, scope: Scope, name: str, tags: Mapping[str, str]) -> None:
        self._rows.update_group(scope, name, tags=dict(tags))

    def delete_group(self, scope: Scope, name: str) -> None:
        group = self._rows.delete_group(scope, name)
        shutil.rmtree(self._root / group.folder, ignore_errors=True)

    def stored_bytes(self, group: Group) -> int:
        return sum(path.stat().st_size for path in (self._root / group.folder).glob("*"))

    # Streams

    def create_stream(self, scope: Scope, group: str, name: str) -> None:
        require(self._rows.create_stream(self._rows.group(scope, group), name), STREAM, name)

    def stream_file(self, scope: Scope, group: str, name: str) -> Path:
        """The file that a supervisor may append to (wildsage.logfile); makes what is missing."""
        self._rows.create_group(scope, group, None, {})
        self._rows.create_stream(self._rows.group(scope, group), name)
        path = self._path(self._rows.stream(scope, group, name))
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.touch(mode=0o600)
        return path

    def describe_streams(
        self,
        scope: Scope,
        group: str,
        *,
        prefix: str = "",
        order_by: str = "LogStreamName",
        descending: bool = False,
        limit: int = 50,
        token: str | None = None,
    ) -> tuple[list[StreamSummary], str | None]:
        """One page, by name or by "LastEventTime"; streams without events come as the oldest."""
        owner = self._rows.group(scope, group)
        binding = repr(("streams", *scope, group, prefix, order_by, descending))
        after = self._tokens.open(token, binding) if token else None
        if order_by == "LogStreamName" and not descending:
            streams = self._rows.list_streams(owner, prefix, after[1] if after else "", limit + 1)
            page = [((0, s.name), self._summary(s)) for s in streams]
        else:
            page = self._sorted_summaries(owner, prefix, order_by, descending)
            if after:
                position = (after[0], after[1])
                page = [p for p in page if (p[0] < position if descending else p[0] > position)]
        found = [summary for _, summary in page[:limit]]
        more = len(page) > limit
        return found, self._tokens.seal(page[limit - 1][0], binding) if more else None

    def _sorted_summaries(
        self, group: Group, prefix: str, order_by: str, descending: bool
    ) -> list[tuple[tuple[int, str], StreamSummary]]:
        by_time = order_by == "LastEventTime"
        summaries = [self._summary(s) for s in self._rows.list_streams(group, prefix)]
        keyed = [((s.last or 0) if by_time else 0, s.stream.name) for s in summaries]
        pairs = zip(keyed, summaries, strict=True)
        return sorted(pairs, key=lambda pair: pair[0], reverse=descending)

    def delete_stream(self, scope: Scope, group: str, name: str) -> None:
        stream = self._rows.stream(scope, group, name)
        self._rows.delete_stream(stream)
        self._path(stream).unlink(missing_ok=True)
        self._edges.pop(self._path(stream), None)

    # Events

    def put_events(
        self, scope: Scope, group: str, name: str, events: Sequence[tuple[int, str]]
    ) -> None:
        """Append (timestamp ms, message) pairs, in order of time; durable when this returns."""
        stream = self._rows.stream(scope, group, name)
        now = now_ms()
        block = b"".join(logfile.encode(timestamp, now, message) for timestamp, message in events)
        path = self._path(stream)
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with self._locks[stream.id % _LOCKS]:
            stream = self._rows.stream(scope, group, name)
            self._note_step_back(stream, events[0][0])
            _append(path, block)

    def _note_step_back(self, stream: Stream, timestamp: int) -> None:
        """Before events older than those there are written, widen every search by time."""
        last = self._reader(stream).last()
        newest = max(stream.newest, last.timestamp if last else 0)
        if timestamp < newest:
            self._rows.step_back(stream, newest, max(stream.slack, newest - timestamp))

    def get_events(
        self,
        scope: Scope,
        group: str,
        name: str,
        *,
        start_time: int | None = None,
        end_time: int | None = None,
        limit: int = MAX_EVENTS,
        token: str | None = None,
        start_from_head: bool = False,
    ) -> EventPage:
        """One page, `start_time` inclusive, `end_time` exclusive; at an end its token repeats."""
        stream = self._rows.stream(scope, group, name)
        reader = self._reader(stream)
        window = Window(_visible_from(stream.group, start_time), end_time, reader.slack)
        backward, offset = _position(reader, window, token, start_from_head)
        if backward:
            return _page_backward(reader, offset, window, limit)
        return _page_forward(reader, offset, window, limit)

    def filter_events(
        self,
        scope: Scope,
        group: str,
        *,
        streams: Sequence[str] = (),
        prefix: str = "",
        start_time: int | None = None,
        end_time: int | None = None,
        pattern: str = "",
        limit: int = MAX_EVENTS,
        token: str | None = None,
    ) -> FoundPage:
        """Matching events of several streams in order of time; both times are inclusive."""
        owner = self._rows.group(scope, group)
        matches = compile_pattern(pattern)
        binding = repr((*scope, group, sorted(streams), prefix, start_time, end_time, pattern))
        after = tuple(self._tokens.open(token, binding)) if token else None
        start = max(_visible_from(owner, start_time), after[0] if after else 0)
        window = Window(start, None if end_time is None else end_time + 1, 0)
        page: list[FoundEvent] = []
        size = seen = 0
        for found in self._merged(self._chosen(owner, streams, prefix), window, after):
            full = len(page) == limit or size > _MAX_BYTES or seen == _SCAN_EVENTS
            if full and after:
                return FoundPage(page, self._tokens.seal(after, binding))
            after, seen = found[:3], seen + 1
            if matches(found.event.message):
                page.append(found)
                size += _cost(found.event)
        return FoundPage(page, None)

    def _chosen(self, group: Group, names: Sequence[str], prefix: str) -> list[Stream]:
        if not names:
            return self._rows.list_streams(group, prefix)
        return [self._rows.stream(group.scope, group.name, name) for name in names]

    def _merged(
        self, streams: Sequence[Stream], window: Window, after: tuple[int, str, int] | None
    ) -> Iterator[FoundEvent]:
        """The events of all streams in a window of time, in order, behind the position `after`."""
        live = [s for s in streams if _overlaps(self._summary(s), window)]
        merged = heapq.merge(*(self._ordered(s, window) for s in live))
        return (found for found in merged if after is None or found[:3] > after)

    def _ordered(self, stream: Stream, window: Window) -> Iterator[FoundEvent]:
        reader = self._reader(stream)
        window = window._replace(slack=reader.slack)
        lines = (
            FoundEvent(
                line.event.timestamp,
                stream.name,
                line.offset,
                line.event,
                f"{line.event.timestamp:020d}{stream.id:014d}{line.offset:022d}",
            )
            for line in _in_window(reader.forward(reader.seek_start(window.start)), window)
        )
        return iter(sorted(lines)) if reader.slack else lines

    # Upkeep

    def tidy(self) -> None:
        """Remove files that no stream owns; empty those whose events have outlived their retention.

        Called at start and from time to time; a file is looked for before its row, so that one
        made meanwhile is never taken for an orphan.
        """
        present = [p for p in self._root.glob("*/*") if p.is_file()]
        folders = [p for p in self._root.glob("*") if p.is_dir()]
        known = self._rows.files()
        for path in present:
            if (path.parent.name, path.name) not in known:
                path.unlink(missing_ok=True)
        for folder in folders:
            if (folder.name, "") not in known:
                shutil.rmtree(folder, ignore_errors=True)
        for group in self._rows.groups_with_retention():
            for stream in self._rows.list_streams(group):
                self._expire(stream)

    def _expire(self, stream: Stream) -> None:
        """Empty the file when its last event is too old; its writer, if any, appends as before."""
        last = self._summary(stream).last
        if last is not None and last < _visible_from(stream.group, None):
            os.truncate(self._path(stream), 0)

    def _summary(self, stream: Stream) -> StreamSummary:
        path = self._path(stream)
        reader = self._reader(stream)
        size = reader.size()
        edges = self._edges.get(path)
        if edges is None or edges[0] != size:
            edges = self._edges[path] = size, reader.first(), reader.last()
        _, first, last = edges
        return StreamSummary(
            stream,
            first.timestamp if first else None,
            max(last.timestamp, stream.newest) if last else None,
            last.ingestion if last else None,
        )

    def _reader(self, stream: Stream) -> LogReader:
        return LogReader(self._path(stream), stream.slack)

    def _path(self, stream: Stream) -> Path:
        return self._root / stream.group.folder / stream.file


class Window(NamedTuple):
    """A span of time, `end` exclusive, and how far events may stand out of order."""

    start: int
    end: int | None
    slack: int

    def holds(self, timestamp: int) -> bool:
        return timestamp >= self.start and (self.end is None or timestamp < self.end)

    def all_later(self, timestamp: int) -> bool:
        """Whether every event from one of this time on is too late."""
        return self.end is not None and timestamp - self.slack >= self.end

    def all_earlier(self, timestamp: int) -> bool:
        """Whether every event before one of this time is too early."""
        return timestamp + self.slack < self.start


def _position(
    reader: LogReader, window: Window, token: str | None, start_from_head: bool
) -> tuple[bool, int]:
    """Whether to read backwards, and from where."""
    if token:
        backward, offset = _parse_token(token)
        if not reader.is_boundary(offset):
            raise InvalidToken
        return backward, offset
    if start_from_head:
        return False, reader.seek_start(window.start) if window.start else 0
    return True, reader.size() if window.end is None else reader.seek_end(window.end)


def _in_window(lines: Iterator[Line], window: Window) -> Iterator[Line]:
    for line in lines:
        if window.all_later(line.event.timestamp):
            return
        if window.holds(line.event.timestamp):
            yield line


def _page_forward(reader: LogReader, offset: int, window: Window, limit: int) -> EventPage:
    events: list[LogEvent] = []
    position, size = offset, 0
    for line in reader.forward(offset):
        if window.all_later(line.event.timestamp):
            break
        if window.holds(line.event.timestamp):
            size += _cost(line.event)
            if len(events) == limit or (events and size > _MAX_BYTES):
                break
            events.append(line.event)
        position = line.end
    return EventPage(_in_order(events, window), _token("f", position), _token("b", offset))


def _page_backward(reader: LogReader, offset: int, window: Window, limit: int) -> EventPage:
    events: list[LogEvent] = []
    position, size = offset, 0
    for line in reader.backward(offset):
        if window.all_earlier(line.event.timestamp):
            break
        if window.holds(line.event.timestamp):
            size += _cost(line.event)
            if len(events) == limit or (events and size > _MAX_BYTES):
                break
            events.append(line.event)
        position = line.offset
    events.reverse()
    return EventPage(_in_order(events, window), _token("f", offset), _token("b", position))


def _in_order(events: list[LogEvent], window: Window) -> list[LogEvent]:
    return sorted(events, key=lambda event: event.timestamp) if window.slack else events


def _token(direction: str, offset: int) -> str:
    return f"{direction}/{offset:056d}/s"


def _parse_token(token: str) -> tuple[bool, int]:
    direction, _, rest = token.partition("/")
    digits, _, end = rest.partition("/")
    if direction not in ("f", "b") or end != "s" or not (digits.isascii() and digits.isdigit()):
        raise InvalidToken
    return direction == "b", int(digits)


def _visible_from(group: Group, start_time: int | None) -> int:
    """The oldest time a reader sees: what was asked for, or what the group still keeps."""
    kept = 0 if group.retention_days is None else now_ms() - group.retention_days * _DAY_MS
    return max(start_time or 0, kept)


def _overlaps(summary: StreamSummary, window: Window) -> bool:
    if summary.first is None or summary.last is None:
        return False
    slack = summary.stream.slack
    early = window.end is None or summary.first - slack < window.end
    return early and summary.last + slack >= window.start


def _cost(event: LogEvent) -> int:
    message = event.message
    return _EVENT_OVERHEAD + (len(message) if message.isascii() else len(message.encode()))


def _append(path: Path, block: bytes) -> None:
    """Write whole lines at the end, behind what a crash left of a line, and see them on disk."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        size = os.fstat(descriptor).st_size
        if size and os.pread(descriptor, 1, size - 1) != b"\n":
            block = b"\n" + block
        while block:
            block = block[os.write(descriptor, block) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
