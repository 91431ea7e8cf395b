"""`KMeans`: k-means as a plain library. NumPy in, NumPy out, scikit-learn's conventions."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import fields
from typing import Any, Literal, Self

import numpy as np

from wildsage.algorithms.base import Batch, Estimator, as_matrix
from wildsage.algorithms.kmeans.assignment import Workspace, nearest, squared_norms
from wildsage.algorithms.kmeans.training import Settings, Training
from wildsage.algorithms.reading import cut

CHUNK_ROWS = 5000

Learned = tuple[np.ndarray, float]


class KMeans(Estimator):
    """k-means by streaming: a pass over the data, many centers, shrunk to k and polished.

    `fit` takes a table, or an iterator or list of tables; `partial_fit` takes batches as they
    come. Learned: `cluster_centers_` (k × features), `msd_` (the mean squared distance of the
    training rows to their centers, before the last polish) and `n_features_in_`.
    """

    kind = "clusterer"

    def __init__(
        self,
        k: int = 8,
        *,
        init_method: str = "random",
        mini_batch_size: int = 5000,
        epochs: int = 1,
        extra_center_factor: int | Literal["auto"] = "auto",
        local_lloyd_init_method: str = "kmeans++",
        local_lloyd_max_iter: int = 300,
        local_lloyd_tol: float = 0.0001,
        local_lloyd_num_trials: int | Literal["auto"] = "auto",
        half_life_time_size: int = 0,
        final_passes: int = 3,
        seed: int = 0,
    ) -> None:
        self.k = k
        self.init_method = init_method
        self.mini_batch_size = mini_batch_size
        self.epochs = epochs
        self.extra_center_factor = extra_center_factor
        self.local_lloyd_init_method = local_lloyd_init_method
        self.local_lloyd_max_iter = local_lloyd_max_iter
        self.local_lloyd_tol = local_lloyd_tol
        self.local_lloyd_num_trials = local_lloyd_num_trials
        self.half_life_time_size = half_life_time_size
        self.final_passes = final_passes
        self.seed = seed

    def fit(self, rows: Any, labels: Any = None) -> Self:
        """Learn from a table, or from tables one after the other, in one pass over them."""
        training = self._begin()
        if isinstance(rows, Iterator) or _is_list_of_tables(rows):
            self._learn_from_batches(training, iter(rows))
        else:
            self._learn_from_table(training, as_matrix(rows))
        return self._keep(training)

    def _learn_from_table(self, training: Training, table: np.ndarray) -> None:
        size = self.mini_batch_size
        chosen = training.rng.permutation(len(table))[:size]
        self._initialise(training, table[np.sort(chosen)])
        for epoch in range(self.epochs):
            for begin in range(0, len(table), size):
                training.update(table[begin : begin + size], keep=epoch == 0)

    def _learn_from_batches(self, training: Training, tables: Iterator[Any]) -> None:
        for batch in cut((Batch(_own(table)) for table in tables), self.mini_batch_size):
            rows = batch.dense()
            if training.stream is None:
                self._initialise(training, rows)
            training.update(rows)
        if training.stream is None:
            raise ValueError("There are no rows to learn from")

    def partial_fit(self, rows: Any, labels: Any = None) -> Self:
        """Go on learning from one more batch; the first one must hold at least k rows."""
        batch = _own(rows)
        training: Training = getattr(self, "_training", None) or self._begin()
        if training.stream is None:
            self._initialise(training, batch)
        training.update(batch)
        self._remember(training, None)
        self.n_features_in_ = batch.shape[1]
        return self

    def _begin(self) -> Training:
        settings = Settings(**{f.name: getattr(self, f.name) for f in fields(Settings)})
        return Training(settings, np.random.default_rng(self.seed))

    def _initialise(self, training: Training, batch: np.ndarray) -> None:
        if len(batch) < self.k:
            raise ValueError(f"{self.k} clusters need at least as many rows, got {len(batch)}")
        training.initialise(batch)

    def _keep(self, training: Training) -> Self:
        """Take over what was learned; the rows are let go."""
        centers = training.finish()
        self._remember(None, (centers, training.loss))
        self.n_features_in_ = centers.shape[1]
        return self

    @classmethod
    def from_centers(cls, centers: np.ndarray) -> Self:
        """A fitted estimator with the given centers."""
        fitted = cls(len(centers))
        fitted._remember(None, (as_matrix(centers), math.nan))
        fitted.n_features_in_ = centers.shape[1]
        return fitted

    def _remember(self, training: Training | None, result: Learned | None) -> None:
        self._training, self._result = training, result

    def _learned(self) -> Learned:
        """Centers and loss; after `partial_fit` they are computed when first asked for."""
        self.require_fit()
        if self._result is None:
            assert self._training is not None
            self._result = (self._training.finish(), self._training.loss)
        return self._result

    @property
    def cluster_centers_(self) -> np.ndarray:
        return self._learned()[0]

    @property
    def msd_(self) -> float:
        """The mean squared distance of the training rows to their centers."""
        return self._learned()[1]

    def predict(self, rows: Any) -> np.ndarray:
        """The number of each row's nearest center."""
        return self.nearest(rows)[0]

    def nearest(self, rows: Any) -> tuple[np.ndarray, np.ndarray]:
        """The number of each row's nearest center, and the distance to it."""
        table, centers = self._checked(rows), self.cluster_centers_
        labels = np.empty(len(table), np.int64)
        distances = np.empty(len(table), np.float32)
        workspace, middle = Workspace(), centers.mean(axis=0)
        for begin in range(0, len(table), CHUNK_ROWS):
            part = slice(begin, begin + CHUNK_ROWS)
            labels[part], _ = nearest(table[part] - middle, centers - middle, workspace)
            apart = table[part] - centers[labels[part]]
            distances[part] = np.sqrt(squared_norms(apart))
        return labels, distances

    def transform(self, rows: Any) -> np.ndarray:
        """The distance of each row to every center."""
        table, centers = self._checked(rows), self.cluster_centers_
        middle = centers.mean(axis=0)
        table, centers = table - middle, centers - middle
        squares = table @ (-2 * centers).T
        squares += squared_norms(table)[:, None]
        squares += squared_norms(centers)
        distances: np.ndarray = np.sqrt(np.maximum(squares, 0, out=squares), out=squares)
        return distances

    def fit_predict(self, rows: Any, labels: Any = None) -> np.ndarray:
        return self.fit(rows).predict(rows)

    def fit_transform(self, rows: Any, labels: Any = None) -> np.ndarray:
        return self.fit(rows).transform(rows)

    def score(self, rows: Any, labels: Any = None) -> float:
        """Minus the sum of squared distances: the higher the better."""
        return -float(np.square(self.nearest(rows)[1], dtype=np.float64).sum())

    def _checked(self, rows: Any) -> np.ndarray:
        self.require_fit()
        table = as_matrix(rows)
        if table.shape[1] != self.n_features_in_:
            raise ValueError(
                f"X has {table.shape[1]} features, but {type(self).__name__} is expecting "
                f"{self.n_features_in_} features as input"
            )
        return table


def _is_list_of_tables(rows: Any) -> bool:
    return isinstance(rows, list | tuple) and bool(rows) and np.ndim(rows[0]) == 2


def _own(rows: Any) -> np.ndarray:
    """A table that nobody else changes: the caller may use its array again."""
    table = as_matrix(rows)
    return table.copy() if np.may_share_memory(table, rows) else table
