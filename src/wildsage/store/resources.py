"""Every AWS resource is a row: kind, name, ARN, status, times, version and a JSON document.

- `Resources` creates, finds, changes, lists and deletes rows; after each commit it tells `Changes`.
- A writer passes the row it read; an UPDATE guarded by its version refuses to overwrite another's
  change (`Conflict`), and `modify` reads again and retries.
- A row whose `due` time has come is work. `claim` leases it under a token; `apply` writes the
  result only while that token still holds the row and nobody changed the row meanwhile. Whoever
  lost gets None and drops the result, and the row is due again at once.
- `Database("sqlite:///:memory:")` makes this the in-memory twin; both pass the same kit.

Documents keep the AWS request as it came; what wildsage adds lives under the one key "State", which
no answer shows.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from functools import cached_property
from typing import Any, Final, TypeAlias

import sqlalchemy as sa

from wildsage import clock, ids
from wildsage.arns import Scope
from wildsage.store.changes import Changes
from wildsage.store.database import Database
from wildsage.store.errors import AlreadyExists, Conflict, NotFound
from wildsage.store.listing import ListQuery, Page, select_page
from wildsage.store.tokens import Tokens

__all__ = ["UNSET", "Change", "Claim", "ListQuery", "Page", "Resource", "Resources", "Tag", "Unset"]

Tag: TypeAlias = Mapping[str, str]
"""As AWS writes one: `{"Key": "team", "Value": "vision"}`."""

_BATCH = 500


class Unset(Enum):
    """The type of UNSET: "leave it as it is", where None means "none"."""

    UNSET = "UNSET"


UNSET: Final = Unset.UNSET


@dataclass(frozen=True, slots=True)
class Resource:
    kind: str
    scope: Scope
    name: str
    arn: str
    status: str
    created: float
    modified: float
    version: int
    document: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Change:
    """What `modify` is to write; None and UNSET leave things as they are."""

    status: str | None = None
    document: dict[str, Any] | None = None
    due: float | None | Unset = UNSET


@dataclass(frozen=True, slots=True)
class Claim:
    """A leased row, and the token that proves the lease."""

    resource: Resource
    token: str


_metadata = sa.MetaData()
_rows = sa.Table(
    "resources",
    _metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("kind", sa.Text),
    sa.Column("account", sa.Text),
    sa.Column("region", sa.Text),
    sa.Column("name", sa.Text),
    sa.Column("arn", sa.Text),
    sa.Column("status", sa.Text),
    sa.Column("created", sa.Double),
    sa.Column("modified", sa.Double),
    sa.Column("version", sa.Integer),
    sa.Column("document", sa.JSON),
    sa.Column("due", sa.Double),
    sa.Column("lease_owner", sa.Text),
    sa.Column("lease_token", sa.Text),
    sa.Column("lease_expires", sa.Double),
)
_tags = sa.Table(
    "tags",
    _metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("arn", sa.Text),
    sa.Column("key", sa.Text),
    sa.Column("value", sa.Text),
)

# Statements of the hot paths are built once; building one costs as much as running it.
_KEY = tuple(_rows.c[n] == sa.bindparam(f"key_{n}") for n in ("kind", "account", "region", "name"))
_FIND = sa.select(_rows).where(*_KEY)
_FIND_ARN = sa.select(_rows).where(_rows.c.arn == sa.bindparam("key_arn"))
_INSERT = sa.insert(_rows)
_BY_VERSION = (*_KEY, _rows.c.version == sa.bindparam("key_version"))
_WRITE = sa.update(_rows).values(
    {
        "status": sa.bindparam("new_status"),
        "document": sa.bindparam("new_document", type_=sa.JSON),
        "modified": sa.bindparam("new_modified"),
        "version": _rows.c.version + 1,
    }
)
_NEW_DUE: dict[str, Any] = {"due": sa.bindparam("new_due")}
_FREE = {"lease_owner": None, "lease_token": None, "lease_expires": None}
_HELD = _rows.c.lease_token == sa.bindparam("key_token")
_UPDATE = _WRITE.where(*_BY_VERSION)
_UPDATE_DUE = _UPDATE.values(_NEW_DUE)
_APPLY = _WRITE.where(*_BY_VERSION, _HELD).values(_NEW_DUE | _FREE)
_RELEASE = sa.update(_rows).where(*_KEY, _HELD).values(_NEW_DUE | _FREE)
_RENEW = (
    sa.update(_rows).where(*_KEY, _HELD).values(lease_expires=sa.bindparam("new_lease_expires"))
)
_DELETE = sa.delete(_rows).where(*_KEY, _rows.c.created == sa.bindparam("key_created"))


def _claim_statement() -> sa.Executable:
    """Lease the row that has been due for longest; PostgreSQL skips rows that are being claimed."""
    row = _rows.alias()
    now = sa.bindparam("now", type_=sa.Double)
    due = (
        sa.select(row.c.id)
        .where(row.c.due <= now, row.c.kind.in_(sa.bindparam("kinds", expanding=True)))
        .where(sa.or_(row.c.lease_expires.is_(None), row.c.lease_expires <= now))
        .order_by(row.c.due, row.c.id)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    lease: dict[str, Any] = {
        n: sa.bindparam(f"new_{n}") for n in ("lease_owner", "lease_token", "lease_expires")
    }
    return (
        sa.update(_rows).where(_rows.c.id == due.scalar_subquery()).values(lease).returning(_rows)
    )


_CLAIM = _claim_statement()


class Resources:
    """All rows of all kinds. Thread-safe: every call is a short transaction of its own."""

    def __init__(self, database: Database, changes: Changes) -> None:
        self._database = database
        self._changes = changes
        changes.read_with(self.find)

    @cached_property
    def _tokens(self) -> Tokens:
        return Tokens(self._database.secret("page-tokens"))

    # Rows

    def create(
        self,
        kind: str,
        scope: Scope,
        name: str,
        *,
        arn: str,
        status: str,
        document: dict[str, Any],
        tags: Sequence[Tag] = (),
        due: float | None = None,
    ) -> Resource:
        """Add a row; AlreadyExists when the name is taken."""
        now = _now()
        resource = Resource(kind, scope, name, arn, status, now, now, 1, document)
        try:
            with self._database.begin() as connection:
                connection.execute(_INSERT, _columns(resource) | {"due": due})
                _put_tags(self._database, connection, arn, {t["Key"]: t["Value"] for t in tags})
        except sa.exc.IntegrityError as error:
            raise AlreadyExists(kind, name) from error
        self._changes.publish(kind, scope, name)
        return resource

    def find(self, kind: str, scope: Scope, name: str) -> Resource | None:
        with self._database.connect() as connection:
            row = connection.execute(_FIND, _key(kind, scope, name)).one_or_none()
        return None if row is None else _resource(row)

    def get(self, kind: str, scope: Scope, name: str) -> Resource:
        resource = self.find(kind, scope, name)
        if resource is None:
            raise NotFound(kind, name)
        return resource

    def get_by_arn(self, arn: str) -> Resource:
        with self._database.connect() as connection:
            row = connection.execute(_FIND_ARN, {"key_arn": arn}).one_or_none()
        if row is None:
            raise NotFound("resource", arn)
        return _resource(row)

    def update(
        self,
        resource: Resource,
        *,
        status: str | None = None,
        document: dict[str, Any] | None = None,
        due: float | None | Unset = UNSET,
    ) -> Resource:
        """Write a changed row; Conflict when it is no longer the one that was read."""
        changed = _changed(resource, status, document)
        values = _guard(resource) | _new_values(changed)
        statement = _UPDATE
        if due is not UNSET:
            statement, values = _UPDATE_DUE, values | {"new_due": due}
        with self._database.begin() as connection:
            written = connection.execute(statement, values).rowcount
        if not written:
            self.get(resource.kind, resource.scope, resource.name)
            raise Conflict(resource.kind, resource.name)
        self._publish(changed)
        return changed

    def modify(
        self,
        kind: str,
        scope: Scope,
        name: str,
        change: Callable[[Resource], Change | None],
    ) -> Resource:
        """Read, ask `change` what to write, write; again from the start when someone was faster.

        `change` may raise to refuse, or return None to leave the row alone.
        """
        while True:
            resource = self.get(kind, scope, name)
            wanted = change(resource)
            if wanted is None:
                return resource
            try:
                return self.update(
                    resource, status=wanted.status, document=wanted.document, due=wanted.due
                )
            except Conflict:
                continue

    def delete(self, resource: Resource) -> None:
        """Remove the row and its tags; NotFound when it is gone (or replaced by a new one)."""
        key = _key(resource.kind, resource.scope, resource.name)
        with self._database.begin() as connection:
            gone = connection.execute(_DELETE, key | {"key_created": resource.created}).rowcount
        if not gone:
            raise NotFound(resource.kind, resource.name)
        self._publish(resource)

    # Lists

    def list(self, kind: str, scope: Scope, query: ListQuery) -> Page:
        """One page; InvalidToken when `query.token` was given out for another query."""
        binding = query.binding(kind, scope)
        after = tuple(self._tokens.open(query.token, binding)) if query.token else None
        statement = select_page(_rows, kind, scope, query, after)
        with self._database.connect() as connection:
            rows = connection.execute(statement).all()
        if len(rows) <= query.limit:
            return Page([_resource(row) for row in rows], None)
        last = rows[query.limit - 1]
        position = (getattr(last, query.sort_column), last.name)
        token = self._tokens.seal(position, binding)
        return Page([_resource(row) for row in rows[: query.limit]], token)

    def all(self, kind: str) -> Iterator[Resource]:
        """Every row of a kind, in every account and region, oldest first."""
        last = 0
        while True:
            statement = sa.select(_rows).where(_rows.c.kind == kind, _rows.c.id > last)
            with self._database.connect() as connection:
                rows = connection.execute(statement.order_by(_rows.c.id).limit(_BATCH)).all()
            yield from map(_resource, rows)
            if len(rows) < _BATCH:
                return
            last = rows[-1].id

    # Leases

    def claim(self, kinds: Collection[str], owner: str, lease_seconds: float) -> Claim | None:
        """Lease the row of these kinds that has been due for longest; None when none is due."""
        now = clock.now()
        token = ids.token()
        values = {
            "now": now,
            "kinds": list(kinds),
            "new_lease_owner": owner,
            "new_lease_token": token,
            "new_lease_expires": now + lease_seconds,
        }
        with self._database.begin(durable=False) as connection:  # a lost lease is a free row
            row = connection.execute(_CLAIM, values).one_or_none()
        return None if row is None else Claim(_resource(row), token)

    def renew(self, claim: Claim, lease_seconds: float) -> bool:
        """Prolong a lease; False when it is no longer ours."""
        values = _held(claim) | {"new_lease_expires": clock.now() + lease_seconds}
        with self._database.begin(durable=False) as connection:
            return connection.execute(_RENEW, values).rowcount == 1

    def apply(
        self,
        claim: Claim,
        *,
        status: str | None = None,
        document: dict[str, Any] | None = None,
        due: float | None,
    ) -> Resource | None:
        """Write the result of the work and end the lease.

        None: the lease is someone else's by now, or the row was changed (a Stop, say) while we
        worked. Then nothing is written; in the second case the row is due again at once.
        """
        changed = _changed(claim.resource, status, document)
        guard = _held(claim) | {"key_version": claim.resource.version}
        with self._database.begin() as connection:
            values = guard | _new_values(changed) | {"new_due": due}
            applied = connection.execute(_APPLY, values).rowcount == 1
            if not applied:
                connection.execute(_RELEASE, _held(claim) | {"new_due": clock.now()})
        self._publish(changed)
        return changed if applied else None

    def next_due(self, kinds: Collection[str]) -> float | None:
        """When the next row of these kinds may be claimed; None when none waits."""
        due, expires = _rows.c.due, _rows.c.lease_expires
        ready = sa.case((expires > due, expires), else_=due)
        statement = sa.select(sa.func.min(ready)).where(due.is_not(None), _rows.c.kind.in_(kinds))
        with self._database.connect() as connection:
            result: float | None = connection.execute(statement).scalar_one()
        return result

    # Tags

    def tags(self, arn: str) -> dict[str, str]:
        """The tags of a resource, in the order in which they were first given."""
        statement = sa.select(_tags.c.key, _tags.c.value).where(_tags.c.arn == arn)
        with self._database.connect() as connection:
            rows = connection.execute(statement.order_by(_tags.c.id)).all()
        return {row.key: row.value for row in rows}

    def add_tags(self, arn: str, tags: Mapping[str, str]) -> None:
        """Add tags, or change their values; NotFound when there is no such resource."""
        try:
            with self._database.begin() as connection:
                _put_tags(self._database, connection, arn, tags)
        except sa.exc.IntegrityError as error:
            raise NotFound("resource", arn) from error

    def remove_tags(self, arn: str, keys: Collection[str]) -> None:
        with self._database.begin() as connection:
            connection.execute(sa.delete(_tags).where(_tags.c.arn == arn, _tags.c.key.in_(keys)))

    def _publish(self, resource: Resource) -> None:
        self._changes.publish(resource.kind, resource.scope, resource.name)


def _now() -> float:
    """The time to the millisecond, as AWS answers it, so that a filter by an answered time fits."""
    return round(clock.now(), 3)


def _resource(row: Any) -> Resource:
    _, kind, account, region, name, arn, status, created, modified, version, document, *_ = row
    scope = Scope(account, region)
    return Resource(kind, scope, name, arn, status, created, modified, version, document)


def _columns(resource: Resource) -> dict[str, Any]:
    return {
        "kind": resource.kind,
        "account": resource.scope.account,
        "region": resource.scope.region,
        "name": resource.name,
        "arn": resource.arn,
        "status": resource.status,
        "created": resource.created,
        "modified": resource.modified,
        "version": resource.version,
        "document": resource.document,
    }


def _key(kind: str, scope: Scope, name: str) -> dict[str, Any]:
    account, region = scope
    return {"key_kind": kind, "key_account": account, "key_region": region, "key_name": name}


def _guard(resource: Resource) -> dict[str, Any]:
    key = _key(resource.kind, resource.scope, resource.name)
    return key | {"key_version": resource.version}


def _held(claim: Claim) -> dict[str, Any]:
    resource = claim.resource
    return _key(resource.kind, resource.scope, resource.name) | {"key_token": claim.token}


def _changed(resource: Resource, status: str | None, document: dict[str, Any] | None) -> Resource:
    return replace(
        resource,
        status=resource.status if status is None else status,
        document=resource.document if document is None else document,
        modified=_now(),
        version=resource.version + 1,
    )


def _new_values(resource: Resource) -> dict[str, Any]:
    return {
        "new_status": resource.status,
        "new_document": resource.document,
        "new_modified": resource.modified,
    }


def _put_tags(
    database: Database, connection: sa.Connection, arn: str, tags: Mapping[str, str]
) -> None:
    if not tags:
        return
    insert = database.insert(_tags)
    upsert = insert.on_conflict_do_update(
        index_elements=["arn", "key"], set_={"value": insert.excluded.value}
    )
    connection.execute(upsert, [{"arn": arn, "key": k, "value": v} for k, v in tags.items()])
