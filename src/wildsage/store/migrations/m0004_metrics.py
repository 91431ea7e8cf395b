"""Points of time series."""

from __future__ import annotations

import sqlalchemy as sa

_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")

metadata = sa.MetaData()

points = sa.Table(
    "metric_points",
    metadata,
    sa.Column("id", _ID, primary_key=True, autoincrement=True),
    sa.Column("account", _TEXT, nullable=False),
    sa.Column("region", _TEXT, nullable=False),
    sa.Column("namespace", _TEXT, nullable=False),
    sa.Column("name", _TEXT, nullable=False),
    sa.Column("dimensions", _TEXT, nullable=False),
    sa.Column("timestamp", sa.Double, nullable=False),
    sa.Column("value", sa.Double, nullable=False),
)

_SERIES = ("account", "region", "namespace", "name", "dimensions", "timestamp")
sa.Index("metric_points_series", *(points.c[column] for column in _SERIES))


def upgrade(connection: sa.Connection) -> None:
    metadata.create_all(connection)
