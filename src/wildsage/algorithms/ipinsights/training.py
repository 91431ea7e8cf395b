"""Learning vectors whose dot product tells real pairs from made-up ones.

An address's vector is the sum of its known prefixes' vectors, through layers that each add
tanh(W v + b) to it and begin as nothing. With several hosts, each makes up pairs and sums gradients
for its own part of a batch; they are merged on the first host, and every host takes the same step.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wildsage.algorithms.background import ahead
from wildsage.algorithms.ipinsights import kernels
from wildsage.algorithms.ipinsights.model import EmbeddingModel, dot_products, encoded
from wildsage.algorithms.ipinsights.vocabulary import Pairs, Sampler, TrainingBatch, Vocabulary
from wildsage.algorithms.lanes import aligned_zeros
from wildsage.algorithms.tables import merge
from wildsage.algorithms.threads import one_blas_thread
from wildsage.contract.cluster import Cluster
from wildsage.contract.failure import ClientError

Array = NDArray[Any]

FIRST_ROWS = 1 << 12
LARGE = 256 << 20
SPREAD = 0.1  # standard deviation of a new entity's vector; prefixes begin as zeros


@dataclass(slots=True)
class Gradient:
    """What one host's part of a batch says."""

    touched: Array
    found: Array
    layers: Array
    figures: Array


class Trainer:
    """The vectors while they are learned."""

    def __init__(
        self, hyperparameters: Mapping[str, Any], seed: int = 0, cluster: Cluster | None = None
    ) -> None:
        given = hyperparameters
        self.cluster = cluster or Cluster()
        self.entities: int = given["num_entity_vectors"]
        self.size: int = given["mini_batch_size"]
        self.width: int = given["vector_dim"]
        self._rate = np.float32(given["learning_rate"])
        self._decay = np.float32(given["weight_decay"])
        self._rng = np.random.default_rng(seed)
        self.rng = np.random.default_rng([seed, self.cluster.rank])
        rates = (given["random_negative_sampling_rate"], given["shuffled_negative_sampling_rate"])
        self.vocabulary = Vocabulary.of_width(self.width)
        self.sampler = Sampler(self.vocabulary, *rates, self.rng)
        self._judging = Sampler(self.vocabulary, *rates, np.random.default_rng(seed))
        self._state = aligned_zeros(FIRST_ROWS, 3, self.width)
        self._steps = np.zeros(FIRST_ROWS, np.int32)
        count = given["num_ip_encoder_layers"]
        self._layers = aligned_zeros(count * (self.width + 1), 3, self.width)
        self._layer_rows = np.arange(len(self._layers), dtype=np.int32)
        self._layer_steps = np.zeros(len(self._layers), np.int32)
        self._slots = np.zeros(0, np.int32)

    # --- learning --------------------------------------------------------------------------------

    def learn(self, batches: Iterator[Pairs], *, again: bool = False) -> Iterator[Array]:
        """An update per batch; yields the figures of this host's part of it.

        `again` says that these pairs have been learned from in an earlier epoch.
        """
        self.sampler.claims = not again
        learned = self._alone(batches) if self.cluster.size == 1 else self._together(batches)
        for figures in learned:
            if not np.isfinite(figures[1]):
                raise ClientError(
                    "Training diverged: the loss is no longer a finite number. Please lower the "
                    "learning_rate."
                )
            yield figures

    def _alone(self, batches: Iterable[Pairs]) -> Iterator[Array]:
        for batch in ahead(map(self.sampler.learn, batches)):
            self._make_room(batch.rows, batch.new_entities)
            with one_blas_thread():  # more would wait for each other: the products are small
                slopes, layers, figures = self._slopes(batch)
            chains, rates = (batch.touched, batch.lasts, batch.links), self._rates(batch.real)
            kernels.update(self._state, self._steps, *chains, slopes, *rates)
            self._apply_layers(layers, rates)
            yield figures

    def _together(self, batches: Iterator[Pairs]) -> Iterator[Array]:
        """All hosts step together; one that has run out goes on with nothing until all have."""
        while True:
            own = next(batches, Pairs.none())
            packed = np.column_stack([own.keys, own.addresses.astype(np.uint64)])
            parts = self.cluster.allgather(packed)
            total = sum(map(len, parts))
            if not total:
                return
            for part in parts if self.sampler.claims else ():
                pairs = Pairs(part[:, 0].copy(), part[:, 1].astype(np.uint32))
                new = self.vocabulary.claim(pairs)
                self._make_room(self.vocabulary.used, new)
            gradient = self._gradient(self.sampler.batch(own))
            figures = gradient.figures
            self._apply(self._merged(gradient), total)
            if len(own):
                yield figures

    def _make_room(self, rows: int, new_entities: Array) -> None:
        """Rows for all that is known; entities begin at random."""
        if rows > len(self._state):
            # Zeros take memory when they are first written: room costs nothing, copies do.
            growth = 4 if self._state.nbytes < LARGE else 2
            old, self._state = (
                self._state,
                aligned_zeros(max(rows, growth * len(self._state)), *self._state.shape[1:]),
            )
            self._state[: len(old)] = old
            self._steps = np.concatenate(
                [self._steps, np.zeros(len(self._state) - len(old), np.int32)]
            )
        drawn = self._rng.standard_normal((len(new_entities), self.width), np.float32)
        self._state[new_entities, 0] = drawn * np.float32(SPREAD)

    def _merged(self, gradient: Gradient) -> Gradient:
        """The gradients of all hosts: each row once."""
        packed = np.empty((len(gradient.touched), self.width + 1), np.int32)
        packed[:, 0], packed[:, 1:] = gradient.touched, gradient.found.view(np.int32)
        parts = self.cluster.gather(packed)
        if parts is not None:
            touched, found = _unpacked(np.concatenate(parts))
            if len(self._slots) < self.vocabulary.used:
                self._slots = np.full(2 * self.vocabulary.used, -1, np.int32)
            count = merge(touched, found, self._slots)
            packed = np.empty((count, self.width + 1), np.int32)
            packed[:, 0], packed[:, 1:] = touched[:count], found[:count].view(np.int32)
        touched, found = _unpacked(self.cluster.broadcast(packed))
        layers = self.cluster.allreduce(gradient.layers)
        return Gradient(touched, found, layers, gradient.figures)

    def _rates(self, real: int) -> tuple[Any, Any, Any]:
        """What a gradient summed over so many real pairs is multiplied by; step length; penalty."""
        return np.float32(1 / real), self._rate, self._decay

    def _apply(self, gradient: Gradient, real: int) -> None:
        rates = self._rates(real)
        kernels.adam(self._state, self._steps, gradient.touched, gradient.found, *rates)
        self._apply_layers(gradient.layers, rates)

    def _apply_layers(self, found: Array, rates: tuple[Any, Any, Any]) -> None:
        if len(self._layers):
            kernels.adam(self._layers, self._layer_steps, self._layer_rows, found, *rates)

    # --- gradients -------------------------------------------------------------------------------

    @property
    def layers(self) -> Array:
        """(layers, vector_dim + 1, vector_dim)"""
        return np.ascontiguousarray(self._layers[:, 0]).reshape(-1, self.width + 1, self.width)

    def _vectors(self, batch: TrainingBatch) -> tuple[Array, Array]:
        """Of the entities, and of the addresses before the layers."""
        vectors = np.empty((batch.real + len(batch.prefixes), self.width), np.float32)
        kernels.collect(self._state, batch.entities, batch.prefixes, vectors)
        return vectors[: batch.real], vectors[batch.real :]

    def _gradient(self, batch: TrainingBatch) -> Gradient:
        slopes, layers, figures = self._slopes(batch)
        found = np.empty((len(batch.touched), self.width), np.float32)
        kernels.gradients(batch.lasts, batch.links, slopes, found)
        return Gradient(batch.touched, found, layers, figures)

    def _slopes(self, batch: TrainingBatch) -> tuple[Array, Array, Array]:
        """Of the vectors, entities first; the layers' gradient; the figures."""
        entities, sums = self._vectors(batch)
        layers = self.layers
        addresses, steps = encoded(sums, layers)
        slopes = np.zeros((len(entities) + len(addresses), self.width), np.float32)
        address_slopes, figures = slopes[batch.real :], np.zeros(kernels.FIGURES)
        sides = (batch.real, batch.left, batch.right, slopes[: batch.real], address_slopes)
        kernels.judge(entities, addresses, *sides, figures)
        found_layers = np.zeros((len(self._layers), self.width), np.float32)
        for number in reversed(range(len(layers))):
            given, added = steps[number]
            inner = address_slopes * (1 - np.square(added))
            begin = number * (self.width + 1)
            found_layers[begin : begin + self.width] = given.T @ inner
            found_layers[begin + self.width] = inner.sum(axis=0)
            address_slopes += inner @ layers[number, :-1].T
        return slopes, found_layers, figures

    # --- judging and the result ------------------------------------------------------------------

    def scores(self, pairs: Pairs) -> tuple[Array, Array]:
        """The dot products of real pairs, and of pairs made up out of them."""
        batch = self._judging.batch(pairs)
        entities, sums = self._vectors(batch)
        addresses, _ = encoded(sums, self.layers)
        products = dot_products(entities[batch.left], addresses[batch.right])
        return products[: batch.real], products[batch.real :]

    def model(self) -> EmbeddingModel:
        used = self.vocabulary.used
        names, vectors = self.vocabulary.names[:used], self._state[:used, 0]
        return EmbeddingModel.of_rows(self.entities, names, vectors, self.layers)


def _unpacked(packed: Array) -> tuple[Array, Array]:
    found = np.ascontiguousarray(packed[:, 1:]).view(np.float32)
    return np.ascontiguousarray(packed[:, 0]), found


def auc(real: Array, made_up: Array) -> float:
    """The chance that a real pair scores higher than a made-up one; ties count half."""
    if not len(real) or not len(made_up):
        return 0.5
    ordered = np.sort(made_up)
    below = np.searchsorted(ordered, real, side="left")
    upto = np.searchsorted(ordered, real, side="right")
    return float((below + upto).sum() / (2 * len(real) * len(made_up)))
