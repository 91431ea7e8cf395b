"""factorization-machines as a training job and as a model behind the model server."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wildsage import clock
from wildsage.algorithms.base import Batch, Channel, InferenceRequest, TrainingJob, require_labels
from wildsage.algorithms.factorization_machines.metrics import CLASSIFIER, figures_of, kind_of
from wildsage.algorithms.factorization_machines.model import FactorizationModel
from wildsage.algorithms.reading import empty_channel
from wildsage.algorithms.reporting import IteratorStatistics
from wildsage.contract.failure import ClientError

Array = NDArray[Any]


def train(job: TrainingJob) -> None:
    """Train, report, write the model, test it."""
    from wildsage.algorithms.factorization_machines.batches import Assembler, Rows
    from wildsage.algorithms.factorization_machines.training import Trainer

    started = clock.now()
    with job.log.timed("initialize.time"):
        trainer = Trainer(job.hyperparameters, job.seed, job.cluster)
        rng = np.random.default_rng([job.seed, job.cluster.rank])
        assembler = Assembler(trainer.size, rng)
        rows = Rows(lambda epoch: labelled(job, job.channels["train"], epoch), assembler)
    statistics = IteratorStatistics()
    for epoch in range(job.hyperparameters["epochs"]):
        run_epoch(job, trainer, rows.epoch(epoch), epoch, statistics)
        if job.stopping():
            break
    with job.log.timed("finalize.time"):
        model = trainer.model()
    with job.log.timed("model.serialize.time"):
        if job.is_first_host:
            model.save(job.model_file())
            job.log.info(f'Saved checkpoint to "{job.model_file()}"')
    test(job, trainer, model)
    job.log.flush_timings(started)


def run_epoch(
    job: TrainingJob, trainer: Any, runs: Iterator[Any], epoch: int, statistics: IteratorStatistics
) -> None:
    """One pass over the train channel; the metrics are of each batch before its update."""
    started, log = clock.now(), job.log
    total, batch = np.zeros(0), 0
    for figures in trainer.learn(runs):
        for row in figures:
            statistics.count(int(row[0]))
            if batch % job.hyperparameters["batch_metrics_publish_interval"] == 0:
                report(job, row, epoch=epoch, batch=batch)
            batch += 1
        total = figures.sum(axis=0) + (total if len(total) else 0)
    if not len(total):
        raise empty_channel("train")
    log.timings.setdefault("update.time", []).append((clock.now() - started) * 1000)
    report(job, job.cluster.allreduce(total), epoch=epoch)
    log.progress(100 * (epoch + 1) // job.hyperparameters["epochs"])
    log.metrics_json(statistics.metrics(), started, epoch=epoch, Meta="training_data_iter")
    log.throughput(statistics.records, clock.now() - started)
    statistics.reset()


def report(job: TrainingJob, sums: Array, **where: int) -> None:
    found = figures_of(job.hyperparameters["predictor_type"], sums)
    for name, value in found.items():
        job.log.quality_metric("train", name, value, kind_of(name), **where)


def labelled(job: TrainingJob, channel: Channel, epoch: int = 0) -> Iterator[Batch]:
    """Checked pieces of a channel."""
    from wildsage.algorithms.factorization_machines.batches import suited

    is_classifier = job.hyperparameters["predictor_type"] == CLASSIFIER
    for piece in channel.batches(epoch=epoch):
        labels = np.asarray(require_labels(piece, channel.name), np.float32)
        if is_classifier:
            check_binary(labels, channel.name)
        yield Batch(suited(piece.features), labels)


def check_binary(labels: Array, channel: str) -> None:
    wrong = labels[(labels != 0) & (labels != 1)]
    if len(wrong):
        raise ClientError(
            f"Labels of a binary_classifier must be 0 or 1. Label {wrong[0]:g} was found in the "
            f"{channel} dataset. Please provide a properly labeled {channel} dataset."
        )


def test(job: TrainingJob, trainer: Any, model: FactorizationModel) -> None:
    """The metrics of the test channel, over all hosts where it is spread over them."""
    channel = job.test
    if channel is None:
        job.log.info("Test data is not provided.")
        return
    sums = sum(trainer.figures(model, piece) for piece in labelled(job, channel))
    if channel.config.distribution == "ShardedByS3Key":
        sums = job.cluster.allreduce(sums)
    found = figures_of(job.hyperparameters["predictor_type"], np.asarray(sums))
    for name, value in found.items():
        job.log.test_score(name, value)
    for name, value in found.items():
        job.log.quality_metric("test", name, value, kind_of(name))


# --- serving -------------------------------------------------------------------------------------


class ServedModel:
    """Answers inference requests."""

    def __init__(self, model: FactorizationModel) -> None:
        self.model = model
        self.feature_dim = model.feature_dim

    def predict(self, batch: Batch, request: InferenceRequest) -> Mapping[str, Array | list[Any]]:
        return self.model.answers(batch.features)


def load(model_dir: Path) -> ServedModel:
    return ServedModel(FactorizationModel.load(model_dir / "model_algo-1"))
