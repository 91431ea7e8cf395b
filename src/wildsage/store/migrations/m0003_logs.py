"""Groups and streams of log events; the events themselves are files."""

from __future__ import annotations

import sqlalchemy as sa

_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_MILLISECONDS = sa.BigInteger

metadata = sa.MetaData()

groups = sa.Table(
    "log_groups",
    metadata,
    sa.Column("id", _ID, primary_key=True, autoincrement=True),
    sa.Column("account", _TEXT, nullable=False),
    sa.Column("region", _TEXT, nullable=False),
    sa.Column("name", _TEXT, nullable=False),
    sa.Column("folder", _TEXT, nullable=False, unique=True),
    sa.Column("created", _MILLISECONDS, nullable=False),
    sa.Column("retention_days", sa.Integer),
    sa.Column("kms_key", _TEXT),
    sa.Column("tags", sa.JSON, nullable=False),
    sa.UniqueConstraint("account", "region", "name", name="log_groups_name"),
)

streams = sa.Table(
    "log_streams",
    metadata,
    sa.Column("id", _ID, primary_key=True, autoincrement=True),
    sa.Column("group_id", _ID, sa.ForeignKey("log_groups.id", ondelete="CASCADE"), nullable=False),
    sa.Column("name", _TEXT, nullable=False),
    sa.Column("file", _TEXT, nullable=False),
    sa.Column("created", _MILLISECONDS, nullable=False),
    sa.Column("newest", _MILLISECONDS, nullable=False),
    sa.Column("slack", _MILLISECONDS, nullable=False),
    sa.UniqueConstraint("group_id", "name", name="log_streams_name"),
)


def upgrade(connection: sa.Connection) -> None:
    metadata.create_all(connection)
