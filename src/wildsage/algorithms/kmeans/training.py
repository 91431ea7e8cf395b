"""From batches of rows to k centers: initialise, stream, shrink, polish. Logs what AWS's does."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from wildsage.algorithms.kmeans import lloyd
from wildsage.algorithms.kmeans.assignment import (
    Workspace,
    nearest,
    squared_norms,
    sums_by_label,
    total_squares,
)
from wildsage.algorithms.kmeans.streaming import Reservoir, StreamingCenters, Sums
from wildsage.contract.cluster import Cluster

SAMPLE_BYTES = 256 << 20
AUTO_CENTERS = 200
EARLY_PASS_STEP = 4
ROWS_PER_CENTER = 100
AUTO_TRIALS = 10
AUTO_TRIAL_COST = 100_000


@dataclass(slots=True)
class Settings:
    """The hyperparameters."""

    k: int
    init_method: str = "random"
    mini_batch_size: int = 5000
    extra_center_factor: int | Literal["auto"] = "auto"
    local_lloyd_init_method: str = "kmeans++"
    local_lloyd_max_iter: int = 300
    local_lloyd_tol: float = 0.0001
    local_lloyd_num_trials: int | Literal["auto"] = "auto"
    half_life_time_size: int = 0
    final_passes: int = 3


def _silent(message: str) -> None:
    pass


@dataclass
class Training:
    """The state of one training; `first` (rows to begin with) comes before any `update`."""

    settings: Settings
    rng: np.random.Generator
    cluster: Cluster = field(default_factory=Cluster)
    info: Callable[[str], None] = _silent
    warn: Callable[[str], None] = _silent

    def __post_init__(self) -> None:
        self.stream: StreamingCenters | None = None
        self.shift: np.ndarray | None = None
        self.factor = 1
        self.loss = math.nan
        self._workspace = Workspace()
        self._sample = Reservoir(SAMPLE_BYTES, self.rng)

    @property
    def k(self) -> int:
        return self.settings.k

    # --- initialise ------------------------------------------------------------------------------

    def initialise(self, batch: np.ndarray) -> None:
        """Choose the first centers among the first host's first rows."""
        self.factor = self._factor(len(batch))
        size = self.settings.mini_batch_size
        if len(batch) < size:
            self.warn(
                f"Batch size {size} is bigger than the first batch data. "
                f"Effective batch size used to initialize is {len(batch)}"
            )
        self.shift = self.cluster.broadcast(_shift(batch))
        rows = self._shifted(batch)
        seed = lloyd.SEEDS[self.settings.init_method]
        weights = np.ones(len(rows), np.float32)
        count = min(self.k * self.factor, len(rows))
        centers = rows[seed(rows, weights, count, self.rng)]
        centers = np.array(self.cluster.broadcast(centers), np.float32)
        self.stream = StreamingCenters(
            centers, self.settings.half_life_time_size, self.cluster, self._workspace
        )

    def _factor(self, rows: int) -> int:
        wanted = self.settings.extra_center_factor
        if wanted != "auto":
            return wanted
        factor = max(2, min(10, math.ceil(AUTO_CENTERS / self.k)))
        factor = max(1, min(factor, rows // self.k))
        self.info(f"'extra_center_factor' was set to 'auto', evaluated to {factor}.")
        return factor

    @property
    def _width(self) -> int:
        assert self.stream is not None
        return int(self.stream.centers.shape[1])

    def _shifted(self, batch: np.ndarray) -> np.ndarray:
        if self.shift is None or not self.shift.any():
            return batch
        moved = self._workspace.take("shifted", *batch.shape)
        np.subtract(batch, self.shift, out=moved)
        return moved

    # --- stream ----------------------------------------------------------------------------------

    def update(self, batch: np.ndarray, *, keep: bool = True) -> int:
        """Take in a batch; returns the number of rows that all hosts took in together."""
        assert self.stream is not None
        if keep and len(batch) and self._keeps_sample:
            self._sample.add(batch)
        return int(self.stream.update(self._shifted(batch)))

    @property
    def _keeps_sample(self) -> bool:
        # Rows that lose weight with time have no place in a sample where all weigh the same.
        return self.settings.final_passes > 0 and not self.settings.half_life_time_size

    def pass_over(self, batches: Iterable[np.ndarray], *, keep: bool = True) -> Iterator[int]:
        """Update with every batch; yields this host's rows. Hosts go on until all have ended."""
        iterator = iter(batches)
        while True:
            batch = next(iterator, None)
            if batch is None:
                if self.cluster.size == 1:
                    return
                batch = np.zeros((0, self._width), np.float32)
            if not self.update(batch, keep=keep):
                return
            yield len(batch)

    # --- finish ----------------------------------------------------------------------------------

    def finish(self) -> np.ndarray:
        """The k centers."""
        centers = self._shrunk()
        passes = self.settings.final_passes if self._keeps_sample else 0
        for number in range(passes):
            # The last pass goes over all rows; those before it need not where there are many.
            centers = self._polished(centers, 1 if number == passes - 1 else self._early_step)
        return centers if self.shift is None else centers + self.shift

    def _shrunk(self) -> np.ndarray:
        """The streaming centers reduced to k. Every host does the same, from the same numbers."""
        assert self.stream is not None
        stream = self.stream
        self.loss = stream.scatter
        if len(stream.centers) <= self.k:
            self.info("No shrinking is required as extra_center_factor is 1.")
            return stream.centers.copy()
        self.info(f"shrinking {len(stream.centers)} centers into {self.k}")
        points, weights = self._weighted_points()
        losses: list[float] = []

        def report(trial: int, loss: float) -> None:
            losses.append(stream.scatter + loss)
            self.info(
                f"local kmeans attempt #{trial}. Current mean square distance {losses[-1]:.6f}"
            )

        centers = lloyd.shrink(
            points,
            weights,
            self.k,
            init_method=self.settings.local_lloyd_init_method,
            trials=self._trials(len(points)),
            iterations=self.settings.local_lloyd_max_iter,
            tolerance=self.settings.local_lloyd_tol,
            rng=self.rng,
            report=report,
        )
        # A constant in the original's log.
        self.info("finished shrinking process. Mean Square Distance = 0")
        self.loss = min(losses)
        return centers

    def _weighted_points(self) -> tuple[np.ndarray, np.ndarray]:
        """The centers that rows went to; with fewer than k of them, all."""
        assert self.stream is not None
        weights, centers = self.stream.weights, self.stream.centers
        used = weights > 0
        if np.count_nonzero(used) < self.k:
            return centers, np.maximum(weights, np.float32(1e-3))
        return centers[used], weights[used]

    def _trials(self, points: int) -> int:
        wanted = self.settings.local_lloyd_num_trials
        if wanted != "auto":
            return wanted
        return max(1, min(AUTO_TRIALS, round(AUTO_TRIAL_COST / (points * self.k))))

    @property
    def _early_step(self) -> int:
        assert self.stream is not None
        return max(1, min(EARLY_PASS_STEP, int(self.stream.rows) // (ROWS_PER_CENTER * self.k)))

    def _polished(self, centers: np.ndarray, step: int) -> np.ndarray:
        """One iteration of Lloyd's algorithm over every `step`-th sampled row of all hosts."""
        total = Sums(np.zeros_like(centers), np.zeros(len(centers), np.float32), 0.0, 0.0)
        rows = self.settings.mini_batch_size * step
        for part in self._sample.parts:
            for begin in range(0, len(part), rows):
                self._add(part[begin : begin + rows : step], centers, total)
        total = total.over(self.cluster)
        if total.rows:
            self.loss = max(0.0, total.squares / total.rows)
        masses = total.masses[:, None]
        means: np.ndarray = np.where(masses > 0, total.totals / np.maximum(masses, 1), centers)
        return means

    def _add(self, part: np.ndarray, centers: np.ndarray, total: Sums) -> None:
        rows = self._shifted(part)
        labels, near = nearest(rows, centers, self._workspace)
        ones = np.ones(len(rows), np.float32)
        total.totals += sums_by_label(rows, labels, len(centers), ones, self._workspace)
        total.masses += np.bincount(labels, minlength=len(centers))
        total.squares += float(near.sum(dtype=np.float64)) + total_squares(rows)
        total.rows += len(rows)


def _shift(batch: np.ndarray) -> np.ndarray:
    """What to subtract from rows that lie far from the origin, where float32 would lose digits."""
    middle = batch.mean(axis=0)
    spread = float(squared_norms(batch - middle).mean())
    return middle if float(middle @ middle) > 25 * spread else np.zeros_like(middle)


def settings_of(parameters: dict[str, Any]) -> Settings:
    """Settings from hyperparameters, which have names beside these."""
    names = Settings.__dataclass_fields__
    return Settings(**{name: value for name, value in parameters.items() if name in names})
