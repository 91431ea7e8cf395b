"""The line format of a log stream on disk, shared by who writes and who reads.

One event is one line: `<timestamp ms> <ingestion ms> <message, escaped>\\n`. A supervisor appends
to the stream's file directly, so a job's log goes on while the server is down. Only `\\\\`, `\\n`
and `\\r` are escaped; the rest is UTF-8. A last line without its newline was cut by a crash and is
not read.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_PLAIN = {"\\\\": "\\", "\\n": "\n", "\\r": "\r"}
_ESCAPE = re.compile(r"\\[\\nr]")


class LogEvent(NamedTuple):
    timestamp: int
    ingestion: int
    message: str


def encode(timestamp: int, ingestion: int, message: str) -> bytes:
    escaped = message.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")
    return f"{timestamp} {ingestion} {escaped}\n".encode()


def decode(line: bytes) -> LogEvent:
    timestamp, ingestion, escaped = line.rstrip(b"\n").decode("utf-8", "replace").split(" ", 2)
    return LogEvent(int(timestamp), int(ingestion), _unescape(escaped))


def _unescape(text: str) -> str:
    if "\\" not in text:
        return text
    return _ESCAPE.sub(lambda match: _PLAIN[match[0]], text)
