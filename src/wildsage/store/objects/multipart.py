"""Multipart uploads: parts are written where they belong in the finished body, side by side.

Parts nearly always have one size, so part n is written at (n - 1) * size of one file, and Complete
has nothing to copy. A part that does not fit the scheme (another size came first, it is sent again,
its length is unknown) gets a file of its own; Complete then moves it into place, or lines all parts
up in a new file when the places themselves are wrong. Rows keep the state, so it survives a
restart; this process only remembers who is writing where.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import sqlalchemy as sa

from wildsage import clock, ids
from wildsage.store.database import Database
from wildsage.store.errors import StoreError
from wildsage.store.objects import checksums, documents, index
from wildsage.store.objects.bodies import Bodies, copy_range
from wildsage.store.objects.errors import (
    InvalidPart,
    InvalidPartOrder,
    NoSuchBucket,
    NoSuchUpload,
    PartTooSmall,
    WrongSize,
)
from wildsage.store.objects.tables import parts, uploads
from wildsage.store.objects.transactions import Transactions
from wildsage.store.objects.types import (
    COMPOSITE,
    FULL_OBJECT,
    Attributes,
    Part,
    PartChoice,
    Upload,
)
from wildsage.store.objects.writer import BodyWriter

MINIMUM_PART = 5 << 20
_MEBIBYTE = 1 << 20
_MAXIMUM_OFFSET = 1 << 43  # below the largest file of common file systems


@dataclass(slots=True)
class _State:
    """What this process knows of an upload. `placed`: the parts that have, or get, their place."""

    upload: Upload
    stride: int | None = None
    placed: set[int] = field(default_factory=set)
    writers: int = 0
    completing: bool = False
    closed: bool = False
    turn: threading.Lock = field(default_factory=threading.Lock)

    def place(self, number: int, length: int | None) -> int | None:
        """Where in the common file the part goes; None when it needs a file of its own."""
        if not length or number in self.placed or self.completing:
            return None
        # A last part that arrives first must not set the size; it is rarely whole mebibytes.
        if self.stride is None and (
            number == 1 or (length >= MINIMUM_PART and length % _MEBIBYTE == 0)
        ):
            self.stride = length
        if self.stride is None or length > self.stride:
            return None
        offset = (number - 1) * self.stride
        return offset if offset + length <= _MAXIMUM_OFFSET else None


class PartWriter(BodyWriter):
    """Writes one part, at its place in the common file or into a file of its own."""

    def __init__(
        self, bodies: Bodies, algorithms: Collection[str], shared: str | None, offset: int
    ) -> None:
        super().__init__(bodies, algorithms, shared=shared)
        self.offset = offset
        self.room: int | None = None

    def write(self, data: bytes) -> None:
        if self.room is not None and self.size + len(data) > self.room:
            raise WrongSize(f"more than the announced {self.room} bytes")
        super().write(data)


@dataclass(frozen=True, slots=True)
class Completed:
    """What a Complete made: the values of the object's row that come from the parts."""

    body: str
    size: int
    etag: str
    checksums: Mapping[str, str]
    checksum_type: str | None
    parts: Sequence[Part]


class Uploads:
    def __init__(self, database: Database, transactions: Transactions, bodies: Bodies) -> None:
        self._database = database
        self._transactions = transactions
        self._bodies = bodies
        self._lock = threading.Lock()
        self._states: dict[str, _State] = {}

    def create(
        self,
        bucket: str,
        key: str,
        attributes: Attributes,
        *,
        owner: str,
        checksum_algorithm: str | None = None,
        checksum_type: str | None = None,
    ) -> Upload:
        body, descriptor = self._bodies.begin(0o644)
        self._bodies.sync(body, descriptor)
        os.close(descriptor)
        now = clock.now()
        # Identifiers grow with time, so that uploads of one key are listed in the order they began.
        upload_id = f"{int(now * 1000):012x}{ids.token(20)}"
        document = documents.attributes_document(attributes) | {"Owner": owner}
        if checksum_algorithm:
            document["ChecksumAlgorithm"] = checksum_algorithm
            document["ChecksumType"] = checksum_type
        values = {
            "id": upload_id,
            "bucket": bucket,
            "key": key.encode(),
            "body": body,
            "initiated": now,
            "document": document,
        }

        def work(connection: sa.Connection) -> None:
            index.lock_bucket(connection, bucket)
            connection.execute(uploads.insert().values(**values))

        try:
            self._transactions.run(work)
        except BaseException:
            self._bodies.abandon(body)
            raise
        self._bodies.settle(body)
        return self._state(upload_id).upload

    def get(self, bucket: str, key: str, upload_id: str) -> Upload:
        """NoSuchUpload when there is none, or it is another key's."""
        upload = self._state(upload_id).upload
        if (upload.bucket, upload.key) != (bucket, key):
            raise NoSuchUpload(upload_id)
        return upload

    def _state(self, upload_id: str) -> _State:
        with self._lock:
            state = self._states.get(upload_id)
        if state is None:
            state = self._load(upload_id)
            with self._lock:
                state = self._states.setdefault(upload_id, state)
        if state.closed:
            raise NoSuchUpload(upload_id)
        return state

    def _load(self, upload_id: str) -> _State:
        with self._database.connect() as connection:
            query = sa.select(uploads).where(uploads.c.id == upload_id)
            row = connection.execute(query).one_or_none()
            if row is None:
                raise NoSuchUpload(upload_id)
            state = _State(documents.upload_of(row))
            for part in _parts(connection, upload_id):
                if part.body == state.upload.body:
                    state.placed.add(part.number)
                    first = part.number == 1  # its size is a guess that any other part betters
                    state.stride = part.size if first else part.offset // (part.number - 1)
        return state

    # Parts

    @contextmanager
    def part(
        self, upload: Upload, number: int, length: int | None, algorithms: Collection[str] = ()
    ) -> Iterator[PartWriter]:
        """A writer for part `number`; end the block with `commit_part`."""
        state = self._state(upload.id)
        with self._lock:
            offset = state.place(number, length)
            if offset is not None:
                state.placed.add(number)
                state.writers += 1
        shared = None if offset is None else upload.body
        committed = False
        try:
            with PartWriter(self._bodies, algorithms, shared, offset or 0) as writer:
                writer.room = None if offset is None else length
                yield writer
                committed = writer.sealed
        finally:
            if offset is not None:
                with self._lock:
                    state.writers -= 1
                    if not committed:
                        state.placed.discard(number)

    def commit_part(self, upload: Upload, number: int, writer: PartWriter) -> Part:
        """Make the part durable and a part of the upload; it replaces one of the same number."""
        writer.seal()
        part = Part(
            number,
            writer.body,
            writer.offset,
            writer.size,
            writer.digests.md5.hex(),
            clock.now(),
            writer.digests.checksums(),
        )

        def work(connection: sa.Connection) -> list[str]:
            alive = sa.select(uploads.c.id).where(uploads.c.id == upload.id).with_for_update()
            if connection.execute(alive).first() is None:
                raise NoSuchUpload(upload.id)
            return self._save(connection, upload, part)

        try:
            old = self._transactions.run(work)
        except StoreError:  # after any other error the row may be there: the next sweep knows
            writer.sealed = False
            raise
        self._bodies.discard(old)
        return part

    def _save(self, connection: sa.Connection, upload: Upload, part: Part) -> list[str]:
        """Insert or replace the part's row; returns side files that are no longer needed."""
        same = sa.and_(parts.c.upload == upload.id, parts.c.number == part.number)
        old = connection.scalar(sa.select(parts.c.body).where(same))
        values = {"upload": upload.id} | {
            name: getattr(part, name) for name in Part.__dataclass_fields__
        }
        insert = self._database.insert(parts).values(**values)
        changed = {name: insert.excluded[name] for name in values}
        connection.execute(
            insert.on_conflict_do_update(index_elements=["upload", "number"], set_=changed)
        )
        return [old] if old and old not in (upload.body, part.body) else []

    def parts(self, upload: Upload) -> list[Part]:
        with self._database.connect() as connection:
            return list(_parts(connection, upload.id))

    def under_way(self, bucket: str, prefix: str = "") -> list[Upload]:
        """The uploads of a bucket, by key and then by when they began."""
        query = sa.select(uploads).where(uploads.c.bucket == bucket)
        with self._database.connect() as connection:
            if index.find_bucket(connection, bucket) is None:
                raise NoSuchBucket(bucket)
            rows = connection.execute(query.order_by(uploads.c.key, uploads.c.id)).all()
        found = [documents.upload_of(row) for row in rows]
        return [upload for upload in found if upload.key.startswith(prefix)]

    # Ends

    def abort(self, upload: Upload) -> None:
        """NoSuchUpload when it has ended already."""
        if not self.drop(upload.id):
            raise NoSuchUpload(upload.id)

    def drop(self, upload_id: str) -> bool:
        """End the upload and remove all its bytes; False when there was none."""
        removed = self._transactions.run(lambda connection: _delete(connection, upload_id))
        with self._lock:
            state = self._states.pop(upload_id, None)
            if state is not None:
                state.closed = True
        self._bodies.discard(removed)
        return bool(removed)

    def complete(
        self,
        upload: Upload,
        choices: Sequence[PartChoice],
        declared: Mapping[str, str],
        size: int | None,
        finish: Callable[[sa.Connection, Completed], list[str]],
    ) -> Completed:
        """Make the chosen parts one body, and let `finish` put its row in the same transaction."""
        state = self._state(upload.id)
        with state.turn:
            if state.closed:
                raise NoSuchUpload(upload.id)
            present = {part.number: part for part in self.parts(upload)}
            chosen = _choose(present, choices)
            total = sum(part.size for part in chosen)
            if size is not None and size != total:
                raise WrongSize(f"{size} bytes announced, {total} uploaded")
            sums, kind = _checksums(upload, chosen)
            checksums.verify(sums, {name: declared[name] for name in declared if name in sums})
            etag = checksums.multipart_etag([part.etag for part in chosen])
            with self._assembled(state, chosen, whole=len(chosen) == len(present)) as body:
                result = Completed(body, total, etag, sums, kind, chosen)
                self._finish(state, result, finish)
            return result

    def _finish(
        self,
        state: _State,
        result: Completed,
        finish: Callable[[sa.Connection, Completed], list[str]],
    ) -> None:
        def work(connection: sa.Connection) -> list[str]:
            removed = _delete(connection, state.upload.id)
            if not removed:
                raise NoSuchUpload(state.upload.id)
            return removed + finish(connection, result)

        removed = self._transactions.run(work)
        with self._lock:
            state.closed = True
            self._states.pop(state.upload.id, None)
        self._bodies.discard(body for body in removed if body != result.body)

    @contextmanager
    def _assembled(self, state: _State, chosen: Sequence[Part], whole: bool) -> Iterator[str]:
        """The durable body of these parts one after the other, for the time of its commit.

        The common file is used when all its parts were chosen and lie where they belong: it is not
        damaged should the commit fail. Nor may anybody be writing to it.
        """
        main = state.upload.body
        with self._lock:
            in_place = whole and not state.writers
            state.completing = True
        in_place = in_place and all(
            part.body != main or part.offset == offset for part, offset in _offsets(chosen)
        )
        try:
            body, target = (
                (main, self._bodies.reopen(main)) if in_place else self._bodies.begin(0o644)
            )
            self._fill(body, target, chosen)
            yield body
        except BaseException:
            state.completing = False
            if not in_place:
                index.abandon_unknown(self._database, self._bodies, body)
            raise
        self._bodies.settle(body)

    def _fill(self, body: str, target: int, chosen: Sequence[Part]) -> None:
        """Copy into the body what is not there yet."""
        try:
            for part, offset in _offsets(chosen):
                if part.body == body:
                    continue
                source = self._bodies.reopen(part.body)
                try:
                    copy_range(source, target, part.offset, part.size, offset)
                finally:
                    os.close(source)
            os.ftruncate(target, sum(part.size for part in chosen))
            os.fchmod(target, 0o444)
            self._bodies.sync(body, target)
        finally:
            os.close(target)


def _parts(connection: sa.Connection, upload_id: str) -> Iterator[Part]:
    query = sa.select(parts).where(parts.c.upload == upload_id).order_by(parts.c.number)
    return (documents.part_of(row) for row in connection.execute(query))


def _delete(connection: sa.Connection, upload_id: str) -> list[str]:
    """Remove the upload's rows; returns every body they named."""
    bodies = list(connection.scalars(sa.select(uploads.c.body).where(uploads.c.id == upload_id)))
    bodies += connection.scalars(sa.select(parts.c.body).where(parts.c.upload == upload_id))
    connection.execute(parts.delete().where(parts.c.upload == upload_id))
    connection.execute(uploads.delete().where(uploads.c.id == upload_id))
    return sorted(set(bodies))


def _offsets(chosen: Sequence[Part]) -> Iterator[tuple[Part, int]]:
    """Each part with where it belongs in the whole."""
    offset = 0
    for part in chosen:
        yield part, offset
        offset += part.size


def _choose(present: Mapping[int, Part], choices: Sequence[PartChoice]) -> list[Part]:
    """The parts that a Complete names, checked as S3 checks them."""
    numbers = [choice.number for choice in choices]
    if any(later <= earlier for earlier, later in zip(numbers, numbers[1:], strict=False)):
        raise InvalidPartOrder
    chosen = []
    for choice in choices:
        part = present.get(choice.number)
        if part is None or part.etag != choice.etag.strip('"'):
            raise InvalidPart(choice.number, choice.etag)
        if any(part.checksums.get(n, v) != v for n, v in choice.checksums.items()):
            raise InvalidPart(choice.number, choice.etag)
        chosen.append(part)
    for part in chosen[:-1]:
        if part.size < MINIMUM_PART:
            raise PartTooSmall(part.number, part.size, part.etag)
    return chosen


def _checksums(upload: Upload, chosen: Sequence[Part]) -> tuple[dict[str, str], str | None]:
    algorithm, kind = upload.checksum_algorithm, upload.checksum_type
    if algorithm is None or any(algorithm not in part.checksums for part in chosen):
        return {}, None
    values = [part.checksums[algorithm] for part in chosen]
    if kind == COMPOSITE:
        return {algorithm: checksums.composite(algorithm, values)}, COMPOSITE
    sizes = [part.size for part in chosen]
    total = checksums.full_object(algorithm, list(zip(values, sizes, strict=True)))
    return {algorithm: total}, FULL_OBJECT
