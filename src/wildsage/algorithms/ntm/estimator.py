"""`NTM`: the neural topic model as a plain library. NumPy in, NumPy out, scikit-learn's
conventions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import fields
from typing import Any, Self

import numpy as np

from wildsage.algorithms import neural
from wildsage.algorithms.base import Estimator, as_features
from wildsage.algorithms.ntm.corpus import Corpus, NegativeCount, as_counts
from wildsage.algorithms.ntm.model import TopicModel
from wildsage.algorithms.ntm.topics import top_words
from wildsage.formats.matrix import SparseMatrix


class NTM(Estimator):
    """Documents as mixtures of topics, inferred by a network.

    `fit` takes counts of words, documents × words, dense or sparse. Learned: `components_` (the
    probability of each word in each topic), `model_`, `history_` (the loss after each epoch, per
    word), `perplexity_` of the best epoch, `n_iter_` and `n_features_in_`.
    """

    kind = "transformer"

    def __init__(
        self,
        num_topics: int = 20,
        *,
        encoder_layers: Sequence[int] | str = "auto",
        encoder_layers_activation: str = "sigmoid",
        batch_norm: bool = False,
        epochs: int = 50,
        mini_batch_size: int = 256,
        optimizer: str = "adadelta",
        learning_rate: float = 0.001,
        rescale_gradient: float = 1.0,
        clip_gradient: float = math.inf,
        weight_decay: float = 0.0,
        sub_sample: float = 1.0,
        num_patience_epochs: int = 3,
        tolerance: float = 0.001,
        seed: int = 0,
    ) -> None:
        self.num_topics = num_topics
        self.encoder_layers = encoder_layers
        self.encoder_layers_activation = encoder_layers_activation
        self.batch_norm = batch_norm
        self.epochs = epochs
        self.mini_batch_size = mini_batch_size
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.rescale_gradient = rescale_gradient
        self.clip_gradient = clip_gradient
        self.weight_decay = weight_decay
        self.sub_sample = sub_sample
        self.num_patience_epochs = num_patience_epochs
        self.tolerance = tolerance
        self.seed = seed

    def fit(self, documents: Any, labels: Any = None, *, validation: Any = None) -> Self:
        """Learn topics; `validation` documents tell when to stop and which epoch was best."""
        neural.require_torch()
        from wildsage.algorithms.ntm.training import Settings, Trainer

        settings = Settings(**{f.name: getattr(self, f.name) for f in fields(Settings)})
        counts = self._counts(documents)
        judged = None if validation is None else Corpus(self._counts(validation))
        if not len(counts) or not counts.data.sum() > 0:
            raise ValueError("There are no words to learn from")
        if judged is not None and judged.documents.shape[1] != counts.shape[1]:
            raise ValueError("The validation documents have another vocabulary")
        if judged is not None and not judged.documents.data.sum() > 0:
            raise ValueError("There are no words to judge by")
        trainer = Trainer(settings, Corpus(counts), judged, seed=self.seed)
        with trainer.threads():
            trainer.begin()
            self.n_iter_ = len(list(trainer.epochs()))
        self.history_ = trainer.history
        self.perplexity_ = math.exp(trainer.best_loss)
        return self._learn(trainer.finish())

    @classmethod
    def from_model(cls, model: TopicModel) -> Self:
        """A fitted estimator with a loaded model."""
        return cls(model.projection_weight.shape[1])._learn(model)

    def _learn(self, model: TopicModel) -> Self:
        self.model_ = model
        self.components_ = model.topics()
        self.n_features_in_ = model.feature_dim
        return self

    def transform(self, documents: Any) -> np.ndarray:
        """The share of each topic in each document; rows add up to one."""
        counts = self._checked(documents)
        return self.model_.topic_weights(counts)

    def fit_transform(self, documents: Any, labels: Any = None) -> np.ndarray:
        return self.fit(documents).transform(documents)

    def predict(self, documents: Any) -> np.ndarray:
        """The number of each document's largest topic."""
        return np.asarray(self.transform(documents).argmax(axis=1))

    def perplexity(self, documents: Any) -> float:
        """The bound on exp(-log likelihood per word), by which models are compared."""
        from wildsage.algorithms.ntm.bound import loss_per_word

        counts = self._checked(documents)
        return math.exp(loss_per_word(self.model_, counts, seed=self.seed))

    def score(self, documents: Any, labels: Any = None) -> float:
        """Minus the loss per word: the higher the better."""
        return -math.log(self.perplexity(documents))

    def top_words(
        self, vocabulary: Sequence[str] | None = None, count: int = 20
    ) -> list[list[Any]]:
        """Each topic's most relevant words, or their numbers."""
        self.require_fit()
        tops = top_words(self.model_.projection_weight, count).tolist()
        if vocabulary is None:
            return [list(words) for words in tops]
        return [[vocabulary[word] for word in words] for words in tops]

    def _checked(self, documents: Any) -> SparseMatrix:
        self.require_fit()
        counts = self._counts(documents)
        if counts.shape[1] != self.n_features_in_:
            raise ValueError(
                f"X has {counts.shape[1]} features, but {type(self).__name__} is expecting "
                f"{self.n_features_in_} features as input"
            )
        return counts

    @staticmethod
    def _counts(documents: Any) -> SparseMatrix:
        try:
            return as_counts(as_features(documents))
        except NegativeCount as error:
            raise ValueError(f"X holds counts of words: {error}") from error
