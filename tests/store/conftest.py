"""Databases to run the store's tests on: a file, memory, and PostgreSQL where one is named."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from wildsage.store.changes import Changes
from wildsage.store.database import Database
from wildsage.store.resources import Resources

POSTGRES = os.environ.get("WILDSAGE_TEST_POSTGRES")


@pytest.fixture(params=["file", "memory", *(["postgresql"] if POSTGRES else [])])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An empty database each; on PostgreSQL a schema of its own, dropped afterwards."""
    if request.param == "file":
        yield f"sqlite:///{tmp_path / 'wildsage.db'}"
    elif request.param == "memory":
        yield "sqlite:///:memory:"
    else:
        yield from _schema()


def _schema() -> Iterator[str]:
    name = f"test_{uuid.uuid4().hex}"
    url = sa.make_url(str(POSTGRES))
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        connection.execute(sa.text(f"CREATE SCHEMA {name}"))
    own = url.update_query_dict({"options": f"-csearch_path={name}"})
    yield own.render_as_string(hide_password=False)
    with engine.begin() as connection:
        connection.execute(sa.text(f"DROP SCHEMA {name} CASCADE"))
    engine.dispose()


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    database = Database(url)
    database.migrate()
    yield database
    database.close()


@pytest.fixture
def changes() -> Changes:
    return Changes()


@pytest.fixture
def resources(database: Database, changes: Changes) -> Resources:
    return Resources(database, changes)
