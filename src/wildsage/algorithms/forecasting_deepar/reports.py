"""What the log tells of data and epochs, in the words of the original's log."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from wildsage import clock
from wildsage.algorithms.forecasting_deepar.series import Panel
from wildsage.algorithms.reporting import AlgorithmLog

if TYPE_CHECKING:
    from wildsage.algorithms.forecasting_deepar.training import Epoch

EVERY = 5


def tell_statistics(log: AlgorithmLog, name: str, panel: Panel) -> None:
    """`Training set statistics:` and what follows."""
    observed = panel.observed.astype(bool)
    values = panel.values[observed].astype(np.float64)
    if not len(values):
        values = np.zeros(1)
    whole = bool((values == np.floor(values)).all())
    log.info(f"{name} set statistics:")
    log.info("Integer time series" if whole else "Real time series")
    log.info(f"number of time series: {len(panel)}")
    log.info(f"number of observations: {int(observed.sum())}")
    log.info(f"mean target length: {float(panel.lengths.mean()) if len(panel) else 0.0}")
    low, middle, high = float(values.min()), float(values.mean()), float(values.max())
    log.info(f"min/mean/max target: {low}/{middle}/{high}")
    log.info(f"mean abs(target): {float(np.abs(values).mean())}")
    log.info(f"contains missing values: {'no' if observed.all() else 'yes'}")


@dataclass
class EpochReport:
    """Lines during and after each epoch."""

    log: AlgorithmLog
    epochs: int
    size: int
    _started: float = field(default_factory=clock.now)
    _told: float = field(default_factory=clock.now)
    _recent: list[float] = field(default_factory=list)

    def batch(self, epoch: int, batch: int, loss: float, average: float) -> None:
        """Every fifth batch: the epoch's mean loss, and that since the last line."""
        if not batch:
            self._started = self._told = clock.now()
            self._recent = []
        self._recent.append(loss)
        if batch % EVERY:
            return
        recent = sum(self._recent) / len(self._recent)
        self.log.info(f"Epoch[{epoch}] Batch[{batch}] avg_epoch_loss={average:.6f}")
        self.log.quality_metric("train", "loss", recent, epoch=epoch, batch=batch)
        now = clock.now()
        if batch:
            speed = len(self._recent) * self.size / max(now - self._told, 1e-9)
            self.log.info(
                f"Epoch[{epoch}] Batch [{batch}]#011Speed: {speed:.2f} samples/sec#011"
                f"loss={recent:.6f}"
            )
        self._told, self._recent = now, []

    def epoch(self, epoch: Epoch) -> None:
        """The end of an epoch."""
        log, started = self.log, self._started
        log.info(f"processed a total of {epoch.windows} examples")
        seconds = clock.now() - started
        metrics = {"epochs": self.epochs} if not epoch.number else {}
        log.metrics_json({**metrics, "update.time": seconds * 1000}, started)
        log.throughput(epoch.windows, seconds)
        log.progress(100.0 * (epoch.number + 1) / self.epochs)
        log.quality_metric("train", "loss", epoch.loss, epoch=epoch.number)
        log.info("best epoch loss so far" if epoch.is_best else "loss did not improve")
