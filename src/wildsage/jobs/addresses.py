"""Loopback addresses for the instances of a gang, so that each can listen on the same port.

On Linux all of 127.0.0.0/8 is this machine. A gang takes `127.64.x.1`, `127.64.x.2`, ...: one block
of up to 254 instances per job, kept in the job's row, so that a restart finds the same ones.
"""

from __future__ import annotations

import threading
from collections.abc import Hashable

_FIRST, _LAST = 64, 127  # the second number of an address
_BLOCKS = (_LAST - _FIRST + 1) * 256
_HOSTS = 254


class NoAddress(RuntimeError):
    """All blocks are taken, or the gang is too large for one."""


class Addresses:
    """Which blocks are taken. In memory: after a restart running jobs are entered by `hold`."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._blocks: dict[Hashable, int] = {}
        self._next = 0

    def take(self, key: Hashable, count: int) -> list[str]:
        """Addresses of `count` instances; the same ones again for the same key."""
        if count > _HOSTS:
            raise NoAddress(f"a gang of {count} instances is too large")
        with self._guard:
            if key not in self._blocks:
                self._blocks[key] = self._free_block()
            return [_address(self._blocks[key], number) for number in range(1, count + 1)]

    def hold(self, key: Hashable, addresses: list[str]) -> None:
        """Enter a gang that has its addresses already."""
        if addresses:
            _, high, low, _ = addresses[0].split(".")
            with self._guard:
                self._blocks[key] = (int(high) - _FIRST) * 256 + int(low)

    def release(self, key: Hashable) -> None:
        with self._guard:
            self._blocks.pop(key, None)

    def _free_block(self) -> int:
        """The block after the last one given out, so that a block rests before it is used again."""
        taken = set(self._blocks.values())
        for offset in range(_BLOCKS):
            block = (self._next + offset) % _BLOCKS
            if block not in taken:
                self._next = block + 1
                return block
        raise NoAddress("no loopback addresses are left")


def _address(block: int, number: int) -> str:
    return f"127.{_FIRST + block // 256}.{block % 256}.{number}"
