"""The SQL of objects: each function does its work on a connection that the caller opened.

The statements of single objects are built once, since building one costs more than running it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import sqlalchemy as sa

from wildsage.store.database import Database
from wildsage.store.objects.bodies import Bodies
from wildsage.store.objects.errors import NoSuchBucket, NoSuchKey, PreconditionFailed
from wildsage.store.objects.tables import buckets, objects, parts, uploads
from wildsage.store.objects.types import Condition

_LISTED = [column for column in objects.c if column.name != "parts"]
_THIS = sa.and_(
    objects.c.bucket == sa.bindparam("this_bucket"), objects.c.key == sa.bindparam("this_key")
)
_BUCKET = sa.select(buckets).where(buckets.c.name == sa.bindparam("name"))
_BUCKET_LOCKED = _BUCKET.with_for_update()
_OBJECT = sa.select(*_LISTED).where(_THIS)
_PARTS = sa.select(objects.c.parts).where(_THIS, objects.c.etag == sa.bindparam("etag"))
_OLD = sa.select(objects.c.body, objects.c.etag).where(_THIS)
_DELETE = objects.delete().where(_THIS)
_DESCRIBE = objects.update().where(_THIS).values(document=sa.bindparam("new_document"))


def upsert(database: Database) -> Any:
    """The statement that puts a row under its key, whether or not there is one."""
    insert = database.insert(objects).values({c.name: sa.bindparam(c.name) for c in objects.c})
    changed = {
        c.name: insert.excluded[c.name] for c in objects.c if c.name not in ("bucket", "key")
    }
    return insert.on_conflict_do_update(index_elements=["bucket", "key"], set_=changed)


def lock_bucket(connection: sa.Connection, name: str) -> Any:
    """The bucket's row, held until the transaction ends; NoSuchBucket."""
    row = connection.execute(_BUCKET_LOCKED, {"name": name}).one_or_none()
    if row is None:
        raise NoSuchBucket(name)
    return row


def find_bucket(connection: sa.Connection, name: str) -> Any:
    return connection.execute(_BUCKET, {"name": name}).one_or_none()


def find_object(connection: sa.Connection, bucket: str, key: str) -> Any:
    """The object's row without its parts; NoSuchKey or NoSuchBucket."""
    row = connection.execute(_OBJECT, _this(bucket, key)).one_or_none()
    if row is None:
        if find_bucket(connection, bucket) is None:
            raise NoSuchBucket(bucket)
        raise NoSuchKey(bucket, key)
    return row


def find_parts(connection: sa.Connection, bucket: str, key: str, etag: str) -> list[Any]:
    values = _this(bucket, key) | {"etag": etag}
    return connection.execute(_PARTS, values).scalar_one_or_none() or []


def replace_object(
    connection: sa.Connection, statement: Any, values: Mapping[str, Any], condition: Condition
) -> list[str]:
    """Put a row under its key with an `upsert`; returns the bodies that are no longer needed."""
    lock_bucket(connection, values["bucket"])
    this = {"this_bucket": values["bucket"], "this_key": values["key"]}
    old = connection.execute(_OLD, this).one_or_none()
    _check(condition, old, values)
    connection.execute(statement, values)
    return [old.body] if old else []


def _check(condition: Condition, old: Any, values: Mapping[str, Any]) -> None:
    if condition.absent and old is not None:
        raise PreconditionFailed("If-None-Match")
    if condition.etag is not None:
        if old is None:
            raise NoSuchKey(values["bucket"], values["key"].decode())
        if condition.etag not in (old.etag, "*"):
            raise PreconditionFailed("If-Match")


def update_document(
    connection: sa.Connection, bucket: str, key: str, document: dict[str, Any]
) -> None:
    """Change what is said about an object."""
    connection.execute(_DESCRIBE, _this(bucket, key) | {"new_document": document})


def delete_object(
    connection: sa.Connection, bucket: str, key: str, condition: Condition
) -> list[str]:
    """Returns the bodies that are no longer needed; a key that is not there is no error."""
    old = connection.execute(_OLD, _this(bucket, key)).one_or_none()
    _check(condition, old, {"bucket": bucket, "key": key.encode()})
    if old is None:
        return []
    connection.execute(_DELETE, _this(bucket, key))
    return [old.body]


def list_objects(
    connection: sa.Connection, bucket: str, start: bytes, end: bytes | None, limit: int
) -> Sequence[Any]:
    """Rows in key order with start <= key < end."""
    query = sa.select(*_LISTED).where(objects.c.bucket == bucket, objects.c.key >= start)
    if end is not None:
        query = query.where(objects.c.key < end)
    return connection.execute(query.order_by(objects.c.key).limit(limit)).all()


def is_empty(connection: sa.Connection, bucket: str) -> bool:
    query = sa.select(objects.c.key).where(objects.c.bucket == bucket).limit(1)
    return connection.execute(query).first() is None


def known_bodies(connection: sa.Connection, names: list[str]) -> set[str]:
    """Which of these bodies a row names."""
    found: set[str] = set()
    for table in (objects, uploads, parts):
        found.update(connection.scalars(sa.select(table.c.body).where(table.c.body.in_(names))))
    return found


def _this(bucket: str, key: str) -> dict[str, Any]:
    return {"this_bucket": bucket, "this_key": key.encode()}


def abandon_unknown(database: Database, bodies: Bodies, body: str) -> None:
    """Remove a body in flight whose commit failed, unless the commit was made all the same."""
    with suppress(sa.exc.SQLAlchemyError):  # then the next sweep decides
        with database.connect() as connection:
            known = known_bodies(connection, [body])
        if not known:
            bodies.abandon(body)
    bodies.settle(body)
