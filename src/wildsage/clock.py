"""Time, in one place, so that tests own it: `with clock.using(ManualClock(...))` replaces it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol


class Clock(Protocol):
    def now(self) -> float:
        """Seconds since the epoch, UTC."""

    def monotonic(self) -> float:
        """Seconds on a clock that never goes back; differences only."""

    def sleep(self, seconds: float) -> None:
        """Block this thread for `seconds`."""


class SystemClock:
    now = staticmethod(time.time)
    monotonic = staticmethod(time.monotonic)
    sleep = staticmethod(time.sleep)


class ManualClock:
    """A clock that moves only when told to; sleeping moves it."""

    def __init__(self, start: float = 1_700_000_000.0) -> None:
        self._now = start

    def now(self) -> float:
        return self._now

    def monotonic(self) -> float:
        return self._now

    def sleep(self, seconds: float) -> None:
        self._now += seconds

    advance = sleep


_current: Clock = SystemClock()


def now() -> float:
    return _current.now()


def monotonic() -> float:
    return _current.monotonic()


def sleep(seconds: float) -> None:
    _current.sleep(seconds)


@contextmanager
def using(replacement: Clock) -> Iterator[None]:
    """Replace the clock of the whole process until the block ends."""
    global _current
    previous, _current = _current, replacement
    try:
        yield
    finally:
        _current = previous
