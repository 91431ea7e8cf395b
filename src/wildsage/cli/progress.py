"""Progress of something that takes a while: a moving line on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
from types import TracebackType

from wildsage import clock

FRAMES = "|/-\\"
QUIET_SECONDS = 1.0


class Progress:
    """`with Progress("waiting") as progress: ... progress.tick()`; what is quick says nothing."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._started = clock.monotonic()
        self._ticks = 0
        self._said = False
        self._terminal = sys.stderr.isatty()

    def __enter__(self) -> Progress:
        return self

    def tick(self) -> None:
        elapsed = clock.monotonic() - self._started
        if elapsed < QUIET_SECONDS:
            return
        self._ticks += 1
        if self._terminal:
            frame = FRAMES[self._ticks % len(FRAMES)]
            print(f"\r{frame} {self._what} ({elapsed:.0f} s)", end="", file=sys.stderr, flush=True)
        elif not self._said:
            print(f"{self._what} ...", file=sys.stderr, flush=True)
        self._said = True

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._said and self._terminal:
            print("\r\033[K", end="", file=sys.stderr, flush=True)
