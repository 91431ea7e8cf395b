"""Rows for buckets, objects, and multipart uploads with their parts. Bodies lie in files."""

from __future__ import annotations

import sqlalchemy as sa

_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_KEY = sa.LargeBinary  # UTF-8, so that every database compares keys byte by byte, as S3 lists them

metadata = sa.MetaData()

buckets = sa.Table(
    "buckets",
    metadata,
    sa.Column("name", _TEXT, primary_key=True),
    sa.Column("account", _TEXT, nullable=False),
    sa.Column("region", _TEXT, nullable=False),
    sa.Column("created", sa.Double, nullable=False),
    sa.Column("document", sa.JSON, nullable=False),
)

objects = sa.Table(
    "objects",
    metadata,
    sa.Column("bucket", _TEXT, primary_key=True),
    sa.Column("key", _KEY, primary_key=True),
    sa.Column("body", _TEXT, nullable=False),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("etag", _TEXT, nullable=False),
    sa.Column("modified", sa.Double, nullable=False),
    sa.Column("document", sa.JSON, nullable=False),
    sa.Column("parts", sa.JSON),
    sqlite_with_rowid=False,
)
sa.Index("objects_body", objects.c.body)

uploads = sa.Table(
    "uploads",
    metadata,
    sa.Column("id", _TEXT, primary_key=True),
    sa.Column("bucket", _TEXT, nullable=False),
    sa.Column("key", _KEY, nullable=False),
    sa.Column("body", _TEXT, nullable=False),
    sa.Column("initiated", sa.Double, nullable=False),
    sa.Column("document", sa.JSON, nullable=False),
)
sa.Index("uploads_key", uploads.c.bucket, uploads.c.key, uploads.c.id)
sa.Index("uploads_body", uploads.c.body)

parts = sa.Table(
    "parts",
    metadata,
    sa.Column("upload", _TEXT, sa.ForeignKey("uploads.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("body", _TEXT, nullable=False),
    sa.Column("offset", sa.BigInteger, nullable=False),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("etag", _TEXT, nullable=False),
    sa.Column("modified", sa.Double, nullable=False),
    sa.Column("checksums", sa.JSON, nullable=False),
    sqlite_with_rowid=False,
)
sa.Index("parts_body", parts.c.body)


def upgrade(connection: sa.Connection) -> None:
    metadata.create_all(connection)
