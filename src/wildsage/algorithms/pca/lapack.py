"""The leading eigenvectors alone, by the LAPACK that NumPy brings but does not offer.

`numpy.linalg.eigh` computes all vectors, which takes twice the time; SciPy has the routine, and
takes longer to import than a matrix of a thousand takes to solve.
"""

from __future__ import annotations

import ctypes
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

# The name tells that integers have 64 bits.
_NAME = "scipy_LAPACKE_dsyevr64_"
_BY_COLUMNS = 102
_Integer, _Real, _Pointer = ctypes.c_int64, ctypes.c_double, ctypes.c_void_p


def largest(matrix: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray] | None:
    """The `count` largest eigenvalues of a symmetric matrix, ascending, and vectors in columns.

    None where NumPy has another LAPACK, or it does not succeed.
    """
    routine = _routine()
    size = len(matrix)
    if routine is None or not 0 < count <= size:
        return None
    work = np.array(matrix, np.float64, order="C")  # it is written over
    values, vectors = np.empty(size), np.empty((count, size))
    support, found = np.empty(2 * size, np.int64), _Integer()
    failed = routine(
        _BY_COLUMNS, b"V", b"I", b"L", size, work.ctypes.data, size,
        0.0, 0.0, size - count + 1, size, 0.0, ctypes.addressof(found),
        values.ctypes.data, vectors.ctypes.data, size, support.ctypes.data,
    )  # fmt: skip
    if failed or found.value != count:
        return None
    return values[:count], vectors.T


@cache
def _routine() -> Any:
    for path in (Path(np.__file__).parent.parent / "numpy.libs").glob("*openblas*"):
        routine = getattr(ctypes.CDLL(str(path)), _NAME, None)
        if routine is not None:
            letter, whole = ctypes.c_char, ctypes.c_int
            routine.restype = _Integer
            routine.argtypes = [
                whole, letter, letter, letter, _Integer, _Pointer, _Integer,
                _Real, _Real, _Integer, _Integer, _Real, _Pointer,
                _Pointer, _Pointer, _Integer, _Pointer,
            ]  # fmt: skip
            return routine
    return None
