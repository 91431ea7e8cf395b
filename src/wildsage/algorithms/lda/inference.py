"""What documents are about, given topics: mixtures for many documents at once, and likelihoods."""

from __future__ import annotations

import numpy as np

from wildsage.algorithms.lda import kernels
from wildsage.algorithms.lda.corpus import Corpus
from wildsage.algorithms.lda.refinement import padded
from wildsage.algorithms.threads import threaded

SWEEPS = 100
TOLERANCE = 1e-4
BLOCK = 1024


class Topics:
    """A model: the prior `alpha` (topics) and the distributions `beta` (topics x words)."""

    def __init__(self, alpha: np.ndarray, beta: np.ndarray) -> None:
        self.alpha = np.asarray(alpha, np.float32)
        self.beta = np.asarray(beta, np.float32)
        # A word that no topic knows says nothing about a document's topics.
        self._by_word = padded(np.maximum(self.beta, 1e-12).T)
        self._by_word[:, len(self.alpha) :] = 0
        self._prior = padded(self.alpha)

    def mixtures(self, corpus: Corpus) -> np.ndarray:
        """Each document's expected share of each topic (documents x topics)."""
        shares = self._mixtures(corpus)[:, : len(self.alpha)]
        return np.ascontiguousarray(shares)

    def _mixtures(self, corpus: Corpus) -> np.ndarray:
        held = np.zeros((len(corpus), self._by_word.shape[1]), np.float32)
        none = np.zeros((0, held.shape[1]), np.float32)

        def infer(begin: int) -> None:
            block = corpus[begin : begin + BLOCK]
            kernels.assign(
                block.pointers,
                block.words,
                block.counts,
                self._by_word,
                self._prior,
                held[begin : begin + BLOCK],
                none,
                block.longest,
                SWEEPS,
                TOLERANCE,
            )

        for _ in threaded(infer, range(0, len(corpus), BLOCK)):
            pass
        held += self._prior
        held /= held.sum(axis=1, keepdims=True)
        return held

    def held_out(self, corpus: Corpus) -> tuple[float, float]:
        """The words' summed log probabilities, and how many words there are.

        Each document is cut in half; a half is judged by the mixture that the other half suggests.
        """
        total = 0.0
        halves = corpus.halves()
        for shown, hidden in (halves, halves[::-1]):
            mixtures = self._mixtures(shown)
            total += kernels.likelihood(
                hidden.pointers, hidden.words, hidden.counts, self._by_word, mixtures
            )
        return total, float(corpus.counts.sum(dtype=np.float64))
