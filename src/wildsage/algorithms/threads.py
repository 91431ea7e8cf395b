"""Using the processors: our own threads over blocks of rows, with BLAS kept to one thread
meanwhile.

The products here are small and many. BLAS's own threads meet at a barrier in each of them, which
costs more than it gives, and on a busy machine stalls for a time slice whenever one of them is not
running. Threads over whole blocks need no barrier and share out the element-wise work as well.
"""

from __future__ import annotations

import ctypes
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")
MOST_THREADS = 8


def processors(most: int = MOST_THREADS) -> int:
    """The processors that this process may use, up to `most` of them."""
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return min(most, available or 1)


def threaded(work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """The results in the order of the items, so that sums do not depend on the threads."""
    count = processors()
    iterator = iter(items)
    first = [item for _, item in zip(range(2), iterator, strict=False)]
    if len(first) < 2 or count == 1:
        yield from map(work, first)
        yield from map(work, iterator)
        return
    with ThreadPoolExecutor(count) as pool:
        pending: deque[Future[Result]] = deque(pool.submit(work, item) for item in first)
        for item in iterator:
            pending.append(pool.submit(work, item))
            if len(pending) > 2 * count:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Keeps the OpenBLAS libraries of NumPy and SciPy (which compiled code calls) to one thread.

    Several threads may be in here at a time: the last one to leave puts back what the first found.
    Without effect where NumPy and SciPy have another BLAS.
    """
    _enter()
    try:
        yield
    finally:
        _leave()


_lock = threading.Lock()
_inside = 0
_before: list[int] = []


def _enter() -> None:
    global _inside, _before
    with _lock:
        if not _inside:
            _before = [int(get()) for get, _ in _libraries()]
            for _, put in _libraries():
                put(1)
        _inside += 1


def _leave() -> None:
    global _inside
    with _lock:
        _inside -= 1
        if not _inside:
            for (_, put), count in zip(_libraries(), _before, strict=True):
                put(count)


@cache
def _libraries() -> list[tuple[Any, Any]]:
    """The functions that get and set the threads of each OpenBLAS in the wheels' folders."""
    found = []
    for package in ("numpy", "scipy"):
        spec = find_spec(package)
        if spec is not None and spec.origin is not None:
            folder = Path(spec.origin).parent.parent / f"{package}.libs"
            paths = sorted(folder.glob("*openblas*"))
            found += [pair for path in paths if (pair := _functions(path))]
    return found


def _functions(path: Path) -> tuple[Any, Any] | None:
    library = ctypes.CDLL(str(path))
    for prefix, suffix in (("scipy_", "64_"), ("scipy_", ""), ("", "64_"), ("", "")):
        get = getattr(library, f"{prefix}openblas_get_num_threads{suffix}", None)
        put = getattr(library, f"{prefix}openblas_set_num_threads{suffix}", None)
        if get is not None and put is not None:
            return get, put
    return None
