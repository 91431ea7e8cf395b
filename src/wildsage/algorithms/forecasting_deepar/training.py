"""Training: windows at random out of the panel, Adam over all hosts' gradients, the best epoch.

An epoch is one pass over the series; where they are few, several passes, so that it has ten
batches. A pass takes one window of each series. The rows of a batch are shared out over threads and
hosts; gradients are sums over rows, so who computes what changes nothing but rounding.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from wildsage.algorithms.forecasting_deepar.likelihoods import LIKELIHOODS
from wildsage.algorithms.forecasting_deepar.names import OUTPUTS
from wildsage.algorithms.forecasting_deepar.network import Network
from wildsage.algorithms.forecasting_deepar.series import Panel
from wildsage.algorithms.forecasting_deepar.threads import threaded
from wildsage.algorithms.forecasting_deepar.weights import Weights
from wildsage.algorithms.forecasting_deepar.windows import Cutter, Layout, Windows, available
from wildsage.algorithms.threads import one_blas_thread, processors
from wildsage.contract.cluster import Cluster

LEAST_BATCHES = 10
EARLY_SHARE = 0.3
ROWS_PER_THREAD = 32
CLIP_NORM = 10.0
WARM_UP_SHARE, WARM_UP_MOST = 0.05, 100
HIGHEST_RATE, LAST_RATE = 3.0, 0.02
AVERAGE = 0.99
SIZE_NOISE = 0.5
BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-8

# Told after each batch: epoch, batch, its loss, the epoch's mean loss so far.
Tell = Callable[[int, int, float, float], None]


@dataclass(frozen=True, slots=True)
class Settings:
    """Hyperparameters of training."""

    epochs: int
    mini_batch_size: int = 128
    learning_rate: float = 1e-3
    dropout_rate: float = 0.1
    num_cells: int = 40
    num_layers: int = 2
    embedding_dimension: int = 10
    early_stopping_patience: int | None = None
    likelihood: str = "student-T"
    seed: int = 0


@dataclass(slots=True)
class Epoch:
    """What is told of an epoch when it is over."""

    number: int
    loss: float
    windows: int
    is_best: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """How many windows and batches an epoch has, and how many passes over the series they take."""

    series: int
    windows: int
    batches: int
    passes: int

    @classmethod
    def of(cls, series: int, batch: int) -> Plan:
        windows = max(series, LEAST_BATCHES * batch)
        return cls(series, windows, math.ceil(windows / batch), math.ceil(windows / series))

    @property
    def share(self) -> float:
        """The share of the passes that is used."""
        return self.windows / (self.passes * self.series)


class Training:
    """The network, its optimizer, and where windows come from."""

    def __init__(
        self,
        settings: Settings,
        panel: Panel,
        layout: Layout,
        cardinality: list[int],
        *,
        cluster: Cluster | None = None,
        sharded: bool = False,
    ) -> None:
        self.settings, self.layout, self.cardinality = settings, layout, cardinality
        self.cluster, self.sharded = cluster or Cluster(), sharded
        self.cutter = Cutter(panel, layout, often=True)
        self._windows = available(panel, layout.prediction)
        self._usable = np.flatnonzero(self._windows)
        count = len(self._usable)
        if sharded:
            count = int(self.cluster.allreduce(np.array([count]))[0])
        self.plan = Plan.of(max(count, 1), settings.mini_batch_size)
        seed = settings.seed + (1_000_003 * self.cluster.rank if sharded else 0)
        self._random = np.random.default_rng([seed, 11])
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.size_mean, deviation = self._sizes(panel)
        self.size_scale = max(deviation, 0.1)
        self._size_noise = SIZE_NOISE * deviation / self.size_scale
        self.network = Network(
            layout.width,
            cardinality,
            settings.embedding_dimension,
            settings.num_cells,
            settings.num_layers,
            OUTPUTS[settings.likelihood],
            self.device,
        )
        self.network.initialise(settings.seed)
        self._adam = Adam(self.network.flat)
        self.average = self.network.flat.clone()

    def _sizes(self, panel: Panel) -> tuple[float, float]:
        """Mean and deviation of the logarithms of the series' mean sizes, over all hosts."""
        logs = np.log(np.maximum(mean_sizes(panel)[self._usable], 1e-10)) - math.log(
            self.layout.usual_scale
        )
        sums = np.array([len(logs), logs.sum(), (logs * logs).sum()])
        if self.sharded:
            sums = self.cluster.allreduce(sums)
        count, total, squares = sums
        mean = total / max(count, 1)
        deviation = math.sqrt(max(squares / max(count, 1) - mean * mean, 0))
        return mean + math.log(self.layout.usual_scale), deviation

    # --- epochs ----------------------------------------------------------------------------------

    def run(
        self,
        tell_batch: Tell = lambda epoch, batch, loss, average: None,
        tell_epoch: Callable[[Epoch], None] = lambda epoch: None,
        stopping: Callable[[], bool] = lambda: False,
    ) -> Epoch:
        """All epochs, or fewer where nothing improves or the job is stopped; the best one."""
        best, kept = None, None
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            with one_blas_thread():
                for number in range(self.settings.epochs):
                    epoch = self._epoch(number, tell_batch)
                    epoch.is_best = best is None or epoch.loss < best.loss
                    if epoch.is_best:
                        best, kept = epoch, self.average.clone()
                    tell_epoch(epoch)
                    assert best is not None
                    if self._told_to_stop(stopping) or self._is_stale(number, best):
                        break
        finally:
            torch.set_num_threads(threads)
        assert best is not None and kept is not None
        self.average = kept
        return best

    def _told_to_stop(self, stopping: Callable[[], bool]) -> bool:
        """Whether any host is: they must all stop after the same epoch."""
        return bool(self.cluster.allreduce(np.array([int(stopping())]))[0])

    def _is_stale(self, number: int, best: Epoch) -> bool:
        patience = self.settings.early_stopping_patience
        return patience is not None and number - best.number >= patience

    def _epoch(self, number: int, tell: Tell) -> Epoch:
        total, count = 0.0, 0.0
        for batch, (rows, splits) in enumerate(self._batches()):
            loss, points = self._step(rows, splits)
            total, count = total + loss * points, count + points
            tell(number, batch, loss, total / max(count, 1))
        return Epoch(number, total / max(count, 1), self.plan.windows)

    def _batches(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """This host's part of each batch of an epoch: series, and where their forecasts begin."""
        size, plan, cluster = self.settings.mini_batch_size, self.plan, self.cluster
        order = self._order(plan.windows if not self.sharded else plan.batches * size)
        splits = self._splits(order)
        for batch in range(plan.batches):
            if self.sharded:
                share = _share(size, cluster)
                mine = slice(batch * share, (batch + 1) * share)
            else:
                end = min((batch + 1) * size, len(order))
                mine = slice(batch * size + cluster.rank, end, cluster.size)
            yield order[mine], splits[mine]

    def _order(self, count: int) -> np.ndarray:
        """So many series, each pass over them in an order of its own."""
        usable = self._usable
        if not len(usable):
            return usable
        passes = [self._random.permutation(usable) for _ in range(-(-count // len(usable)))]
        return np.concatenate(passes)[:count]

    def _splits(self, order: np.ndarray) -> np.ndarray:
        """Where forecasts begin: mostly where all lags lie within the series, sometimes anywhere.

        Windows at a series' beginning teach what to do with new series, but little of the seasons.
        A window without any history is only taken where there is no other.
        """
        random, early = self._random.random((2, len(order)))
        counts = self._windows[order] if len(order) else np.empty(0)
        whole = self.layout.context + int(self.layout.lags.max(initial=0))
        late = np.clip(counts // 2, 1, whole)
        least = np.minimum(np.where(early < EARLY_SHARE, 1, late), counts - 1)
        splits: np.ndarray = (least + random * (counts - least)).astype(np.int64)
        return splits

    # --- steps -----------------------------------------------------------------------------------

    def _step(self, rows: np.ndarray, splits: np.ndarray) -> tuple[float, float]:
        """One step of Adam; the mean loss, and over how many values."""
        layout = self.layout
        keeps, noise = self._zoneout(len(rows)), self._blur(len(rows))
        threads = processors() if self.device.type == "cpu" else 1
        parts = max(1, min(threads, len(rows) // ROWS_PER_THREAD))
        pieces = np.array_split(np.arange(len(rows)), parts)

        def gradients(piece: np.ndarray) -> np.ndarray:
            steps = layout.context + layout.prediction
            windows = self.cutter.cut(rows[piece], splits[piece], steps)
            return self._gradients(windows, [keep[:, :, piece] for keep in keeps], noise[piece])

        flat = self.cluster.allreduce(np.sum(threaded(gradients, pieces), axis=0))
        loss, points = float(flat[-2]), float(flat[-1])
        self._apply(flat[:-2] / max(points, 1.0))
        return loss / max(points, 1.0), points

    def _zoneout(self, rows: int) -> list[np.ndarray]:
        """Which hidden values are kept, for each layer; drawn for all hosts alike."""
        settings, layout = self.settings, self.layout
        layers = range(settings.num_layers)
        if settings.dropout_rate == 0:
            return [np.empty((0, settings.num_cells, rows), np.uint8) for _ in layers]
        shape = (layout.context + layout.prediction, settings.num_cells, self._everyone(rows))
        limit = round(settings.dropout_rate * 2**16)
        drawn = (np.frombuffer(self._random.bytes(2 * math.prod(shape)), np.uint16) for _ in layers)
        masks = ((numbers < limit).view(np.uint8).reshape(shape) for numbers in drawn)
        return [self._mine(mask, rows) for mask in masks]

    def _blur(self, rows: int) -> np.ndarray:
        """What is added to each row's size, as a share of how much the series differ in it.

        To the digit it tells series apart, and a long training learns their pasts by heart. Where
        there is but one it only tells the level, and stays as it is.
        """
        if self._size_noise == 0:
            return np.zeros(rows, np.float32)
        drawn = self._random.normal(0, self._size_noise, self._everyone(rows))
        return self._mine(drawn.astype(np.float32), rows)

    def _everyone(self, rows: int) -> int:
        """For how many rows is drawn: of all hosts, where these share out the same batch."""
        return rows if self.sharded else self.settings.mini_batch_size

    def _mine(self, drawn: np.ndarray, rows: int) -> np.ndarray:
        """This host's rows, the last axis, of what was drawn for everyone's."""
        if not self.sharded:
            drawn = drawn[..., self.cluster.rank :: self.cluster.size]
        return drawn[..., :rows]

    def _gradients(
        self, windows: Windows, keeps: list[np.ndarray], noise: np.ndarray
    ) -> np.ndarray:
        """The gradient summed over observed values, then the summed loss and their number."""
        result = np.zeros(len(self.network.flat) + 2)
        if not windows.observed.any():
            return result
        # A leaf of its own for each thread, sharing the memory of the vector.
        flat = self.network.flat.detach().requires_grad_()
        size = (np.log(windows.scales) - self.size_mean) / self.size_scale + noise
        outputs = self.network(
            self.network.parts(flat),
            self._tensor(windows.inputs),
            self._tensor(size.astype(np.float32)),
            self._tensor(windows.cats),
            [self._tensor(np.ascontiguousarray(keep)) for keep in keeps],
        )
        loss = LIKELIHOODS[self.settings.likelihood](
            outputs, self._tensor(windows.targets), self._tensor(windows.scales)
        )
        total = (loss * self._tensor(windows.observed)).sum()
        result[:-2] = torch.autograd.grad(total, flat)[0].cpu().numpy()
        result[-2:] = float(total.detach()), windows.observed.sum(dtype=np.float64)
        return result

    def _tensor(self, array: np.ndarray) -> Tensor:
        return torch.from_numpy(array).to(self.device)

    def _apply(self, gradient: np.ndarray) -> None:
        norm = float(np.linalg.norm(gradient))
        if not math.isfinite(norm):
            return
        if norm > CLIP_NORM:
            gradient = gradient * (CLIP_NORM / norm)
        rate = self.settings.learning_rate * self._pace(self._adam.steps)
        self._adam.step(self._tensor(gradient.astype(np.float32)), rate)
        # The average of the weights follows them; it is what becomes the model.
        steps = self._adam.steps
        self.average.lerp_(self.network.flat, 1 - min(AVERAGE, steps / (steps + 10)))

    def _pace(self, step: int) -> float:
        """The course of the step size, in learning rates: a short rise, then half a cosine down.

        The average of the weights and the small steps at the end bear larger ones before.
        """
        total = self.settings.epochs * self.plan.batches
        rise = max(1.0, min(WARM_UP_MOST, WARM_UP_SHARE * total))
        if step < rise:
            return HIGHEST_RATE * (step + 1) / rise
        done = (step - rise) / max(total - rise, 1)
        fall = 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))
        return LAST_RATE + (HIGHEST_RATE - LAST_RATE) * fall

    # --- the model -------------------------------------------------------------------------------

    def weights(self) -> Weights:
        """The model as arrays."""
        settings = self.settings
        return Weights(
            layout=self.layout,
            likelihood=settings.likelihood,
            zoneout=settings.dropout_rate,
            cardinality=self.cardinality,
            size_mean=self.size_mean,
            size_scale=self.size_scale,
            layers=settings.num_layers,
            arrays=self.network.arrays(self.average),
        )


class Adam:
    """Adam (Kingma and Ba, 2015) on one vector."""

    def __init__(self, parameters: Tensor) -> None:
        self.parameters = parameters
        self.steps = 0
        self._mean = torch.zeros_like(parameters)
        self._square = torch.zeros_like(parameters)

    def step(self, gradient: Tensor, rate: float) -> None:
        self.steps += 1
        self._mean.lerp_(gradient, 1 - BETA_1)
        self._square.mul_(BETA_2).addcmul_(gradient, gradient, value=1 - BETA_2)
        size = (self._square / (1 - BETA_2**self.steps)).sqrt_().add_(EPSILON)
        self.parameters.addcdiv_(self._mean, size, value=-rate / (1 - BETA_1**self.steps))


def _share(size: int, cluster: Cluster) -> int:
    """This host's rows of a batch, where every host draws from series of its own."""
    return size // cluster.size + int(cluster.rank < size % cluster.size)


def mean_sizes(panel: Panel) -> np.ndarray:
    """The mean absolute observed value of each series; 0 where there is none."""
    weights = panel.observed.astype(np.float64)
    sizes = np.concatenate([[0.0], np.cumsum(np.abs(panel.values) * weights)])
    counts = np.concatenate([[0.0], np.cumsum(weights)])
    begin, end = panel.offsets[:-1], panel.offsets[1:]
    totals: np.ndarray = (sizes[end] - sizes[begin]) / np.maximum(counts[end] - counts[begin], 1)
    return totals
