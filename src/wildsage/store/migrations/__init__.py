"""The schema's history: an explicit, ordered list. What was applied is recorded by name.

To add one: write `m<entry>.py` here with `def upgrade(connection) -> None`, and append its entry
below. A migration is frozen once released: it declares the tables as they were then and never
imports the stores. Each runs once, in a transaction of its own. An entry that is filled in later is
applied even when later entries were applied before it, so two people can add entries side by side.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable

import sqlalchemy as sa

ENTRIES = (
    "0001_resources",
    "0002_objects",
    "0003_logs",
    "0004_metrics",
)


def upgrade_of(entry: str) -> Callable[[sa.Connection], None] | None:
    """The function behind an entry; None while its module is not there."""
    name = f"{__name__}.m{entry}"
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        return None
    upgrade: Callable[[sa.Connection], None] = module.upgrade
    return upgrade
