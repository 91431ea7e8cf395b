"""From documents to topics: moments, a few passes with extra topics, merging, passes to the end."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from wildsage.algorithms.lda.corpus import Corpus
from wildsage.algorithms.lda.inference import Topics
from wildsage.algorithms.lda.moments import spectral_topics
from wildsage.algorithms.lda.refinement import EXTRA_PASSES, STEP_DOCUMENTS, Refinement
from wildsage.algorithms.threads import one_blas_thread

EXTRA_SHARE = 1.25
SEED_DOCUMENTS = 20
FEWEST_STEPS = 32
SMALLEST_STEP = 16


@dataclass(slots=True)
class Settings:
    """The hyperparameters."""

    num_topics: int
    alpha0: float = 1.0
    max_restarts: int = 10
    max_iterations: int = 1000
    tol: float = 1e-8
    mini_batch_size: int | None = None
    passes: int | Literal["auto"] = "auto"

    def __post_init__(self) -> None:
        for name in ("num_topics", "max_restarts", "max_iterations", "mini_batch_size"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        for name in ("alpha0", "tol"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be above 0, got {getattr(self, name)}")
        if self.passes != "auto" and self.passes < 0:
            raise ValueError(f"passes must be auto or at least 0, got {self.passes}")


def _silent(message: str) -> None:
    pass


@dataclass
class Training:
    """One training; `learn` gives `topics` and `eta`."""

    settings: Settings
    rng: np.random.Generator
    info: Callable[[str], None] = _silent
    progress: Callable[[float], None] = lambda percent: None
    stopping: Callable[[], bool] = lambda: False
    topics: Topics = field(init=False)
    eta: float = field(init=False)

    def learn(self, corpus: Corpus) -> None:
        """Learn the topics of documents, none of which is empty."""
        with one_blas_thread():
            corpus = corpus.take(self.rng.permutation(len(corpus)))
            refinement = self._begin(corpus)
            self._refine(refinement)
        order = np.argsort(-refinement.alpha, kind="stable")
        beta = refinement.distributions().T[order]
        self.topics, self.eta = Topics(refinement.alpha[order], beta), refinement.eta

    def _begin(self, corpus: Corpus) -> Refinement:
        """A quarter more topics than asked for; what the moments do not give, documents do."""
        settings = self.settings
        extra = settings.num_topics > 1
        count = math.ceil(settings.num_topics * EXTRA_SHARE) if extra else 1
        topics, shares, starts = spectral_topics(
            corpus,
            count,
            settings.alpha0,
            self.rng,
            restarts=settings.max_restarts,
            iterations=settings.max_iterations,
            tolerance=settings.tol,
        )
        for number, start in enumerate(starts):
            self.info(
                f"ALS restart {number}: {start.iterations} iterations, "
                f"relative residual {start.residual:.6f}"
            )
        missing = count - topics.shape[1]
        if missing:
            self.info(f"{missing} of {count} topics start from documents.")
            topics = np.hstack([topics, _seeded(corpus, missing, self.rng)])
            shares = np.concatenate([shares, np.full(missing, 1 / count)])
        # Half even: components that are mostly noise have tiny shares, and would never grow.
        prior = settings.alpha0 * (0.5 / count + 0.5 * shares / shares.sum())
        refinement = Refinement(corpus, self.rng, prior, stopping=self.stopping)
        refinement.start(topics, self._step_documents(corpus))
        return refinement

    def _step_documents(self, corpus: Corpus) -> int:
        most = self.settings.mini_batch_size or len(corpus)
        return min(most, STEP_DOCUMENTS, max(SMALLEST_STEP, len(corpus) // FEWEST_STEPS))

    def _refine(self, refinement: Refinement) -> None:
        wanted = self.settings.passes
        passes = refinement.passes() if wanted == "auto" else wanted
        merge_after = min(EXTRA_PASSES, passes // 2)
        for number in range(passes):
            if number == merge_after:
                self._merge(refinement)
            refinement.go_over(last=number == passes - 1)
            self.progress(100.0 * (number + 1) / passes)
            if self.stopping():
                break
        self._merge(refinement)

    def _merge(self, refinement: Refinement) -> None:
        if refinement.topics > self.settings.num_topics:
            self.info(f"merging {refinement.topics} topics into {self.settings.num_topics}")
            refinement.merge(self.settings.num_topics)


def _seeded(corpus: Corpus, count: int, rng: np.random.Generator) -> np.ndarray:
    """Topics halfway between the whole corpus and a few documents each."""
    everything = corpus.word_sums(np.ones(len(corpus))) + 1
    topics = np.empty((corpus.vocabulary, count))
    for number in range(count):
        few = corpus.take(rng.integers(len(corpus), size=SEED_DOCUMENTS))
        own = few.word_sums(np.ones(len(few)))
        topics[:, number] = everything / everything.sum() + own / own.sum()
    return topics / 2


def settings_of(parameters: dict[str, Any]) -> Settings:
    """Settings from hyperparameters, which have names beside these."""
    names = Settings.__dataclass_fields__
    return Settings(**{name: value for name, value in parameters.items() if name in names})
