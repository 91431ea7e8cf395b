"""DeepAR as a library: series in, sample paths, quantiles and means out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np

from wildsage.algorithms.base import Estimator
from wildsage.algorithms.forecasting_deepar import preparation
from wildsage.algorithms.forecasting_deepar.forecasting import Forecaster
from wildsage.algorithms.forecasting_deepar.frequency import Frequency
from wildsage.algorithms.forecasting_deepar.series import Panel, Series, parse_record
from wildsage.algorithms.forecasting_deepar.weights import Weights
from wildsage.contract.cluster import Cluster

Record = Mapping[str, Any] | Sequence[float] | np.ndarray | Series
FIRST_DAY = "1970-01-01 00:00:00"
QUANTILES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


class DeepAR(Estimator):
    """Forecasts related time series with one recurrent network (Salinas et al., 2017).

    A series is a record as in a file (`{"start", "target", "cat", "dynamic_feat"}`) or just its
    values, which then begin on the first day of 1970. What is given to `predict` may be new to the
    model; its feature time series must cover the forecast as well.
    """

    kind = "forecaster"

    def __init__(
        self,
        time_freq: str = "D",
        prediction_length: int = 14,
        context_length: int | None = None,
        epochs: int = 50,
        *,
        mini_batch_size: int = 128,
        learning_rate: float = 1e-3,
        dropout_rate: float = 0.1,
        num_cells: int = 40,
        num_layers: int = 2,
        likelihood: str = "student-T",
        cardinality: Any = "auto",
        embedding_dimension: int = 10,
        num_dynamic_feat: Any = "auto",
        early_stopping_patience: int | None = None,
        num_samples: int = 100,
        seed: int = 0,
    ) -> None:
        self.time_freq = time_freq
        self.prediction_length = prediction_length
        self.context_length = context_length
        self.epochs = epochs
        self.mini_batch_size = mini_batch_size
        self.learning_rate = learning_rate
        self.dropout_rate = dropout_rate
        self.num_cells = num_cells
        self.num_layers = num_layers
        self.likelihood = likelihood
        self.cardinality = cardinality
        self.embedding_dimension = embedding_dimension
        self.num_dynamic_feat = num_dynamic_feat
        self.early_stopping_patience = early_stopping_patience
        self.num_samples = num_samples
        self.seed = seed

    # --- training --------------------------------------------------------------------------------

    def fit(self, series: Iterable[Record], y: Any = None) -> Self:
        """Train on series that each end where forecasts would begin."""
        from wildsage.algorithms.forecasting_deepar.training import Settings, Training

        frequency = Frequency.parse(self.time_freq)
        parsed = [self._parse(record, frequency, 0) for record in series]
        cluster = Cluster()
        shape = preparation.shape_of(
            parsed, self.cardinality, self.num_dynamic_feat, cluster, sharded=False
        )
        panel = Panel.of(parsed, len(shape.cardinality), shape.dynamics)
        preparation.check_enough(panel, self.prediction_length, cluster, sharded=False)
        preparation.check_values(panel, self.likelihood)
        layout = preparation.layout_of(
            panel,
            frequency,
            self.context_length or self.prediction_length,
            self.prediction_length,
            self.likelihood,
            cluster=cluster,
            sharded=False,
        )
        shared = set(Settings.__slots__) & set(self.parameter_names())
        settings = Settings(**{name: getattr(self, name) for name in shared})
        training = Training(settings, panel, layout, shape.cardinality)
        self.losses_: list[float] = []
        best = training.run(tell_epoch=lambda epoch: self.losses_.append(epoch.loss))
        self.final_loss_ = best.loss
        self.weights_ = training.weights()
        return self

    @classmethod
    def from_weights(cls, weights: Weights, **parameters: Any) -> Self:
        """A fitted estimator around a model that was trained elsewhere."""
        layout = weights.layout
        made = cls(
            str(layout.frequency),
            layout.prediction,
            layout.context,
            likelihood=weights.likelihood,
            num_cells=weights.units,
            num_layers=weights.layers,
            **parameters,
        )
        made.weights_ = weights
        return made

    @classmethod
    def load(cls, folder: Path) -> Self:
        """From the files that a training job or `save` has written."""
        return cls.from_weights(Weights.load(folder))

    def save(self, folder: Path) -> None:
        self.require_fit()
        self.weights_.save(folder)

    # --- forecasts -------------------------------------------------------------------------------

    def samples(self, series: Iterable[Record], num_samples: int | None = None) -> np.ndarray:
        """Sample paths of each series' future: (series, num_samples, prediction_length)."""
        self.require_fit()
        layout = self.weights_.layout
        parsed = [self._parse(one, layout.frequency, layout.prediction) for one in series]
        return Forecaster(self.weights_, self.seed).samples(parsed, num_samples or self.num_samples)

    def predict(self, series: Iterable[Record]) -> np.ndarray:
        """The mean of each series' future: (series, prediction_length)."""
        means: np.ndarray = self.samples(series).mean(axis=1)
        return means

    def predict_quantiles(
        self, series: Iterable[Record], quantiles: Sequence[float] = QUANTILES
    ) -> np.ndarray:
        """Quantiles of each series' future: (series, quantiles, prediction_length)."""
        found: np.ndarray = np.quantile(self.samples(series), quantiles, axis=1)
        return found.transpose(1, 0, 2)

    def _parse(self, record: Record, frequency: Frequency, beyond: int) -> Series:
        if isinstance(record, Series):
            return record
        if not isinstance(record, Mapping):
            record = {"start": FIRST_DAY, "target": np.asarray(record)}
        if isinstance(record.get("cat"), np.ndarray):
            record = {**record, "cat": record["cat"].tolist()}
        return parse_record(record, frequency, dynamic_beyond=beyond)
