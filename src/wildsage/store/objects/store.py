"""Buckets and objects: rows in the database, bodies in files.

What was acknowledged is durable: a body is synced before the transaction that names it commits, and
the body it replaces is removed only afterwards. Nobody ever sees part of an object, since a row
appears when everything behind it is there. Synchronous; servers call it from worker threads.
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, BinaryIO, TypeAlias

import sqlalchemy as sa

from wildsage import clock
from wildsage.arns import Scope
from wildsage.store.database import Database
from wildsage.store.objects import documents, index
from wildsage.store.objects.bodies import Bodies, link_or_copy
from wildsage.store.objects.errors import (
    BucketExists,
    BucketNotEmpty,
    NoSuchBucket,
)
from wildsage.store.objects.listing import Listing, Page, list_page, successor
from wildsage.store.objects.multipart import Completed, Uploads
from wildsage.store.objects.tables import buckets, uploads
from wildsage.store.objects.transactions import Transactions
from wildsage.store.objects.types import (
    DEFAULT_CONTENT_TYPE,
    Attributes,
    Bucket,
    Condition,
    ObjectPart,
    PartChoice,
    StoredObject,
    Upload,
)
from wildsage.store.objects.writer import BodyWriter

Names: TypeAlias = list[str]  # inside the class, `list` is a method
Buckets: TypeAlias = list[Bucket]
Parts: TypeAlias = list[ObjectPart]

_CHUNK = 1 << 20
_PAGE = 1000
_ALWAYS = Condition()


class Objects:
    """The object store. Safe to use from any thread; one process per folder."""

    def __init__(self, database: Database, root: Path) -> None:
        self._database = database
        self._bodies = Bodies(root)
        self._transactions = Transactions(database)
        self._upsert = index.upsert(database)
        self.uploads = Uploads(database, self._transactions, self._bodies)

    # Buckets

    def create_bucket(self, scope: Scope, name: str) -> Bucket:
        """BucketExists when the name is taken, by whomever."""
        values = {
            "name": name,
            "account": scope.account,
            "region": scope.region,
            "created": clock.now(),
            "document": {},
        }

        def work(connection: sa.Connection) -> Bucket:
            if (row := index.find_bucket(connection, name)) is not None:
                raise BucketExists(name, row.account)
            connection.execute(buckets.insert().values(**values))
            return Bucket(name, scope.account, scope.region, float(str(values["created"])))

        return self._transactions.run(work)

    def find_bucket(self, name: str) -> Bucket | None:
        with self._database.connect() as connection:
            row = index.find_bucket(connection, name)
        return None if row is None else documents.bucket_of(row)

    def bucket(self, name: str) -> Bucket:
        bucket = self.find_bucket(name)
        if bucket is None:
            raise NoSuchBucket(name)
        return bucket

    def list_buckets(self, account: str) -> Buckets:
        query = sa.select(buckets).where(buckets.c.account == account).order_by(buckets.c.name)
        with self._database.connect() as connection:
            return [documents.bucket_of(row) for row in connection.execute(query)]

    def tag_bucket(self, name: str, tags: Mapping[str, str]) -> None:
        def work(connection: sa.Connection) -> None:
            row = index.lock_bucket(connection, name)
            document = {**row.document, "Tags": dict(tags)}
            query = buckets.update().where(buckets.c.name == name)
            connection.execute(query.values(document=document))

        self._transactions.run(work)

    def delete_bucket(self, name: str) -> None:
        """BucketNotEmpty while it holds objects; uploads under way are aborted."""

        def work(connection: sa.Connection) -> Sequence[str]:
            index.lock_bucket(connection, name)
            if not index.is_empty(connection, name):
                raise BucketNotEmpty(name)
            open_uploads = sa.select(uploads.c.id).where(uploads.c.bucket == name)
            aborted = connection.scalars(open_uploads).all()
            connection.execute(buckets.delete().where(buckets.c.name == name))
            return aborted

        for upload in self._transactions.run(work):
            self.uploads.drop(upload)

    # Reading

    def head(self, bucket: str, key: str) -> StoredObject:
        """NoSuchBucket, NoSuchKey."""
        with self._database.connect() as connection:
            row = index.find_object(connection, bucket, key)
        return documents.object_of(row, self._bodies)

    def parts(self, stored: StoredObject) -> Parts:
        """The parts it was uploaded in; empty when it came in one piece."""
        with self._database.connect() as connection:
            rows = index.find_parts(connection, stored.bucket, stored.key, stored.etag)
        return [ObjectPart(*row) for row in rows]

    def list(
        self, bucket: str, prefix: str = "", *, start_after: str = "", limit: int | None = None
    ) -> Iterator[StoredObject]:
        """In the order of the keys' UTF-8 bytes; read in pages, each one consistent view."""
        self.bucket(bucket)
        start = max(prefix.encode(), start_after.encode() + b"\0" if start_after else b"")
        return self._from(bucket, start, successor(prefix.encode()), limit)

    def _from(
        self, bucket: str, start: bytes, end: bytes | None, limit: int | None
    ) -> Iterator[StoredObject]:
        left = sys.maxsize if limit is None else limit
        while left > 0:
            count = min(left, _PAGE)
            with self._database.connect() as connection:
                rows = index.list_objects(connection, bucket, start, end, count)
            for row in rows:
                yield documents.object_of(row, self._bodies)
            if len(rows) < count:
                return
            start, left = bytes(rows[-1].key) + b"\0", left - count

    def page(self, bucket: str, listing: Listing) -> Page[StoredObject]:
        """One page of a listing with common prefixes, as S3 gives it."""
        with self._database.connect() as connection:
            if index.find_bucket(connection, bucket) is None:
                raise NoSuchBucket(bucket)

            def fetch(start: bytes, end: bytes | None, limit: int) -> Sequence[StoredObject]:
                rows = index.list_objects(connection, bucket, start, end, limit)
                return [documents.object_of(row, self._bodies) for row in rows]

            return list_page(fetch, lambda stored: stored.key.encode(), listing)

    def open(self, bucket: str, key: str) -> BinaryIO:
        try:
            return self.head(bucket, key).path.open("rb")
        except FileNotFoundError:  # replaced, and its body removed, between row and file
            return self.head(bucket, key).path.open("rb")

    def link(self, stored: StoredObject, destination: Path) -> None:
        """A file with the object's bytes that outlives the object: a hard link where one can be."""
        link_or_copy(stored.path, destination)

    # Writing

    def put(
        self,
        bucket: str,
        key: str,
        source: bytes | Path | BinaryIO,
        *,
        content_type: str = DEFAULT_CONTENT_TYPE,
        metadata: Mapping[str, str] | None = None,
    ) -> StoredObject:
        with self.writer() as writer:
            for chunk in _chunks(source):
                writer.write(chunk)
            attributes = Attributes(content_type=content_type, metadata=metadata or {})
            return self.commit(writer, bucket, key, attributes)

    def writer(self, algorithms: Collection[str] = ()) -> BodyWriter:
        """A new body. Use it in a `with` block that ends with `commit`."""
        return BodyWriter(self._bodies, algorithms)

    def commit(
        self,
        writer: BodyWriter,
        bucket: str,
        key: str,
        attributes: Attributes,
        condition: Condition = _ALWAYS,
    ) -> StoredObject:
        """Make what was written an object: durable, and visible from now on."""
        writer.seal()
        etag = writer.digests.md5.hex()
        document = documents.attributes_document(attributes)
        if checksums := writer.digests.checksums():
            document["Checksums"] = checksums
        values = _values(bucket, key, writer.body, writer.size, etag, document)
        return self._replace(values, condition)

    def copy(
        self,
        source: StoredObject,
        bucket: str,
        key: str,
        attributes: Attributes,
        *,
        algorithm: str | None = None,
        condition: Condition = _ALWAYS,
    ) -> StoredObject:
        """An object with the same bytes. Nothing is copied when ETag and checksums stay the same.

        What was uploaded in parts is read once, because its copy has the ETag of one piece.
        """
        same = algorithm is None or set(source.checksums) == {algorithm}
        if source.upload is not None or not same:
            algorithms = [algorithm] if algorithm else list(source.checksums)
            with self.writer(algorithms) as writer:
                for chunk in _chunks(source.path):
                    writer.write(chunk)
                return self.commit(writer, bucket, key, attributes, condition)
        document = documents.attributes_document(attributes)
        if source.checksums:
            document["Checksums"] = dict(source.checksums)
        twin = self._bodies.twin(source.path.name)
        values = _values(bucket, key, twin, source.size, source.etag, document)
        stored = self._replace(values, condition)
        self._bodies.settle(twin)
        return stored

    def _replace(self, values: dict[str, Any], condition: Condition) -> StoredObject:
        work = index.replace_object
        try:
            old = self._transactions.run(lambda c: work(c, self._upsert, values, condition))
        except BaseException:
            index.abandon_unknown(self._database, self._bodies, values["body"])
            raise
        self._bodies.discard(old)
        return documents.object_of(SimpleNamespace(**values), self._bodies)

    def complete(
        self,
        upload: Upload,
        choices: Sequence[PartChoice],
        *,
        declared: Mapping[str, str] | None = None,
        size: int | None = None,
        condition: Condition = _ALWAYS,
    ) -> StoredObject:
        """Make the named parts of a multipart upload an object."""
        values: dict[str, Any] = {}

        def finish(connection: sa.Connection, done: Completed) -> Names:
            document = documents.attributes_document(upload.attributes) | {"Upload": upload.id}
            if done.checksums:
                document["Checksums"] = done.checksums
                document["ChecksumType"] = done.checksum_type
            values.update(
                _values(upload.bucket, upload.key, done.body, done.size, done.etag, document)
            )
            values["parts"] = [(part.number, part.size, part.checksums) for part in done.parts]
            return index.replace_object(connection, self._upsert, values, condition)

        self.uploads.complete(upload, choices, declared or {}, size, finish)
        return documents.object_of(SimpleNamespace(**values), self._bodies)

    def tag(self, bucket: str, key: str, tags: Mapping[str, str]) -> StoredObject:
        """Replace the tags of an object."""

        def work(connection: sa.Connection) -> Any:
            index.lock_bucket(connection, bucket)
            row = index.find_object(connection, bucket, key)
            index.update_document(connection, bucket, key, {**row.document, "Tags": dict(tags)})
            return row

        return replace(documents.object_of(self._transactions.run(work), self._bodies), tags=tags)

    def delete(self, bucket: str, key: str, condition: Condition = _ALWAYS) -> None:
        """A key that is not there is deleted already."""
        self.delete_many(bucket, [key], condition)

    def delete_many(
        self, bucket: str, keys: Collection[str], condition: Condition = _ALWAYS
    ) -> None:
        """All of them, or none when it fails."""

        def work(connection: sa.Connection) -> Names:
            index.lock_bucket(connection, bucket)
            bodies: Names = []
            for key in keys:
                bodies += index.delete_object(connection, bucket, key, condition)
            return bodies

        self._bodies.discard(self._transactions.run(work))

    # Housekeeping

    def sweep(self) -> int:
        """Remove what a crash left behind; run it once at start, beside requests if you like."""

        def known(names: Names) -> set[str]:
            with self._database.connect() as connection:
                return index.known_bodies(connection, names)

        return self._bodies.sweep(known)

    def close(self) -> None:
        self._bodies.close()


def _values(
    bucket: str, key: str, body: str, size: int, etag: str, document: dict[str, Any]
) -> dict[str, Any]:
    return {
        "bucket": bucket,
        "key": key.encode(),
        "body": body,
        "size": size,
        "etag": etag,
        "modified": clock.now(),
        "document": document,
        "parts": None,
    }


def _chunks(source: bytes | Path | BinaryIO) -> Iterator[bytes]:
    if isinstance(source, bytes):
        yield source
    elif isinstance(source, Path):
        with source.open("rb") as file:
            yield from _chunks(file)
    else:
        while chunk := source.read(_CHUNK):
            yield chunk
