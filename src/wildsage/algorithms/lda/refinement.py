"""From first topics to good ones: passes over the documents, priors learned, extra topics merged.

A pass takes the documents in steps. Each step infers what its documents hold of each topic (CVB0)
and moves the topics some way towards what that says (stepwise EM). A step's documents are dealt to
a fixed number of parts, which run on as many processors as there are; sums are taken in order, so
that the result depends on the seed alone. Between passes the priors are fitted to the counts.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from wildsage.algorithms.lda import kernels
from wildsage.algorithms.lda.corpus import Corpus
from wildsage.algorithms.threads import threaded

PARTS = 4
STEP_DOCUMENTS = 512
SWEEPS = 3
STEPS_IN_ALL = 450
FEWEST_PASSES, MOST_PASSES = 4, 30
EXTRA_PASSES = 2  # before the extra topics are merged
FORGETTING = 0.6  # the exponent of the first pass's step sizes
DRAWN_WORK = 2e6  # words x topics that are drawn to fit the prior
MOST_DRAWS = 200
THREADED_WORK = 100_000  # words x topics of a step: below it threads cost more than they give
ETA_ENTRIES = 500_000
LEAST_PRIOR = 1e-4
FIRST_ETA = 0.05
TOLERANCE = 0.02
WIDTH = 8


def padded(table: np.ndarray) -> np.ndarray:
    """float32, with columns of zeros up to a multiple of eight."""
    width = -table.shape[-1] % WIDTH
    wide = np.pad(table, [(0, 0)] * (table.ndim - 1) + [(0, width)])
    return np.ascontiguousarray(wide, np.float32)


@dataclass(slots=True)
class Part:
    """Some of a step's documents, their words numbered anew, and what they hold of the topics."""

    documents: Corpus
    vocabulary: np.ndarray
    mixtures: np.ndarray

    @classmethod
    def of(cls, corpus: Corpus, mixtures: np.ndarray) -> Part:
        vocabulary, words = np.unique(corpus.words, return_inverse=True)
        own = Corpus(corpus.pointers, words.astype(np.int32), corpus.counts, len(vocabulary))
        return cls(own, vocabulary, mixtures)


@dataclass
class Refinement:
    """The topics as counts (words x topics, padded), which `scale` stands before."""

    corpus: Corpus
    rng: np.random.Generator
    alpha: np.ndarray
    eta: float = FIRST_ETA
    stopping: Callable[[], bool] = lambda: False
    counts: np.ndarray = field(init=False)
    totals: np.ndarray = field(init=False)
    scale: float = field(init=False, default=1.0)
    taken: int = field(init=False, default=0)

    def start(self, topics: np.ndarray, step: int) -> None:
        """Begin with topics (words x topics, columns sum to one), `step` documents a step."""
        self._sizes = step
        drawn = np.minimum(self.corpus.counts, MOST_DRAWS).sum(dtype=np.float64)
        self.draws = max(1.0, float(drawn)) / len(self.corpus)
        weights = self.corpus.counts.sum(dtype=np.float64) * self.alpha / self.alpha.sum()
        self._take_over(topics * weights)

    def _take_over(self, counts: np.ndarray) -> None:
        self.scale, self.counts = 1.0, padded(counts)
        self.totals = self.counts.sum(axis=0, dtype=np.float64)
        self.mixtures = np.zeros((len(self.corpus), self.counts.shape[1]), np.float32)
        self.steps = list(self._dealt())

    def _dealt(self) -> Iterator[list[Part]]:
        number = max(1, round(len(self.corpus) / self._sizes))
        borders = np.linspace(0, len(self.corpus), number * PARTS + 1).astype(int)
        for first in range(0, number * PARTS, PARTS):
            bounds = borders[first : first + PARTS + 1].tolist()
            yield [
                Part.of(self.corpus[begin:end], self.mixtures[begin:end])
                for begin, end in zip(bounds[:-1], bounds[1:], strict=True)
                if end > begin
            ]

    @property
    def topics(self) -> int:
        return len(self.alpha)

    def word_counts(self) -> np.ndarray:
        """What each topic holds of each word (words x topics)."""
        counts: np.ndarray = self.counts[:, : self.topics] * self.scale
        return counts

    def distributions(self) -> np.ndarray:
        """Each topic's probabilities of words (words x topics)."""
        counts = self.word_counts().astype(np.float64) + self.eta
        shares: np.ndarray = counts / counts.sum(axis=0)
        return shares

    # --- passes ----------------------------------------------------------------------------------

    def passes(self) -> int:
        """How many passes are worth their time: many over few documents."""
        return max(FEWEST_PASSES, min(MOST_PASSES, math.ceil(STEPS_IN_ALL / len(self.steps))))

    def go_over(self, *, last: bool = False) -> None:
        """One pass, then the priors. What the last one finds weighs the same from all documents."""
        prior = padded(self.alpha)
        even = last and self.taken >= len(self.steps)
        found = np.zeros_like(self.counts) if even else self.counts[:0]
        for number in self.rng.permutation(len(self.steps)):
            if self.stopping():
                break
            self._step(self.steps[number], prior, self._rate(last=last), found)
            self.taken += 1
        else:
            if even:
                self.counts, self.scale = found, 1.0
                self.totals = found.sum(axis=0, dtype=np.float64)
        self._fit_alpha()
        self._fit_eta()

    def _rate(self, *, last: bool) -> float:
        """How far a step moves the topics: far at first, by its share of a pass in the end."""
        steps = len(self.steps)
        even = 1 / steps
        early = (1 + self.taken) ** -FORGETTING if self.taken < steps else 0
        if last and self.taken >= steps:
            return even
        return min(1.0, max(early, 3 * even if steps >= 2 * WIDTH else even))

    def _step(self, parts: list[Part], prior: np.ndarray, rate: float, found: np.ndarray) -> None:
        """One step; what its documents hold is added to `found`, too, unless that is empty."""
        heights = padded(1 / (self.totals[: self.topics] + self.eta * self.corpus.vocabulary))
        documents = sum(len(part.documents) for part in parts)

        def infer(part: Part) -> np.ndarray:
            topics = np.empty((len(part.vocabulary), len(heights)), np.float32)
            kernels.take(self.counts, part.vocabulary, self.scale, self.eta, heights, topics)
            return expected(part.documents, topics, prior, part.mixtures)

        words = sum(len(part.documents.words) for part in parts)
        each = list((threaded if words * self.topics > THREADED_WORK else map)(infer, parts))
        self._shrink(1 - rate)
        weight = rate * len(self.corpus) / documents
        added = np.zeros_like(self.totals)
        for part, sums in zip(parts, each, strict=True):
            if len(found):
                kernels.give(sums, part.vocabulary, 1.0, found, np.zeros_like(self.totals))
            kernels.give(sums, part.vocabulary, weight / self.scale, self.counts, added)
        self.totals += added * self.scale

    def _shrink(self, share: float) -> None:
        """All counts times `share`: a factor in front, until that gets too small."""
        self.totals *= share
        if share < 1e-6:
            self.counts[:] = 0
            self.scale = 1.0
            return
        self.scale *= share
        if self.scale < 1e-9:
            self.counts *= np.float32(self.scale)
            self.scale = 1.0

    # --- priors ----------------------------------------------------------------------------------

    def _fit_alpha(self) -> None:
        """Minka's fixed point on topics drawn for some of the documents."""
        if self.topics == 1:
            return
        some = self._some_documents()
        documents = self.corpus[some]
        drawn = np.zeros((len(documents), self.topics))
        kernels.sample(
            documents.pointers,
            documents.words,
            documents.counts,
            self.distributions().astype(np.float32),
            self.alpha.astype(np.float32),
            self.mixtures[some],
            drawn,
            2,
            MOST_DRAWS,
            int(self.rng.integers(1 << 31)),
        )
        alpha = self.alpha.copy()
        lengths = drawn.sum(axis=1, keepdims=True)
        above, below = np.empty(self.topics), np.empty(1)
        for _ in range(10):
            kernels.excess(drawn, alpha, above)
            kernels.excess(lengths, alpha.sum(keepdims=True), below)
            alpha = np.maximum(alpha * above / max(below[0], 1e-12), LEAST_PRIOR)
        self.alpha = alpha

    def _some_documents(self) -> slice:
        """A run of documents that can be drawn in the time there is, from a random place."""
        count = min(len(self.corpus), max(100, int(DRAWN_WORK / (self.draws * self.topics))))
        begin = int(self.rng.integers(len(self.corpus) - count + 1))
        return slice(begin, begin + count)

    def _fit_eta(self) -> None:
        """The same for the topics' common prior on words, on some of the words."""
        words = self.corpus.vocabulary
        stride = max(1, words * self.topics // ETA_ENTRIES)
        # Whole counts, as draws would be: shares of a word would make this prior too large, too.
        counts = np.rint(np.maximum(self.word_counts()[::stride], 0)).astype(np.float64)
        if words == 1:
            return
        totals = self.totals[: self.topics, None]
        shares, below = np.empty(self.topics), np.empty(1)
        for _ in range(3):
            eta = np.full(self.topics, self.eta)
            kernels.excess(counts, eta, shares)
            kernels.excess(totals, np.array([self.eta * words]), below)
            above = float(shares.sum()) * words / len(counts)
            self.eta = max(self.eta * above / max(words * float(below[0]), 1e-12), LEAST_PRIOR)

    # --- extra topics ----------------------------------------------------------------------------

    def merge(self, count: int) -> None:
        """Merge topics that are most alike until `count` are left: the large and distinct ones."""
        if self.topics <= count:
            return
        counts = merged(self.word_counts().astype(np.float64), count)
        sizes = counts.sum(axis=0)
        self.alpha = np.maximum(self.alpha.sum() * sizes / sizes.sum(), LEAST_PRIOR)
        self._take_over(counts)


def expected(
    documents: Corpus, topics: np.ndarray, prior: np.ndarray, mixtures: np.ndarray
) -> np.ndarray:
    """What the documents' words add to each topic; `mixtures` goes on from where it was."""
    sums = np.zeros_like(topics)
    kernels.assign(
        documents.pointers,
        documents.words,
        documents.counts,
        topics,
        prior,
        mixtures,
        sums,
        documents.longest,
        SWEEPS,
        TOLERANCE,
    )
    return sums


def merged(counts: np.ndarray, most: int) -> np.ndarray:
    """Columns of counts, the cheapest pair of them added up again and again until `most` are left.

    The price of a pair is Ward's, between the square roots of the distributions (Hellinger's
    distance), which is close to what the likelihood loses.
    """
    sizes = np.maximum(counts.sum(axis=0), 1e-12)
    roots = np.sqrt(counts / sizes)
    alike = roots.T @ roots
    left = np.ones(len(sizes), bool)
    counts = counts.copy()
    while np.count_nonzero(left) > most:
        prices = np.maximum(1 - alike, 0) * (sizes[:, None] * sizes / (sizes[:, None] + sizes))
        prices[np.tril_indices(len(prices))] = np.inf
        prices[~left] = prices[:, ~left] = np.inf
        one, other = np.unravel_index(int(prices.argmin()), prices.shape)
        left[other] = False
        counts[:, one] += counts[:, other]
        sizes[one] += sizes[other]
        roots[:, one] = np.sqrt(counts[:, one] / sizes[one])
        alike[one] = alike[:, one] = roots[:, one] @ roots
    return counts[:, left]
