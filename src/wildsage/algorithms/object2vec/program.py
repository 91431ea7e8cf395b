"""object2vec as a program: `train` writes `model_algo-1`, `load` reads it for serving."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson

from wildsage import clock
from wildsage.algorithms import neural
from wildsage.algorithms.base import Channel, InferenceRequest, TrainingJob
from wildsage.algorithms.object2vec.embeddings import read_table
from wildsage.algorithms.object2vec.model import PairModel
from wildsage.algorithms.object2vec.pairs import (
    SIDES,
    PairError,
    Pairs,
    Sequences,
    join_pairs,
    read_pairs,
)
from wildsage.algorithms.object2vec.spec import completed
from wildsage.algorithms.reading import empty_channel
from wildsage.algorithms.requests import PayloadError
from wildsage.algorithms.spec import JSON
from wildsage.contract.failure import ClientError

if TYPE_CHECKING:
    from wildsage.algorithms.object2vec.training import EpochReport, Figures, Trainer


def train(job: TrainingJob) -> None:
    neural.require_torch()
    started = clock.now()
    settings = completed(job.hyperparameters)
    with job.log.timed("initialize.time"):
        trainer = prepare(job, settings)
    with trainer.threads():
        for epoch in trainer.epochs():
            log_epoch(job, trainer, epoch)
        model = trainer.finish()
        model.save(job.model_file())
        evaluate(job, trainer, settings)
    job.log.timings["epochs"] = [trainer.best_epoch + 1]
    job.log.flush_timings(started)


def prepare(job: TrainingJob, settings: dict[str, Any]) -> Trainer:
    """A trainer on the job's pairs and pretrained embeddings."""
    from wildsage.algorithms.object2vec.training import Trainer

    validation = job.channels.get("validation")
    return Trainer(
        settings,
        read_channel(job.channels["train"], settings),
        None if validation is None else read_channel(validation, settings),
        [read_pretrained(job, settings, side) for side in ("enc0", "enc1")],
        job.seed,
        job.stopping,
    )


def read_channel(channel: Channel, settings: Mapping[str, Any]) -> Pairs:
    """All pairs of a channel, checked and cut to length."""
    try:
        parts = list(read_pairs(lines_of(channel)))
        if not parts:
            raise empty_channel(channel.name)
        pairs = join_pairs(parts)
        first, second = (
            sequences.check(settings[f"enc{side}_vocab_size"], f"in{side}")
            for side, sequences in enumerate((pairs.first, pairs.second))
        )
        check_labels(pairs.labels, settings)
    except PairError as error:
        vocab = "Inconsistent vocab" in str(error)
        raise ClientError(str(error) if vocab else unreadable(channel, error)) from error
    lengths = [settings[f"{side}_max_seq_len"] for side in ("enc0", "enc1")]
    return Pairs(first.cut(lengths[0]), second.cut(lengths[1]), pairs.labels)


def lines_of(channel: Channel) -> Iterator[bytes]:
    """All lines, also of a job that is asked to stop: it needs pairs to make a model of."""
    for stream in channel.config.streams():
        yield from stream


def unreadable(channel: Channel, error: PairError) -> str:
    return (
        f"Unable to read data channel '{channel.name}'. Requested content-type is "
        f"'{channel.content_type}'. Please verify the data matches the requested content-type. "
        f"{error}."
    )


def check_labels(labels: np.ndarray, settings: Mapping[str, Any]) -> None:
    if settings["output_layer"] != "softmax":
        return
    wrong = labels[(labels < 0) | (labels >= settings["num_classes"]) | (labels % 1 != 0)]
    if len(wrong):
        raise PairError(
            f"The label {wrong[0]:g} is not an integer from 0 to {settings['num_classes'] - 1}, "
            "as the value of the 'num_classes' hyperparameter asks"
        )


def read_pretrained(
    job: TrainingJob, settings: Mapping[str, Any], side: str
) -> tuple[np.ndarray, np.ndarray] | None:
    name = settings[f"{side}_pretrained_embedding_file"]
    if not name:
        return None
    channel = job.channels.get("auxiliary")
    if channel is None:
        raise ClientError(
            f"'{side}_pretrained_embedding_file' is specified, but there is no data channel "
            "'auxiliary' to read it from."
        )
    size, width = settings[f"{side}_vocab_size"], settings[f"{side}_token_embedding_dim"]
    return read_table(channel.config.files(), name, settings[f"{side}_vocab_file"], size, width)


def log_epoch(job: TrainingJob, trainer: Trainer, epoch: EpochReport) -> None:
    log = job.log
    log.timings.setdefault("update.time", []).append(epoch.seconds * 1000)
    log_figures(job, trainer, "train", epoch.train, epoch.epoch)
    if epoch.validation is not None:
        log_figures(job, trainer, "validation", epoch.validation, epoch.epoch)
    log.early_stopping(epoch.epoch, "loss", epoch.loss)
    log.progress(100.0 * (epoch.epoch + 1) / job.hyperparameters["epochs"])
    log.throughput(epoch.train.pairs, epoch.seconds)


def log_figures(
    job: TrainingJob, trainer: Trainer, split: str, figures: Figures, epoch: int | None = None
) -> None:
    if not figures.pairs:
        return
    for name, value in figures.metrics(trainer.network.classifies).items():
        kind: Any = "score" if name == "accuracy" else "loss"
        job.log.quality_metric(split, name, value, kind, epoch=epoch)
        if epoch is None:
            job.log.test_score(name, value, split=split)


def evaluate(job: TrainingJob, trainer: Trainer, settings: Mapping[str, Any]) -> None:
    """The final figures, of the model that is kept."""
    if trainer.validation is not None:
        log_figures(job, trainer, "validation", trainer.judge(trainer.validation))
    if job.test is None:
        job.log.info("Test data is not provided.")
        return
    log_figures(job, trainer, "test", trainer.judge(read_channel(job.test, settings)))


# --- serving -------------------------------------------------------------------------------------

Record = Mapping[str, Any]


class Object2VecModel:
    """Scores where a record has both objects, an embedding where it has one of them."""

    def __init__(self, model: PairModel) -> None:
        self._model = model

    def decode(self, body: bytes, request: InferenceRequest) -> list[Record]:
        try:
            if request.content_type == JSON:
                records = orjson.loads(body)["instances"]
            else:
                records = [orjson.loads(line) for line in body.splitlines() if line.strip()]
        except (ValueError, TypeError, KeyError) as error:
            raise PayloadError(f"the body is no list of records: {error}") from error
        if not isinstance(records, list) or not records:
            raise PayloadError("there are no records")
        for record in records:
            if not isinstance(record, dict) or not any(name in record for name in SIDES):
                raise PayloadError("a record has neither 'in0' nor 'in1'")
        return records

    def predict(self, batch: Any, request: InferenceRequest) -> dict[str, list[Any]]:
        lengths = self._lengths(request)
        answers: list[Any] = [None] * len(batch)
        for kind in ((0, 1), (0,), (1,)):
            chosen = [n for n, record in enumerate(batch) if self._sides_of(record) == kind]
            if not chosen:
                continue
            sequences = [self._sequences(batch, chosen, side, lengths) for side in kind]
            for number, answer in zip(chosen, self._answers(kind, sequences), strict=True):
                answers[number] = answer
        return {"answers": answers}

    def encode(
        self, columns: Mapping[str, list[Any]], request: InferenceRequest
    ) -> tuple[str, bytes]:
        answers, option = columns["answers"], orjson.OPT_SERIALIZE_NUMPY
        if request.accept == JSON:
            return JSON, orjson.dumps({request.response_key: answers}, option=option)
        lines = b"\n".join(orjson.dumps(answer, option=option) for answer in answers)
        return request.accept, lines

    def _answers(self, kind: tuple[int, ...], sequences: Sequence[Sequences]) -> list[Any]:
        if len(kind) == 2:
            return [{"scores": row} for row in self._model.scores(*sequences)]
        encoded = self._model.encoders[kind[0]].encode(sequences[0])
        return [{"embeddings": row} for row in encoded]

    @staticmethod
    def _sides_of(record: Record) -> tuple[int, ...]:
        return tuple(side for side, name in enumerate(SIDES) if name in record)

    def _sequences(
        self, batch: Sequence[Record], chosen: Sequence[int], side: int, lengths: Sequence[int]
    ) -> Sequences:
        name = SIDES[side]
        lists = [batch[number][name] for number in chosen]
        if not all(isinstance(tokens, list) for tokens in lists):
            raise PayloadError(f"'{name}' is a list of tokens")
        try:
            sequences = Sequences.of(lists, name).check(self._model.encoders[side].vocab_size, name)
        except PairError as error:
            raise PayloadError(str(error)) from error
        return sequences.cut(lengths[side])

    def _lengths(self, request: InferenceRequest) -> list[int]:
        """The most tokens a side: `infer_max_seqlens=<in0>,<in1>` of the content type, or those of
        the training."""
        text = request.content_parameters.get("infer_max_seqlens")
        if text is None:
            return [encoder.max_seq_len for encoder in self._model.encoders]
        words = [word.strip() for word in text.split(",")]
        if len(words) != 2 or not all(w.isdigit() and 1 <= int(w) <= 5000 for w in words):
            raise PayloadError("infer_max_seqlens is two numbers from 1 to 5000")
        return [int(word) for word in words]


def load(model_dir: Path) -> Object2VecModel:
    return Object2VecModel(PairModel.load(model_dir / "model_algo-1"))
