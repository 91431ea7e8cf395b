"""The tables of this package as they are now; the migrations tell how they came to be."""

from __future__ import annotations

import sqlalchemy as sa

buckets = sa.table(
    "buckets",
    sa.column("name", sa.Text),
    sa.column("account", sa.Text),
    sa.column("region", sa.Text),
    sa.column("created", sa.Double),
    sa.column("document", sa.JSON),
)
objects = sa.table(
    "objects",
    sa.column("bucket", sa.Text),
    sa.column("key", sa.LargeBinary),
    sa.column("body", sa.Text),
    sa.column("size", sa.BigInteger),
    sa.column("etag", sa.Text),
    sa.column("modified", sa.Double),
    sa.column("document", sa.JSON),
    sa.column("parts", sa.JSON(none_as_null=True)),
)
uploads = sa.table(
    "uploads",
    sa.column("id", sa.Text),
    sa.column("bucket", sa.Text),
    sa.column("key", sa.LargeBinary),
    sa.column("body", sa.Text),
    sa.column("initiated", sa.Double),
    sa.column("document", sa.JSON),
)
parts = sa.table(
    "parts",
    sa.column("upload", sa.Text),
    sa.column("number", sa.Integer),
    sa.column("body", sa.Text),
    sa.column("offset", sa.BigInteger),
    sa.column("size", sa.BigInteger),
    sa.column("etag", sa.Text),
    sa.column("modified", sa.Double),
    sa.column("checksums", sa.JSON),
)
