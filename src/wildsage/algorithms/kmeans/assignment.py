"""The two steps all of k-means is made of: nearest centers, and sums of rows by center.

Both are a matrix product at heart, in float32 on the machine's BLAS, over batches that stay in the
cache; `Workspace` keeps the buffers between batches, since fresh memory costs more than arithmetic.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np


@dataclass(slots=True)
class Workspace:
    """Buffers by name, grown on demand."""

    buffers: dict[str, np.ndarray] = field(default_factory=dict)

    def take(self, name: str, rows: int, columns: int) -> np.ndarray:
        """An array of the given shape, with whatever stands in it."""
        size = rows * columns
        buffer = self.buffers.get(name)
        if buffer is None or len(buffer) < size:
            buffer = self.buffers[name] = np.empty(size, np.float32)
        return buffer[:size].reshape(rows, columns)


def nearest(
    rows: np.ndarray, centers: np.ndarray, workspace: Workspace
) -> tuple[np.ndarray, np.ndarray]:
    """The nearest center of each row, and how near it is: squared distance minus squared norm."""
    scores = workspace.take("scores", len(rows), len(centers))
    np.matmul(rows, (-2 * centers).T, out=scores)
    scores += squared_norms(centers)
    labels = scores.argmin(axis=1)
    return labels, scores[np.arange(len(rows)), labels]


def sums_by_label(
    rows: np.ndarray, labels: np.ndarray, count: int, weights: np.ndarray, workspace: Workspace
) -> np.ndarray:
    """For each label the weighted sum of its rows: rows are put in order of labels, then summed."""
    small = labels.astype(np.uint16 if count <= 1 << 16 else np.uint32)
    order = np.argsort(small, kind="stable")
    ordered = np.take(rows, order, axis=0, out=workspace.take("ordered", *rows.shape), mode="clip")
    ends = np.cumsum(np.bincount(labels, minlength=count))
    weights = weights[order]
    totals = np.zeros((count, rows.shape[1]), np.float32)
    begin = 0
    for label, end in enumerate(ends.tolist()):
        if end > begin:
            np.dot(weights[begin:end], ordered[begin:end], out=totals[label])
        begin = end
    return totals


def total_squares(rows: np.ndarray) -> float:
    """The sum of all squares: BLAS adds up a few rows at a time, so that float32 suffices."""
    parts = (rows[begin : begin + 64] for begin in range(0, len(rows), 64))
    return float(sum(float(np.vdot(part, part)) for part in parts))


def squared_norms(rows: np.ndarray) -> np.ndarray:
    norms: np.ndarray = np.einsum("ij,ij->i", rows, rows)
    return norms
