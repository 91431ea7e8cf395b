from __future__ import annotations

import threading
from pathlib import Path

import pytest
import sqlalchemy as sa

from wildsage.store import log_rows, metrics, migrations, resources
from wildsage.store.database import Database
from wildsage.store.errors import NewerDatabase


def test_a_second_migration_has_nothing_to_do(database: Database) -> None:
    assert database.migrate() == []


def test_every_entry_has_its_module() -> None:
    assert [entry for entry in migrations.ENTRIES if migrations.upgrade_of(entry) is None] == []


def test_an_entry_is_applied_after_later_ones(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    first, *others = migrations.ENTRIES
    database = Database(url)
    monkeypatch.setattr(migrations, "ENTRIES", tuple(others))
    assert database.migrate() == others
    monkeypatch.setattr(migrations, "ENTRIES", (first, *others))
    assert database.migrate() == [first]
    database.close()


def test_a_database_from_the_future_is_refused(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    *known, newest = migrations.ENTRIES
    monkeypatch.setattr(migrations, "ENTRIES", tuple(known))
    with pytest.raises(NewerDatabase, match=newest):
        database.migrate()


def test_a_failed_migration_leaves_nothing(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(connection: sa.Connection) -> None:
        connection.execute(sa.text("CREATE TABLE half_done (x INTEGER)"))
        raise RuntimeError("in the middle")

    database = Database(url)
    monkeypatch.setattr(migrations, "upgrade_of", lambda entry: fail)
    with pytest.raises(RuntimeError):
        database.migrate()
    with database.connect() as connection:
        assert "half_done" not in sa.inspect(connection).get_table_names()
    database.close()


@pytest.mark.parametrize(
    "table",
    [resources._rows, resources._tags, log_rows.groups, log_rows.streams, metrics._points],
    ids=lambda table: str(table.name),
)
def test_tables_are_as_the_stores_think(database: Database, table: sa.Table) -> None:
    with database.connect() as connection:
        columns = [c["name"] for c in sa.inspect(connection).get_columns(table.name)]
    assert columns == [column.name for column in table.columns]


def test_each_list_has_an_index(database: Database) -> None:
    with database.connect() as connection:
        found = {str(i["name"]) for i in sa.inspect(connection).get_indexes("resources")}
    wanted = {"resources_created", "resources_modified", "resources_status", "resources_due"}
    assert wanted <= found


def test_a_raising_block_is_rolled_back(database: Database) -> None:
    with pytest.raises(RuntimeError), database.begin() as connection:
        connection.execute(sa.text("INSERT INTO secrets (name, value) VALUES ('x', 'y')"))
        raise RuntimeError
    with database.connect() as connection:
        assert connection.execute(sa.text("SELECT count(*) FROM secrets")).scalar_one() == 0


def test_sqlite_writes_are_durable_and_checked(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'deep' / 'wildsage.db'}")
    with database.begin() as connection:
        pragmas = [
            connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()
            for name in ("journal_mode", "synchronous", "foreign_keys")
        ]
    assert pragmas == ["wal", 2, 1]
    assert (tmp_path / "deep").stat().st_mode & 0o777 == 0o700
    database.close()


def test_only_what_may_be_lost_does_not_wait_for_the_disk(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'wildsage.db'}")
    levels = []
    for durable in (False, True, False):
        with database.begin(durable=durable) as connection:
            levels.append(connection.exec_driver_sql("PRAGMA synchronous").scalar_one())
    assert levels == [1, 2, 1]
    database.close()


def test_a_transaction_inside_another_says_so(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'wildsage.db'}")
    with (
        database.begin(),
        pytest.raises(RuntimeError, match="inside another"),
        database.begin(),
    ):
        pass
    database.close()


def test_a_reader_sees_one_moment(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'wildsage.db'}")
    database.migrate()
    count = sa.text("SELECT count(*) FROM secrets")
    with database.connect() as connection:
        before = connection.execute(count).scalar_one()
        database.secret("written meanwhile")
        assert connection.execute(count).scalar_one() == before
    database.close()


def test_ten_threads_write_without_a_locked_database(database: Database) -> None:
    found: set[bytes] = set()

    def work(number: int) -> None:
        for turn in range(5):
            found.add(database.secret(f"{number} {turn}"))

    threads = [threading.Thread(target=work, args=(n,)) for n in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 50


def test_a_secret_stays(database: Database) -> None:
    assert database.secret("a") == database.secret("a") != database.secret("b")
