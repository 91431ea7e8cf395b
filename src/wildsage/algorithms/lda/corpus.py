"""Documents in memory: eight bytes for each word that occurs in a document."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from wildsage.algorithms.lda import kernels
from wildsage.algorithms.rows import Features
from wildsage.formats.matrix import SparseMatrix

MOST = 1e9  # of a word in a document: sums of counts are single precision


@dataclass(slots=True)
class Corpus:
    """Counts of words in compressed rows; no entry is zero or negative."""

    pointers: np.ndarray
    words: np.ndarray
    counts: np.ndarray
    vocabulary: int

    def __len__(self) -> int:
        return len(self.pointers) - 1

    @property
    def longest(self) -> int:
        """The most different words in a document."""
        return int(np.diff(self.pointers).max(initial=1))

    @property
    def lengths(self) -> np.ndarray:
        """The number of words in each document."""
        sums = np.concatenate(([0.0], np.cumsum(self.counts, dtype=np.float64)))
        lengths: np.ndarray = np.diff(sums[self.pointers])
        return lengths

    def __getitem__(self, rows: slice) -> Corpus:
        """A run of documents; nothing is copied but the pointers."""
        begin, end, _ = rows.indices(len(self))
        pointers = self.pointers[begin : end + 1]
        first, last = int(pointers[0]), int(pointers[-1])
        return Corpus(
            pointers - first, self.words[first:last], self.counts[first:last], self.vocabulary
        )

    def take(self, rows: np.ndarray) -> Corpus:
        """The given documents in the given order."""
        shape = (len(self), self.vocabulary)
        taken = SparseMatrix(self.counts, self.words, self.pointers, shape).take(rows)
        return Corpus(taken.indptr, taken.indices, taken.data, self.vocabulary)

    def times(self, table: np.ndarray) -> np.ndarray:
        """The product with a table of a row per word."""
        result = np.empty((len(self), table.shape[1]), table.dtype)
        kernels.times(self.pointers, self.words, self.counts, table, result)
        return result

    def transposed_times(self, weights: np.ndarray, table: np.ndarray) -> np.ndarray:
        """The product of the transposed corpus with a table of a weighted row per document."""
        result = np.zeros((self.vocabulary, table.shape[1]), table.dtype)
        weights = weights.astype(table.dtype)
        kernels.transposed_times(self.pointers, self.words, self.counts, weights, table, result)
        return result

    def word_sums(self, weights: np.ndarray) -> np.ndarray:
        """For each word the sum of its counts, weighted by document."""
        return self.transposed_times(weights, np.ones((len(self), 1)))[:, 0]

    def halves(self) -> tuple[Corpus, Corpus]:
        """Each document's words dealt out to two hands, the odd ones in turn."""
        low = np.floor(self.counts / 2)
        rest = self.counts - 2 * low
        turns = np.cumsum(rest > 0) % 2 == 0
        one = low + np.where(turns, rest, 0)
        return self._with(one), self._with(self.counts - one)

    def _with(self, counts: np.ndarray) -> Corpus:
        """The same documents with other counts; those that are zero are left out."""
        kept = counts > 0
        ends = np.concatenate(([0], np.cumsum(kept)))
        counts = counts[kept].astype(np.float32)
        return Corpus(ends[self.pointers], self.words[kept], counts, self.vocabulary)


def corpus_of(features: Features) -> Corpus:
    """Rows of counts as documents; ValueError where one cannot be a count."""
    sparse = features if isinstance(features, SparseMatrix) else SparseMatrix.from_dense(features)
    counts = np.ascontiguousarray(sparse.data, np.float32)
    if not np.isfinite(counts).all():
        raise ValueError("Found NaN or infinity")
    if len(counts) and counts.min() < 0:
        raise ValueError("Found negative values")
    if len(counts) and counts.max() > MOST:
        raise ValueError(f"Found values above {MOST:g}")
    words = np.ascontiguousarray(sparse.indices, np.int32)
    if len(words) and not 0 <= words.min() <= words.max() < sparse.shape[1]:
        raise ValueError("Found words that are not in the vocabulary")
    found = Corpus(np.asarray(sparse.indptr, np.int64), words, counts, sparse.shape[1])
    return found if counts.all() else found._with(counts)


def join(parts: Iterable[Corpus]) -> Corpus:
    """The documents of all parts, empty ones left out."""
    parts = list(parts)
    sizes = np.concatenate([np.diff(part.pointers) for part in parts])
    return Corpus(
        np.concatenate(([0], np.cumsum(sizes[sizes > 0]))),
        np.concatenate([part.words for part in parts]),
        np.concatenate([part.counts for part in parts]),
        max(part.vocabulary for part in parts),
    )


@dataclass(slots=True)
class Documents:
    """Takes in batches of rows, one after the other, and gives the corpus."""

    parts: list[Corpus] = field(default_factory=list)

    def __len__(self) -> int:
        """How many documents have words."""
        return sum(int(np.count_nonzero(np.diff(part.pointers))) for part in self.parts)

    def add(self, features: Features) -> None:
        part = corpus_of(features)
        if self.parts and part.vocabulary != self.parts[0].vocabulary:
            raise ValueError(
                f"Found {part.vocabulary} features after {self.parts[0].vocabulary} features"
            )
        self.parts.append(part)

    def corpus(self) -> Corpus:
        joined = join(self.parts) if self.parts else None
        if joined is None or not len(joined):
            raise ValueError("There are no documents with words to learn from")
        self.parts.clear()
        return joined
