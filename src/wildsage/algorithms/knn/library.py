"""faiss, imported when it is first needed.

faiss brings an OpenMP and a BLAS of its own. NumPy, numba, XGBoost and torch bring theirs; they lie
side by side in one process without harm, but threads that spin while they wait take the processor
from those that work, so waiting is passive unless the environment says otherwise.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from wildsage.contract.failure import ClientError


@cache
def faiss() -> Any:
    """The module."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        import faiss as module
    except ImportError as error:
        raise ClientError(
            "knn needs faiss. Install it by `pip install wildsage[algorithms]`.", caused_by=error
        ) from error
    return module


_lock = threading.Lock()
_inside = 0
_before = 0


@contextmanager
def multiplying() -> Iterator[None]:
    """Has faiss compare many rows by products of matrices, which is faster and less exact.

    It does so from a number of queries on that is one setting for the whole process, and that few
    reach. Several threads may be in here at a time: the last one puts it back.
    """
    global _inside, _before
    settings = faiss().cvar
    with _lock:
        if not _inside:
            _before = settings.distance_compute_blas_threshold
            settings.distance_compute_blas_threshold = 1
        _inside += 1
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if not _inside:
                settings.distance_compute_blas_threshold = _before
