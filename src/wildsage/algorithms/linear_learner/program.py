"""linear-learner as a training job and as a model behind the model server."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wildsage import clock
from wildsage.algorithms.base import Batch, Channel, InferenceRequest, TrainingJob, require_labels
from wildsage.algorithms.linear_learner.checkpoints import Checkpoints
from wildsage.algorithms.linear_learner.metrics import Figures, final_metrics
from wildsage.algorithms.linear_learner.model import LinearModel
from wildsage.algorithms.linear_learner.reports import log_epoch, log_figures, log_start
from wildsage.algorithms.linear_learner.sources import Block, Source, open_source
from wildsage.algorithms.linear_learner.training import Trainer, finished_model
from wildsage.contract.failure import ClientError

Array = NDArray[Any]
MEMORY_SHARE = 4


def train(job: TrainingJob) -> None:
    """Train, report, write the model, test it."""
    started = clock.now()
    with job.log.timed("initialize.time"):
        source = open_channel(job, job.channels["train"])
        expect_width(job, source)
        validation = job.channels.get("validation")
        judged = None if validation is None else open_channel(job, validation)
        trainer = Trainer.start(
            source, judged, job.hyperparameters, job.cluster, job.seed, job.stopping
        )
        checkpoints = Checkpoints(job.paths.checkpoints, job.cluster)
        checkpoints.restore(trainer, job.log)
        log_start(job, trainer)
    run_epochs(job, trainer, checkpoints)
    with job.log.timed("finalize.time"):
        model = finish(job, trainer)
    test(job, trainer, model)
    if job.is_first_host:
        job.log.flush_timings(started)


def run_epochs(job: TrainingJob, trainer: Trainer, checkpoints: Checkpoints) -> None:
    begun = clock.monotonic()
    for report in trainer.epochs():
        report.seconds = clock.monotonic() - begun
        job.log.timings.setdefault("update.time", []).append(report.seconds * 1000)
        log_epoch(job, trainer, report)
        checkpoints.save(trainer, job.log)
        begun = clock.monotonic()
    job.log.timings["epochs"] = [trainer.next_epoch]


def finish(job: TrainingJob, trainer: Trainer) -> LinearModel:
    """Choose the model, report it on the rows it was judged by, write it."""
    choice = trainer.choose()
    split = "train" if trainer.plan.validation is None else "validation"
    evaluator = trainer.evaluator(final=True)
    log_figures(job, split, final_metrics(evaluator, choice.weights, choice.threshold, choice.rows))
    found = trainer.plan.candidates.describe(choice.model, job.hyperparameters)
    job.log.info(f"Best model found for hyperparameters: {json.dumps(found)}")
    model = finished_model(trainer, choice)
    if job.is_first_host:
        path = job.model_file()
        model.save(path)
        job.log.info(f'Saved checkpoint to "{path}"')
    return model


def test(job: TrainingJob, trainer: Trainer, model: LinearModel) -> None:
    channel = job.test
    if channel is None:
        job.log.info("Test data is not provided.")
        return
    figures: Figures = model.metrics(open_channel(job, channel), job.hyperparameters)
    log_figures(job, "test", figures)


# --- reading -------------------------------------------------------------------------------------


def open_channel(job: TrainingJob, channel: Channel) -> Source:
    """The channel's rows: kept in memory if a share of it is enough for them."""
    reader = LabelledRows(channel, job.hyperparameters)
    head_rows = int(job.hyperparameters["num_point_for_scaler"])
    return open_source(reader, head_rows=head_rows, budget=memory_budget())


def expect_width(job: TrainingJob, source: Source) -> None:
    """The other channels must have as many features as the train channel."""
    width = int(source.sample(1)[0].shape[1])
    for channel in job.channels.values():
        channel.feature_dim = width


def memory_budget() -> int:
    """Bytes of rows that may be kept."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_AVPHYS_PAGES") // MEMORY_SHARE


class LabelledRows:
    """Reads a channel's rows and checks that their labels suit the predictor type."""

    def __init__(self, channel: Channel, hyperparameters: Mapping[str, Any]) -> None:
        self.channel = channel
        kind = hyperparameters["predictor_type"]
        classes = int(hyperparameters["num_classes"])
        self.check: Callable[[Array, str], None] | None = {
            "binary_classifier": check_binary,
            "multiclass_classifier": lambda labels, name: check_classes(labels, name, classes),
        }.get(kind)

    def __call__(self, rows: int | None, epoch: int) -> Iterator[Block]:
        for batch in self.channel.batches(rows, epoch=epoch):
            labels = require_labels(batch, self.channel.name)
            if self.check is not None:
                self.check(labels, self.channel.name)
            yield batch.features, np.asarray(labels, np.float32)


def check_binary(labels: Array, channel: str) -> None:
    wrong = labels[(labels != 0) & (labels != 1)]
    if len(wrong):
        raise ClientError(
            f"Labels of a binary_classifier must be 0 or 1. Label {wrong[0]:g} was found in the "
            f"{channel} dataset. Please provide a properly labeled {channel} dataset."
        )


def check_classes(labels: Array, channel: str, classes: int) -> None:
    wrong = labels[(labels < 0) | (labels >= classes) | (labels != np.floor(labels))]
    if len(wrong):
        raise ClientError(
            f"Labels must be integers from 0 to num_classes - 1 = {classes - 1}. Label "
            f"{wrong[0]:g} was found in the {channel} dataset. Please set "
            f"num_classes to the number of classes in the {channel} dataset."
        )


# --- serving -------------------------------------------------------------------------------------


class ServedModel:
    """Answers inference requests."""

    def __init__(self, model: LinearModel) -> None:
        self.model = model
        self.feature_dim = model.feature_dim

    def predict(self, batch: Batch, request: InferenceRequest) -> Mapping[str, Array | list[Any]]:
        return self.model.answers(batch.features)


def load(model_dir: Path) -> ServedModel:
    return ServedModel(LinearModel.load(model_dir / "model_algo-1"))
