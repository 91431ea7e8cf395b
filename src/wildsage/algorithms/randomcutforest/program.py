"""randomcutforest as a program: `train` writes `model_algo-1`, `load` reads it for serving.

Every host draws a sample of its shard of the train channel; the first host merges them, grows the
forest and reports on the test channel. The artifact is a NumPy archive (npz) with the forest's
arrays.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from wildsage import clock
from wildsage.algorithms.base import Batch, Channel, InferenceRequest, TrainingJob, require_labels
from wildsage.algorithms.randomcutforest import memory
from wildsage.algorithms.randomcutforest.estimator import (
    RandomCutForest,
    grow_forest,
    three_sigma,
)
from wildsage.algorithms.randomcutforest.forest import Forest
from wildsage.algorithms.randomcutforest.sampling import Reservoir, shares_of_hosts
from wildsage.algorithms.reading import empty_channel
from wildsage.algorithms.reporting import IteratorStatistics
from wildsage.algorithms.requests import PayloadError
from wildsage.contract.failure import ClientError


def train(job: TrainingJob) -> None:
    start = clock.now()
    log = job.log
    log.info("Verifying hyperparamemters...")  # AWS's spelling
    log.info("Hyperparameters are correct.")
    with log.timed("initialize.time"):
        batches = _validated(job)
        reservoir = _sampler(job)
    log.flush_timings(start)
    _sample(job, reservoir, batches)
    samples = _gather(job, reservoir)
    if samples is None:
        return
    forest = _build(job, samples)
    _save(job, forest)
    _evaluate(job, forest)


def _validated(job: TrainingJob) -> Iterator[Batch]:
    """The batches of the train channel, of which the first has been looked at."""
    job.log.info("Validating that feature_dim agrees with dimensions in training data...")
    batches = job.channels["train"].batches(job.hyperparameters["mini_batch_size"])
    first = next(batches, None)
    if first is None:
        raise empty_channel("train")
    job.log.info("feature_dim is correct.")
    values = job.hyperparameters
    memory.validate(
        job.log, values["num_trees"], values["num_samples_per_tree"], values["feature_dim"]
    )
    return _chain(first, batches)


def _chain(first: Batch, rest: Iterator[Batch]) -> Iterator[Batch]:
    yield first
    yield from rest


def _sampler(job: TrainingJob) -> Reservoir:
    job.log.info("Initializing Sampler...")
    values = job.hyperparameters
    capacity = values["num_trees"] * values["num_samples_per_tree"]
    seeds = [job.seed, 0, *([job.cluster.rank] if job.cluster.rank else [])]
    reservoir = Reservoir(capacity, np.random.default_rng(seeds))
    job.log.info("Sampler correctly initialized.")
    return reservoir


def _sample(job: TrainingJob, reservoir: Reservoir, batches: Iterator[Batch]) -> None:
    """Let the train channel pass."""
    log, statistics, start = job.log, IteratorStatistics(), clock.now()
    log.metrics_json(statistics.metrics(), Meta="init_train_data_iter")
    log.info("Sampling training data...")
    with log.timed("update.time"):
        for batch in batches:
            reservoir.add(batch.features)
            statistics.count(len(batch))
    log.info("Sampling training data completed.")
    log.timings["epochs"] = [1]
    log.flush_timings(start)
    log.info("Early stop condition met. Stopping training.")
    log.progress(100, unit="epochs")
    statistics.resets = 1
    log.metrics_json(statistics.metrics(), start, epoch=0, Meta="training_data_iter")
    log.throughput(statistics.total_records, clock.now() - start)


def _gather(job: TrainingJob, reservoir: Reservoir) -> np.ndarray | None:
    """A sample of the rows of all hosts, on the first one; None elsewhere."""
    if job.is_first_host:
        job.log.info("Master node: building Random Cut Forest...")
        job.log.info("Gathering samples...")
    if job.cluster.size == 1:
        samples = reservoir.rows
    else:
        seen = np.concatenate(job.cluster.allgather(np.array([reservoir.seen])))
        # Every host draws the same shares.
        shares = shares_of_hosts(seen, reservoir.capacity, np.random.default_rng([job.seed, 2]))
        parts = job.cluster.gather(reservoir.draw(int(shares[job.cluster.rank])))
        if parts is None:
            job.log.info("Samples sent to the master node.")
            return None
        samples = np.concatenate(parts)
    job.log.info(f"{len(samples)} samples gathered")
    return samples


def _build(job: TrainingJob, samples: np.ndarray) -> Forest:
    log, values, start = job.log, job.hyperparameters, clock.now()
    log.info("Building Random Cut Forest...")
    with log.timed("finalize.time"), log.timed("fit_model.time"):
        forest = grow_forest(samples, values["num_trees"], values["num_samples_per_tree"], job.seed)
    log.info(f"Random Cut Forest built: \n\n{forest.describe()}")
    log.timings["model.bytes"] = [forest.memory]
    log.flush_timings(start)
    return forest


def _save(job: TrainingJob, forest: Forest) -> None:
    start = clock.now()
    job.log.info("Master node: Serializing the RandomCutForest model")
    with job.log.timed("serialize_model.time"), open(job.model_file(), "wb") as file:
        np.savez(file, **forest.arrays())  # type: ignore[arg-type]
    job.log.flush_timings(start)


# --- the test channel ----------------------------------------------------------------------------


def _evaluate(job: TrainingJob, forest: Forest) -> None:
    """What the three-sigma limit of the scores of labelled rows makes of them."""
    if job.test is None:
        job.log.info("Test data is not provided.")
        return
    job.log.info("Scoring test data...")
    scores, labels = _scored(job.test, forest)
    chosen = job.hyperparameters["eval_metrics"]
    figures = figures_of(labels, scores > three_sigma(scores))
    names = [
        *(["accuracy"] if "accuracy" in chosen else []),
        *(["precision", "recall", "f1"] if "precision_recall_fscore" in chosen else []),
    ]
    for name in names:
        job.log.quality_metric("test", name, figures[name], "score")
        job.log.test_score(name, figures[name])


def _scored(channel: Channel, forest: Forest) -> tuple[np.ndarray, np.ndarray]:
    """The score and the label of each row; nothing else of them is kept."""
    scores, labels = [], []
    for batch in channel.batches():
        labels.append(_anomalies(require_labels(batch, channel.name), channel.name))
        scores.append(forest.score(batch.features))
    return np.concatenate(scores), np.concatenate(labels)


def _anomalies(labels: np.ndarray, channel: str) -> np.ndarray:
    if not np.isin(labels, (0, 1)).all():
        wrong = labels[~np.isin(labels, (0, 1))][0]
        raise ClientError(
            f"Unable to read data channel '{channel}'. Found the label {wrong:g}. Labels must be "
            "1 for anomalous data points and 0 for normal data points."
        )
    anomalies: np.ndarray = labels == 1
    return anomalies


def figures_of(labels: np.ndarray, found: np.ndarray) -> Mapping[str, float]:
    """accuracy, precision, recall and f1; zero where nothing was found or there was nothing."""
    hits, alarms, anomalies = int((labels & found).sum()), int(found.sum()), int(labels.sum())
    return {
        "accuracy": float(np.mean(labels == found)),
        "precision": hits / alarms if alarms else 0.0,
        "recall": hits / anomalies if anomalies else 0.0,
        "f1": 2 * hits / (alarms + anomalies) if alarms + anomalies else 0.0,
    }


# --- serving -------------------------------------------------------------------------------------


class RandomCutForestModel:
    """Answers with the anomaly score of each record."""

    def __init__(self, forest: Forest) -> None:
        self.feature_dim = forest.width
        self._estimator = RandomCutForest.from_forest(forest)

    def predict(self, batch: Batch, request: InferenceRequest) -> dict[str, np.ndarray]:
        try:
            return {"score": self._estimator.anomaly_score(batch.features)}
        except ValueError as error:
            raise PayloadError(str(error)) from error


def load(model_dir: Path) -> RandomCutForestModel:
    with np.load(model_dir / "model_algo-1") as arrays:
        model = RandomCutForestModel(Forest(**arrays))
    # The first request shall not wait for the compiler.
    model.predict(Batch(np.zeros((1, model.feature_dim), np.float32)), InferenceRequest())
    return model
