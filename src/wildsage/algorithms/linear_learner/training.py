"""Training all models, epoch by epoch.

The first epoch takes mini-batch steps. When optimizer and learning_rate are both `auto`, the later
epochs are passes over all rows that end in one second-order step (`solvers`), until every model is
at its optimum; otherwise they are further epochs of mini-batches. Either way an epoch is one pass
over the data, its losses are reported, and early stopping looks at them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wildsage.algorithms.linear_learner.calibration import calibrate, operating_curve
from wildsage.algorithms.linear_learner.evaluation import (
    Evaluation,
    Evaluator,
    calibration_limit,
    scored,
    uses_threshold,
)
from wildsage.algorithms.linear_learner.losses import loss_name
from wildsage.algorithms.linear_learner.metrics import JudgedRows
from wildsage.algorithms.linear_learner.model import LinearModel
from wildsage.algorithms.linear_learner.optimizers import make_optimizer
from wildsage.algorithms.linear_learner.passes import Sums, block_sums, folded
from wildsage.algorithms.linear_learner.preparation import (
    Plan,
    initial_weights,
    is_solved,
    prepare,
)
from wildsage.algorithms.linear_learner.second_order import Stage, make_stage
from wildsage.algorithms.linear_learner.sources import Block, MemorySource, Source, folds
from wildsage.algorithms.threads import one_blas_thread
from wildsage.contract.cluster import Cluster

Array = NDArray[Any]
SAMPLED_ROWS = 20_000
FINAL_ROWS = 100_000
FOLDS = 5
FEWEST_ROWS, MOST_ROWS, ROWS_PER_PARAMETER = 20, 20_000, 50


@dataclass(slots=True)
class EpochReport:
    """What one epoch brought; losses per model, training losses in the scaled label's unit."""

    epoch: int
    train_losses: Array
    validation_losses: Array | None
    criterion: str
    value: float
    improved: bool
    records: int
    seconds: float = 0.0


@dataclass(slots=True)
class Progress:
    """Early stopping: the best value so far, where it was, and how long it has not been beaten."""

    patience: int
    tolerance: float
    best: float = np.inf
    best_epoch: int = -1
    best_weights: Array | None = None
    stale: int = 0

    def take(self, value: float, epoch: int, weights: Array) -> bool:
        """`value` is a loss. Whether it is a new best; a small improvement does not end waiting."""
        if not value < self.best:
            self.stale += 1
            return False
        relevant = self.best - value > self.tolerance * abs(self.best) or np.isinf(self.best)
        self.stale = 0 if relevant else self.stale + 1
        self.best, self.best_epoch, self.best_weights = value, epoch, weights.copy()
        return True

    @property
    def exhausted(self) -> bool:
        return self.stale >= self.patience


@dataclass(slots=True)
class Choice:
    """The model that was chosen: its number, its columns of (scaled) weights, how it was judged.

    `rows` are all that it was calibrated on, if those are all there are.
    """

    model: int
    weights: Array
    judged: tuple[float, float | None]
    threshold: float = 0.0
    rows: JudgedRows | None = None

    def beats(self, other: Choice, tolerance: float) -> bool:
        """By the criterion if the difference counts, else by the loss."""
        (loss, value), (other_loss, other_value) = self.judged, other.judged
        if value is None or other_value is None or abs(value - other_value) <= tolerance * value:
            return loss < other_loss
        return value > other_value


class Trainer:
    """Trains the models of a plan; between the epochs of `epochs()` the caller reports and
    saves."""

    def __init__(
        self,
        plan: Plan,
        hyperparameters: Mapping[str, Any],
        *,
        cluster: Cluster | None = None,
        seed: int = 0,
        stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        self.plan = plan
        self.hyperparameters = hyperparameters
        self.cluster = cluster or Cluster()
        self.stopping = stopping
        self.next_epoch = 0
        self.weights = initial_weights(plan, hyperparameters, seed)
        columns = plan.candidates
        per_column = [np.repeat(a, plan.classes) for a in (columns.rates, columns.wd, columns.l1)]
        self.optimizer = make_optimizer(hyperparameters, *per_column)
        self.progress = Progress(
            int(hyperparameters["early_stopping_patience"]),
            float(hyperparameters["early_stopping_tolerance"]),
        )
        self.stage: Stage | None = None
        self.crossed: Evaluation | None = None

    @classmethod
    def start(
        cls,
        source: Source,
        validation: Source | None,
        hyperparameters: Mapping[str, Any],
        cluster: Cluster | None = None,
        seed: int = 0,
        stopping: Callable[[], bool] = lambda: False,
    ) -> Trainer:
        """A trainer of everything that the hyperparameters ask for."""
        cluster = cluster or Cluster()
        plan = prepare(source, validation, hyperparameters, cluster)
        trainer = cls(plan, hyperparameters, cluster=cluster, seed=seed, stopping=stopping)
        if cluster.size == 1:
            trainer.crossed = cross_validate(plan, hyperparameters, seed)
        return trainer

    # --- epochs ----------------------------------------------------------------------------------

    def epochs(self) -> Iterator[EpochReport]:
        for epoch in range(self.next_epoch, int(self.hyperparameters["epochs"])):
            with one_blas_thread():
                report = self._epoch(epoch)
            self.next_epoch = epoch + 1
            yield report
            if self.progress.exhausted or self._solved() or self.stopping():
                return

    def _epoch(self, epoch: int) -> EpochReport:
        if epoch > 0 and self.stage is None and is_solved(self.hyperparameters):
            self.stage = make_stage(self.plan, self.hyperparameters, self.weights, self.cluster)
        if self.stage is None:
            losses, records = self._minibatches()
        else:
            losses, records = self.stage.advance()
            self.weights = self.stage.weights
        return self._judge(epoch, losses, records)

    def _solved(self) -> bool:
        return self.stage is not None and self.stage.finished

    def _judge(self, epoch: int, losses: Array, records: int) -> EpochReport:
        validation = None
        if self.plan.validation is not None:
            rows = min(SAMPLED_ROWS, calibration_limit(self.hyperparameters))
            validation = self.evaluator().evaluate(self.weights, self.plan.models, rows)
        name, value, loss_like = self.plan.loss.objective, float(np.nanmin(losses)), True
        if validation is not None:
            value = float(np.nanmin(validation.losses))
            if validation.criterion is not None:
                criterion = self.hyperparameters["binary_classifier_model_selection_criteria"]
                name, value = f"sampled_{criterion}", float(np.nanmax(validation.criterion))
                loss_like = False
        improved = self.progress.take(value if loss_like else -value, epoch, self.weights)
        losses_there = None if validation is None else validation.losses
        return EpochReport(epoch, losses, losses_there, name, value, improved, records)

    def _minibatches(self) -> tuple[Array, int]:
        """One epoch of mini-batch steps; the mean loss of each model while they were made.

        All hosts step together; one that has run out of rows goes on with none until all have.
        """
        plan = self.plan
        losses, rows = np.zeros(plan.models), 0.0
        blocks = plan.source.blocks(int(self.hyperparameters["mini_batch_size"]))
        while True:
            block = None if self.stopping() else next(blocks, None)
            sums = self._step_sums(block).over(self.cluster)
            if not sums.rows:
                return losses / max(rows, 1), int(rows)
            gradient = plan.working.unfold(sums.product, sums.total) / sums.rows
            self.optimizer.step(self.weights, gradient.astype(np.float32, copy=False))
            losses += sums.losses
            rows += sums.rows

    def _step_sums(self, block: Block | None) -> Sums:
        if block is None:
            return Sums.zero(self.plan.models, len(self.weights) - 1, self.weights.shape[1])
        raw, offset = folded(self.plan, self.weights)
        return block_sums(self.plan, block, raw, offset, 0.0)

    # --- judging ---------------------------------------------------------------------------------

    def evaluator(self, *, final: bool = False) -> Evaluator:
        """Of the validation rows; without any, of (a sample of) the training rows of all hosts."""
        plan = self.plan
        source, scaler = plan.validation, plan.working
        if source is not None:
            return Evaluator(source, scaler, plan.loss, self.hyperparameters)
        source = plan.source
        if not final:
            source = MemorySource([source.sample(FINAL_ROWS)])
        return Evaluator(
            source,
            scaler,
            plan.loss,
            self.hyperparameters,
            total=self.cluster.allreduce,
            pool=self._pool,
        )

    def _pool(self, array: Array) -> Array:
        """The rows of all hosts."""
        if self.cluster.size == 1:
            return array
        return np.concatenate(self.cluster.allgather(array))

    def choose(self) -> Choice:
        """The best model of the last and of the best epoch, and its calibrated threshold."""
        with one_blas_thread():
            return self._choose()

    def _choose(self) -> Choice:
        if self.stage is not None:
            self.stage.settle()
            self.weights = self.stage.weights
        if self.crossed is not None:
            return self._choose_crossed(self.crossed)
        evaluator = self.evaluator()
        limit = calibration_limit(self.hyperparameters)
        best: Choice | None = None
        for weights in self._contenders():
            evaluation = evaluator.evaluate(weights, self.plan.models, min(limit, FINAL_ROWS))
            model = evaluation.best(self.progress.tolerance)
            choice = Choice(model, self._columns(weights, model), evaluation.of(model))
            if best is None or choice.beats(best, self.progress.tolerance):
                best = choice
        assert best is not None
        if uses_threshold(self.hyperparameters):
            margins, labels = self.evaluator(final=True).margins(best.weights, limit)
            judged = JudgedRows(margins[:, 0], labels, operating_curve(margins[:, 0], labels))
            best.threshold, _ = calibrate(judged.curve, self.hyperparameters)
            best.rows = judged if len(labels) < limit else None
        return best

    def _choose_crossed(self, crossed: Evaluation) -> Choice:
        model = crossed.best(self.progress.tolerance, self.plan.source.count)
        threshold = float(crossed.thresholds[model])
        return Choice(model, self._columns(self.weights, model), crossed.of(model), threshold)

    def _contenders(self) -> list[Array]:
        """Second-order steps only ever improve on the training rows: there the last is the best."""
        kept = self.progress.best_weights
        stepped = self.stage is not None and self.plan.validation is None
        if kept is None or stepped or np.array_equal(kept, self.weights):
            return [self.weights]
        return [self.weights, kept]

    def _columns(self, weights: Array, model: int) -> Array:
        start = model * self.plan.classes
        return weights[:, start : start + self.plan.classes]

    # --- checkpoints -----------------------------------------------------------------------------

    def state(self) -> tuple[dict[str, Array], dict[str, Any]]:
        """What training goes on from after an interruption: arrays and plain values."""
        arrays = {"weights": self.weights}
        arrays |= {f"optimizer_{name}": array for name, array in self.optimizer.state.items()}
        progress = self.progress
        if progress.best_weights is not None:
            arrays["best_weights"] = progress.best_weights
        values = {
            "next_epoch": self.next_epoch,
            "updates": self.optimizer.updates,
            "best": progress.best,
            "best_epoch": progress.best_epoch,
            "stale": progress.stale,
        }
        return arrays, values

    def restore(self, arrays: Mapping[str, Array], values: Mapping[str, Any]) -> bool:
        """Go on from a state; False if it is of other models than these."""
        if arrays["weights"].shape != self.weights.shape:
            return False
        self.weights = arrays["weights"]
        prefix = "optimizer_"
        self.optimizer.state = {
            name.removeprefix(prefix): array
            for name, array in arrays.items()
            if name.startswith(prefix)
        }
        self.optimizer.updates = int(values["updates"])
        self.next_epoch = int(values["next_epoch"])
        progress = self.progress
        progress.best, progress.stale = float(values["best"]), int(values["stale"])
        progress.best_epoch = int(values["best_epoch"])
        progress.best_weights = arrays.get("best_weights")
        return True


def cross_validate(plan: Plan, hyperparameters: Mapping[str, Any], seed: int) -> Evaluation | None:
    """Judge the models on rows that they were not trained on, where there is no validation data.

    Only for few rows: models at their optimum are then as good as their penalties are chosen, and
    the training loss would always choose the smallest. With many rows it tells the same as new
    rows would.
    """
    rows = plan.source.count
    if rows is None or not worth_crossing(plan, hyperparameters, rows):
        return None
    held_out: list[tuple[Array, Array]] = []
    for part, rest in folds(plan.source, FOLDS):
        inner = replace(plan, source=part)
        trainer = Trainer(inner, hyperparameters, seed=seed)
        for _ in trainer.epochs():
            pass
        if trainer.stage is not None:
            trainer.stage.settle()
            trainer.weights = trainer.stage.weights
        held_out += scored(rest, plan.working, trainer.weights)
    evaluator = Evaluator(plan.source, plan.working, plan.loss, hyperparameters)
    return evaluator.judge_scores(held_out, plan.models)


def worth_crossing(plan: Plan, hyperparameters: Mapping[str, Any], rows: int) -> bool:
    parameters = (len(plan.scaler.mean) + 1) * plan.classes
    few = FEWEST_ROWS <= rows <= min(MOST_ROWS, ROWS_PER_PARAMETER * parameters)
    several = plan.models > 1 and int(hyperparameters["epochs"]) > 1
    return plan.validation is None and is_solved(hyperparameters) and several and few


def finished_model(trainer: Trainer, choice: Choice) -> LinearModel:
    """The chosen model on raw features and labels."""
    weight, bias = trainer.plan.scaler.restore(choice.weights)
    hyperparameters = trainer.hyperparameters
    described = trainer.plan.candidates.describe(choice.model, hyperparameters)
    return LinearModel(
        hyperparameters["predictor_type"],
        loss_name(hyperparameters),
        weight,
        bias,
        choice.threshold,
        {"hyperparameters": described},
    )
