"""ipinsights as a training job and as a model behind the model server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from wildsage import clock
from wildsage.algorithms.base import Channel, InferenceRequest, TrainingJob
from wildsage.algorithms.ipinsights.addresses import parse_address
from wildsage.algorithms.ipinsights.metrics import figures_of
from wildsage.algorithms.ipinsights.model import EmbeddingModel, dot_products
from wildsage.algorithms.reading import Reader, empty_channel, streams, unreadable
from wildsage.algorithms.reporting import IteratorStatistics, Kind
from wildsage.algorithms.requests import PayloadError
from wildsage.algorithms.spec import CSV, JSON
from wildsage.formats import csv

Array = NDArray[Any]
KEPT_BYTES = 256 << 20


def train(job: TrainingJob) -> None:
    """Train, judge after every epoch, write the model."""
    from wildsage.algorithms.ipinsights.training import Trainer

    started = clock.now()
    with job.log.timed("initialize.time"):
        trainer = Trainer(job.hyperparameters, job.seed, job.cluster)
        source = PairSource(job.channels["train"], trainer.entities)
        judged = job.channels.get("validation")
        validation = None if judged is None else PairSource(judged, trainer.entities)
    statistics = IteratorStatistics()
    for epoch in range(job.hyperparameters["epochs"]):
        run_epoch(job, trainer, source, epoch, statistics)
        if validation is not None:
            report_validation(job, trainer, validation, epoch)
        job.log.progress(100 * (epoch + 1) // job.hyperparameters["epochs"])
        if job.stopping():
            break
    with job.log.timed("model.serialize.time"):
        if job.is_first_host:
            trainer.model().save(job.model_file())
            job.log.info(f'Saved checkpoint to "{job.model_file()}"')
    job.log.flush_timings(started)


def run_epoch(
    job: TrainingJob, trainer: Any, source: PairSource, epoch: int, statistics: IteratorStatistics
) -> None:
    """One pass over the train channel; the metrics are of each batch before its update."""
    from wildsage.algorithms.ipinsights.vocabulary import mini_batches

    started, total = clock.now(), np.zeros(0)
    batches = mini_batches(source.blocks(), trainer.size, trainer.rng)
    interval = job.hyperparameters["batch_metrics_publish_interval"]
    for batch, figures in enumerate(trainer.learn(batches, again=epoch > 0)):
        total = figures + (total if len(total) else 0)
        statistics.count(min(trainer.size, int(figures[0])))
        if batch % interval == 0:
            report(job, figures, epoch=epoch, batch=batch)
    if not len(total):
        raise empty_channel("train")
    job.log.timings.setdefault("update.time", []).append((clock.now() - started) * 1000)
    report(job, job.cluster.allreduce(total), epoch=epoch)
    job.log.metrics_json(statistics.metrics(), started, epoch=epoch, Meta="training_data_iter")
    job.log.throughput(statistics.records, clock.now() - started)
    statistics.reset()


def report(job: TrainingJob, sums: Array, **where: int) -> None:
    for name, value in figures_of(sums).items():
        kind: Kind = "score" if name.endswith("accuracy") else "loss"
        job.log.quality_metric("train", name, value, kind, **where)


def report_validation(job: TrainingJob, trainer: Any, source: PairSource, epoch: int) -> None:
    """How well real pairs of the validation channel are told from pairs made up out of them."""
    from wildsage.algorithms.ipinsights.training import auc
    from wildsage.algorithms.ipinsights.vocabulary import mini_batches

    real: list[Array] = [np.zeros(0, np.float32)]
    made_up: list[Array] = [np.zeros(0, np.float32)]
    rng = np.random.default_rng(job.seed)
    for pairs in mini_batches(source.blocks(), trainer.size, rng):
        one, other = trainer.scores(pairs)
        real.append(one)
        made_up.append(other)
    sides = [np.concatenate(real), np.concatenate(made_up)]
    if source.channel.config.distribution == "ShardedByS3Key":
        sides = [np.concatenate(job.cluster.allgather(side)) for side in sides]
    value = auc(*sides)
    job.log.quality_metric("validation", "discriminator_auc", value, "score", epoch=epoch)


# --- reading -------------------------------------------------------------------------------------


class PairSource:
    """A channel's pairs: read in blocks of lines, and kept from the first epoch if they are few."""

    def __init__(self, channel: Channel, entities: int, budget: int = KEPT_BYTES) -> None:
        self.channel, self.entities, self.budget = channel, entities, budget
        self._kept: list[Any] | None = None

    def blocks(self) -> Iterator[Any]:
        """Blocks of pairs; all in one where they are kept."""
        from wildsage.algorithms.ipinsights.vocabulary import Pairs

        if self._kept is not None:
            self._kept = [Pairs.join(self._kept)]
            yield self._kept[0]
            return
        kept: list[Any] | None = []
        count = 0
        for pairs in self._read():
            count += len(pairs)
            kept = None if kept is None or count * 12 > self.budget else [*kept, pairs]
            yield pairs
        if not count:
            raise empty_channel(self.channel.name)
        if not self.channel.stopping():
            self._kept = kept

    def _read(self) -> Iterator[Any]:
        from wildsage.algorithms.ipinsights import kernels
        from wildsage.algorithms.ipinsights.vocabulary import Pairs

        line = 0
        for stream in streams(self.channel.config, 0):
            for block in csv.line_blocks(stream):
                text = np.frombuffer(block, np.uint8)
                most = int(np.count_nonzero(text == 10)) + 1
                keys, addresses = np.empty(most, np.uint64), np.empty(most, np.uint32)
                count, wrong, where = kernels.parse(text, self.entities, keys, addresses)
                if wrong != kernels.FINE:
                    raise self._unreadable(wrong, line + where)
                line += most - 1
                if count:
                    yield Pairs(keys[:count], addresses[:count])
                if self.channel.stopping():
                    return

    def _unreadable(self, wrong: int, line: int) -> Exception:
        from wildsage.algorithms.ipinsights import kernels

        what = {
            kernels.NO_COMMA: "there are not two columns, an entity and an IPv4 address",
            kernels.NO_ENTITY: "the entity is missing",
            kernels.NO_ADDRESS: "the second column is not an IPv4 address",
        }
        reader = Reader(self.channel.name, self.channel.content_type)
        return unreadable(reader, f"in line {line} {what[wrong]}")


# --- serving -------------------------------------------------------------------------------------


@dataclass(slots=True)
class RequestedPairs:
    """Entities by name, and addresses as numbers."""

    names: list[str]
    addresses: Array

    def __len__(self) -> int:
        return len(self.names)


class ServedModel:
    """Answers with the dot product of each pair, and its vectors where they are asked for."""

    def __init__(self, model: EmbeddingModel) -> None:
        self.model = model

    def decode(self, body: bytes, request: InferenceRequest) -> RequestedPairs:
        try:
            rows = _DECODERS.get(request.content_type, _json_lines)(body)
            names = [str(name) for name, _ in rows]
            addresses = [parse_address(str(address).strip()) for _, address in rows]
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise PayloadError(str(error)) from error
        return RequestedPairs(names, np.array(addresses, np.uint32))

    def predict(self, batch: RequestedPairs, request: InferenceRequest) -> dict[str, Array]:
        entities = self.model.embed_entities(batch.names)
        addresses = self.model.embed_addresses(batch.addresses)
        answer = {"dot_product": dot_products(entities, addresses)}
        if request.verbose:
            answer |= {"entity_embedding": entities, "ip_embedding": addresses}
        return answer


def _csv(body: bytes) -> list[tuple[str, str]]:
    lines = (line.strip() for line in body.decode().splitlines())
    halves = (line.rpartition(",") for line in lines if line)
    return [(_unquoted(left), _unquoted(right)) for left, _, right in halves]


def _unquoted(text: str) -> str:
    text = text.strip(" \t\r")
    return text[1:-1] if len(text) >= 2 and text[0] == text[-1] == '"' else text


def _json(body: bytes) -> list[Any]:
    return [_features(instance) for instance in orjson.loads(body)["instances"]]


def _json_lines(body: bytes) -> list[Any]:
    return [_features(orjson.loads(line)) for line in body.splitlines() if line.strip()]


def _features(instance: dict[str, Any]) -> Any:
    found = instance["data"]["features"] if "data" in instance else instance["features"]
    return found["values"] if isinstance(found, dict) else found


_DECODERS: dict[str, Callable[[bytes], list[Any]]] = {CSV: _csv, JSON: _json}


def load(model_dir: Path) -> ServedModel:
    return ServedModel(EmbeddingModel.load(model_dir / "model_algo-1"))
