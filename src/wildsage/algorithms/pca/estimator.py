"""`PCA`: principal components as a plain library, by scikit-learn's conventions."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import fields
from typing import Any, Literal, Self

import numpy as np

from wildsage.algorithms.base import Batch, Estimator, Features, as_features
from wildsage.algorithms.pca.spectrum import Spectrum
from wildsage.algorithms.pca.training import Settings, Training
from wildsage.algorithms.reading import cut
from wildsage.formats.matrix import SparseMatrix

CHUNK_ROWS = 4096


class PCA(Estimator):
    """The directions in which rows vary most.

    `fit` takes a table (dense or sparse), or an iterator or list of tables; `partial_fit` takes
    tables as they come. Learned: `components_` (components × features, the one of most variance
    first), `singular_values_`, `mean_`, `explained_variance_`, `explained_variance_ratio_`,
    `n_samples_`, `n_features_in_`.
    """

    def __init__(
        self,
        num_components: int = 10,
        *,
        algorithm_mode: Literal["regular", "randomized"] = "regular",
        extra_components: int = -1,
        subtract_mean: bool = True,
        mini_batch_size: int = 500,
        epochs: int = 1,
        seed: int = 0,
    ) -> None:
        self.num_components = num_components
        self.algorithm_mode = algorithm_mode
        self.extra_components = extra_components
        self.subtract_mean = subtract_mean
        self.mini_batch_size = mini_batch_size
        self.epochs = epochs
        self.seed = seed

    # --- learning --------------------------------------------------------------------------------

    def fit(self, rows: Any, labels: Any = None) -> Self:
        """Learn from a table, or from tables one after the other.

        An iterator is gone through once; what can be gone through again is, in randomized mode.
        """
        again = not isinstance(rows, Iterator)
        is_tables = not again or _is_list_of_tables(rows)
        tables: Iterable[Any] = rows if is_tables else [as_features(rows)]
        training = self._learn(tables)
        if not training.is_exact:
            for _ in range(training.settings.refinements(rereadable=True) if again else 0):
                _exhaust(training.refine(self._blocks(tables, training)))
                training.keep()
        return self._remember(None, training.finish())

    def _learn(self, tables: Iterable[Any]) -> Training:
        first, tables = _peek(tables)
        training = self._begin(first.shape[1])
        _exhaust(training.add(self._blocks(tables, training)))
        return training

    def partial_fit(self, rows: Any, labels: Any = None) -> Self:
        """Go on learning from some more rows, in one pass over all."""
        table = as_features(rows)
        training: Training = getattr(self, "_training", None) or self._begin(table.shape[1])
        _exhaust(training.add(self._blocks([table], training)))
        self.n_features_in_ = training.width
        return self._remember(training, None)

    def _begin(self, width: int) -> Training:
        settings = Settings(**{f.name: getattr(self, f.name) for f in fields(Settings)})
        if not 1 <= settings.num_components <= width:
            raise ValueError(
                f"num_components={settings.num_components} must be between 1 and the number of "
                f"features, {width}"
            )
        if settings.algorithm_mode not in ("regular", "randomized"):
            raise ValueError(
                f"algorithm_mode={settings.algorithm_mode!r} must be 'regular' or 'randomized'"
            )
        return Training(settings, width, self.seed)

    def _blocks(self, tables: Iterable[Any], training: Training) -> Iterator[Features]:
        width = training.width
        pieces = (Batch(_of_width(as_features(table), width, type(self))) for table in tables)
        filled = (piece for piece in pieces if len(piece))
        return (batch.features for batch in cut(filled, training.block_rows(streamed=False)))

    # --- what was learned ------------------------------------------------------------------------

    @classmethod
    def from_spectrum(cls, spectrum: Spectrum) -> Self:
        """A fitted estimator with the given components."""
        return cls(spectrum.vectors.shape[1])._remember(None, spectrum)

    def _remember(self, training: Training | None, spectrum: Spectrum | None) -> Self:
        self._training, self._spectrum = training, spectrum
        if spectrum is not None:
            self.n_features_in_ = len(spectrum.mean)
        return self

    def _learned(self) -> Spectrum:
        """The components; after `partial_fit` they are computed when first asked for."""
        self.require_fit()
        if self._spectrum is None:
            assert self._training is not None
            self._spectrum = self._training.finish()
        return self._spectrum

    @property
    def components_(self) -> np.ndarray:
        return self._learned().vectors.T

    @property
    def singular_values_(self) -> np.ndarray:
        return self._learned().singular_values

    @property
    def mean_(self) -> np.ndarray:
        """What is subtracted from rows: zeros unless `subtract_mean`."""
        return self._learned().mean

    @property
    def n_samples_(self) -> int:
        return self._learned().rows

    @property
    def explained_variance_(self) -> np.ndarray:
        """The variance along each component."""
        variance: np.ndarray = self.singular_values_**2 / max(1, self.n_samples_ - 1)
        return variance

    @property
    def explained_variance_ratio_(self) -> np.ndarray:
        """The share of each component in the variance of the rows."""
        ratio: np.ndarray = self.singular_values_**2 / (self._learned().squares or 1.0)
        return ratio

    # --- use -------------------------------------------------------------------------------------

    def transform(self, rows: Any) -> np.ndarray:
        """The rows' coordinates along the components."""
        self.require_fit()
        table = _of_width(as_features(rows), self.n_features_in_, type(self))
        spectrum = self._learned()
        vectors = spectrum.vectors.astype(np.float32)
        mean = spectrum.mean.astype(np.float32)
        projected = np.empty((len(table), vectors.shape[1]), np.float32)
        for begin in range(0, len(table), CHUNK_ROWS):
            part = slice(begin, begin + CHUNK_ROWS)
            chunk = table[part]
            if isinstance(chunk, SparseMatrix):
                projected[part] = chunk.dot(vectors) - mean @ vectors
            else:
                np.matmul(chunk - mean, vectors, out=projected[part])
        return projected

    def inverse_transform(self, projections: Any) -> np.ndarray:
        """Rows with the given coordinates."""
        spectrum = self._learned()
        projected = np.asarray(projections, np.float32)
        rows: np.ndarray = projected @ spectrum.vectors.T.astype(np.float32)
        rows += spectrum.mean.astype(np.float32)
        return rows

    def fit_transform(self, rows: Any, labels: Any = None) -> np.ndarray:
        return self.fit(rows).transform(rows)


def _is_list_of_tables(rows: Any) -> bool:
    if not isinstance(rows, list | tuple) or not rows:
        return False
    return hasattr(rows[0], "tocsr") or isinstance(rows[0], SparseMatrix) or np.ndim(rows[0]) == 2


def _peek(tables: Iterable[Any]) -> tuple[Features, Iterator[Any]]:
    """The first table that has rows, and all from there on."""
    iterator = iter(tables)
    for table in iterator:
        first = as_features(table)
        if len(first):
            return first, _chain(first, iterator)
    raise ValueError("There are no rows to learn from")


def _chain(first: Features, others: Iterator[Any]) -> Iterator[Any]:
    yield first
    yield from others


def _of_width(table: Features, width: int, kind: type) -> Features:
    if table.shape[1] != width:
        raise ValueError(
            f"X has {table.shape[1]} features, but {kind.__name__} is expecting {width} features "
            "as input"
        )
    return table


def _exhaust(steps: Iterator[int]) -> None:
    deque(steps, maxlen=0)
