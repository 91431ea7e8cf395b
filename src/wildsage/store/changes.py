"""Who wants to know when a resource changes: coroutines of any event loop, and the job engine.

`publish` is called after each commit, from whatever thread wrote. Nothing here polls: a waiter
reads the row, and again each time its key is published, until it likes what it sees.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, TypeAlias

from wildsage.arns import Scope

if TYPE_CHECKING:
    from wildsage.store.resources import Resource

Key: TypeAlias = tuple[str, Scope, str]
Callback: TypeAlias = Callable[[str, Scope, str], None]


class _Waiter:
    """One coroutine's bell, to be rung from any thread."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.bell = asyncio.Event()

    def ring(self) -> None:
        with contextlib.suppress(RuntimeError):  # its loop was closed: nobody waits any more
            self._loop.call_soon_threadsafe(self.bell.set)


class Changes:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiters: dict[Key, set[_Waiter]] = {}
        self._subscribers: dict[str, list[Callback]] = {}
        self._find: Callable[[str, Scope, str], Resource | None] | None = None

    def read_with(self, find: Callable[[str, Scope, str], Resource | None]) -> None:
        """How a waiter looks at a row; `Resources` says so when it is made."""
        self._find = find

    def publish(self, kind: str, scope: Scope, name: str) -> None:
        """Tell everyone that this row was created, changed or deleted. From any thread."""
        with self._lock:
            waiters = tuple(self._waiters.get((kind, scope, name), ()))
            callbacks = tuple(self._subscribers.get(kind, ()))
        for waiter in waiters:
            waiter.ring()
        for callback in callbacks:
            callback(kind, scope, name)

    def subscribe(self, kinds: Collection[str], callback: Callback) -> Callable[[], None]:
        """Call `callback` in the publisher's thread (so: briefly) on each change of these kinds.

        Returns the function that ends it.
        """
        with self._lock:
            for kind in kinds:
                self._subscribers.setdefault(kind, []).append(callback)

        def unsubscribe() -> None:
            with self._lock:
                for kind in kinds:
                    self._subscribers[kind].remove(callback)

        return unsubscribe

    async def wait_until(
        self,
        kind: str,
        scope: Scope,
        name: str,
        predicate: Callable[[Resource | None], bool],
        timeout: float,
    ) -> Resource | None:
        """The row as soon as `predicate` accepts it, else as it is after `timeout` seconds."""
        assert self._find is not None, "no Resources was made with these Changes"
        waiter = self._add_waiter((kind, scope, name))
        deadline = asyncio.get_running_loop().time() + timeout
        try:
            while True:
                waiter.bell.clear()
                resource = await asyncio.to_thread(self._find, kind, scope, name)
                if predicate(resource) or not await _rung(waiter, deadline):
                    return resource
        finally:
            self._remove_waiter((kind, scope, name), waiter)

    def _add_waiter(self, key: Key) -> _Waiter:
        waiter = _Waiter()
        with self._lock:
            self._waiters.setdefault(key, set()).add(waiter)
        return waiter

    def _remove_waiter(self, key: Key, waiter: _Waiter) -> None:
        with self._lock:
            self._waiters[key].discard(waiter)
            if not self._waiters[key]:
                del self._waiters[key]


async def _rung(waiter: _Waiter, deadline: float) -> bool:
    """Wait for the next publication; False when the deadline comes first."""
    try:
        async with asyncio.timeout_at(deadline):
            await waiter.bell.wait()
    except TimeoutError:
        return False
    return True
