"""Training: a start, epochs of gradient steps, early stopping, the best weights kept.

Losses are counted in nats over all words, so that exp(total) is the perplexity. Several hosts sum
their gradients after every batch and so keep the same weights; the first one makes the start.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from wildsage import clock
from wildsage.algorithms import neural
from wildsage.algorithms.descent import Descent
from wildsage.algorithms.ntm import starting
from wildsage.algorithms.ntm.corpus import Corpus
from wildsage.algorithms.ntm.model import TopicModel
from wildsage.algorithms.ntm.network import (
    FIRST_LOG_SIGMA,
    RELEVANCE,
    Batch,
    Network,
    best_device,
    descent_of,
)
from wildsage.algorithms.ntm.refitting import refitted
from wildsage.contract.cluster import Cluster
from wildsage.contract.failure import ClientError
from wildsage.formats.matrix import SparseMatrix

TEACHING_PASSES = 3
TEACHING_STEPS = 60
TEACHING_RATE = 0.01
TEACHING_BATCH = 256
# Steps in which the rate rises to its full size: the first steps of Adam and its like are as long
# as any, in directions that say little yet, and undo what the encoder has been taught.
TEACHING_WARM_UP = 40
WARM_UP = 100
WARM_UP_EPOCHS = 2
JUDGED_AT_ONCE = 512
JUDGING_SEED = 1


@dataclass(slots=True)
class Settings:
    """The hyperparameters."""

    num_topics: int
    encoder_layers: list[int] | str = "auto"
    encoder_layers_activation: str = "sigmoid"
    batch_norm: bool = False
    epochs: int = 50
    mini_batch_size: int = 256
    optimizer: str = "adadelta"
    learning_rate: float = 0.001
    rescale_gradient: float = 1.0
    clip_gradient: float = math.inf
    weight_decay: float = 0.0
    sub_sample: float = 1.0
    num_patience_epochs: int = 3
    tolerance: float = 0.001

    @property
    def sizes(self) -> list[int]:
        if isinstance(self.encoder_layers, str):
            return [3 * self.num_topics, 2 * self.num_topics]
        return list(self.encoder_layers)


def settings_of(parameters: dict[str, Any]) -> Settings:
    """Settings from hyperparameters, which have names beside these."""
    names = Settings.__dataclass_fields__
    return Settings(**{name: value for name, value in parameters.items() if name in names})


@dataclass(slots=True)
class Losses:
    """Sums in nats, and what they are sums of."""

    reconstruction: float = 0.0
    divergence: float = 0.0
    words: float = 0.0
    documents: int = 0

    def add(self, reconstruction: float, divergence: float, rows: SparseMatrix) -> None:
        self.reconstruction += reconstruction
        self.divergence += divergence
        self.words += float(rows.data.sum(dtype=np.float64))
        self.documents += len(rows)

    def over(self, cluster: Cluster) -> Losses:
        """The sums of all hosts."""
        own = [self.reconstruction, self.divergence, self.words, self.documents]
        first, second, words, documents = cluster.allreduce(np.array(own)).tolist()
        return Losses(first, second, words, int(documents))

    def _per_word(self, value: float) -> float:
        return value / self.words if self.words else math.nan

    @property
    def total(self) -> float:
        return self._per_word(self.reconstruction + self.divergence)

    @property
    def kld(self) -> float:
        return self._per_word(self.divergence)

    @property
    def recons(self) -> float:
        return self._per_word(self.reconstruction)


@dataclass(slots=True)
class EpochReport:
    """One epoch; `train` has no words where the job was stopped before the first batch."""

    epoch: int
    train: Losses
    batches: int
    train_seconds: float
    validation: Losses | None = None
    validation_seconds: float = 0.0

    @property
    def loss(self) -> float:
        """What early stopping looks at."""
        return self.train.total if self.validation is None else self.validation.total


@dataclass
class Trainer:
    """One training. `validation_shared` tells that hosts hold parts of the validation data."""

    settings: Settings
    corpus: Corpus
    validation: Corpus | None = None
    cluster: Cluster = field(default_factory=Cluster)
    seed: int = 0
    stopping: Callable[[], bool] = lambda: False
    validation_shared: bool = False

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng([self.seed, self.cluster.rank])
        self.generator = torch.Generator().manual_seed(self.seed)
        self.history: list[float] = []
        self.best_epoch, self.best_loss = 0, math.inf
        self._best: dict[str, torch.Tensor] = {}
        self._stopped = False
        self.network = Network(
            self.corpus.documents.shape[1],
            self.settings.num_topics,
            self.settings.sizes,
            self.settings.encoder_layers_activation,
            self.settings.batch_norm,
            self.generator,
        )

    def threads(self) -> AbstractContextManager[None]:
        """As many threads as a step's work is worth."""
        documents, settings = self.corpus.documents, self.settings
        width = settings.num_topics + settings.sizes[0]
        words = documents.nnz / max(len(documents), 1) * settings.mini_batch_size
        return neural.threads_for((words + documents.shape[1]) * width)

    # --- start -----------------------------------------------------------------------------------

    def begin(self) -> None:
        """Topics from the documents, an encoder that knows them, the same on every host."""
        self._require_words(self.corpus, "train")
        if self.validation is not None and not self._any(self.stopping()):
            self._require_words(self.validation, "validation")
        if self.cluster.rank == 0:
            sample = self.corpus.sample(self.rng)
            found = starting.start(sample, self.settings.num_topics, self.rng)
            logits, scale, shift = found.logits()
            self.network.begin(found, scale, shift)
            self.network.to(best_device())
            self._teach(sample, logits)
        self.network.to(best_device())
        self._share(self.network.state_dict().values())
        self.generator.manual_seed(self.seed + self.cluster.rank)
        self._descent = descent_of(
            self.settings.optimizer,
            self.network.parameters(),
            self.settings.learning_rate,
            self.settings.weight_decay,
        )
        self._full_rate, self._steps = self._descent.rate, 0
        self._warm_up = self._steps_to_warm_up()
        self._keep(0, math.inf)

    def _steps_to_warm_up(self) -> int:
        """The same on every host; few where there are few batches."""
        documents = int(self.cluster.allreduce(np.array([len(self.corpus.documents)]))[0])
        drawn = documents * self.settings.sub_sample / self.cluster.size
        batches = math.ceil(drawn / self.settings.mini_batch_size)
        return min(WARM_UP, WARM_UP_EPOCHS * batches)

    def _require_words(self, corpus: Corpus, channel: str) -> None:
        words = self.cluster.allreduce(np.array([corpus.documents.data.sum(dtype=float)]))
        if not words[0] > 0:
            raise ClientError(f"The documents in data channel '{channel}' have no words.")

    def _teach(self, sample: SparseMatrix, logits: np.ndarray) -> None:
        """Let the encoder learn the weights that the start has found."""
        network = self.network
        fixed = {id(network.weight), id(network.scale), id(network.shift)}
        parameters = [p for p in network.parameters() if id(p) not in fixed]
        descent = Descent("adam", parameters, TEACHING_RATE)
        wanted = torch.from_numpy(logits.astype(np.float32))
        steps, taught = -(-len(sample) // TEACHING_BATCH), 0
        for _ in range(max(TEACHING_PASSES, -(-TEACHING_STEPS // steps))):
            order = self.rng.permutation(len(sample))
            for begin in range(0, len(order), TEACHING_BATCH):
                rows = order[begin : begin + TEACHING_BATCH]
                if len(rows) == 1 and self.settings.batch_norm:
                    continue  # one document has no deviation to normalise by
                batch = Batch.of(sample.take(rows), network.device)
                mean, log_sigma = network.encode(batch, network.thinned(batch))
                loss: Any = ((mean - wanted[rows].to(network.device)) ** 2).mean()
                loss = loss + ((log_sigma - FIRST_LOG_SIGMA) ** 2).mean()
                taught += 1
                descent.rate = TEACHING_RATE * min(1.0, taught / TEACHING_WARM_UP)
                descent.clear()
                loss.backward()
                descent.step()

    def _share(self, tensors: Iterable[torch.Tensor]) -> None:
        """Give every host what the first one has."""
        if self.cluster.size == 1:
            return
        with torch.no_grad():
            for tensor in tensors:
                told = self.cluster.broadcast(tensor.cpu().numpy())
                tensor.copy_(torch.from_numpy(told.copy()).reshape(tensor.shape))

    def _share_statistics(self) -> None:
        """Those of batch normalisation, which every host has gathered from its own documents."""
        if self.settings.batch_norm:
            self._share(self.network.buffers())

    # --- epochs ----------------------------------------------------------------------------------

    def epochs(self) -> Iterator[EpochReport]:
        """Train; a report after each epoch, counted from 1."""
        for epoch in range(1, self.settings.epochs + 1):
            report = self._epoch(epoch)
            if report.train.words and not math.isfinite(report.train.total):
                raise ClientError(
                    "The loss is not finite. Please lower the value of the 'learning_rate' "
                    "hyperparameter, or set 'clip_gradient'."
                )
            self.history.append(report.loss)
            if report.loss < self.best_loss:
                self._keep(epoch, report.loss)
            yield report
            if self._has_settled() or self._stopped:
                return

    def _epoch(self, epoch: int) -> EpochReport:
        started = clock.monotonic()
        losses, batches = Losses(), 0
        self.network.train()
        for rows in self._rows():
            if rows is not None and not (self.settings.batch_norm and len(rows) == 1):
                batches += 1
                self._step(rows, losses)
            elif not self._join(None, 0):
                break
        report = EpochReport(epoch, losses.over(self.cluster), batches, clock.monotonic() - started)
        self._stopped = self._any(self.stopping())
        self._share_statistics()
        if self.validation is not None and not self._stopped:
            started = clock.monotonic()
            report.validation = self.judge(self.validation, shared=self.validation_shared)
            report.validation_seconds = clock.monotonic() - started
        return report

    def _rows(self) -> Iterator[SparseMatrix | None]:
        """This host's batches, then None for as long as other hosts have some."""
        settings = self.settings
        share = settings.sub_sample
        for rows in self.corpus.batches(settings.mini_batch_size, self.rng, share):
            if self.stopping():
                break
            yield rows
        while self.cluster.size > 1:
            yield None

    def _step(self, rows: SparseMatrix, losses: Losses) -> None:
        batch = Batch.of(rows, self.network.device)
        reconstruction, divergence = self.network(batch, self.network.thinned(batch))
        self._descent.clear()
        loss: Any = (reconstruction + divergence) / len(rows)
        loss.backward()
        self._join([p.grad for p in self.network.parameters()], len(rows))
        losses.add(float(reconstruction.detach()), float(divergence.detach()), rows)

    def _join(self, gradients: list[Any] | None, documents: int) -> bool:
        """Step along the mean gradient of all hosts' documents; False when no host has any."""
        parameters = list(self.network.parameters())
        if self.cluster.size > 1:
            total = self._summed(gradients, documents)
            if not total[-1]:
                return False
            self._spread(total[:-1] / total[-1])
        found = [p.grad for p in parameters if p.grad is not None]
        if self.settings.rescale_gradient != 1:
            torch._foreach_mul_(found, self.settings.rescale_gradient)
        if math.isfinite(self.settings.clip_gradient):
            torch._foreach_clamp_max_(found, self.settings.clip_gradient)
            torch._foreach_clamp_min_(found, -self.settings.clip_gradient)
        self._steps += 1
        self._descent.rate = self._full_rate * min(1.0, self._steps / max(self._warm_up, 1))
        self._descent.step()
        return True

    def _summed(self, gradients: list[Any] | None, documents: int) -> np.ndarray:
        """All hosts' gradients, each weighted by its documents; their number comes last."""
        size = sum(p.numel() for p in self.network.parameters())
        flat = np.zeros(size + 1, np.float32)
        if gradients is not None:
            parts = [gradient.reshape(-1) for gradient in gradients]
            flat[:-1] = torch.cat(parts).cpu().numpy() * documents
            flat[-1] = documents
        return self.cluster.allreduce(flat)

    def _spread(self, flat: np.ndarray) -> None:
        begin = 0
        for parameter in self.network.parameters():
            part = torch.from_numpy(flat[begin : begin + parameter.numel()].copy())
            parameter.grad = part.reshape(parameter.shape).to(parameter.device)
            begin += parameter.numel()

    # --- judging ---------------------------------------------------------------------------------

    def judge(self, corpus: Corpus, *, shared: bool = False) -> Losses:
        """The losses on documents that are not learned from, always with the same noise."""
        losses = Losses()
        state = self.generator.get_state()
        self.generator.manual_seed(JUDGING_SEED)
        self.network.eval()
        with torch.no_grad():
            for rows in corpus.in_order(JUDGED_AT_ONCE):
                batch = Batch.of(rows, self.network.device)
                reconstruction, divergence = self.network(batch, batch.values)
                losses.add(float(reconstruction), float(divergence), rows)
        self.generator.set_state(state)
        return losses.over(self.cluster) if shared else losses

    def _has_settled(self) -> bool:
        """Whether the loss has fallen by less than the tolerance in the epochs of patience."""
        patience = self.settings.num_patience_epochs
        if len(self.history) <= patience:
            return False
        before, lately = min(self.history[:-patience]), min(self.history[-patience:])
        return not before - lately > self.settings.tolerance * abs(before)

    def _any(self, answer: bool) -> bool:
        """Whether it is so on any host."""
        return bool(self.cluster.allreduce(np.array([answer], np.int64))[0])

    def _keep(self, epoch: int, loss: float) -> None:
        self.best_epoch, self.best_loss = epoch, loss
        self._best = {name: value.clone() for name, value in self.network.state_dict().items()}

    def finish(self) -> TopicModel:
        """The model of the best epoch, its topics refitted."""
        self.network.load_state_dict(self._best)
        if self.best_epoch and not self._stopped:
            self._refit()
        return self.network.export()

    def _refit(self) -> None:
        """Where there are documents to judge by, they say whether refitted topics are better."""
        model = self.network.export()
        frequencies = np.exp(model.projection_bias / RELEVANCE)
        self.network.take_topics(refitted(model, self.corpus, frequencies, self.cluster))
        if self.validation is None:
            return
        after = self.judge(self.validation, shared=self.validation_shared).total
        if self._any(not after <= self.best_loss):
            self.network.load_state_dict(self._best)
