"""blazingtext as a program: `train` writes `vectors.bin` or `model.bin`, `load` reads either.

The log is that of AWS's container; metrics are read out of its lines `#mean_rho: ...`,
`#train_accuracy: ...` and `#validation_accuracy: ...`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from wildsage.algorithms.base import Channel, TrainingJob
from wildsage.algorithms.blazingtext import evaluation, fasttext
from wildsage.algorithms.blazingtext.classifier import NoLabels, TextClassifier
from wildsage.algorithms.blazingtext.dictionary import Dictionary
from wildsage.algorithms.blazingtext.reading import read_channel
from wildsage.algorithms.blazingtext.serving import TextModel, WordModel
from wildsage.algorithms.blazingtext.text_training import Listener
from wildsage.algorithms.blazingtext.tokens import TokenReader
from wildsage.algorithms.blazingtext.word2vec import EmptyVocabulary, Word2Vec
from wildsage.algorithms.blazingtext.word_training import Diverged, Progress
from wildsage.contract.failure import AlgorithmError, ClientError

WORDS_FILE, TEXTS_FILE = "vectors.bin", "model.bin"


def train(job: TrainingJob) -> None:
    mode = job.hyperparameters["mode"]
    _announce(job, mode)
    try:
        if mode == "supervised":
            _train_texts(job)
        else:
            _train_words(job, mode)
    except Diverged:
        raise ClientError(
            "Training diverged: the model has values that are not finite. "
            "Please try a smaller value of the 'learning_rate' hyperparameter."
        ) from None


def _announce(job: TrainingJob, mode: str) -> None:
    if job.cluster.size == 1:
        job.log.info(f"Running single machine CPU BlazingText training using {mode} mode.")
        return
    if mode != "batch_skipgram":
        # The guide's table of modes: several instances for Batch Skip-gram only.
        raise ClientError(
            f"Training on multiple instances is not supported in {mode} mode. "
            "Please use a single instance, or set mode to batch_skipgram."
        )
    hosts = job.cluster.size
    job.log.info(f"Running distributed CPU BlazingText training using {mode} on {hosts} hosts.")


def _read(job: TrainingJob, channel: Channel) -> TokenReader:
    for path in channel.config.files() if not channel.is_pipe else []:
        size = path.stat().st_size / 2**20
        job.log.info(f"Processing {path} . File size: {size} MB")
    return read_channel(channel)


def _parameters(job: TrainingJob, kind: type[Word2Vec] | type[TextClassifier]) -> dict[str, Any]:
    """The hyperparameters that the estimator has."""
    names = set(kind.parameter_names()) & set(job.hyperparameters)
    threads = job.hyperparameters["_threads"]
    if threads != "auto" and (not threads.isdigit() or int(threads) < 1):
        raise ClientError(f"The value '{threads}' is not valid for the '_threads' hyperparameter")
    return {
        **{name: job.hyperparameters[name] for name in names},
        "threads": None if threads == "auto" else int(threads),
        "seed": job.seed,
    }


# --- words ---------------------------------------------------------------------------------------


def _train_words(job: TrainingJob, mode: str) -> None:
    if "validation" in job.channels:
        job.log.warning(f"The validation channel is not used in {mode} mode.")
    text = _read(job, job.channels["train"])
    model = Word2Vec(**_parameters(job, Word2Vec))
    reports = Reports(job)
    try:
        model.learn(
            text,
            cluster=job.cluster,
            stopping=job.stopping,
            report=reports.progress,
            announce=reports.dictionary,
        )
    except EmptyVocabulary:
        raise _empty_vocabulary() from None
    reports.finished("Training finished!")
    if not job.is_first_host:
        return
    model.save(job.model_file(WORDS_FILE))
    model.save_text(job.model_file("vectors.txt"))
    if job.hyperparameters["evaluation"]:
        _evaluate(job, model)


def _empty_vocabulary() -> ClientError:
    return ClientError(
        "Empty vocabulary. Try a smaller value of the 'min_count' hyperparameter, "
        "or provide more training data."
    )


def _evaluate(job: TrainingJob, model: Word2Vec) -> None:
    """Write `eval.json` and the metric, if there is a list to compare with."""
    lists = _similarity_lists(job)
    if not lists:
        job.log.warning(
            "Word embeddings are not evaluated: there is no WordSim-353 list. Provide one in the "
            "'wordsim' channel, or install gensim, which has a copy."
        )
        return
    job.log.raw("Evaluating word embeddings....")
    job.log.raw(f"Vectors read from: {job.model_file('vectors.txt')} ")
    result = json.dumps(evaluation.evaluate(lists, model.vector), indent=4)
    job.log.raw(result)
    job.model_file("eval.json").write_text(result, "utf-8")
    job.log.info(f"#mean_rho: {json.loads(result)['mean_rho']}")


def _similarity_lists(job: TrainingJob) -> dict[str, evaluation.Pairs]:
    channel = job.channels.get("wordsim")
    if channel is None:
        return evaluation.installed_pairs()
    lists = {}
    for path in channel.config.files():
        lists[path.name] = evaluation.parse_pairs(path.read_text("utf-8", "replace").splitlines())
        if not lists[path.name]:
            raise ClientError(
                f"Unable to read data channel 'wordsim'. {path.name} has no lines of two words and "
                "a number."
            )
    return lists


# --- texts ---------------------------------------------------------------------------------------


def _train_texts(job: TrainingJob) -> None:
    text = _read(job, job.channels["train"])
    held = _read(job, job.channels["validation"]) if "validation" in job.channels else None
    if job.hyperparameters["early_stopping"] and held is None:
        job.log.warning("Early stopping needs a validation channel; all epochs are run.")
    model = TextClassifier(**_parameters(job, TextClassifier))
    reports = Reports(job)
    try:
        model.learn(
            text, held, stopping=job.stopping, listener=reports, announce=reports.dictionary
        )
    except NoLabels:
        raise ClientError(
            "No labels were found in data channel 'train'. Labels are words that begin with "
            "'__label__'. Please provide a properly labeled train dataset."
        ) from None
    reports.finished("Training finished.")
    model.save(job.model_file(TEXTS_FILE))
    accuracy, lines = model.train_accuracy()
    job.log.raw(f"#train_accuracy: {accuracy:.4f}")
    job.log.raw(f"Number of train examples: {lines}")
    if held is not None:
        _validate(job, model, held)


def _validate(job: TrainingJob, model: TextClassifier, held: TokenReader) -> None:
    accuracy, lines = model.accuracy(held)
    if not lines:
        raise ClientError(
            "No labels of the train dataset were found in data channel 'validation'. "
            "Please provide a properly labeled validation dataset."
        )
    job.log.raw(f"\n#validation_accuracy: {accuracy:.4f}")
    job.log.raw(f"Number of validation examples: {lines}")


# --- the log -------------------------------------------------------------------------------------


class Reports(Listener):
    """The lines of AWS's container on the way."""

    def __init__(self, job: TrainingJob) -> None:
        self.log = job.log
        self.frame = "##### {} #####" if job.cluster.size == 1 else "{}"
        self.last = Progress(0, 0, 0, 0)

    def dictionary(self, dictionary: Dictionary) -> None:
        self.log.raw(f"Read {dictionary.tokens // 1_000_000}M words")
        self.log.raw(f"Number of words:  {len(dictionary.words)}")

    def progress(self, progress: Progress) -> None:
        self.last = progress
        figures = (
            f"Alpha: {progress.rate:.4f}  Progress: {100 * progress.share:.2f}%  "
            f"Million Words/sec: {progress.million_words_per_second:.2f}"
        )
        self.log.raw(self.frame.format(figures))

    def epoch_ended(self, epoch: int) -> None:
        self.log.raw(f"-------------- End of epoch: {epoch}")

    def validated(self, accuracy: float, improved: bool, waited: int) -> None:
        self.log.raw(f"Validation accuracy: {accuracy:.6g}")
        if improved:
            self.log.raw("Validation accuracy improved! Storing best weights...")
        else:
            self.log.raw(f"Validation accuracy has not improved for last {waited} epochs.")

    def finished(self, words: str) -> None:
        self.log.raw(words)
        rate = self.last.million_words_per_second
        self.log.raw(f"Average throughput in Million words/sec: {rate:.2f}")
        self.log.raw(f"Total training time in seconds: {self.last.seconds:.2f}\n")


# --- serving -------------------------------------------------------------------------------------


def load(model_dir: Path) -> WordModel | TextModel:
    """The model of the folder's `.bin` file, whoever made it: this program or fastText."""
    names = [TEXTS_FILE, WORDS_FILE, *sorted(path.name for path in model_dir.glob("*.bin"))]
    path = next((model_dir / name for name in names if (model_dir / name).is_file()), None)
    if path is None:
        raise AlgorithmError("There is no model.bin or vectors.bin in the model folder.")
    model = fasttext.read(path)
    if model.is_supervised:
        return TextModel(TextClassifier.from_model(model))
    return WordModel(Word2Vec.from_model(model))
