"""An object store with one bucket, over a database in memory and files in a fresh folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from wildsage.arns import Scope
from wildsage.store.database import Database
from wildsage.store.objects import Objects


@pytest.fixture
def objects(tmp_path: Path) -> Iterator[Objects]:
    database = Database("sqlite:///:memory:")
    database.migrate()
    store = Objects(database, tmp_path / "objects")
    store.create_bucket(Scope(), "bucket")
    yield store
    store.close()
    database.close()
