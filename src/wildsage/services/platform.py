"""What a handler may reach: the stores, the job engine, the data path's table and the settings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from wildsage.settings import Settings
from wildsage.wire.context import Context

if TYPE_CHECKING:
    from wildsage.jobs.engine import Engine
    from wildsage.router.table import RouteTable
    from wildsage.store.changes import Changes
    from wildsage.store.database import Database
    from wildsage.store.logs import Logs
    from wildsage.store.metrics import Metrics
    from wildsage.store.objects import Objects
    from wildsage.store.resources import Resources


@dataclass(frozen=True)
class Platform:
    settings: Settings
    database: Database
    resources: Resources
    changes: Changes
    objects: Objects
    logs: Logs
    metrics: Metrics
    engine: Engine
    routes: RouteTable


Ctx: TypeAlias = Context[Platform]
