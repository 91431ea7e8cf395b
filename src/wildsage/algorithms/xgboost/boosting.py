"""One run of boosting: evaluation lines, early stopping, checkpoints, a stop on request."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from wildsage import clock
from wildsage.algorithms.xgboost import library, metrics
from wildsage.algorithms.xgboost.log import info, print_evaluation
from wildsage.algorithms.xgboost.names import CHECKPOINT_FILE
from wildsage.algorithms.xgboost.parameters import Plan
from wildsage.contract.failure import ClientError

KEPT_CHECKPOINTS = 5
# Checkpoints may take this share of the time, and a second beyond it: the model grows with every
# round, and writing it every time would be quadratic.
CHECKPOINT_SHARE = 0.1
_CHECKPOINT = re.compile(rf"{CHECKPOINT_FILE}\.(\d+)\Z")

Report = Callable[[int, dict[str, float]], None]


@dataclass
class Run:
    """Where one run of boosting gets its beginning from and whom it tells how it goes."""

    plan: Plan
    report: Report = print_evaluation
    stopping: Callable[[], bool] = lambda: False
    checkpoints: Path | None = None
    is_master: bool = True
    is_distributed: bool = False
    figures: dict[str, float] = field(default_factory=dict)
    was_stopped: bool = False

    def train(self, train: Any, validation: Any = None) -> Any:
        """The booster after all rounds, or after as many as early stopping or the stop left."""
        xgboost = library.load()
        start, begun = _resume(self.checkpoints, self.plan)
        evaluations = [(train, "train")]
        if validation is not None:
            evaluations.append((validation, "validation"))
        parameters = dict(self.plan.parameters)
        if self.plan.metrics:
            parameters["eval_metric"] = self.plan.metrics
        with library.translated_errors():
            return xgboost.train(
                parameters,
                train,
                num_boost_round=max(self.plan.rounds - begun, 0),
                evals=evaluations,
                custom_metric=metrics.evaluator(self.plan.custom_metrics, self.plan.objective),
                xgb_model=start,
                verbose_eval=False,
                callbacks=self._callbacks(xgboost, begun, validation is not None),
            )

    def _callbacks(self, xgboost: Any, begun: int, validated: bool) -> list[Any]:
        callbacks = []
        if self.checkpoints is not None and self.is_master:
            saver = Saver(self.checkpoints, self.plan.rounds)
            callbacks.append(_saver(xgboost, saver, begun))
        callbacks.append(_watcher(xgboost, self, begun))
        if self.plan.early_stopping_rounds and validated:
            callbacks.append(
                xgboost.callback.EarlyStopping(
                    rounds=self.plan.early_stopping_rounds,
                    metric_name=self.plan.stopping_metric,
                    data_name="validation",
                    maximize=self.plan.maximizes,
                    save_best=self.plan.has_trees,
                )
            )
        return callbacks

    def after_round(self, number: int, log: dict[str, dict[str, list[float]]]) -> bool:
        """Report; True ends the training. Every host of a gang must say the same."""
        self.figures = {
            f"{data}-{metric}": float(values[-1])
            for data, by_metric in log.items()
            for metric, values in by_metric.items()
        }
        if self.is_master:
            self.report(number, self.figures)
        self.was_stopped = self._agreed(self.stopping())
        return self.was_stopped

    def _agreed(self, stop: bool) -> bool:
        if not self.is_distributed:
            return stop
        from xgboost import collective

        wish = collective.allreduce(np.array([stop], np.int32), collective.Op.MAX)
        return bool(wish[0])


def _watcher(xgboost: Any, run: Run, begun: int) -> Any:
    class Watcher(xgboost.callback.TrainingCallback):  # type: ignore[misc]
        """Hands every round over to the run."""

        def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
            return run.after_round(begun + epoch, evals_log)

    return Watcher()


# --- checkpoints ---------------------------------------------------------------------------------


@dataclass
class Saver:
    """Writes `xgboost-checkpoint.N` after round N; the last five stay."""

    folder: Path
    rounds: int
    started: float = field(default_factory=clock.monotonic)
    spent: float = 0.0

    def after_round(self, booster: Any, number: int) -> None:
        now = clock.monotonic()
        allowed = CHECKPOINT_SHARE * (now - self.started) + 1.0
        if self.spent > allowed and number < self.rounds - 1:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        library.save(booster, self.folder / f"{CHECKPOINT_FILE}.{number}")
        for old in checkpoints(self.folder)[:-KEPT_CHECKPOINTS]:
            _path(self.folder, old).unlink(missing_ok=True)
        self.spent += clock.monotonic() - now


def _saver(xgboost: Any, saver: Saver, begun: int) -> Any:
    class CheckpointCallback(xgboost.callback.TrainingCallback):  # type: ignore[misc]
        """Hands every round over to the saver."""

        def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
            saver.after_round(model, begun + epoch)
            return False

    return CheckpointCallback()


def checkpoints(folder: Path) -> list[int]:
    """The rounds of the checkpoints in a folder, in order."""
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    found = (_CHECKPOINT.match(name) for name in names)
    return sorted(int(match[1]) for match in found if match)


def _path(folder: Path, number: int) -> Path:
    return folder / f"{CHECKPOINT_FILE}.{number}"


def _resume(folder: Path | None, plan: Plan) -> tuple[Any, int]:
    """The model to go on from and how many rounds it has had; a broken file is passed over."""
    for number in reversed(checkpoints(folder) if folder else []):
        path = _path(folder, number) if folder else Path()
        try:
            booster = library.load().Booster(model_file=bytearray(path.read_bytes()))
        except library.load().core.XGBoostError:
            info(f"Wrong checkpoint model format {path.name}")
            continue
        info(f"Checkpoint loaded from {path}")
        if plan.updates:  # an update goes through the trees that are there, from the first
            return booster, 0
        info(f"Resuming from iteration {number + 1}")
        return booster, number + 1
    if plan.updates:
        raise ClientError(
            "process_type 'update' needs a model whose trees can be updated: give the job a "
            "checkpoint location that holds one."
        )
    return None, 0
