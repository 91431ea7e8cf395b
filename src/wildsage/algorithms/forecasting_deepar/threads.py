"""Threads that stay: a step of training takes milliseconds, and so does a forecast."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TypeVar

from wildsage.algorithms.threads import processors

Item = TypeVar("Item")
Result = TypeVar("Result")


def threaded(work: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
    """The results in the order of the items."""
    listed = list(items)
    if len(listed) < 2 or processors() == 1:
        return [work(item) for item in listed]
    return list(_pool().map(work, listed))


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(processors(), thread_name_prefix="deepar")
