"""`Word2Vec`: word vectors as a plain library. Text in, NumPy out, scikit-learn's conventions."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Self

import numpy as np

from wildsage.algorithms.base import Estimator
from wildsage.algorithms.blazingtext import fasttext
from wildsage.algorithms.blazingtext.dictionary import Dictionary, Shape, as_places, build
from wildsage.algorithms.blazingtext.reading import read_corpus
from wildsage.algorithms.blazingtext.tokens import TokenReader
from wildsage.algorithms.blazingtext.word_training import (
    Progress,
    Settings,
    WordTraining,
    mean_rows,
)
from wildsage.contract.cluster import Cluster

MODES = {"cbow": fasttext.CBOW, "skipgram": fasttext.SKIPGRAM, "batch_skipgram": fasttext.SKIPGRAM}


class EmptyVocabulary(ValueError):
    """No word occurs often enough."""

    def __init__(self) -> None:
        super().__init__("Empty vocabulary. Try a smaller value of min_count.")


class Word2Vec(Estimator):
    """Vectors for words, learned from the words around them; with `subwords` for unseen words too.

    `fit` takes a file's path or sentences (texts, or lists of words); `transform` takes words and
    gives a row each. Learned: `words_` (most frequent first), `counts_` and `vectors_`.
    """

    kind = "transformer"

    def __init__(
        self,
        mode: str = "skipgram",
        *,
        vector_dim: int = 100,
        window_size: int = 5,
        negative_samples: int = 5,
        sampling_threshold: float = 1e-4,
        learning_rate: float = 0.05,
        epochs: int = 5,
        min_count: int = 5,
        batch_size: int = 11,
        subwords: bool = False,
        min_char: int = 3,
        max_char: int = 6,
        buckets: int = 2_000_000,
        threads: int | None = None,
        seed: int = 0,
    ) -> None:
        self.mode = mode
        self.vector_dim = vector_dim
        self.window_size = window_size
        self.negative_samples = negative_samples
        self.sampling_threshold = sampling_threshold
        self.learning_rate = learning_rate
        self.epochs = epochs
        self.min_count = min_count
        self.batch_size = batch_size
        self.subwords = subwords
        self.min_char = min_char
        self.max_char = max_char
        self.buckets = buckets
        self.threads = threads
        self.seed = seed

    def fit(self, corpus: Any, labels: Any = None) -> Self:
        """Learn from a file's path or from sentences."""
        return self.learn(read_corpus(corpus))

    def learn(
        self,
        text: TokenReader,
        *,
        cluster: Cluster | None = None,
        stopping: Callable[[], bool] = lambda: False,
        report: Callable[[Progress], None] = lambda progress: None,
        announce: Callable[[Dictionary], None] = lambda dictionary: None,
    ) -> Self:
        """Learn from text that is already read; hosts of a cluster share the work."""
        if self.mode not in MODES:
            raise ValueError(f"mode must be one of {', '.join(MODES)}, not {self.mode!r}")
        if self.subwords and self.mode == "batch_skipgram":
            raise ValueError("batch_skipgram does not learn subwords")
        subwords = (self.buckets, self.min_char, self.max_char) if self.subwords else (0, 0, 0)
        dictionary = build(text, self.min_count, supervised=False, shape=Shape(*subwords))
        if not dictionary.words:
            raise EmptyVocabulary
        announce(dictionary)
        tokens = as_places(text, dictionary)
        settings = Settings(**{name: getattr(self, name) for name in Settings.__dataclass_fields__})
        training = WordTraining(
            dictionary, tokens, settings, cluster or Cluster(), stopping, report
        )
        training.run()
        self._keep(dictionary, training.vectors())
        self._training: WordTraining | None = training
        self._model: fasttext.FastTextModel | None = None
        return self

    def _keep(self, dictionary: Dictionary, vectors: np.ndarray) -> None:
        self._dictionary = dictionary
        self.words_ = [word.decode("utf-8", "replace") for word in dictionary.words]
        self.counts_ = dictionary.counts
        self.vectors_ = vectors

    # --- asking ----------------------------------------------------------------------------------

    def transform(self, words: Iterable[str]) -> np.ndarray:
        """A row a word; zeros for words that are not known, unless their parts are."""
        self.require_fit()
        asked = [word.encode("utf-8", "surrogateescape") for word in words]
        places = np.array([self._dictionary.places.get(word, -1) for word in asked], np.int64)
        found = np.zeros((len(asked), self.vectors_.shape[1]), np.float32)
        found[places >= 0] = self.vectors_[places[places >= 0]]
        unknown = np.flatnonzero(places < 0)
        if len(unknown) and self._dictionary.shape.buckets:
            rows, starts = self._dictionary.word_rows([asked[i] for i in unknown.tolist()])
            found[unknown] = self._mean_of(rows, starts)
        return found

    def _mean_of(self, rows: np.ndarray, starts: np.ndarray) -> np.ndarray:
        """Of rows of the input matrix, of which only what was learned is kept."""
        if self._model is not None:
            return mean_rows(self._model.inputs, rows, starts)
        assert self._training is not None
        numbers, inputs = self._training.row_numbers, self._training.inputs
        at = np.minimum(np.searchsorted(numbers, rows), len(numbers) - 1)
        used, places = np.unique(np.where(numbers[at] == rows, at, -1), return_inverse=True)
        matrix = inputs[used, : self.vectors_.shape[1]]
        matrix[used < 0] = 0
        return mean_rows(matrix, places, starts)

    def vector(self, word: str) -> np.ndarray | None:
        """A known word's vector."""
        self.require_fit()
        place = self._dictionary.places.get(word.encode("utf-8", "surrogateescape"))
        return None if place is None else self.vectors_[place]

    def most_similar(self, word: str, count: int = 10) -> list[tuple[str, float]]:
        """The known words whose vectors point most nearly the same way, and the cosines."""
        wanted = self.transform([word])[0]
        lengths = np.linalg.norm(self.vectors_, axis=1) * np.linalg.norm(wanted)
        cosines = self.vectors_ @ wanted / np.maximum(lengths, 1e-20)
        order = np.argsort(-cosines, kind="stable")
        named = ((self.words_[i], float(cosines[i])) for i in order.tolist())
        return [pair for pair in named if pair[0] != word][:count]

    # --- files -----------------------------------------------------------------------------------

    def save(self, path: str | Path) -> None:
        """Write fastText's binary format."""
        self.require_fit()
        shape = self._dictionary.shape
        arguments = fasttext.Arguments(
            self.vectors_.shape[1],
            MODES[self.mode],
            fasttext.NEGATIVE,
            self.window_size,
            self.epochs,
            self.min_count,
            self.negative_samples,
            1,
            shape.buckets,
            shape.least_characters,
            shape.most_characters,
            sampling=self.sampling_threshold,
        )
        if self._training is not None:
            rows = self._training.input_rows()
            outputs = self._training.outputs[:, : self.vectors_.shape[1]]
        else:
            assert self._model is not None
            matrix, outputs = self._model.inputs, self._model.outputs
            rows = fasttext.Rows(len(matrix), np.arange(len(matrix)), matrix)
        fasttext.write(Path(path), arguments, self._dictionary, rows, outputs)

    def save_text(self, path: str | Path) -> None:
        """Write word2vec's text format."""
        self.require_fit()
        fasttext.write_text(Path(path), self._dictionary.words, self.vectors_)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read fastText's binary format."""
        return cls.from_model(fasttext.read(Path(path)))

    @classmethod
    def from_model(cls, model: fasttext.FastTextModel) -> Self:
        a = model.arguments
        if model.is_supervised:
            raise fasttext.ModelFileError("this is a model of texts, not of words")
        made = cls(
            "cbow" if a.model == fasttext.CBOW else "skipgram",
            vector_dim=a.dim,
            window_size=a.window,
            negative_samples=a.negatives,
            sampling_threshold=a.sampling,
            epochs=a.epochs,
            min_count=a.min_count,
            subwords=a.max_char > 0 and a.buckets > 0,
        )
        if made.subwords:
            made.set_params(min_char=a.min_char, max_char=a.max_char, buckets=a.buckets)
        rows, starts = model.dictionary.word_rows(model.dictionary.words)
        made._keep(model.dictionary, mean_rows(model.inputs, rows, starts))
        made._training, made._model = None, model
        return made
