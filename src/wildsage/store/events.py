"""Every request, who made it and how it ended: append-only files, one a day, one event a line.

This is what CloudTrail is made of. A line is written in one system call, so that a crash cannot
mix two, and nobody waits for the disk.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson


@dataclass
class Events:
    """Appends to `<folder>/<year>-<month>-<day>.jsonl`."""

    folder: Path
    _day: int = field(default=-1, init=False)
    _descriptor: int = field(default=-1, init=False)

    def append(self, time: float, event: Any) -> None:
        """Write down one event (a dataclass or a dictionary) that happened at `time`."""
        day = int(time // 86400)
        if day != self._day:
            self._open(day)
        os.write(self._descriptor, orjson.dumps(event) + b"\n")

    def _open(self, day: int) -> None:
        self.close()
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        name = f"{datetime.fromtimestamp(day * 86400, UTC):%Y-%m-%d}.jsonl"
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        self._descriptor = os.open(self.folder / name, flags, 0o600)
        self._day = day

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor, self._day = -1, -1
