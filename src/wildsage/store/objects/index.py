"""The SQL of objects: each function does its work on a connection that the caller opened."""

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


def lock_bucket(connection: sa.Connection, name: str) -> Any:
    """The bucket's row, held until the transaction ends; NoSuchBucket."""
    query = sa.select(buckets).where(buckets.c.name == name).with_for_update()
    row = connection.execute(query).one_or_none()
    if row is None:
        raise NoSuchBucket(name)
    return row


def find_bucket(connection: sa.Connection, name: str) -> Any:
    return connection.execute(sa.select(buckets).where(buckets.c.name == name)).one_or_none()


def find_object(connection: sa.Connection, bucket: str, key: str) -> Any:
    """The object's row without its parts; NoSuchKey or NoSuchBucket."""
    row = connection.execute(sa.select(*_LISTED).where(_is(bucket, key))).one_or_none()
    if row is None:
        if find_bucket(connection, bucket) is None:
            raise NoSuchBucket(bucket)
        raise NoSuchKey(bucket, key)
    return row


def find_parts(connection: sa.Connection, bucket: str, key: str, etag: str) -> list[Any]:
    query = sa.select(objects.c.parts).where(_is(bucket, key), objects.c.etag == etag)
    return connection.execute(query).scalar_one_or_none() or []


def replace_object(
    connection: sa.Connection, database: Database, values: Mapping[str, Any], condition: Condition
) -> list[str]:
    """Put a row under its key; returns the bodies that are no longer needed."""
    lock_bucket(connection, values["bucket"])
    is_this = sa.and_(objects.c.bucket == values["bucket"], objects.c.key == values["key"])
    query = sa.select(objects.c.body, objects.c.etag).where(is_this)
    old = connection.execute(query).one_or_none()
    _check(condition, old, values)
    insert = database.insert(objects).values(**values)
    changed = {name: insert.excluded[name] for name in values if name not in ("bucket", "key")}
    connection.execute(insert.on_conflict_do_update(index_elements=["bucket", "key"], set_=changed))
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
    connection.execute(objects.update().where(_is(bucket, key)).values(document=document))


def delete_object(
    connection: sa.Connection, bucket: str, key: str, condition: Condition
) -> list[str]:
    """Returns the bodies that are no longer needed; a key that is not there is no error."""
    query = sa.select(objects.c.body, objects.c.etag).where(_is(bucket, key))
    old = connection.execute(query).one_or_none()
    _check(condition, old, {"bucket": bucket, "key": key.encode()})
    if old is None:
        return []
    connection.execute(objects.delete().where(_is(bucket, key)))
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


def _is(bucket: str, key: str) -> sa.ColumnElement[bool]:
    return sa.and_(objects.c.bucket == bucket, objects.c.key == key.encode())


def abandon_unknown(database: Database, bodies: Bodies, body: str) -> None:
    """Remove a body in flight whose commit failed, unless the commit was made all the same."""
    with suppress(sa.exc.SQLAlchemyError):  # then the next sweep decides
        with database.connect() as connection:
            known = known_bodies(connection, [body])
        if not known:
            bodies.abandon(body)
    bodies.settle(body)
