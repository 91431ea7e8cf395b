"""Training of the text classifier: epochs over labelled lines, on threads, with early stopping."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from wildsage import clock
from wildsage.algorithms.blazingtext import text_kernels as kernels
from wildsage.algorithms.blazingtext.dictionary import Bags, Dictionary
from wildsage.algorithms.blazingtext.fasttext import Rows
from wildsage.algorithms.blazingtext.simd import padded_zeros
from wildsage.algorithms.blazingtext.threads import run_pieces, seed_of, thread_count
from wildsage.algorithms.blazingtext.word_training import (
    LEAST_RATE,
    REPORTS,
    Progress,
    require_finite,
)

PREDICTION_BLOCK = 4096  # lines
LARGEST_PIECE = 50_000_000  # features


@dataclass(frozen=True, slots=True)
class Settings:
    vector_dim: int = 100
    learning_rate: float = 0.05
    epochs: int = 5
    threads: int | None = None
    seed: int = 0
    early_stopping: bool = False
    min_epochs: int = 5
    patience: int = 4


class Listener:
    """Is told how training goes."""

    def progress(self, progress: Progress) -> None: ...

    def epoch_ended(self, epoch: int) -> None: ...

    def validated(self, accuracy: float, improved: bool, waited: int) -> None: ...


class TextTraining:
    """The matrices and all that an epoch needs."""

    def __init__(
        self,
        dictionary: Dictionary,
        bags: Bags,
        settings: Settings,
        validation: Bags | None = None,
        stopping: Callable[[], bool] = lambda: False,
        listener: Listener | None = None,
    ) -> None:
        self.dictionary, self.settings, self.validation = dictionary, settings, validation
        self.stopping, self.listener = stopping, listener or Listener()
        self.bags = bags
        self.row_numbers, self.places = _occurring(bags.features, dictionary.rows)
        self.features = self.places[bags.features]
        rng = np.random.default_rng(settings.seed)
        width, classes = settings.vector_dim, len(dictionary.labels)
        self.inputs = padded_zeros(len(self.row_numbers), width)
        start = rng.random((len(self.inputs), width), np.float32) - np.float32(0.5)
        self.inputs[:, :width] = start * np.float32(2 / width)
        self.outputs = padded_zeros(-(-classes // kernels.GROUP) * kernels.GROUP, width)
        self.epochs_run = 0

    # --- running ---------------------------------------------------------------------------------

    def run(self) -> None:
        """All epochs, unless training is told to stop or validation does not improve."""
        settings = self.settings
        watch = settings.early_stopping and self.validation is not None
        best, waited, kept = -1.0, 0, None
        self._started = clock.monotonic()
        for epoch in range(settings.epochs):
            if not self._epoch(epoch):
                break
            self.epochs_run = epoch + 1
            self.listener.epoch_ended(epoch + 1)
            if not watch:
                continue
            assert self.validation is not None
            accuracy = self.accuracy(self.validation)
            improved = accuracy > best
            waited = 0 if improved else waited + 1
            if improved:
                best, kept = accuracy, (self.inputs.copy(), self.outputs.copy())
            self.listener.validated(accuracy, improved, waited)
            if epoch + 1 >= settings.min_epochs and waited >= settings.patience:
                break
        if kept is not None:
            self.inputs, self.outputs = kept
        require_finite(self.inputs, self.outputs)

    def _epoch(self, epoch: int) -> bool:
        """One pass in an order of its own, in pieces; whether it came to its end."""
        settings, lines = self.settings, len(self.bags)
        features = int(self.bags.starts[-1])
        threads = thread_count(settings.threads, features * settings.epochs)
        order = np.random.default_rng((settings.seed, epoch)).permutation(lines)
        pieces = max(1, math.ceil(REPORTS / settings.epochs), math.ceil(features / LARGEST_PIECE))
        cuts = np.linspace(0, lines, pieces + 1).astype(np.int64).tolist()
        for number, (begin, end) in enumerate(zip(cuts[:-1], cuts[1:], strict=True)):
            self._piece((epoch, number), order, (begin, end), threads)
            share = (epoch * lines + end) / (settings.epochs * lines)
            seconds = clock.monotonic() - self._started
            words = int(share * settings.epochs * self.dictionary.tokens)
            self.listener.progress(Progress(self._rate(share), share, words, seconds))
            if self.stopping():
                return False
        return True

    def _rate(self, share: float) -> float:
        return self.settings.learning_rate * max(1 - share, LEAST_RATE)

    def _piece(
        self, place: tuple[int, int], order: np.ndarray, span: tuple[int, int], threads: int
    ) -> None:
        bags, settings = self.bags, self.settings
        shares = ((place[0] * len(bags) + at) / (settings.epochs * len(bags)) for at in span)
        first, last = map(self._rate, shares)

        def work(begin: int, end: int, thread: int) -> None:
            kernels.classify(
                self.features,
                bags.starts,
                bags.labels,
                bags.label_starts,
                order[begin:end],
                self.inputs,
                self.outputs,
                len(self.dictionary.labels),
                first,
                last,
                seed_of(settings.seed, *place, thread),
            )

        run_pieces(work, *span, threads)

    # --- results ---------------------------------------------------------------------------------

    def accuracy(self, bags: Bags) -> float:
        """The share of labelled lines whose most probable label is one of theirs."""
        return accuracy(self.scores, bags)

    def scores(self, features: np.ndarray, starts: np.ndarray) -> np.ndarray:
        """The labels' scores for lines given in the dictionary's features; unseen ones are zero."""
        result = np.zeros((len(starts) - 1, len(self.outputs)), np.float32)
        kernels.score_lines(features, self.places, starts, self.inputs, self.outputs, result)
        return result[:, : len(self.dictionary.labels)]

    def input_rows(self) -> Rows:
        return Rows(self.dictionary.rows, self.row_numbers, self.inputs)

    def output_rows(self) -> np.ndarray:
        return self.outputs[: len(self.dictionary.labels), : self.settings.vector_dim]


def _occurring(features: np.ndarray, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """The features that occur, and each feature's place among them, -1 where it does not."""
    seen = np.zeros(rows, bool)
    seen[features] = True
    places = np.cumsum(seen, dtype=np.int32) - np.int32(1)
    places[~seen] = -1
    return np.flatnonzero(seen), places


def accuracy(score: Callable[[np.ndarray, np.ndarray], np.ndarray], bags: Bags) -> float:
    """Precision at one over lines that have a label."""
    right, total = 0, 0
    for begin in range(0, len(bags), PREDICTION_BLOCK):
        end = min(len(bags), begin + PREDICTION_BLOCK)
        starts = bags.starts[begin : end + 1]
        scores = score(bags.features[starts[0] : starts[-1]], starts - starts[0])
        best = scores.argmax(axis=1)
        marks = bags.label_starts[begin : end + 1]
        owners = np.repeat(np.arange(end - begin), np.diff(marks))
        hits = bags.labels[marks[0] : marks[-1]] == best[owners]
        right += len(np.unique(owners[hits]))
        total += len(np.unique(owners))
    return right / total if total else 0.0
