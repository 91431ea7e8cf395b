"""ntm as a program: `train` writes `model_algo-1`, `load` reads it for serving (see `model`)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from wildsage import clock
from wildsage.algorithms import neural
from wildsage.algorithms.base import Batch, Channel, InferenceRequest, TrainingJob
from wildsage.algorithms.ntm.corpus import Corpus, NegativeCount, as_counts
from wildsage.algorithms.ntm.model import TopicModel
from wildsage.algorithms.ntm.topics import Vocabulary, report, top_words
from wildsage.algorithms.requests import PayloadError
from wildsage.contract.failure import ClientError
from wildsage.formats.matrix import SparseMatrix

if TYPE_CHECKING:
    from wildsage.algorithms.ntm.training import EpochReport, Losses, Settings, Trainer


def train(job: TrainingJob) -> None:
    neural.require_torch()
    from wildsage.algorithms.ntm.training import settings_of

    started = clock.now()
    vocabulary = read_vocabulary(job)
    with job.log.timed("initialize.time"):
        trainer = prepare(job, settings_of(job.hyperparameters))
    with trainer.threads():
        trainer.begin()
        run_epochs(job, trainer)
        model = trainer.finish()
        save(job, model, vocabulary)
        if job.is_first_host:
            tops = top_words(model.projection_weight)
            report(tops, trainer.corpus.sample(trainer.rng), vocabulary, job.log.info)
        evaluate(job, trainer)
    job.log.timings["epochs"] = [len(trainer.history)]
    job.log.flush_timings(started)


def prepare(job: TrainingJob, settings: Settings) -> Trainer:
    """A trainer on the job's documents."""
    from wildsage.algorithms.ntm.training import Trainer

    validation = job.channels.get("validation")
    return Trainer(
        settings,
        Corpus.open(Documents(job.channels["train"])),
        None if validation is None else Corpus.open(Documents(validation)),
        job.cluster,
        job.seed,
        job.stopping,
        validation is not None and is_shared(validation),
    )


def read_vocabulary(job: TrainingJob) -> Vocabulary | None:
    channel = job.channels.get("auxiliary")
    if channel is None:
        return None
    size = job.hyperparameters["feature_dim"]
    return Vocabulary.read(channel.config.files(), size, job.log.warning)


class Documents:
    """Reads a channel's documents, pass by pass, and checks their counts."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel

    def __call__(self, epoch: int) -> Iterator[SparseMatrix]:
        for batch in self.channel.batches(epoch=epoch):
            try:
                yield as_counts(batch.features)
            except NegativeCount as error:
                raise ClientError(
                    f"Unable to read data channel '{self.channel.name}'. Found negative values. "
                    "Please provide counts of words, which are zero or greater.",
                    caused_by=error,
                ) from error


def is_shared(channel: Channel) -> bool:
    return channel.config.distribution == "ShardedByS3Key"


def run_epochs(job: TrainingJob, trainer: Trainer) -> None:
    log, total = job.log, job.hyperparameters["epochs"]
    log.info("# Starting training for epoch 1")
    for epoch in trainer.epochs():
        log.timings.setdefault("update.time", []).append(epoch.train_seconds * 1000)
        log_epoch(job, epoch)
        log.progress(100.0 * epoch.epoch / total)
        log.throughput(epoch.train.documents, epoch.train_seconds)
        if epoch.epoch < total:
            log.info(f"# Starting training for epoch {epoch.epoch + 1}")
    if trainer.best_epoch:
        log.info(
            f"Best model based on early stopping at epoch {trainer.best_epoch}. "
            f"Best loss: {trainer.best_loss}"
        )


def log_epoch(job: TrainingJob, epoch: EpochReport) -> None:
    log = job.log
    log.info(
        f"# Finished training epoch {epoch.epoch} on {epoch.train.documents} examples from "
        f"{epoch.batches} batches, each of size {job.hyperparameters['mini_batch_size']}."
    )
    for title, split, losses in (
        ("Training", "train", epoch.train),
        ("Inference", "validation", epoch.validation),
    ):
        if losses is not None and losses.words:
            log.info(f"Metrics for {title}:")
            log_losses(job, losses)
            log.quality_metric(split, "total_loss", losses.total, epoch=epoch.epoch)
    both = epoch.train_seconds + epoch.validation_seconds
    log.info(
        f"Timing: train: {epoch.train_seconds:.2f}s, val: {epoch.validation_seconds:.2f}s, "
        f"epoch: {both:.2f}s"
    )


def log_losses(job: TrainingJob, losses: Losses) -> None:
    """Per word: `logppx` is the logarithm of the perplexity."""
    for name, value in (
        ("total", losses.total),
        ("kld", losses.kld),
        ("recons", losses.recons),
        ("logppx", losses.total),
    ):
        job.log.info(f"Loss (name: value) {name}: {value}")


def save(job: TrainingJob, model: TopicModel, vocabulary: Vocabulary | None) -> None:
    if job.is_first_host:
        if vocabulary is not None:
            model.vocabulary = np.array(vocabulary.words)
        model.save(job.model_file())


def evaluate(job: TrainingJob, trainer: Trainer) -> None:
    """The final figures, of the model that is kept."""
    validation, test = trainer.validation, job.test
    if validation is not None:
        losses = trainer.judge(validation, shared=trainer.validation_shared)
        job.log.quality_metric("validation", "total_loss", losses.total)
        job.log.test_score("total_loss", losses.total, split="validation")
    if test is None:
        job.log.info("Test data is not provided.")
        return
    losses = trainer.judge(Corpus.open(Documents(test)), shared=is_shared(test))
    if not losses.words and not job.stopping():
        raise ClientError("The documents in data channel 'test' have no words.")
    job.log.quality_metric("test", "total_loss", losses.total)
    job.log.test_score("total_loss", losses.total)


class NtmModel:
    """Answers with the share of each topic in each document."""

    def __init__(self, model: TopicModel) -> None:
        self.feature_dim = model.feature_dim
        self._model = model

    def predict(self, batch: Batch, request: InferenceRequest) -> dict[str, np.ndarray]:
        try:
            documents = as_counts(batch.features)
        except NegativeCount as error:
            raise PayloadError(str(error)) from error
        if documents.nnz and not np.isfinite(documents.data).all():
            raise PayloadError("a count of words is NaN or infinite")
        return {"topic_weights": self._model.topic_weights(documents)}


def load(model_dir: Path) -> NtmModel:
    return NtmModel(TopicModel.load(model_dir / "model_algo-1"))
