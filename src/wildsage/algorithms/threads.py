"""Using the processors: our own threads over blocks of rows, with BLAS kept to one thread
meanwhile.

The products here are small and many. BLAS's own threads meet at a barrier in each of them, which
costs more than it gives, and on a busy machine stalls for a time slice whenever one of them is not
running. Threads over whole blocks need no barrier and share out the element-wise work as well.
"""

from __future__ import annotations

import ctypes
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

Item = TypeVar("Item")
Result = TypeVar("Result")
MOST_THREADS = 8


def processors() -> int:
    """The processors that this process may use."""
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return min(MOST_THREADS, available or 1)


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
    """Keeps NumPy's OpenBLAS to one thread; without effect where NumPy has another BLAS."""
    library = _openblas()
    if library is None:
        yield
        return
    get, put = library
    before = int(get())
    put(1)
    try:
        yield
    finally:
        put(before)


@cache
def _openblas() -> tuple[Any, Any] | None:
    """The functions that get and set the number of threads of the OpenBLAS in NumPy's wheel."""
    folder = Path(np.__file__).parent.parent / "numpy.libs"
    for path in folder.glob("*openblas*"):
        library = ctypes.CDLL(str(path))
        for prefix, suffix in (("scipy_", "64_"), ("scipy_", ""), ("", "64_"), ("", "")):
            get = getattr(library, f"{prefix}openblas_get_num_threads{suffix}", None)
            put = getattr(library, f"{prefix}openblas_set_num_threads{suffix}", None)
            if get is not None and put is not None:
                return get, put
    return None
