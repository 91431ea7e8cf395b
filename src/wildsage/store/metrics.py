"""Time series: values of a name under a set of dimensions, such as a training job's loss."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson
import sqlalchemy as sa

from wildsage.arns import Scope
from wildsage.store.database import Database

_points = sa.Table(
    "metric_points",
    sa.MetaData(),
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("account", sa.Text),
    sa.Column("region", sa.Text),
    sa.Column("namespace", sa.Text),
    sa.Column("name", sa.Text),
    sa.Column("dimensions", sa.Text),
    sa.Column("timestamp", sa.Double),
    sa.Column("value", sa.Double),
)


@dataclass(frozen=True, slots=True)
class Point:
    name: str
    timestamp: float
    value: float
    dimensions: Mapping[str, str] = field(default_factory=dict)


class Metrics:
    def __init__(self, database: Database) -> None:
        self._database = database

    def put(self, scope: Scope, namespace: str, points: Iterable[Point]) -> None:
        rows = [_row(scope, namespace, point) for point in points]
        if rows:
            with self._database.begin() as connection:
                connection.execute(_points.insert(), rows)

    def query(
        self,
        scope: Scope,
        namespace: str,
        name: str,
        dimensions: Mapping[str, str] | None = None,
        *,
        start: float | None = None,
        end: float | None = None,
    ) -> list[tuple[float, float]]:
        """(timestamp, value) of one series in order of time; `start` inclusive, `end` exclusive."""
        c = _points.c
        conditions = [*_in_namespace(scope, namespace), c.name == name]
        conditions.append(c.dimensions == _canonical(dimensions or {}))
        if start is not None:
            conditions.append(c.timestamp >= start)
        if end is not None:
            conditions.append(c.timestamp < end)
        statement = sa.select(c.timestamp, c.value).where(*conditions)
        with self._database.connect() as connection:
            rows = connection.execute(statement.order_by(c.timestamp, c.id)).all()
        return [(row.timestamp, row.value) for row in rows]

    def series(self, scope: Scope, namespace: str) -> list[tuple[str, dict[str, str]]]:
        """(name, dimensions) of every series that has a point."""
        c = _points.c
        statement = sa.select(c.name, c.dimensions).where(*_in_namespace(scope, namespace))
        with self._database.connect() as connection:
            rows = connection.execute(statement.distinct().order_by(c.name, c.dimensions)).all()
        return [(row.name, dict(orjson.loads(row.dimensions))) for row in rows]


def _in_namespace(scope: Scope, namespace: str) -> list[sa.ColumnElement[bool]]:
    c = _points.c
    return [c.account == scope.account, c.region == scope.region, c.namespace == namespace]


def _row(scope: Scope, namespace: str, point: Point) -> dict[str, Any]:
    return {
        "account": scope.account,
        "region": scope.region,
        "namespace": namespace,
        "name": point.name,
        "dimensions": _canonical(point.dimensions),
        "timestamp": point.timestamp,
        "value": point.value,
    }


def _canonical(dimensions: Mapping[str, str]) -> str:
    return orjson.dumps(sorted(dimensions.items())).decode()
