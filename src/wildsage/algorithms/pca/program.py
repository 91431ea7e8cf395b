"""pca as a program: `train` writes `model_algo-1`, `load` reads it for serving.

The artifact is a NumPy archive (npz) with `mean` (feature_dim), `s` (num_components) and `v`
(feature_dim × num_components), float32. As in the original's, `s` and `v` ascend: the last column
is the component of most variance, and so is the last number of a projection.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from wildsage import clock
from wildsage.algorithms.base import Batch, Channel, Features, InferenceRequest, TrainingJob
from wildsage.algorithms.pca.estimator import PCA
from wildsage.algorithms.pca.spectrum import Spectrum
from wildsage.algorithms.pca.training import Training, settings_of
from wildsage.algorithms.reporting import IteratorStatistics


def train(job: TrainingJob) -> None:
    start = clock.now()
    settings = settings_of(job.hyperparameters)
    training = Training(settings, job.hyperparameters["feature_dim"], job.seed, job.cluster)
    channel = job.channels["train"]
    statistics = IteratorStatistics()
    further = 0 if training.is_exact else settings.refinements(rereadable=not channel.is_pipe)
    _pass(job, training, 0, 1 + further, statistics)
    for epoch in range(1, 1 + further):
        if _is_stopping(job):
            break
        _pass(job, training, epoch, 1 + further, statistics)
        # A pass that was broken off has seen other rows than the mean comes from.
        if _is_stopping(job):
            break
        training.keep()
    with job.log.timed("finalize.time"):
        spectrum = training.finish()
    with job.log.timed("model.serialize.time"):
        _save(job, spectrum)
    job.log.timings["epochs"] = [1 + further]
    job.log.flush_timings(start)
    _evaluate(job, spectrum, training.block_rows(streamed=True))


def _pass(
    job: TrainingJob, training: Training, epoch: int, passes: int, statistics: IteratorStatistics
) -> None:
    """One pass over the train channel, and its lines in the log."""
    started = clock.now()
    blocks = _blocks(job.channels["train"], training.block_rows(streamed=True), epoch)
    with job.log.timed("update.time"):
        for rows in training.refine(blocks) if epoch else training.add(blocks):
            statistics.count(rows)
    log, rows = job.log, statistics.records
    log.progress(100.0 * (epoch + 1) / passes)
    log.metrics_json(statistics.metrics(), started, epoch=epoch, Meta="training_data_iter")
    log.throughput(rows, clock.now() - started)
    statistics.reset()


def _blocks(channel: Channel, rows: int, epoch: int) -> Iterator[Features]:
    return (batch.features for batch in channel.batches(rows, epoch=epoch))


def _is_stopping(job: TrainingJob) -> bool:
    """Whether any host is to stop: all of them or none go on."""
    return bool(np.any(job.cluster.allreduce(np.array([job.stopping()], np.int64))))


def _save(job: TrainingJob, spectrum: Spectrum) -> None:
    if not job.is_first_host:
        return
    with open(job.model_file(), "wb") as file:
        np.savez(
            file,
            mean=spectrum.mean.astype(np.float32),
            s=spectrum.singular_values[::-1].astype(np.float32),
            v=spectrum.vectors[:, ::-1].astype(np.float32),
        )


def _evaluate(job: TrainingJob, spectrum: Spectrum, block_rows: int) -> None:
    """How much of the test rows' squared distance to the mean the components hold."""
    channel = job.test
    if channel is None:
        job.log.info("Test data is not provided.")
        return
    model, kept, total = PCA.from_spectrum(spectrum), 0.0, 0.0
    mean = spectrum.mean.astype(np.float32)
    for features in _blocks(channel, block_rows, 0):
        rows = Batch(features).dense()
        total += float(np.square(rows - mean, dtype=np.float64).sum())
        kept += float(np.square(model.transform(rows), dtype=np.float64).sum())
    if channel.config.distribution == "ShardedByS3Key":
        kept, total = np.asarray(job.cluster.allreduce(np.array([kept, total]))).tolist()
    share = kept / total if total else 1.0
    job.log.test_score("explained_variance_ratio", share)


class PCAModel:
    """Answers with each record's projection."""

    def __init__(self, mean: np.ndarray, vectors: np.ndarray) -> None:
        self.feature_dim = len(mean)
        self._mean, self._vectors = mean, np.ascontiguousarray(vectors)
        self._offset = mean @ vectors

    def predict(self, batch: Batch, request: InferenceRequest) -> dict[str, np.ndarray]:
        features = batch.features
        if isinstance(features, np.ndarray):
            return {"projection": (features - self._mean) @ self._vectors}
        return {"projection": features.dot(self._vectors) - self._offset}


def load(model_dir: Path) -> PCAModel:
    with np.load(model_dir / "model_algo-1") as arrays:
        return PCAModel(arrays["mean"], arrays["v"])
