from __future__ import annotations

import errno
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from wildsage.store.database import Database
from wildsage.store.objects.transactions import Transactions

notes = sa.table("notes", sa.column("text", sa.Text))


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(f"sqlite:///{tmp_path / 'test.db'}")
    with database.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE notes (text TEXT PRIMARY KEY)")
    yield database
    database.close()


def texts(database: Database) -> set[str]:
    with database.connect() as connection:
        return set(connection.scalars(sa.select(notes.c.text)))


def write(text: str) -> Any:
    def work(connection: sa.Connection) -> str:
        connection.execute(notes.insert().values(text=text))
        if text.startswith("bad"):
            raise ValueError(text)
        return text

    return work


def test_one_piece_of_work(database: Database) -> None:
    transactions = Transactions(database)
    assert transactions.run(write("a")) == "a"
    with pytest.raises(ValueError, match="bad"):
        transactions.run(write("bad"))
    assert texts(database) == {"a"}


def test_those_who_wait_are_committed_together(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    transactions, entered, go = Transactions(database), threading.Event(), threading.Event()
    begun: list[None] = []
    real = database.begin

    def begin() -> Any:
        begun.append(None)
        return real()

    monkeypatch.setattr(database, "begin", begin)

    def slow(connection: sa.Connection) -> str:
        entered.set()
        assert go.wait(10)
        return "slow"

    with ThreadPoolExecutor(8) as pool:
        first = pool.submit(transactions.run, slow)
        assert entered.wait(10)
        rest = [pool.submit(transactions.run, write(t)) for t in ("a", "bad", "b", "c")]
        while len(transactions._queue) < 4:
            threading.Event().wait(0.001)
        go.set()
        assert first.result() == "slow"
        errors = [future.exception() for future in rest]
    assert [type(error) for error in errors] == [type(None), ValueError, type(None), type(None)]
    assert texts(database) == {"a", "b", "c"}
    assert len(begun) == 2


def test_a_full_disk_under_the_database(database: Database) -> None:
    def full(connection: sa.Connection) -> None:
        raise sa.exc.OperationalError("COMMIT", {}, Exception("database or disk is full"))

    with pytest.raises(OSError, match="No space") as caught:
        Transactions(database).run(full)
    assert caught.value.errno == errno.ENOSPC
