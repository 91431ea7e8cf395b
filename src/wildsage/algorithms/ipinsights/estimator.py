"""`IPInsights`: the algorithm as a library. Pairs of an entity and an IPv4 address in, scores out.

    IPInsights(num_entity_vectors=20_000, vector_dim=64).fit(pairs).score_samples(pairs)

Parameters are the hyperparameters of the SageMaker algorithm under their own names.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import KW_ONLY, dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from wildsage.algorithms.base import Estimator
from wildsage.algorithms.ipinsights.addresses import entity_keys, parse_address
from wildsage.algorithms.ipinsights.model import EmbeddingModel
from wildsage.algorithms.ipinsights.spec import SPEC
from wildsage.algorithms.spec import as_text
from wildsage.contract.failure import ClientError

Array = NDArray[Any]


@dataclass(eq=False, repr=False)
class IPInsights(Estimator):
    """Vectors of entities and addresses; the higher their dot product, the more usual the pair.

    `fit` takes rows of two columns, an entity and an IPv4 address. Learned: `model_`, `history_`
    (cross-entropy and accuracy of each epoch), `n_features_in_`.
    """

    kind = "outlier_detector"

    num_entity_vectors: int = 20_000
    vector_dim: int = 128
    _: KW_ONLY
    epochs: int = 10
    learning_rate: float = 0.001
    mini_batch_size: int = 10_000
    num_ip_encoder_layers: int = 1
    random_negative_sampling_rate: int = 1
    shuffled_negative_sampling_rate: int = 1
    weight_decay: float = 0.00001
    random_state: int = 0

    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn which addresses each entity uses."""
        keys, addresses = self._parsed(X)
        return self._fit(keys, addresses)

    def _fit(self, keys: Array, addresses: Array) -> Self:
        from wildsage.algorithms.ipinsights.training import Trainer
        from wildsage.algorithms.ipinsights.vocabulary import Pairs, mini_batches

        trainer = Trainer(self.hyperparameters(), self.random_state)
        pairs = Pairs(keys, addresses)
        self.history_: list[dict[str, float]] = []
        for epoch in range(self.epochs):
            batches = mini_batches([pairs], trainer.size, trainer.rng)
            self._learn(trainer.learn(batches, again=epoch > 0))
        self.model_: EmbeddingModel = trainer.model()
        self.n_features_in_ = 2
        return self

    def _learn(self, learned: Iterator[Array]) -> None:
        from wildsage.algorithms.ipinsights.metrics import figures_of

        try:
            total = sum(learned)
        except ClientError as error:
            raise ValueError(str(error)) from error
        self.history_.append(figures_of(np.asarray(total)))

    def hyperparameters(self) -> dict[str, Any]:
        """The typed hyperparameters, checked as those of a training job are."""
        given = {n: v for n, v in self.get_params().items() if n != "random_state"}
        try:
            return SPEC.validate({name: as_text(value) for name, value in given.items()})
        except ClientError as error:
            raise ValueError(str(error)) from error

    def _parsed(self, X: Any) -> tuple[Array, Array]:
        """Keys of entities, and addresses as numbers."""
        rows = np.asarray(X, dtype=object)
        if rows.ndim != 2 or rows.shape[1] != 2 or not len(rows):
            raise ValueError(f"Expected rows of an entity and an address, got shape {rows.shape}")
        names = [str(name) for name in rows[:, 0]]
        addresses = [parse_address(str(address)) for address in rows[:, 1]]
        return entity_keys(names, self.num_entity_vectors), np.array(addresses, np.uint32)

    # --- answering -------------------------------------------------------------------------------

    def score_samples(self, X: Any) -> Array:
        """The dot product of each pair: low ones are unusual."""
        self.require_fit()
        return self.model_.scores(*self._parsed(X))

    def decision_function(self, X: Any) -> Array:
        """The same; real and made-up pairs part at 0."""
        return self.score_samples(X)

    def predict(self, X: Any) -> Array:
        """1 for pairs that look real, -1 for others."""
        return np.where(self.score_samples(X) >= 0, 1, -1)

    def embed(self, X: Any) -> tuple[Array, Array]:
        """The vectors of the entities, and of the addresses."""
        self.require_fit()
        keys, addresses = self._parsed(X)
        return self.model_.vectors_of(keys), self.model_.embed_addresses(addresses)
