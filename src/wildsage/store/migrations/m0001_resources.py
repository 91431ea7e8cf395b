"""Rows for resources and their tags, and the store's own secrets."""

from __future__ import annotations

import sqlalchemy as sa

# Names compare byte by byte on every database, so that pages are the same everywhere.
_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_TIME = sa.Double

metadata = sa.MetaData()

secrets = sa.Table(
    "secrets",
    metadata,
    sa.Column("name", _TEXT, primary_key=True),
    sa.Column("value", sa.LargeBinary, nullable=False),
)

resources = sa.Table(
    "resources",
    metadata,
    sa.Column("id", _ID, primary_key=True, autoincrement=True),
    sa.Column("kind", _TEXT, nullable=False),
    sa.Column("account", _TEXT, nullable=False),
    sa.Column("region", _TEXT, nullable=False),
    sa.Column("name", _TEXT, nullable=False),
    sa.Column("arn", _TEXT, nullable=False, unique=True),
    sa.Column("status", _TEXT, nullable=False),
    sa.Column("created", _TIME, nullable=False),
    sa.Column("modified", _TIME, nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("document", sa.JSON, nullable=False),
    sa.Column("due", _TIME),
    sa.Column("lease_owner", _TEXT),
    sa.Column("lease_token", _TEXT),
    sa.Column("lease_expires", _TIME),
    sa.UniqueConstraint("kind", "account", "region", "name", name="resources_name"),
)

# One index for each way a list is sorted or filtered; the last is the job engine's.
sa.Index(
    "resources_created", *(resources.c[n] for n in ("kind", "account", "region", "created", "name"))
)
sa.Index(
    "resources_modified",
    *(resources.c[n] for n in ("kind", "account", "region", "modified", "name")),
)
sa.Index(
    "resources_status", *(resources.c[n] for n in ("kind", "account", "region", "status", "name"))
)
sa.Index(
    "resources_due",
    resources.c.kind,
    resources.c.due,
    sqlite_where=resources.c.due.is_not(None),
    postgresql_where=resources.c.due.is_not(None),
)

tags = sa.Table(
    "tags",
    metadata,
    sa.Column("id", _ID, primary_key=True, autoincrement=True),
    sa.Column("arn", _TEXT, sa.ForeignKey("resources.arn", ondelete="CASCADE"), nullable=False),
    sa.Column("key", _TEXT, nullable=False),
    sa.Column("value", _TEXT, nullable=False),
    sa.UniqueConstraint("arn", "key", name="tags_key"),
)


def upgrade(connection: sa.Connection) -> None:
    metadata.create_all(connection)
