"""lda as a program: `train` writes `model_algo-1`, `load` reads it for serving.

The artifact is a NumPy archive (npz) with `alpha` (num_topics) and `beta` (num_topics x
feature_dim, each row a distribution), float32.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from wildsage import clock
from wildsage.algorithms.base import Batch, Channel, InferenceRequest, TrainingJob
from wildsage.algorithms.lda.corpus import MOST, Corpus, Documents, corpus_of
from wildsage.algorithms.lda.estimator import LDA
from wildsage.algorithms.lda.inference import Topics
from wildsage.algorithms.lda.training import Training, settings_of
from wildsage.algorithms.reporting import IteratorStatistics
from wildsage.algorithms.requests import PayloadError
from wildsage.algorithms.rows import Features
from wildsage.contract.failure import ClientError

ROWS = 4096


def train(job: TrainingJob) -> None:
    if job.cluster.size > 1:
        raise ClientError("LDA only supports single instance training.")
    start = clock.now()
    with job.log.timed("initialize.time"):
        documents = _read(job)
    training = Training(
        settings_of(job.hyperparameters),
        np.random.default_rng(job.seed),
        info=job.log.info,
        progress=job.log.progress,
        stopping=job.stopping,
    )
    began = clock.now()
    with job.log.timed("update.time"):
        count = len(documents)
        training.learn(documents.corpus())  # which keeps no more of them than it needs
    job.log.throughput(count, clock.now() - began)
    with job.log.timed("model.serialize.time"), open(job.model_file(), "wb") as file:
        np.savez(file, alpha=training.topics.alpha, beta=training.topics.beta)
    job.log.flush_timings(start)
    _evaluate(job, training.topics)


def _read(job: TrainingJob) -> Documents:
    """The train channel's documents."""
    channel, documents, statistics = job.channels["train"], Documents(), IteratorStatistics()
    for batch in channel.batches(min(ROWS, job.hyperparameters["mini_batch_size"])):
        documents.parts.append(_documents(batch.features, channel))
        statistics.count(len(batch))
    job.log.metrics_json(statistics.metrics(), Meta="init_train_data_iter")
    if not len(documents):
        raise _unusable(channel, "Found no words.", "documents with words")
    entries = sum(len(part.words) for part in documents.parts)
    job.log.info(f"read {len(documents)} documents with {entries} counts of words")
    return documents


def _documents(features: Features, channel: Channel) -> Corpus:
    try:
        return corpus_of(features)
    except ValueError as error:
        raise _unusable(channel, f"{error}.", f"counts from 0 to {MOST:g}") from None


def _unusable(channel: Channel, found: str, wanted: str) -> ClientError:
    return ClientError(
        f"Unable to read data channel '{channel.name}'. {found} Please provide {wanted} "
        "in the input data."
    )


def _evaluate(job: TrainingJob, topics: Topics) -> None:
    """The metric of the test channel."""
    channel = job.test
    if channel is None:
        job.log.info("Test data is not provided.")
        return
    total = words = 0.0
    for batch in channel.batches(ROWS):
        part = topics.held_out(_documents(batch.features, channel))
        total, words = total + part[0], words + part[1]
    if not words:
        raise _unusable(channel, "Found no words.", "documents with words")
    job.log.quality_metric("test", "pwll", total / words, "score")
    job.log.test_score("pwll", total / words)


class LDAModel:
    """Answers with each record's mixture of topics."""

    def __init__(self, alpha: np.ndarray, beta: np.ndarray) -> None:
        self.feature_dim = int(beta.shape[1])
        self._estimator = LDA.from_topics(alpha, beta)
        # Has the compiled code loaded before the first request comes.
        self._estimator.transform(np.zeros((1, self.feature_dim), np.float32))

    def predict(self, batch: Batch, request: InferenceRequest) -> dict[str, np.ndarray]:
        try:
            return {"topic_mixture": self._estimator.transform(batch.features)}
        except ValueError as error:
            raise PayloadError(str(error)) from error


def load(model_dir: Path) -> LDAModel:
    with np.load(model_dir / "model_algo-1") as arrays:
        return LDAModel(arrays["alpha"], arrays["beta"])
