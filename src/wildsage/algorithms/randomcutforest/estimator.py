"""`RandomCutForest`: anomaly scores as a plain library, in scikit-learn's conventions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Self

import numpy as np

from wildsage.algorithms.base import Estimator, as_features
from wildsage.algorithms.randomcutforest.forest import Forest
from wildsage.algorithms.randomcutforest.sampling import Reservoir, shares_of_trees
from wildsage.algorithms.rows import Features
from wildsage.formats.matrix import SparseMatrix

SIGMAS = 3.0


class RandomCutForest(Estimator):
    """A forest of random cut trees over a uniform sample of the rows.

    `fit` takes a table or an iterator of tables, of which one pass is made; `partial_fit` takes
    tables as they come. `anomaly_score` is high for what is unlike the sample; it is about 0.7 to
    1 for normal rows, and scores of more than three standard deviations above the mean are
    taken for anomalies. `score_samples`, `decision_function` and `predict` are scikit-learn's: low
    values, and -1, for anomalies. Learned: `forest_`, `threshold_` (the three-sigma limit of the
    sample's scores), `n_features_in_`.
    """

    kind = "outlier_detector"
    _forest: Forest | None = None
    _threshold: float | None = None
    _reservoir: Reservoir | None = None

    def __init__(
        self, num_trees: int = 100, num_samples_per_tree: int = 256, *, seed: int = 0
    ) -> None:
        self.num_trees = num_trees
        self.num_samples_per_tree = num_samples_per_tree
        self.seed = seed

    def fit(self, rows: Any, labels: Any = None) -> Self:
        """Learn what is normal; labels are not looked at."""
        self._reservoir = None
        for table in rows if isinstance(rows, Iterator) else [rows]:
            self.partial_fit(table)
        # The forest is grown now, so that a fitted model holds nothing but its forest.
        self._keep(self._grow())
        return self

    def partial_fit(self, rows: Any, labels: Any = None) -> Self:
        """Let more rows pass; the forest is grown when it is next asked for."""
        reservoir, table = self._reservoir or self._begin(), _checked(rows)
        if reservoir.seen:
            self._check_width(table)
        reservoir.add(table)
        self._reservoir, self._forest, self._threshold = reservoir, None, None
        self.n_features_in_ = int(table.shape[1])
        return self

    def _begin(self) -> Reservoir:
        if self.num_trees < 1 or self.num_samples_per_tree < 1:
            raise ValueError("num_trees and num_samples_per_tree must be at least 1")
        capacity = self.num_trees * self.num_samples_per_tree
        return Reservoir(capacity, np.random.default_rng([self.seed, 0]))

    def _grow(self) -> Forest:
        reservoir = self._reservoir
        if reservoir is None or not len(reservoir):
            raise ValueError("There are no rows to learn from")
        return grow_forest(reservoir.rows, self.num_trees, self.num_samples_per_tree, self.seed)

    @classmethod
    def from_forest(cls, forest: Forest) -> Self:
        """A fitted estimator with the given forest."""
        fitted = cls(forest.trees, forest.rows_per_tree)
        fitted._keep(forest)
        fitted.n_features_in_ = forest.width
        return fitted

    def _keep(self, forest: Forest) -> None:
        self._forest, self._threshold, self._reservoir = forest, None, None

    @property
    def forest_(self) -> Forest:
        self.require_fit()
        if self._forest is None:
            self._forest = self._grow()
        return self._forest

    @property
    def threshold_(self) -> float:
        """Scores above it are taken for anomalies: mean plus three deviations of the sample's."""
        if self._threshold is None:
            forest = self.forest_
            self._threshold = three_sigma(forest.score(forest.points[:, : forest.width]))
        return self._threshold

    def anomaly_score(self, rows: Any) -> np.ndarray:
        """The score of each row, as an endpoint answers it."""
        forest, table = self.forest_, _checked(rows)
        self._check_width(table)
        return forest.score(table)

    def score_samples(self, rows: Any) -> np.ndarray:
        """Minus the anomaly score: the lower, the more abnormal."""
        return -self.anomaly_score(rows)

    def decision_function(self, rows: Any) -> np.ndarray:
        """How far each score is below the threshold: negative for anomalies."""
        scores: np.ndarray = self.threshold_ - self.anomaly_score(rows)
        return scores

    def predict(self, rows: Any) -> np.ndarray:
        """-1 for anomalies, 1 for the others."""
        return np.where(self.decision_function(rows) < 0, -1, 1)

    def fit_predict(self, rows: Any, labels: Any = None) -> np.ndarray:
        return self.fit(rows).predict(rows)

    def _check_width(self, table: Features) -> None:
        if table.shape[1] != self.n_features_in_:
            raise ValueError(
                f"X has {table.shape[1]} features, but {type(self).__name__} is expecting "
                f"{self.n_features_in_} features as input"
            )


def grow_forest(rows: np.ndarray, trees: int, per_tree: int, seed: int) -> Forest:
    """A forest over a sample of rows."""
    rng = np.random.default_rng([seed, 1])
    return Forest.grow(rows, shares_of_trees(len(rows), trees, per_tree, rng), rng)


def three_sigma(scores: np.ndarray) -> float:
    """The score that lies three standard deviations above the mean."""
    return float(scores.mean() + SIGMAS * scores.std())


def _checked(rows: Any) -> Features:
    table = as_features(rows)
    if isinstance(table, SparseMatrix) and not np.isfinite(table.data).all():
        raise ValueError("Input contains NaN or infinity")
    return table
