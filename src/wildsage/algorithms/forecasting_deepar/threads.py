"""Using the processors: our own threads over rows, each with a matrix library of one thread.

The products here are small. A library's own threads would meet at a barrier in each of them, which
costs more than it gives, most of all on a busy machine.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")
MOST_THREADS = 16


def processors() -> int:
    """The processors that this process may use."""
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return min(MOST_THREADS, available or 1)


def threaded(work: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
    """The results in the order of the items."""
    listed = list(items)
    if len(listed) < 2 or processors() == 1:
        return [work(item) for item in listed]
    return list(_pool().map(work, listed))


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(processors(), thread_name_prefix="deepar")


@contextmanager
def one_thread_each() -> Iterator[None]:
    """Keeps the OpenBLAS libraries of NumPy and SciPy (which compiled code calls) to one thread."""
    with ExitStack() as stack:
        for get, put in _libraries():
            stack.callback(put, int(get()))
            put(1)
        yield


@cache
def _libraries() -> list[tuple[Any, Any]]:
    """The functions that get and set the threads of each OpenBLAS in the wheels' folders."""
    found = []
    for package in ("numpy", "scipy"):
        spec = find_spec(package)
        if spec is None or spec.origin is None:
            continue
        folder = Path(spec.origin).parent.parent / f"{package}.libs"
        found += [pair for path in sorted(folder.glob("*openblas*")) if (pair := _functions(path))]
    return found


def _functions(path: Path) -> tuple[Any, Any] | None:
    library = ctypes.CDLL(str(path))
    for prefix, suffix in (("scipy_", "64_"), ("scipy_", ""), ("", "64_"), ("", "")):
        get = getattr(library, f"{prefix}openblas_get_num_threads{suffix}", None)
        put = getattr(library, f"{prefix}openblas_set_num_threads{suffix}", None)
        if get is not None and put is not None:
            return get, put
    return None
