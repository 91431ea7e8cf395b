"""Joining what several hosts learned in the same time from different parts of a corpus.

Each host's change of a row is added where the changes point in different directions and averaged
where they agree (Adasum, Maleki et al. 2021): rare words, which one host alone has met, keep all
they learned, and frequent ones, which all have met, are not moved several times too far.
"""

from __future__ import annotations

import numpy as np

from wildsage.contract.cluster import Cluster

_TINY = 1e-20


def adaptive_sum(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Row by row, the sum of two changes without what they have in common twice."""
    common = np.einsum("ij,ij->i", one, other)
    left = 1 - common / np.maximum(2 * np.einsum("ij,ij->i", one, one), _TINY)
    right = 1 - common / np.maximum(2 * np.einsum("ij,ij->i", other, other), _TINY)
    added: np.ndarray = left[:, None] * one + right[:, None] * other
    return added.astype(np.float32)


def join(matrix: np.ndarray, before: np.ndarray, cluster: Cluster) -> None:
    """Give every host the matrix that all of them learned; `before` becomes a copy of it."""
    if cluster.size == 1:
        return
    parts = cluster.gather(matrix - before)
    if parts is not None:
        while len(parts) > 1:
            pairs = [parts[i : i + 2] for i in range(0, len(parts), 2)]
            parts = [adaptive_sum(*pair) if len(pair) == 2 else pair[0] for pair in pairs]
    change = cluster.broadcast(None if parts is None else parts[0])
    np.add(before, change, out=matrix)
    before[:] = matrix
