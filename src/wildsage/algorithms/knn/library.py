"""faiss, imported when it is first needed.

faiss brings an OpenMP and a BLAS of its own. NumPy, numba, XGBoost and torch bring theirs; they lie
side by side in one process without harm, but threads that spin while they wait take the processor
from those that work, so waiting is passive unless the environment says otherwise.
"""

from __future__ import annotations

import os
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
