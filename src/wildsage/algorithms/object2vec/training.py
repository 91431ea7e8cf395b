"""Training: tables of embeddings, epochs of gradient steps, early stopping, the best kept."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from wildsage import clock
from wildsage.algorithms import neural
from wildsage.algorithms.object2vec.layers import Ragged
from wildsage.algorithms.object2vec.model import PairModel
from wildsage.algorithms.object2vec.network import (
    Network,
    Numbering,
    best_device,
    first_table,
    numbered,
)
from wildsage.algorithms.object2vec.optimizers import LazyRows, WholeTable, descent_of
from wildsage.algorithms.object2vec.pairs import Pairs
from wildsage.contract.failure import ClientError

JUDGED_AT_ONCE = 256
# (rows by token, which tokens have one)
Pretrained = tuple[np.ndarray, np.ndarray]


@dataclass(slots=True)
class Figures:
    """Sums over pairs."""

    pairs: int = 0
    loss: float = 0.0
    correct: float = 0.0

    def add(self, scores: torch.Tensor, labels: torch.Tensor, loss: float) -> None:
        self.pairs += len(labels)
        self.loss += loss
        if scores.shape[1] > 1:
            self.correct += float((scores.detach().argmax(1) == labels.long()).sum())

    def metrics(self, classifies: bool) -> dict[str, float]:
        """The documented names."""
        count = self.pairs or math.nan
        if not classifies:
            return {"mean_squared_error": self.loss / count}
        return {"cross_entropy": self.loss / count, "accuracy": self.correct / count}


@dataclass(slots=True)
class EpochReport:
    epoch: int
    train: Figures
    seconds: float
    validation: Figures | None = None

    @property
    def loss(self) -> float:
        """What early stopping looks at."""
        figures = self.train if self.validation is None else self.validation
        return figures.loss / (figures.pairs or math.nan)


@dataclass
class Trainer:
    """`settings` are hyperparameters as `spec.completed` leaves them; epochs count from 0."""

    settings: Mapping[str, Any]
    pairs: Pairs
    validation: Pairs | None = None
    pretrained: Sequence[Pretrained | None] = (None, None)
    seed: int = 0
    stopping: Callable[[], bool] = lambda: False
    best_epoch: int = field(default=-1, init=False)
    best_loss: float = field(default=math.inf, init=False)

    def __post_init__(self) -> None:
        settings = self.settings
        self.rng = np.random.default_rng(self.seed)
        self.generator = torch.Generator().manual_seed(self.seed)
        self.device = best_device()
        self.tied = bool(settings["tied_token_embedding_weight"])
        self.network = Network(settings, self.generator).to(self.device)
        self.tables = [self._table(side) for side in range(1 if self.tied else 2)]
        self.frozen = [self._is_frozen(side) for side in range(len(self.tables))]
        kind, rate = settings["optimizer"], settings["learning_rate"]
        decay = settings["weight_decay"]
        whole: list[torch.Tensor] = list(self.network.parameters())
        self.numberings = [Numbering(len(table)) for table in self.tables]
        self.updates: list[LazyRows | WholeTable | None] = []
        for table, frozen in zip(self.tables, self.frozen, strict=True):
            if frozen:
                self.updates.append(None)
            elif settings["token_embedding_storage_type"] == "row_sparse":
                self.updates.append(LazyRows(kind, table, rate, decay))
            else:
                self.updates.append(WholeTable(table))
                whole.append(table)
        self.descent = descent_of(kind, whole, rate, decay)
        self._best: Any = None

    def threads(self) -> AbstractContextManager[None]:
        """As many threads as a step's work is worth."""
        weights = sum(p.numel() for p in self.network.parameters())
        tokens = (len(self.pairs.first.tokens) + len(self.pairs.second.tokens)) / 2
        mean = tokens / max(len(self.pairs), 1)
        return neural.threads_for(weights * mean * self.settings["mini_batch_size"])

    def _table(self, side: int) -> torch.Tensor:
        size = self.settings[f"enc{side}_vocab_size"]
        width = self.settings[f"enc{side}_token_embedding_dim"]
        table = first_table(size, width, self.generator, self.device)
        given = self.pretrained[side]
        if given is not None:
            rows, known = given
            table[torch.from_numpy(known).to(self.device)] = torch.from_numpy(rows[known]).to(
                self.device
            )
        return table

    def _is_frozen(self, side: int) -> bool:
        frozen = self.settings[f"enc{side}_freeze_pretrained_embedding"]
        return self.pretrained[side] is not None and bool(frozen)

    # --- epochs ----------------------------------------------------------------------------------

    def epochs(self) -> Iterator[EpochReport]:
        """Train; a report after each epoch."""
        patience = self.settings["early_stopping_patience"]
        wanted, idle = math.inf, 0
        for epoch in range(self.settings["epochs"]):
            report = self._epoch(epoch)
            if report.train.pairs and not math.isfinite(report.train.loss):
                raise ClientError(
                    "The loss is not finite. Please lower the value of the 'learning_rate' "
                    "hyperparameter."
                )
            if report.loss < self.best_loss:
                self._keep(epoch, report.loss)
            yield report
            idle = 0 if report.loss <= wanted else idle + 1
            wanted = min(wanted, report.loss - self.settings["early_stopping_tolerance"])
            if idle >= patience or self.stopping():
                return

    def _epoch(self, epoch: int) -> EpochReport:
        started = clock.monotonic()
        figures = Figures()
        self.network.train()
        settings = self.settings
        for batch in self.pairs.batches(
            settings["mini_batch_size"], self.rng, settings["bucket_width"]
        ):
            if self.stopping():
                break
            self._step(batch, figures)
        report = EpochReport(epoch, figures, clock.monotonic() - started)
        if self.validation is not None and not self.stopping():
            report.validation = self.judge(self.validation)
        return report

    def _step(self, batch: Pairs, figures: Figures) -> None:
        tokens, tables, sides = self._inputs(batch)
        first, second = self._encoded(tables, sides)
        labels = torch.from_numpy(batch.labels).to(self.device)
        first, second, labels = self._with_negatives(first, second, labels)
        scores = self.network.score(first, second)
        losses = self.network.losses(scores, labels)
        loss: Any = losses.mean()
        self.descent.clear()
        loss.backward()
        self._update(tokens, tables)
        figures.add(scores, labels, float(loss.detach()) * len(labels))

    def _update(self, tokens: Sequence[torch.Tensor], tables: Sequence[torch.Tensor]) -> None:
        """A step of all weights and of the tables."""
        touched = list(zip(self.updates, tokens, tables, strict=True))
        for update, rows, table in touched:
            if isinstance(update, WholeTable) and table.grad is not None:
                update.begin(rows, table.grad)
        self.descent.step()
        for update, rows, table in touched:
            if isinstance(update, WholeTable):
                update.end(rows)
            elif update is not None and table.grad is not None:
                update.step(rows, table.grad)

    def _inputs(
        self, batch: Pairs
    ) -> tuple[list[torch.Tensor], list[torch.Tensor], Sequence[Ragged]]:
        """(the batch's different tokens, their rows of the tables, where to look them up)."""
        different, sides = numbered(batch, self.numberings)
        tokens = [torch.from_numpy(found).to(self.device) for found in different]
        tables = [
            table.index_select(0, rows).requires_grad_(not frozen)
            for table, rows, frozen in zip(self.tables, tokens, self.frozen, strict=True)
        ]
        return tokens, tables, sides

    def _encoded(
        self, tables: Sequence[torch.Tensor], sides: Sequence[Ragged]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        encode = self.network.encode
        return encode(0, tables[0], sides[0]), encode(1, tables[-1], sides[1])

    def _with_negatives(
        self, first: torch.Tensor, second: torch.Tensor, labels: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Each first object also with other pairs' second ones: those of its batch, at random."""
        count = len(labels)
        rate = self.settings["negative_sampling_rate"] if count > 1 else 0
        if not rate:
            return first, second, labels
        shifts = self.rng.integers(1, count, (rate, 1))
        others = torch.from_numpy(((np.arange(count) + shifts) % count).ravel()).to(self.device)
        again = torch.arange(count, device=self.device).repeat(rate)
        return (
            torch.cat([first, first[again]]),
            torch.cat([second, second[others]]),
            torch.cat([labels, labels.new_zeros(count * rate)]),
        )

    # --- judging ---------------------------------------------------------------------------------

    def judge(self, pairs: Pairs) -> Figures:
        """The figures of pairs that are not learned from."""
        figures = Figures()
        self.network.eval()
        with torch.no_grad():
            for batch in pairs.batches(JUDGED_AT_ONCE):
                _, tables, sides = self._inputs(batch)
                first, second = self._encoded(tables, sides)
                labels = torch.from_numpy(batch.labels).to(self.device)
                scores = self.network.score(first, second)
                loss = float(self.network.losses(scores, labels).sum())
                figures.add(scores, labels, loss)
        return figures

    def _keep(self, epoch: int, loss: float) -> None:
        self.best_epoch, self.best_loss = epoch, loss
        state = {name: value.clone() for name, value in self.network.state_dict().items()}
        self._best = (state, [table.detach().clone() for table in self.tables])

    def finish(self) -> PairModel:
        """The model of the best epoch."""
        if self._best is not None:
            state, tables = self._best
            self.network.load_state_dict(state)
            with torch.no_grad():
                for table, best in zip(self.tables, tables, strict=True):
                    table.copy_(best)
        found = [table.detach().cpu().numpy() for table in self.tables]
        return self.network.export(found * 2 if self.tied else found)
