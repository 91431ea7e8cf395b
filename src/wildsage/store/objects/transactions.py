"""Group commit: writers that wait for the database together are committed together.

A commit costs a write to the disk, and SQLite takes one writer at a time. So whoever gets the turn
runs the work of everybody who queued up meanwhile, each in its own savepoint, in one transaction.
"""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, TypeVar

import sqlalchemy as sa

from wildsage.store.database import Database

T = TypeVar("T")


class _Item:
    def __init__(self, work: Callable[[sa.Connection], Any]) -> None:
        self.work = work
        self.done = False
        self.value: Any = None
        self.error: BaseException | None = None


class Transactions:
    """Runs pieces of work that write. A piece that raises changes nothing and harms no other."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._turn = threading.Lock()
        self._queue: list[_Item] = []

    def run(self, work: Callable[[sa.Connection], T]) -> T:
        """Returns what `work` returned, once it is durable."""
        item = _Item(work)
        with self._lock:
            self._queue.append(item)
        with self._turn:
            if not item.done:
                self._commit_queue()
        if item.error is not None:
            raise item.error
        value: T = item.value
        return value

    def _commit_queue(self) -> None:
        with self._lock:
            items, self._queue = self._queue, []
        try:
            with self._database.begin() as connection:
                for item in items:
                    self._run(item, connection, alone=len(items) == 1)
        except BaseException as error:
            for item in items:
                item.error = item.error or _plain(error)
        for item in items:
            item.done = True

    def _run(self, item: _Item, connection: sa.Connection, alone: bool) -> None:
        if alone:  # its error rolls the whole transaction back, as a savepoint would
            item.value = item.work(connection)
            return
        savepoint: AbstractContextManager[Any] = connection.begin_nested()
        try:
            with savepoint:
                item.value = item.work(connection)
        except Exception as error:
            item.error = error


def _plain(error: BaseException) -> BaseException:
    """A full disk is the same error whether it is met in a file or in the database."""
    if isinstance(error, sa.exc.OperationalError) and "disk is full" in str(error.orig):
        return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    return error
