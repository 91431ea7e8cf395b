"""Which model servers answer for an endpoint. The reconciler publishes; every request reads.

A route is replaced as a whole, so a request sees the old one or the new one, never a mixture.
Targets are the same objects as long as anyone uses them, whatever routes come and go: `busy`
therefore tells how many requests a model server that has left the table is still working on.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import threading
import weakref
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from wildsage import ids
from wildsage.arns import Scope

if TYPE_CHECKING:
    from wildsage.router.client import Pool

LEAST_OUTSTANDING = "LEAST_OUTSTANDING_REQUESTS"


@dataclass(eq=False, slots=True, weakref_slot=True)
class Target:
    """One model server: the path of its unix socket, or `host:port`."""

    address: str
    inflight: int = 0
    """Requests it works on; changed on the router's loop only."""
    pool: Pool | None = None
    """Its connections; the router's."""

    def leave(self) -> None:
        """A request of it is over."""
        self.inflight -= 1


@dataclass(frozen=True, slots=True)
class VariantRoute:
    """What the reconciler says about one production variant."""

    name: str
    weight: float
    addresses: tuple[str, ...]
    strategy: str = ""
    """AWS's `RoutingStrategy`: LEAST_OUTSTANDING_REQUESTS, or else taking turns."""


@dataclass(frozen=True, slots=True)
class Variant:
    name: str
    weight: float
    targets: tuple[Target, ...]
    strategy: str = ""
    _turns: Iterator[int] = field(default_factory=itertools.count)

    def target(self, avoid: Collection[Target]) -> Target | None:
        """Whose turn it is, leaving out those that were tried in vain."""
        targets = self.targets
        if avoid:
            targets = tuple(target for target in targets if target not in avoid)
        if not targets:
            return None
        if len(targets) == 1:
            return targets[0]
        start = next(self._turns) % len(targets)
        if self.strategy != LEAST_OUTSTANDING:
            return targets[start]
        return min(targets[start:] + targets[:start], key=lambda target: target.inflight)


@dataclass(frozen=True, slots=True)
class Route:
    """An endpoint in service."""

    scope: Scope
    endpoint: str
    variants: tuple[Variant, ...]
    published: tuple[VariantRoute, ...] = ()
    """What was asked for."""
    _total: float = 0.0

    def variant(self, name: str) -> Variant | None:
        return next((variant for variant in self.variants if variant.name == name), None)

    def choose(self) -> Variant:
        """A variant by chance, in proportion to the weights; all alike when every weight is 0."""
        if len(self.variants) == 1:
            return self.variants[0]
        chance = int.from_bytes(ids.random_bytes(4), "big") / 2**32
        if not self._total:
            return self.variants[int(chance * len(self.variants))]
        left = chance * self._total
        for variant in self.variants:
            left -= variant.weight
            if left < 0:
                return variant
        return self.variants[-1]


class RouteTable:
    """Every endpoint in service. Thread-safe."""

    def __init__(self) -> None:
        self._routes: dict[tuple[Scope, str], Route] = {}
        self._targets: weakref.WeakValueDictionary[str, Target] = weakref.WeakValueDictionary()
        self._lock = threading.Lock()
        self._waiters: set[_Waiter] = set()

    def publish(self, scope: Scope, endpoint: str, variants: Sequence[VariantRoute]) -> None:
        """Put an endpoint into service, or replace what answers for it, at once."""
        with self._lock:
            made = tuple(
                Variant(v.name, v.weight, tuple(map(self._target, v.addresses)), v.strategy)
                for v in variants
            )
            total = sum(variant.weight for variant in made)
            self._routes[scope, endpoint] = Route(scope, endpoint, made, tuple(variants), total)
        self._ring()

    def withdraw(self, scope: Scope, endpoint: str) -> None:
        with self._lock:
            self._routes.pop((scope, endpoint), None)
        self._ring()

    def find(self, scope: Scope, endpoint: str) -> Route | None:
        return self._routes.get((scope, endpoint))

    def busy(self, addresses: Collection[str]) -> int:
        """How many requests these model servers work on now."""
        with self._lock:
            found = [self._targets.get(address) for address in addresses]
        return sum(target.inflight for target in found if target)

    def targets(self) -> list[Target]:
        """Every model server that is in the table or still works on a request."""
        with self._lock:
            return list(self._targets.values())

    async def changed(self, timeout: float) -> None:
        """Return at the next change of the table, or when `timeout` seconds are over."""
        waiter = _Waiter()
        with self._lock:
            self._waiters.add(waiter)
        try:
            async with asyncio.timeout(timeout):
                await waiter.bell.wait()
        except TimeoutError:
            pass
        finally:
            with self._lock:
                self._waiters.discard(waiter)

    def _target(self, address: str) -> Target:
        target = self._targets.get(address)
        if target is None:
            target = self._targets[address] = Target(address)
        return target

    def _ring(self) -> None:
        with self._lock:
            waiters = tuple(self._waiters)
        for waiter in waiters:
            waiter.ring()


class _Waiter:
    """A request that waits for the table to change; rung from any thread."""

    def __init__(self) -> None:
        self.bell = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    def ring(self) -> None:
        with contextlib.suppress(RuntimeError):  # its loop was closed: nobody waits any more
            self._loop.call_soon_threadsafe(self.bell.set)
