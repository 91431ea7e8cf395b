"""The job engine: claim a row that is due, work outside any transaction, apply the outcome.

    Create writes the desired state ──▶ row is due ──▶ claim (lease) ──▶ reconcile ──▶ apply (guarded by lease)
                                            ▲                                             │
                                            └──── due again, or woken by `Outcome.until` ◀┘

A reconciler brings the world one step nearer to what a row asks for. It must be idempotent: the server may be
killed at any line, and the next one goes on from the row. A claim whose lease was lost is dropped without a
trace; the new owner does the step again. Leases are short and renewed while a step runs, so that a restart
waits for nobody.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from wildsage import clock, ids

if TYPE_CHECKING:
    from wildsage.store.changes import Changes
    from wildsage.store.resources import Claim, Resource, Resources

log = logging.getLogger(__name__)

LEASE_SECONDS = 3.0
_RETRY_SECONDS = 1.0  # after a reconciler raised
_IDLE_SECONDS = 5.0  # a look at the rows even when nobody woke us


@dataclass(frozen=True)
class Outcome:
    """What one step of a reconciler came to."""

    status: str | None = None
    document: dict[str, Any] | None = None
    due: float | None = None
    """When to look at the row again; None: not before something else changes it."""
    until: Callable[[Callable[[], None]], None] | None = None
    """Called after the outcome was applied, with a function that makes the row due at once."""


class Reconciler(Protocol):
    """One module per kind of work."""

    @property
    def kind(self) -> str: ...

    def reconcile(self, resource: Resource) -> Outcome:
        """One idempotent step; runs in a worker thread, outside any transaction."""
