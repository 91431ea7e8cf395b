"""The database behind every store: SQLite in the home folder, or PostgreSQL by URL.

`begin()` is one short write transaction, `connect()` one consistent read. Whatever differs between
the two databases stands in this module and nowhere else:

- SQLite has one writer at a time. Threads of this process take turns on a lock (so nobody ever sees
  "database is locked"), other processes wait on the busy timeout; a write says BEGIN IMMEDIATE.
- WAL with synchronous=FULL: a commit that returned survives kill -9 and power loss.
- `sqlite:///:memory:` is the in-memory twin: the same SQL over one connection, taken in turns.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import orjson
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.pool import QueuePool, StaticPool

from wildsage import clock, ids
from wildsage.store import migrations
from wildsage.store.errors import NewerDatabase

_BUSY_SECONDS = 60
_POOL_SIZE = 40  # a connection each for the usual number of worker threads
_MIGRATION_LOCK = 0x5745_5347  # any number that nobody else uses for pg_advisory_xact_lock

_migrations = sa.Table(
    "migrations",
    sa.MetaData(),
    sa.Column("entry", sa.Text, primary_key=True),
    sa.Column("applied", sa.Double, nullable=False),
)
_secrets = sa.table("secrets", sa.column("name"), sa.column("value"))


class Database:
    """Connections and transactions. Safe to use from any thread."""

    def __init__(self, url: str) -> None:
        parsed = sa.make_url(url)
        self.is_sqlite = parsed.get_backend_name() == "sqlite"
        in_memory = self.is_sqlite and parsed.database in (None, "", ":memory:")
        self.engine = _sqlite(parsed, in_memory) if self.is_sqlite else _postgresql(parsed)
        self._writer = self.engine.execution_options(immediate=True)
        self._relaxed = self.engine.execution_options(immediate=True, relaxed=True)
        turn = _Turn() if self.is_sqlite else nullcontext()
        self._write_turn: AbstractContextManager[Any] = turn
        self._read_turn: AbstractContextManager[Any] = turn if in_memory else nullcontext()

    @contextmanager
    def begin(self, *, durable: bool = True) -> Iterator[sa.Connection]:
        """One write transaction: committed when the block ends, rolled back when it raises.

        Nothing slow belongs inside: on SQLite every other writer waits. Transactions do not nest.
        Without `durable` the commit does not wait for the disk: a kill of the process loses
        nothing, a power cut may, as if the transaction had never been.
        """
        engine = self._writer if durable else self._relaxed
        with self._write_turn, engine.begin() as connection:
            if not (durable or self.is_sqlite):
                connection.exec_driver_sql("SET LOCAL synchronous_commit = off")
            yield connection

    @contextmanager
    def connect(self) -> Iterator[sa.Connection]:
        """One consistent read; what it would write is rolled back."""
        with self._read_turn, self.engine.connect() as connection:
            yield connection

    def insert(self, table: sa.TableClause) -> sqlite.Insert | postgresql.Insert:
        """An INSERT that can take `on_conflict_do_update` / `on_conflict_do_nothing`."""
        return sqlite.insert(table) if self.is_sqlite else postgresql.insert(table)

    def migrate(self) -> list[str]:
        """Bring the schema up to date; returns the entries applied now."""
        with self._migration() as connection:
            _migrations.create(connection, checkfirst=True)
        return [entry for entry in migrations.ENTRIES if self._apply(entry)]

    def _apply(self, entry: str) -> bool:
        with self._migration() as connection:
            done = set(connection.scalars(sa.select(_migrations.c.entry)))
            if unknown := done - set(migrations.ENTRIES):
                raise NewerDatabase(
                    f"The database holds {', '.join(sorted(unknown))}, which this version of "
                    "wildsage does not know. Install the version that wrote it, or a later one."
                )
            upgrade = migrations.upgrade_of(entry)
            if entry in done or upgrade is None:
                return False
            upgrade(connection)
            connection.execute(_migrations.insert().values(entry=entry, applied=clock.now()))
            return True

    @contextmanager
    def _migration(self) -> Iterator[sa.Connection]:
        """A write transaction that no other server's migration can overlap."""
        with self.begin() as connection:
            if not self.is_sqlite:
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_MIGRATION_LOCK)))
            yield connection

    def secret(self, name: str) -> bytes:
        """32 random bytes under this name, made at first use and kept for good."""
        fresh = self.insert(_secrets).values(name=name, value=ids.random_bytes(32))
        with self.begin() as connection:
            connection.execute(fresh.on_conflict_do_nothing())
            query = sa.select(_secrets.c.value).where(_secrets.c.name == name)
            return bytes(connection.execute(query).scalar_one())

    def close(self) -> None:
        self.engine.dispose()


class _Turn:
    """A lock that says so when its holder asks for it again, instead of waiting for ever."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._owner: int | None = None

    def __enter__(self) -> None:
        if self._owner == threading.get_ident():
            raise RuntimeError("a transaction was opened inside another one")
        self._lock.acquire()
        self._owner = threading.get_ident()

    def __exit__(self, *_: object) -> None:
        self._owner = None
        self._lock.release()


def _dumps(value: Any) -> str:
    return orjson.dumps(value).decode()


def _postgresql(url: sa.URL) -> sa.Engine:
    return sa.create_engine(
        url,
        json_serializer=_dumps,
        json_deserializer=orjson.loads,
        pool_size=_POOL_SIZE,
        pool_pre_ping=True,
    )


def _sqlite(url: sa.URL, in_memory: bool) -> sa.Engine:
    if not in_memory:
        Path(str(url.database)).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    pool: dict[str, Any] = (
        {"poolclass": StaticPool}
        if in_memory
        else {"poolclass": QueuePool, "pool_size": _POOL_SIZE, "max_overflow": -1}
    )
    engine = sa.create_engine(
        url,
        json_serializer=_dumps,
        json_deserializer=orjson.loads,
        connect_args={"timeout": _BUSY_SECONDS, "check_same_thread": False},
        **pool,
    )
    sa.event.listen(engine, "connect", _prepare_sqlite)
    sa.event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # we say BEGIN ourselves, below
    for pragma in ("journal_mode=WAL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}").close()


def _begin_sqlite(connection: sa.Connection) -> None:
    options = connection.get_execution_options()
    if options.get("immediate"):
        level = "NORMAL" if options.get("relaxed") else "FULL"
        connection.exec_driver_sql(f"PRAGMA synchronous={level}")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if options.get("immediate") else "BEGIN")
