"""knn as a program: sample, index, test; then answer.

Each host samples what it reads, and the first joins the samples and builds the index. For the test
channel it hands the model to the others, and each tests its share.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from wildsage import clock
from wildsage.algorithms.base import Batch, Channel, InferenceRequest, TrainingJob
from wildsage.algorithms.knn import metrics
from wildsage.algorithms.knn.fitting import Fitting, Settings
from wildsage.algorithms.knn.library import faiss
from wildsage.algorithms.knn.model import NeighborModel
from wildsage.algorithms.reading import label_error
from wildsage.algorithms.reporting import IteratorStatistics
from wildsage.algorithms.requests import PayloadError
from wildsage.contract.cluster import Cluster
from wildsage.contract.failure import ClientError


def train(job: TrainingJob) -> None:
    start = clock.now()
    faiss()
    fitting = Fitting(
        Settings.of(job.hyperparameters, job.seed),
        host_seed=job.cluster.rank if is_sharded(job.channels["train"]) else 0,
    )
    with job.log.timed("update.time"):
        sample(job, fitting)
    with job.log.timed("finalize.time"):
        model = fitting.finish(job.cluster, job.log.info if job.is_first_host else ignore)
    with job.log.timed("model.serialize.time"):
        if model is not None:
            announce(job, model)
            model.save(job.model_file())
    job.log.timings["epochs"] = [1]
    job.log.flush_timings(start)
    test(job, model, fitting.label_size)


def ignore(line: str) -> None:
    """Only the first host builds an index that it could tell of."""


def sample(job: TrainingJob, fitting: Fitting) -> None:
    """One pass over the train channel."""
    started, counted = clock.now(), IteratorStatistics()
    width: int | None = None
    for batch, numbers in own_share(job, job.channels["train"]):
        width = expect_width(batch, width, "train")
        if batch.labels is None:
            raise label_error("train", 0)
        fitting.add(batch.dense(), batch.labels, numbers)
        counted.count(len(batch))
    if not len(fitting.sample):
        raise ClientError(
            f"Unable to read data channel 'train'. Host {job.cluster.current_host} has no records. "
            "Please verify the correct data channel configuration is provided."
        )
    if job.test is not None:
        job.test.feature_dim = width
    fitting.sample.settle()
    job.log.metrics_json(counted.metrics(), started, epoch=0, Meta="training_data_iter")
    job.log.progress(100.0)
    job.log.throughput(counted.records, clock.now() - started)
    shape = (len(fitting.sample), fitting.sample.features.width if fitting.sample.features else 0)
    labels = shape[:1] if fitting.label_size == 1 else (shape[0], fitting.label_size)
    host = job.cluster.current_host
    job.log.info(f"...Got reservoir sample from {host}: data={shape}, labels={labels}, NaNs=0")


def announce(job: TrainingJob, model: NeighborModel) -> None:
    searcher = model.searcher
    words = f"The index has {searcher.rows} rows of {searcher.width} dimensions"
    if searcher.is_inverted:
        words += f"; a search looks into {searcher.nprobe} of its lists"
    job.log.info(words)


def is_sharded(channel: Channel) -> bool:
    return channel.config.distribution == "ShardedByS3Key"


def own_share(job: TrainingJob, channel: Channel) -> Iterator[tuple[Batch, np.ndarray]]:
    """The rows that this host works on, and their numbers in the channel.

    Where every host has all files, each takes the rows whose turn it is.
    """
    hosts = 1 if is_sharded(channel) else job.cluster.size
    begin = 0
    for batch in channel.batches(job.hyperparameters["mini_batch_size"]):
        numbers = np.arange(begin, begin + len(batch))
        begin += len(batch)
        if hosts == 1:
            yield batch, numbers
        else:
            own = np.flatnonzero(numbers % hosts == job.cluster.rank)
            if len(own):
                labels = None if batch.labels is None else batch.labels[own]
                yield Batch(batch.dense()[own], labels), numbers[own]


def expect_width(batch: Batch, width: int | None, channel: str) -> int:
    """The channel's width, which `feature_dim` need not tell ("auto")."""
    if width is not None and batch.width != width:
        raise ClientError(
            f"Unable to read data channel '{channel}'. Records of {width} and of {batch.width} "
            "features were found. Please verify the correct data channel configuration is provided."
        )
    return batch.width


# --- test ----------------------------------------------------------------------------------------


def test(job: TrainingJob, model: NeighborModel | None, label_size: int) -> None:
    """Metrics of the test channel."""
    channel = job.test
    if channel is None:
        job.log.info("Test data is not provided.")
        return
    shared = handed_out(model, job.cluster)
    predicted, actual = [], []
    for batch, _ in own_share(job, channel):
        actual.append(test_labels(batch, label_size))
        predicted.append(shared.predict(batch.dense()).reshape(len(batch), -1))
    empty = np.empty((0, label_size), np.float32)
    said = job.cluster.gather(np.concatenate([empty, *predicted]))
    truth = job.cluster.gather(np.concatenate([empty, *actual]))
    if said is None or truth is None:
        return
    report(job, np.concatenate(said), np.concatenate(truth))


def test_labels(batch: Batch, size: int) -> np.ndarray:
    labels = batch.labels
    found = 0 if labels is None else labels.reshape(len(batch), -1).shape[1]
    if labels is None or found != size:
        # "labeled labeled" is AWS's wording.
        raise ClientError(
            f"Labeled test data required with label size equal {size}. Label size on test dataset "
            f"found to be {found}. Please provide a properly labeled labeled test dataset."
        )
    return labels.reshape(len(batch), -1)


def report(job: TrainingJob, predicted: np.ndarray, actual: np.ndarray) -> None:
    is_classifier = job.hyperparameters["predictor_type"] == "classifier"
    measure = metrics.classification if is_classifier else metrics.regression
    for name, value in measure(predicted, actual).items():
        job.log.quality_metric("test", name, value, "score" if is_classifier else "loss")
        job.log.test_score(name, value)


def handed_out(model: NeighborModel | None, cluster: Cluster) -> NeighborModel:
    """The first host's model, on every host."""
    if cluster.size == 1:
        assert model is not None
        return model
    index = cluster.broadcast(faiss().serialize_index(model.index) if model else None)
    labels = cluster.broadcast(model.labels if model else None)
    document = json.dumps(model.metadata()).encode() if model else b""
    told = cluster.broadcast(np.frombuffer(document, np.uint8))
    if model is not None:
        return model
    return NeighborModel.assemble(
        faiss().deserialize_index(index.copy()), labels.copy(), json.loads(told.tobytes())
    )


# --- serving -------------------------------------------------------------------------------------


class ServedModel:
    """Answers with the predicted label; when asked to be verbose, with the neighbours too."""

    def __init__(self, model: NeighborModel) -> None:
        self.model = model
        self.feature_dim = model.feature_dim
        # What a first answer takes longer for is done now, not while a client waits.
        model.predict(np.zeros((1, model.feature_dim), np.float32))

    def predict(self, batch: Batch, request: InferenceRequest) -> dict[str, np.ndarray]:
        try:
            distances, numbers = self.model.neighbors(batch.dense())
        except ClientError as error:  # values that are too large
            raise PayloadError(str(error)) from error
        answer = {"predicted_label": self.model.decide(numbers)}
        if request.verbose:
            labels = self.model.labels[numbers]
            answer["distances"] = distances
            answer["labels"] = labels[:, :, 0] if labels.shape[2] == 1 else labels
        return answer


def load(model_dir: Path) -> ServedModel:
    return ServedModel(NeighborModel.load(model_dir / "model_algo-1"))
