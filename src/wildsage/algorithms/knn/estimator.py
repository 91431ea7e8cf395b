"""`KNN`: nearest neighbours as a plain library. NumPy in, NumPy out, scikit-learn's conventions."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import Any, Literal, Self

import numpy as np

from wildsage.algorithms.base import Estimator, as_matrix
from wildsage.algorithms.knn.fitting import Fitting, Settings
from wildsage.algorithms.knn.model import NeighborModel
from wildsage.algorithms.knn.spec import PQ_M
from wildsage.algorithms.knn.voting import shares

Auto = Literal["auto"]
_CHOICES: dict[str, tuple[Any, ...]] = {
    "predictor_type": ("classifier", "regressor"),
    "dimension_reduction_type": (None, "sign", "fjlt"),
    "index_type": ("faiss.Flat", "faiss.IVFFlat", "faiss.IVFPQ"),
    "index_metric": ("L2", "INNER_PRODUCT", "COSINE"),
    "faiss_index_pq_m": (None, *PQ_M),
}
_BATCH = 5000


class KNN(Estimator):
    """k nearest neighbours over a sample of the rows.

    `fit` takes a table and labels, or an iterator of (table, labels). Learned: `classes_` (of a
    classifier), `sample_indices_` (which training rows are in the index), `nprobe_` (lists that are
    looked into, None for a flat index), `n_features_in_` and `model_`.
    """

    def __init__(
        self,
        k: int = 5,
        predictor_type: str = "classifier",
        *,
        sample_size: int | None = None,
        dimension_reduction_type: str | None = None,
        dimension_reduction_target: int | None = None,
        index_type: str = "faiss.Flat",
        index_metric: str = "L2",
        faiss_index_ivf_nlists: int | Auto = "auto",
        faiss_index_pq_m: int | None = None,
        nprobe: int | Auto = "auto",
        seed: int = 0,
    ) -> None:
        self.k = k
        self.predictor_type = predictor_type
        self.sample_size = sample_size
        self.dimension_reduction_type = dimension_reduction_type
        self.dimension_reduction_target = dimension_reduction_target
        self.index_type = index_type
        self.index_metric = index_metric
        self.faiss_index_ivf_nlists: int | Auto = faiss_index_ivf_nlists
        self.faiss_index_pq_m = faiss_index_pq_m
        self.nprobe: int | Auto = nprobe
        self.seed = seed

    @property
    def kind(self) -> str:  # type: ignore[override]
        return self.predictor_type

    def fit(self, rows: Any, labels: Any = None) -> Self:
        """Learn from a table and its labels, or from an iterator of pairs of them."""
        fitting = Fitting(self._settings())
        if isinstance(rows, Iterator):
            pieces = list(self._add_pieces(fitting, rows))
            labels = np.concatenate(pieces) if pieces else None
        elif labels is not None:
            labels = _checked_labels(labels)
            self._add_table(fitting, as_matrix(rows), labels)
        if labels is None or not len(fitting.sample):
            raise ValueError("There are no rows with labels to learn from")
        self._keep(fitting, labels)
        return self

    def _add_table(self, fitting: Fitting, table: np.ndarray, labels: np.ndarray) -> None:
        if len(table) != len(labels):
            raise ValueError(f"There are {len(table)} rows and {len(labels)} labels")
        for begin in range(0, len(table), _BATCH):
            part = table[begin : begin + _BATCH]
            fitting.add(part, np.zeros((len(part), 1), np.float32))

    def _add_pieces(
        self, fitting: Fitting, pieces: Iterable[tuple[Any, Any]]
    ) -> Iterator[np.ndarray]:
        for rows, labels in pieces:
            checked = _checked_labels(labels)
            self._add_table(fitting, as_matrix(rows), checked)
            yield checked

    def _keep(self, fitting: Fitting, labels: np.ndarray) -> None:
        """Index the sample, and give its rows their labels: classes as their places."""
        self.sample_indices_ = fitting.sample.numbers
        model = fitting.finish()
        assert model is not None
        columns = labels.reshape(len(labels), -1)
        if self.predictor_type == "classifier":
            coded = [np.unique(column, return_inverse=True) for column in columns.T]
            self._classes = [classes for classes, _ in coded]
            columns = np.stack([codes for _, codes in coded], axis=1)
        model.labels = columns[self.sample_indices_].astype(np.float32)
        self._one_label = labels.ndim == 1
        self._learned = model
        self.n_features_in_ = model.feature_dim

    @property
    def model_(self) -> NeighborModel:
        self.require_fit()
        return self._learned

    @property
    def classes_(self) -> Any:
        """The classes, in order; a list of them where rows have several labels."""
        self.require_fit()
        if self.predictor_type != "classifier":
            raise AttributeError("A regressor has no classes_")
        return self._classes[0] if self._one_label else self._classes

    @property
    def nprobe_(self) -> int | None:
        return self.model_.searcher.nprobe

    def _settings(self) -> Settings:
        parameters = self.get_params()
        for name, choices in _CHOICES.items():
            if parameters[name] not in choices:
                raise ValueError(f"{name} must be one of {choices}, not {parameters[name]!r}")
        if self.index_type == "faiss.IVFPQ" and (
            self.faiss_index_pq_m is None or self.index_metric != "L2"
        ):
            raise ValueError("faiss.IVFPQ needs faiss_index_pq_m, and L2 as its metric")
        size = self.sample_size
        return Settings(**{**parameters, "sample_size": sys.maxsize if size is None else size})

    # --- use -------------------------------------------------------------------------------------

    def kneighbors(
        self, rows: Any, n_neighbors: int | None = None, return_distance: bool = True
    ) -> Any:
        """(distances, numbers of training rows) of each row's nearest neighbours, nearest first."""
        distances, places = self.model_.neighbors(self._checked(rows), n_neighbors)
        numbers = self.sample_indices_[places]
        return (distances, numbers) if return_distance else numbers

    def predict(self, rows: Any) -> np.ndarray:
        """The most frequent label among the neighbours, or the mean of their labels."""
        said = self.model_.predict(self._checked(rows)).reshape(len(rows), -1)
        if self.predictor_type == "classifier":
            places = said.astype(np.int64).T
            columns = [c[p] for c, p in zip(self._classes, places, strict=True)]
            said = np.stack(columns, axis=1)
        return said[:, 0] if self._one_label else said

    def predict_proba(self, rows: Any) -> Any:
        """The share of each class among the neighbours; a list of tables for several labels."""
        classes = self.classes_
        places = self.model_.neighbors(self._checked(rows))[1]
        codes = self.model_.labels[places].astype(np.int64)
        found = [shares(codes[:, :, n], len(c)) for n, c in enumerate(self._classes)]
        return found[0] if classes is self._classes[0] else found

    def score(self, rows: Any, labels: Any) -> float:
        """Accuracy, or the coefficient of determination."""
        said, truth = self.predict(rows), np.asarray(labels)
        if self.predictor_type == "classifier":
            return float((said == truth).mean())
        errors = ((said - truth) ** 2).sum(dtype=np.float64)
        return 1 - float(errors / ((truth - truth.mean(axis=0)) ** 2).sum(dtype=np.float64))

    def _checked(self, rows: Any) -> np.ndarray:
        self.require_fit()
        table = as_matrix(rows)
        if table.shape[1] != self.n_features_in_:
            raise ValueError(
                f"X has {table.shape[1]} features, but {type(self).__name__} is expecting "
                f"{self.n_features_in_} features as input"
            )
        return table


def _checked_labels(labels: Any) -> np.ndarray:
    checked = np.asarray(labels)
    if checked.ndim not in (1, 2):
        raise ValueError(f"Labels are one value or one vector a row, not {checked.ndim} dimensions")
    return checked
