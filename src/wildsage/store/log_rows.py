"""Log groups and streams as rows, and the file that each stream's events are in.

A file is named after its stream so that people can find it, plus random digits: names that differ
only in case or in characters a file name cannot hold stay apart, and a stream that is deleted and
made again never inherits events.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from wildsage import arns, clock, ids
from wildsage.arns import Scope
from wildsage.store.database import Database
from wildsage.store.errors import AlreadyExists, NotFound

GROUP = "log-group"
STREAM = "log-stream"

_metadata = sa.MetaData()
groups = sa.Table(
    "log_groups",
    _metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("account", sa.Text),
    sa.Column("region", sa.Text),
    sa.Column("name", sa.Text),
    sa.Column("folder", sa.Text),
    sa.Column("created", sa.BigInteger),
    sa.Column("retention_days", sa.Integer),
    sa.Column("kms_key", sa.Text),
    sa.Column("tags", sa.JSON),
)
streams = sa.Table(
    "log_streams",
    _metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("group_id", sa.Integer),
    sa.Column("name", sa.Text),
    sa.Column("file", sa.Text),
    sa.Column("created", sa.BigInteger),
    sa.Column("newest", sa.BigInteger),
    sa.Column("slack", sa.BigInteger),
)


@dataclass(frozen=True, slots=True)
class Group:
    """Times are milliseconds since the epoch, as in CloudWatch."""

    id: int
    scope: Scope
    name: str
    folder: str
    created: int
    retention_days: int | None
    kms_key: str | None
    tags: dict[str, str]

    @property
    def arn(self) -> str:
        return arns.build("logs", self.scope, f"log-group:{self.name}")


@dataclass(frozen=True, slots=True)
class Stream:
    """`newest` and `slack` tell how far events went back in time: see log_reader."""

    id: int
    group: Group
    name: str
    file: str
    created: int
    newest: int
    slack: int

    @property
    def arn(self) -> str:
        return f"{self.group.arn}:log-stream:{self.name}"


class LogRows:
    def __init__(self, database: Database) -> None:
        self._database = database

    def create_group(
        self, scope: Scope, name: str, kms_key: str | None, tags: Mapping[str, str]
    ) -> bool:
        """False when the group is there already."""
        values = {
            "account": scope.account,
            "region": scope.region,
            "name": name,
            "folder": _file_name(name),
            "created": now_ms(),
            "kms_key": kms_key,
            "tags": dict(tags),
        }
        return self._insert(groups, values)

    def _insert(self, table: sa.Table, values: Mapping[str, Any]) -> bool:
        insert = self._database.insert(table).values(values).on_conflict_do_nothing()
        with self._database.begin() as connection:
            made = connection.execute(insert.returning(table.c.id))
            return made.one_or_none() is not None

    def group(self, scope: Scope, name: str) -> Group:
        with self._database.connect() as connection:
            return _find_group(connection, scope, name)

    def list_groups(
        self, scope: Scope, prefix: str, contains: str, after: str, limit: int
    ) -> list[Group]:
        """Groups whose name comes after `after`, in order of name."""
        conditions = [groups.c.account == scope.account, groups.c.region == scope.region]
        conditions += _name_filters(groups, prefix, contains, after)
        statement = sa.select(groups).where(*conditions).order_by(groups.c.name).limit(limit)
        with self._database.connect() as connection:
            return [_group(row) for row in connection.execute(statement)]

    def groups_with_retention(self) -> list[Group]:
        statement = sa.select(groups).where(groups.c.retention_days.is_not(None))
        with self._database.connect() as connection:
            return [_group(row) for row in connection.execute(statement)]

    def update_group(self, scope: Scope, name: str, **values: Any) -> None:
        group = self.group(scope, name)
        with self._database.begin() as connection:
            connection.execute(sa.update(groups).where(groups.c.id == group.id).values(values))

    def delete_group(self, scope: Scope, name: str) -> Group:
        group = self.group(scope, name)
        with self._database.begin() as connection:
            connection.execute(sa.delete(groups).where(groups.c.id == group.id))
        return group

    def create_stream(self, group: Group, name: str) -> bool:
        """False when the stream is there already."""
        values = {
            "group_id": group.id,
            "name": name,
            "file": _file_name(name) + ".log",
            "created": now_ms(),
            "newest": 0,
            "slack": 0,
        }
        return self._insert(streams, values)

    def stream(self, scope: Scope, group_name: str, name: str) -> Stream:
        with self._database.connect() as connection:
            group = _find_group(connection, scope, group_name)
            conditions = streams.c.group_id == group.id, streams.c.name == name
            row = connection.execute(sa.select(streams).where(*conditions)).one_or_none()
        if row is None:
            raise NotFound(STREAM, name)
        return _stream(group, row)

    def list_streams(
        self, group: Group, prefix: str = "", after: str = "", limit: int | None = None
    ) -> list[Stream]:
        """Streams whose name comes after `after`, in order of name."""
        conditions = [streams.c.group_id == group.id, *_name_filters(streams, prefix, "", after)]
        statement = sa.select(streams).where(*conditions).order_by(streams.c.name).limit(limit)
        with self._database.connect() as connection:
            return [_stream(group, row) for row in connection.execute(statement)]

    def step_back(self, stream: Stream, newest: int, slack: int) -> None:
        """Note that events were written which are up to `slack` ms older than earlier ones."""
        update = sa.update(streams).where(streams.c.id == stream.id)
        with self._database.begin() as connection:
            connection.execute(update.values(newest=newest, slack=slack))

    def delete_stream(self, stream: Stream) -> None:
        with self._database.begin() as connection:
            connection.execute(sa.delete(streams).where(streams.c.id == stream.id))

    def files(self) -> set[tuple[str, str]]:
        """(folder, file) of every stream, and (folder, "") of every group."""
        statement = sa.select(groups.c.folder, streams.c.file).join_from(
            groups, streams, groups.c.id == streams.c.group_id, isouter=True
        )
        with self._database.connect() as connection:
            rows = connection.execute(statement).all()
        return {(row.folder, row.file or "") for row in rows} | {(row.folder, "") for row in rows}


def now_ms() -> int:
    return int(clock.now() * 1000)


def require(created: bool, kind: str, name: str) -> None:
    if not created:
        raise AlreadyExists(kind, name)


def _find_group(connection: sa.Connection, scope: Scope, name: str) -> Group:
    c = groups.c
    conditions = c.account == scope.account, c.region == scope.region, c.name == name
    row = connection.execute(sa.select(groups).where(*conditions)).one_or_none()
    if row is None:
        raise NotFound(GROUP, name)
    return _group(row)


def _name_filters(
    table: sa.Table, prefix: str, contains: str, after: str
) -> list[sa.ColumnElement[bool]]:
    """All mind the case, as AWS does and LIKE does not everywhere; a prefix is a range of names."""
    conditions: list[sa.ColumnElement[bool]] = []
    if prefix:
        conditions += [table.c.name >= prefix, table.c.name < prefix + "\U0010ffff"]
    if contains:
        conditions.append(sa.func.replace(table.c.name, contains, "") != table.c.name)
    if after:
        conditions.append(table.c.name > after)
    return conditions


def _group(row: Any) -> Group:
    id_, account, region, name, folder, created, retention, kms_key, tags = row
    return Group(id_, Scope(account, region), name, folder, created, retention, kms_key, tags)


def _stream(group: Group, row: Any) -> Stream:
    id_, _, name, file, created, newest, slack = row
    return Stream(id_, group, name, file, created, newest, slack)


def _file_name(name: str) -> str:
    readable = re.sub(r"[^A-Za-z0-9.\-]+", "_", name).strip("._")[:100]
    return f"{readable}~{ids.token(6)}"
