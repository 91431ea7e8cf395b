"""kmeans as a program: `train` writes `model_algo-1`, `load` reads it for serving.

The artifact is a NumPy archive (npz) with one array, `centroids` (k × feature_dim, float32).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from wildsage import clock
from wildsage.algorithms.base import Batch, Channel, InferenceRequest, TrainingJob
from wildsage.algorithms.kmeans.estimator import KMeans
from wildsage.algorithms.kmeans.training import Training, settings_of
from wildsage.algorithms.reading import empty_channel
from wildsage.algorithms.reporting import IteratorStatistics
from wildsage.contract.failure import ClientError


def train(job: TrainingJob) -> None:
    start = clock.now()
    training = Training(
        settings_of(job.hyperparameters),
        np.random.default_rng(job.seed),
        job.cluster,
        info=job.log.info,
        warn=job.log.warning,
    )
    with job.log.timed("update.time"):
        _stream(job, training)
    with job.log.timed("finalize.time"):
        centers = training.finish()
    job.log.quality_metric("train", "msd", training.loss)
    with job.log.timed("model.serialize.time"):
        _save(job, centers)
    job.log.timings["epochs"] = [job.hyperparameters["epochs"]]
    job.log.flush_timings(start)
    _evaluate(job, centers)


def _stream(job: TrainingJob, training: Training) -> None:
    """All epochs over the train channel."""
    epochs = job.hyperparameters["epochs"]
    statistics = IteratorStatistics()
    for epoch in range(epochs):
        started = clock.now()
        batches = _rows(job.channels["train"], job, epoch)
        if epoch == 0:
            batches = _initialised(batches, job, training)
        for rows in training.pass_over(batches, keep=epoch == 0):
            statistics.count(rows)
        _report_epoch(job, epoch, statistics, started)
        statistics.reset()
        if job.stopping():
            break


def _rows(channel: Channel, job: TrainingJob, epoch: int) -> Iterator[np.ndarray]:
    for batch in channel.batches(job.hyperparameters["mini_batch_size"], epoch=epoch):
        yield batch.dense()


def _initialised(
    batches: Iterator[np.ndarray], job: TrainingJob, training: Training
) -> Iterator[np.ndarray]:
    """The same batches; the first one also gives the first centers."""
    first = next(batches, None)
    if first is None:
        raise empty_channel("train")
    if len(first) < training.k:
        raise ClientError(
            f"The number of training records in the first batch ({len(first)}) must be at least "
            f"the value of the 'k' hyperparameter ({training.k})."
        )
    training.initialise(first)
    started = IteratorStatistics()
    started.count(len(first))
    job.log.metrics_json(started.metrics(), Meta="init_train_data_iter")
    yield first
    yield from batches


def _report_epoch(
    job: TrainingJob, epoch: int, statistics: IteratorStatistics, started: float
) -> None:
    log, rows = job.log, statistics.records
    log.info(f"processed a total of {rows} examples")
    log.progress(100.0 * (epoch + 1) / job.hyperparameters["epochs"])
    log.metrics_json(statistics.metrics(), started, epoch=epoch, Meta="training_data_iter")
    log.throughput(rows, clock.now() - started)


def _save(job: TrainingJob, centers: np.ndarray) -> None:
    if job.is_first_host:
        with open(job.model_file(), "wb") as file:
            np.savez(file, centroids=centers)


def _evaluate(job: TrainingJob, centers: np.ndarray) -> None:
    """The metrics of the test channel, over all hosts where it is spread over them."""
    channel = job.test
    if channel is None:
        job.log.info("Test data is not provided.")
        return
    model, total, rows = KMeans.from_centers(centers), 0.0, 0
    for batch in channel.batches(job.hyperparameters["mini_batch_size"]):
        total -= model.score(batch.dense())
        rows += len(batch)
    if channel.config.distribution == "ShardedByS3Key":
        total, rows = job.cluster.allreduce(np.array([total, rows])).tolist()
    values = {"msd": total / rows, "ssd": total}
    for name in job.hyperparameters["eval_metrics"]:
        job.log.quality_metric("test", name, values[name])
        job.log.test_score(name, values[name])


class KMeansModel:
    """Answers with the nearest center of each record and the distance to it."""

    def __init__(self, centers: np.ndarray) -> None:
        self.feature_dim = int(centers.shape[1])
        self._estimator = KMeans.from_centers(centers)

    def predict(self, batch: Batch, request: InferenceRequest) -> dict[str, np.ndarray]:
        labels, distances = self._estimator.nearest(batch.features)
        # The original gives the cluster's number as a float.
        return {"closest_cluster": labels.astype(np.float32), "distance_to_cluster": distances}


def load(model_dir: Path) -> KMeansModel:
    with np.load(model_dir / "model_algo-1") as arrays:
        return KMeansModel(arrays["centroids"])
