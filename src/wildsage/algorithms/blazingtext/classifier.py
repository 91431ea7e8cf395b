"""`TextClassifier`: fastText's classifier as a plain library, with scikit-learn's conventions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np

from wildsage.algorithms.base import Estimator
from wildsage.algorithms.blazingtext import fasttext
from wildsage.algorithms.blazingtext.dictionary import LABEL_PREFIX, Bags, Dictionary, Shape, build
from wildsage.algorithms.blazingtext.reading import label_name, labelled
from wildsage.algorithms.blazingtext.text_training import (
    Listener,
    Settings,
    TextTraining,
    accuracy,
)
from wildsage.algorithms.blazingtext.tokens import TokenReader, read_lines
from wildsage.algorithms.blazingtext.word_training import mean_rows


class NoLabels(ValueError):
    """Nothing to learn: the text has no labels."""

    def __init__(self) -> None:
        super().__init__(f"No labels were found; they are words that begin with {LABEL_PREFIX!r}.")


class TextClassifier(Estimator):
    """Labels for texts: the mean of vectors for words and word n-grams, and a softmax.

    `fit(texts, labels)`: texts with words between spaces, and a label each, or a list of labels.
    Learned: `classes_` and `epochs_` (how many were run).
    """

    kind = "classifier"

    def __init__(
        self,
        *,
        vector_dim: int = 100,
        learning_rate: float = 0.05,
        epochs: int = 5,
        min_count: int = 5,
        word_ngrams: int = 2,
        buckets: int = 2_000_000,
        early_stopping: bool = False,
        min_epochs: int = 5,
        patience: int = 4,
        threads: int | None = None,
        seed: int = 0,
    ) -> None:
        self.vector_dim = vector_dim
        self.learning_rate = learning_rate
        self.epochs = epochs
        self.min_count = min_count
        self.word_ngrams = word_ngrams
        self.buckets = buckets
        self.early_stopping = early_stopping
        self.min_epochs = min_epochs
        self.patience = patience
        self.threads = threads
        self.seed = seed

    def fit(self, texts: Iterable[str], labels: Iterable[Any], validation: Any = None) -> Self:
        """Learn; `validation` is a pair of texts and labels, for early stopping."""
        text = read_lines(map(labelled, texts, _each(labels)))
        names = {label_name(label).decode(): label for label in _flat(labels)}
        held = None
        if validation is not None:
            held = read_lines(map(labelled, validation[0], _each(validation[1])))
        self.learn(text, held)
        self.classes_ = np.array([names[label] for label in self._label_names()])
        return self

    def learn(
        self,
        text: TokenReader,
        validation: TokenReader | None = None,
        *,
        stopping: Callable[[], bool] = lambda: False,
        listener: Listener | None = None,
        announce: Callable[[Dictionary], None] = lambda dictionary: None,
    ) -> Self:
        """Learn from lines that have their labels in them, and are already read."""
        shape = Shape(self.buckets if self.word_ngrams > 1 else 0, 0, 0, self.word_ngrams)
        dictionary = build(text, self.min_count, supervised=True, shape=shape)
        if not dictionary.labels:
            raise NoLabels
        announce(dictionary)
        self._bags = dictionary.bags(text)
        held = None if validation is None else dictionary.bags(validation)
        names = Settings.__dataclass_fields__
        settings = Settings(**{name: getattr(self, name) for name in names})
        training = TextTraining(dictionary, self._bags, settings, held, stopping, listener)
        training.run()
        self._dictionary = dictionary
        self._training: TextTraining | None = training
        self._score: Callable[[np.ndarray, np.ndarray], np.ndarray] = training.scores
        self._binary = False
        self.epochs_ = training.epochs_run
        self.classes_ = np.array(self._label_names())
        return self

    # --- asking ----------------------------------------------------------------------------------

    def predict_proba(self, texts: Iterable[str]) -> np.ndarray:
        """A row a text, a column a class, in the order of `classes_`."""
        self.require_fit()
        lines = (text.encode("utf-8", "surrogateescape") for text in texts)
        bags = self._dictionary.bags(read_lines(lines))
        return self._probabilities(self._score(bags.features, bags.starts))

    def _probabilities(self, scores: np.ndarray) -> np.ndarray:
        if self._binary:
            independent: np.ndarray = 1 / (1 + np.exp(-scores))
            return independent
        powers = np.exp(scores - scores.max(axis=1, keepdims=True))
        shares: np.ndarray = powers / powers.sum(axis=1, keepdims=True)
        return shares

    def predict(self, texts: Iterable[str]) -> np.ndarray:
        """The most probable class of each text."""
        best = self.predict_proba(texts).argmax(axis=1)
        found: np.ndarray = self.classes_[best]
        return found

    def top(
        self, texts: Sequence[str], count: Sequence[int]
    ) -> list[tuple[list[str], list[float]]]:
        """For each text as many labels as asked for, most probable first, and their chances."""
        chances = self.predict_proba(texts)
        order = np.argsort(-chances, axis=1, kind="stable")
        names = self._label_names()
        result = []
        for row, places, wanted in zip(chances, order, count, strict=True):
            chosen = places[:wanted].tolist()
            result.append(([names[i] for i in chosen], [float(row[i]) for i in chosen]))
        return result

    def score(self, texts: Iterable[str], labels: Iterable[Any]) -> float:
        """Precision at one: the share of texts whose most probable class is one of theirs."""
        return self.accuracy(read_lines(map(labelled, texts, _each(labels))))[0]

    def accuracy(self, text: TokenReader) -> tuple[float, int]:
        """The same for lines that have their labels in them, and how many lines that are."""
        self.require_fit()
        return self._accuracy(self._dictionary.bags(text))

    def train_accuracy(self) -> tuple[float, int]:
        """The same for what was learned from."""
        return self._accuracy(self._bags)

    def _accuracy(self, bags: Bags) -> tuple[float, int]:
        return accuracy(self._score, bags), int(np.count_nonzero(np.diff(bags.label_starts)))

    def _label_names(self) -> list[str]:
        return [label.decode("utf-8", "replace") for label in self._dictionary.labels]

    # --- files -----------------------------------------------------------------------------------

    def save(self, path: str | Path) -> None:
        """Write fastText's binary format."""
        self.require_fit()
        if self._training is None:
            raise ValueError("A model that was loaded is not written again; copy its file.")
        shape = self._dictionary.shape
        arguments = fasttext.Arguments(
            self.vector_dim,
            fasttext.SUPERVISED,
            fasttext.SOFTMAX,
            epochs=self.epochs,
            min_count=self.min_count,
            word_ngrams=self.word_ngrams,
            buckets=shape.buckets,
        )
        training = self._training
        rows, outputs = training.input_rows(), training.output_rows()
        fasttext.write(Path(path), arguments, self._dictionary, rows, outputs)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read fastText's binary format."""
        return cls.from_model(fasttext.read(Path(path)))

    @classmethod
    def from_model(cls, model: fasttext.FastTextModel) -> Self:
        """A model file's classifier; rows of its matrix are read as they are needed."""
        a = model.arguments
        if not model.is_supervised:
            raise fasttext.ModelFileError("this is a model of words, not of texts")
        if a.loss == fasttext.HIERARCHICAL:
            raise fasttext.ModelFileError("models with a hierarchical softmax are not supported")
        made = cls(
            vector_dim=a.dim,
            epochs=a.epochs,
            min_count=a.min_count,
            word_ngrams=a.word_ngrams,
            buckets=a.buckets,
        )
        made._dictionary, made._training = model.dictionary, None
        made._binary = a.loss in (fasttext.ONE_VS_ALL, fasttext.NEGATIVE)
        outputs = np.array(model.outputs)

        def score(features: np.ndarray, starts: np.ndarray) -> np.ndarray:
            scored: np.ndarray = mean_rows(model.inputs, features, starts) @ outputs.T
            return scored

        made._score = score
        made.epochs_ = a.epochs
        made.classes_ = np.array(made._label_names())
        return made


def _each(labels: Iterable[Any]) -> Iterable[Any]:
    """Labels as plain Python values, so that 4 is `__label__4` whatever array it came in."""
    return labels.tolist() if isinstance(labels, np.ndarray) else labels


def _flat(labels: Iterable[Any]) -> list[Any]:
    flat: list[Any] = []
    for label in _each(labels):
        flat.extend(label if isinstance(label, list | tuple) else [label])
    return flat
