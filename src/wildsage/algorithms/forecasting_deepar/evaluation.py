"""Accuracy on the test channel: the last `prediction_length` values, forecast from those before."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from wildsage.algorithms.forecasting_deepar.forecasting import Forecaster
from wildsage.algorithms.forecasting_deepar.series import Series
from wildsage.contract.cluster import Cluster

SERIES_AT_ONCE = 256


class Sums:
    """What metrics are made of; sums over series, so that hosts can add theirs up."""

    def __init__(self, quantiles: Sequence[float]) -> None:
        self.quantiles = np.array(quantiles)
        self._sums = np.zeros(3 + len(quantiles))

    def add(self, samples: np.ndarray, actual: np.ndarray) -> None:
        """`samples` (series, paths, steps), `actual` (series, steps) with NaN where missing."""
        known = np.isfinite(actual)
        truth = np.where(known, actual, 0.0).astype(np.float64)
        error = np.where(known, samples.mean(axis=1, dtype=np.float64) - truth, 0.0)
        self._sums[:3] += (error * error).sum(), known.sum(), np.abs(truth).sum()
        forecasts = np.quantile(samples, self.quantiles, axis=1)
        for n, (quantile, forecast) in enumerate(zip(self.quantiles, forecasts, strict=True)):
            below = truth <= forecast
            loss = 2 * np.abs((truth - forecast) * (below - quantile))
            self._sums[3 + n] += np.where(known, loss, 0.0).sum()

    def reduce(self, cluster: Cluster) -> None:
        self._sums = cluster.allreduce(self._sums)

    @property
    def count(self) -> int:
        return int(self._sums[1])

    def metrics(self) -> dict[str, float]:
        """RMSE and quantile losses under the names of the log."""
        squares, count, size = self._sums[:3]
        losses = self._sums[3:]
        weighted = losses / max(size, 1e-10)
        return {
            "RMSE": float(np.sqrt(squares / max(count, 1))),
            "mean_absolute_QuantileLoss": float(losses.mean()),
            "mean_wQuantileLoss": float(weighted.mean()),
            **{
                f"wQuantileLoss[{float(quantile)}]": float(loss)
                for quantile, loss in zip(self.quantiles, weighted, strict=True)
            },
        }


def evaluate(
    forecaster: Forecaster, series: Sequence[Series], samples: int, quantiles: Sequence[float]
) -> Sums:
    """Forecast the end of every series that is longer than a forecast."""
    steps = forecaster.weights.layout.prediction
    sums = Sums(quantiles)
    usable = [each for each in series if len(each) > steps]
    for begin in range(0, len(usable), SERIES_AT_ONCE):
        part = usable[begin : begin + SERIES_AT_ONCE]
        drawn = forecaster.samples([each.before(steps) for each in part], samples)
        sums.add(drawn, np.stack([each.target[-steps:] for each in part]))
    return sums
