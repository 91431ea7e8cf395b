"""`LDA`: topic models as a plain library. NumPy in, NumPy out, scikit-learn's conventions."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import fields
from typing import Any, Literal, Self

import numpy as np

from wildsage.algorithms.base import Estimator, as_features
from wildsage.algorithms.lda.corpus import Corpus, Documents, corpus_of
from wildsage.algorithms.lda.inference import Topics
from wildsage.algorithms.lda.training import Settings, Training


class LDA(Estimator):
    """Latent Dirichlet allocation: spectral topics, refined by passes over the documents.

    `fit` takes a table of counts (a row per document, a column per word; sparse ones stay sparse)
    or an iterator of tables. Learned: `components_` (topics x words, each row a distribution),
    `alpha_` (the prior of the topics), `eta_` (the prior of words) and `n_features_in_`.
    """

    def __init__(
        self,
        num_topics: int = 10,
        *,
        alpha0: float = 1.0,
        max_restarts: int = 10,
        max_iterations: int = 1000,
        tol: float = 1e-8,
        mini_batch_size: int | None = None,
        passes: int | Literal["auto"] = "auto",
        seed: int = 0,
    ) -> None:
        self.num_topics = num_topics
        self.alpha0 = alpha0
        self.max_restarts = max_restarts
        self.max_iterations = max_iterations
        self.tol = tol
        self.mini_batch_size = mini_batch_size
        self.passes = passes
        self.seed = seed

    def fit(self, rows: Any, labels: Any = None) -> Self:
        """Learn from a table, or from an iterator of tables."""
        documents = Documents()
        for table in rows if isinstance(rows, Iterator) else [rows]:
            documents.add(as_features(table))
        settings = Settings(**{f.name: getattr(self, f.name) for f in fields(Settings)})
        training = Training(settings, np.random.default_rng(self.seed))
        training.learn(documents.corpus())
        self.eta_ = training.eta
        return self._keep(training.topics)

    def _keep(self, topics: Topics) -> Self:
        self._topics = topics
        self.alpha_, self.components_ = topics.alpha, topics.beta
        self.n_features_in_ = topics.beta.shape[1]
        return self

    @classmethod
    def from_topics(cls, alpha: np.ndarray, beta: np.ndarray) -> Self:
        """A fitted estimator with the given prior and topics (topics x words)."""
        return cls(len(alpha))._keep(Topics(alpha, beta))

    def transform(self, rows: Any) -> np.ndarray:
        """Each document's mixture of topics (documents x topics, rows sum to one)."""
        return self._topics_for().mixtures(self._checked(rows))

    def fit_transform(self, rows: Any, labels: Any = None) -> np.ndarray:
        return self.fit(rows).transform(rows)

    def score(self, rows: Any, labels: Any = None) -> float:
        """The mean logarithm of a word's probability, given the other half of its document."""
        total, words = self._topics_for().held_out(self._checked(rows))
        return total / words if words else math.nan

    def perplexity(self, rows: Any) -> float:
        """The exponential of minus the score: the lower the better."""
        return math.exp(-self.score(rows))

    def _topics_for(self) -> Topics:
        self.require_fit()
        return self._topics

    def _checked(self, rows: Any) -> Corpus:
        corpus = corpus_of(as_features(rows))
        if corpus.vocabulary != self.n_features_in_:
            raise ValueError(
                f"X has {corpus.vocabulary} features, but {type(self).__name__} is expecting "
                f"{self.n_features_in_} features as input"
            )
        return corpus
