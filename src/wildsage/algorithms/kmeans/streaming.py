"""One pass over the data: many centers, moved batch by batch, and a sample of rows for the end.

Sculley 2010 with AWS's extensions: k times `extra_center_factor` centers, each at the mean of all
rows assigned to it so far, where old rows may lose weight (`half_life_time_size`).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from wildsage.algorithms.kmeans.assignment import (
    Workspace,
    nearest,
    squared_norms,
    sums_by_label,
    total_squares,
)
from wildsage.contract.cluster import Cluster


@dataclass(slots=True)
class Sums:
    """What one batch says about the centers; sums of several hosts add up."""

    totals: np.ndarray
    masses: np.ndarray
    squares: float
    rows: float

    def over(self, cluster: Cluster) -> Sums:
        """The sum over all hosts."""
        if cluster.size == 1:
            return self
        tail = np.array([*self.masses, self.squares, self.rows])
        tail = cluster.allreduce(tail)
        totals = cluster.allreduce(self.totals)
        return Sums(totals, tail[:-2].astype(np.float32), float(tail[-2]), float(tail[-1]))


@dataclass
class StreamingCenters:
    """The centers, the weight of each, and the squared norms of all rows seen."""

    centers: np.ndarray
    half_life: float = 0.0
    cluster: Cluster = field(default_factory=Cluster)
    workspace: Workspace = field(default_factory=Workspace)

    def __post_init__(self) -> None:
        self.weights = np.zeros(len(self.centers), np.float32)
        self.squares = 0.0
        self.rows = 0.0

    def update(self, batch: np.ndarray) -> float:
        """Move the centers toward a batch; returns how many rows all hosts had together."""
        sums = self._sums(batch).over(self.cluster)
        if sums.rows == 0:
            return 0.0
        kept = 0.5 ** (sums.rows / self.half_life) if self.half_life else 1.0
        self.weights *= np.float32(kept)
        weights = self.weights + sums.masses
        moved = sums.masses > 0
        old, new = self.weights[moved, None], weights[moved, None]
        self.centers[moved] = (self.centers[moved] * old + sums.totals[moved]) / new
        self.weights = weights
        self.squares = self.squares * kept + sums.squares
        self.rows = self.rows * kept + sums.rows
        return sums.rows

    def _sums(self, batch: np.ndarray) -> Sums:
        count = len(self.centers)
        if not len(batch):
            return Sums(np.zeros_like(self.centers), np.zeros(count, np.float32), 0.0, 0.0)
        labels, _ = nearest(batch, self.centers, self.workspace)
        ones = np.ones(len(batch), np.float32)
        totals = sums_by_label(batch, labels, count, ones, self.workspace)
        masses = np.bincount(labels, minlength=count).astype(np.float32)
        return Sums(totals, masses, total_squares(batch), len(batch))

    @property
    def scatter(self) -> float:
        """The mean squared distance of rows to the mean of the center they went to."""
        between = float(self.weights.astype(np.float64) @ squared_norms(self.centers))
        return max(0.0, (self.squares - between) / max(self.rows, 1.0))


class Reservoir:
    """Rows kept for the last iterations: all of them while they fit, then an even sample."""

    def __init__(self, capacity_bytes: int, rng: np.random.Generator) -> None:
        self._capacity_bytes = capacity_bytes
        self._rng = rng
        self._parts: list[np.ndarray] = []
        self._rows = 0
        self._seen = 0

    @property
    def parts(self) -> list[np.ndarray]:
        return self._parts

    @property
    def is_complete(self) -> bool:
        """Whether nothing was left out."""
        return self._seen == self._rows

    def add(self, batch: np.ndarray) -> None:
        """Offer rows. Arrays are kept, not copied, until they no longer fit."""
        capacity = max(1, self._capacity_bytes // max(1, batch.shape[1] * 4))
        if self.is_complete and self._rows + len(batch) <= capacity:
            self._parts.append(batch)
            self._rows += len(batch)
        else:
            self._replace(batch, capacity)
        self._seen += len(batch)

    def _replace(self, batch: np.ndarray, capacity: int) -> None:
        """Each row takes the place of another with the chance that keeps the sample even."""
        if self.is_complete:
            own = np.empty((capacity, batch.shape[1]), np.float32)
            missing = capacity - self._rows
            np.concatenate([*self._parts, batch[:missing]], out=own)
            self._parts, self._rows = [own], capacity
            self._seen += missing
            batch = batch[missing:]
            self._replace_rows(batch)
            self._seen -= missing
        else:
            self._replace_rows(batch)

    def _replace_rows(self, batch: np.ndarray) -> None:
        numbers = self._seen + 1 + np.arange(len(batch))
        places = (self._rng.random(len(batch)) * numbers).astype(np.int64)
        taken = np.flatnonzero(places < self._rows)
        self._parts[0][places[taken]] = batch[taken]
