"""The job engine: claim a row that is due, work outside any transaction, apply the outcome.

    Create ──▶ row is due ──▶ claim (lease) ──▶ reconcile ──▶ apply (guarded by lease and version)
                   ▲                                            │
                   └────── due again, or woken by `until` ◀─────┘

A reconciler brings the world one step nearer to what a row asks for. It must be idempotent: the
server may be killed at any line, and the next one goes on from the row. A step whose row was
changed meanwhile (a Stop, say) is dropped and done again. Leases are short and renewed while a
step runs, so that a restart waits for nobody.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from wildsage import clock, ids
from wildsage.arns import Scope
from wildsage.store.errors import NotFound
from wildsage.store.resources import Change, Claim

if TYPE_CHECKING:
    from wildsage.store.changes import Changes
    from wildsage.store.resources import Resource, Resources

log = logging.getLogger(__name__)

LEASE_SECONDS = 2.0
_RENEW_SECONDS = 0.5
_RETRY_SECONDS = 1.0  # after a reconciler raised
_LONGEST_WAIT = 5.0  # a look at the rows even when nobody wakes the engine

Key: TypeAlias = tuple[str, Scope, str]
Wake: TypeAlias = Callable[[], None]


@dataclass(frozen=True)
class Outcome:
    """What one step of a reconciler came to."""

    status: str | None = None
    document: dict[str, Any] | None = None
    due: float | None = None
    """When to look at the row again; None: not before something else changes it."""
    until: Callable[[Wake], None] | None = None
    """Called after the outcome was applied, with a function that makes the row due at once."""
    delete: bool = False
    """The row has done its duty: remove it."""


class Reconciler(Protocol):
    """One module per kind of work."""

    @property
    def kind(self) -> str: ...

    def adopt(self) -> None:
        """Once, before the first step: take over what an earlier server left running."""

    def reconcile(self, resource: Resource) -> Outcome:
        """One idempotent step; runs in a worker thread, outside any transaction."""


class Engine:
    """Drives the reconcilers of one server. `stop` asks jobs nothing: they go on without it."""

    def __init__(
        self,
        resources: Resources,
        changes: Changes,
        reconcilers: Sequence[Reconciler],
        *,
        workers: int = 16,
    ) -> None:
        self._resources = resources
        self._changes = changes
        self._reconcilers = {reconciler.kind: reconciler for reconciler in reconcilers}
        self._kinds = tuple(self._reconcilers)
        self._owner = ids.token(8)
        self._workers = workers
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="job")
        self._state = threading.Condition()
        self._woken = True
        self._stopping = False
        self._claims: dict[Key, Claim] = {}
        self._pokes: set[Key] = set()
        self._threads: list[threading.Thread] = []
        self._unsubscribe: Callable[[], None] | None = None

    def start(self) -> None:
        for reconciler in self._reconcilers.values():
            reconciler.adopt()
        self._unsubscribe = self._changes.subscribe(self._kinds, lambda *_: self.wake())
        for name, run in (("engine", self._dispatch), ("leases", self._renew)):
            thread = threading.Thread(target=run, name=name, daemon=True)
            self._threads.append(thread)
            thread.start()

    def stop(self) -> None:
        """Finish the steps under way and end; rows and instances stay as they are."""
        with self._state:
            self._stopping = True
            self._state.notify_all()
        if self._unsubscribe:
            self._unsubscribe()
            self._unsubscribe = None
        for thread in self._threads:
            thread.join()
        self._pool.shutdown()

    def wake(self) -> None:
        """Look for due rows now. From any thread, cheap."""
        with self._state:
            self._woken = True
            self._state.notify_all()

    # -- one thread finds the work ---------------------------------------------------------------

    def _dispatch(self) -> None:
        while self._await_turn():
            try:
                claim = self._claim()
            except Exception:
                log.exception("The engine could not look for work; it tries again")
                clock.sleep(_RETRY_SECONDS)
                continue
            if claim is not None:
                self._pool.submit(self._step, claim)
                self.wake()  # more may be due

    def _await_turn(self) -> bool:
        """Wait until there may be work and a worker for it; False when the engine stops."""
        while not self._stopping:
            pause = self._pause()
            with self._state:
                if not self._woken and not self._stopping:
                    self._state.wait(pause)
                self._state.wait_for(lambda: len(self._claims) < self._workers or self._stopping)
                self._woken = False
                return not self._stopping
        return False

    def _pause(self) -> float:
        """How long nothing will be due."""
        if self._woken:
            return 0.0
        due = self._resources.next_due(self._kinds)
        return _LONGEST_WAIT if due is None else min(max(due - clock.now(), 0.0), _LONGEST_WAIT)

    def _claim(self) -> Claim | None:
        claim = self._resources.claim(self._kinds, self._owner, LEASE_SECONDS)
        if claim is not None:
            with self._state:
                self._claims[_key(claim.resource)] = claim
        return claim

    # -- workers do it ---------------------------------------------------------------------------

    def _step(self, claim: Claim) -> None:
        try:
            self._work(claim)
        except Exception:
            log.exception("The engine failed on %s %s", claim.resource.kind, claim.resource.name)

    def _work(self, claim: Claim) -> None:
        key, applied, poked = _key(claim.resource), False, False
        try:
            outcome = self._reconcile(claim)
            applied = self._apply(claim, outcome)
        finally:
            poked = self._release(key)
        if poked:
            self.poke(key)
        if applied and outcome.until:
            outcome.until(lambda: self.poke(key))

    def _reconcile(self, claim: Claim) -> Outcome:
        resource = claim.resource
        try:
            return self._reconcilers[resource.kind].reconcile(resource)
        except Exception:
            log.exception(
                "A step of %s %s failed; it is tried again",
                resource.kind,
                resource.name,
                extra={"action": "step_failed"},
            )
            return Outcome(due=clock.now() + _RETRY_SECONDS)

    def _apply(self, claim: Claim, outcome: Outcome) -> bool:
        applied = self._resources.apply(
            claim, status=outcome.status, document=outcome.document, due=outcome.due
        )
        if applied is not None and outcome.delete:
            self._resources.delete(applied)
        return applied is not None

    def _release(self, key: Key) -> bool:
        """The step is over; whether the row was poked meanwhile."""
        with self._state:
            del self._claims[key]
            poked = key in self._pokes
            self._pokes.discard(key)
            self._woken = True
            self._state.notify_all()
        return poked

    def poke(self, key: Key) -> None:
        """Make a row due now; while one of our steps works on it, right after that step."""
        with self._state:
            if self._stopping:
                return
            if key in self._claims:
                self._pokes.add(key)
                return
        try:
            self._resources.modify(*key, lambda _: Change(due=clock.now()))
        except NotFound:
            return

    # -- one thread keeps the leases -------------------------------------------------------------

    def _renew(self) -> None:
        """Prolong the leases of steps that take longer; until the last one is done."""
        while True:
            with self._state:
                self._state.wait_for(lambda: self._stopping and not self._claims, _RENEW_SECONDS)
                if self._stopping and not self._claims:
                    return
                claims = list(self._claims.values())
            try:
                for claim in claims:
                    self._resources.renew(claim, LEASE_SECONDS)
            except Exception:
                log.exception("Leases could not be renewed; it is tried again")


def _key(resource: Resource) -> Key:
    return resource.kind, resource.scope, resource.name
