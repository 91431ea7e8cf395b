"""Which entities and prefixes have been seen, and the batches that training takes its steps with.

Only real pairs make entities and prefixes known; made-up ones find what is there. An unknown prefix
adds nothing to an address's vector, so that an address of an unknown network is known by the
shorter prefixes alone. Pairs make something known the first time that they are read, not when they
come again in later epochs: what was seen once does not grow by being repeated.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wildsage.algorithms.ipinsights import kernels
from wildsage.algorithms.ipinsights.addresses import ENTITY_MARK, LENGTHS

Array = NDArray[Any]
SMALLEST = 1 << 12
FULLEST = 0.5  # share of the hash table
PREFIX_BYTES = 2 << 30


@dataclass(slots=True)
class Pairs:
    """Entities, by the keys of their vectors, and the addresses they used."""

    keys: Array
    addresses: Array

    def __len__(self) -> int:
        return len(self.keys)

    def take(self, rows: Array | slice) -> Pairs:
        return Pairs(self.keys[rows], self.addresses[rows])

    @classmethod
    def join(cls, parts: list[Pairs]) -> Pairs:
        if len(parts) == 1:
            return parts[0]
        keys, addresses = ([getattr(p, name) for p in parts] for name in ("keys", "addresses"))
        return cls(np.concatenate(keys), np.concatenate(addresses))

    @classmethod
    def none(cls) -> Pairs:
        return cls(np.zeros(0, np.uint64), np.zeros(0, np.uint32))


class Vocabulary:
    """Rows of the table of vectors, by the keys of entities and prefixes."""

    def __init__(self, limit: int) -> None:
        """Prefixes get rows below `limit` only."""
        self.limit = limit
        self.used = 0
        self.table, self.rows = np.zeros(SMALLEST, np.uint64), np.zeros(SMALLEST, np.int32)
        self.names = np.zeros(SMALLEST, np.uint64)

    @classmethod
    def of_width(cls, width: int) -> Vocabulary:
        return cls(max(SMALLEST, PREFIX_BYTES // (12 * width)))

    def claim(self, pairs: Pairs) -> Array:
        """Make pairs known; returns the rows of new entities."""
        self._make_room(self.used + len(pairs) * (1 + len(LENGTHS)))
        before = self.used
        self.used = int(
            kernels.claim(
                self.table,
                self.rows,
                self.names,
                before,
                pairs.keys,
                pairs.addresses,
                self.limit,
            )
        )
        new = self.names[before : self.used]
        return before + np.flatnonzero(new >= np.uint64(ENTITY_MARK))

    def _make_room(self, most: int) -> None:
        if most > len(self.names):
            self.names = np.concatenate([self.names, np.zeros(most, np.uint64)])
        size = len(self.table)
        while most > FULLEST * size:
            size *= 2
        if size > len(self.table):
            table, rows = np.zeros(size, np.uint64), np.zeros(size, np.int32)
            kernels.rehash(self.table, self.rows, table, rows)
            self.table, self.rows = table, rows

    def entities(self, keys: Array) -> Array:
        return kernels.find_entities(self.table, self.rows, keys)

    def prefixes(self, addresses: Array) -> Array:
        return kernels.find_prefixes(self.table, self.rows, addresses)


@dataclass(slots=True)
class TrainingBatch:
    """Real pairs, the first ones, and made-up ones: of which vectors, and these of which rows.

    `touched`, `lasts` and `links` are the rows' occurrences, as `kernels.link` chains them.
    """

    entities: Array
    prefixes: Array
    left: Array
    right: Array
    touched: Array
    lasts: Array
    links: Array
    rows: int
    new_entities: Array = field(default_factory=lambda: np.zeros(0, np.int64))

    @property
    def real(self) -> int:
        return len(self.entities)


class Sampler:
    """Makes batches: for each real pair its entity with random and with shuffled addresses."""

    def __init__(
        self, vocabulary: Vocabulary, random: int, shuffled: int, rng: np.random.Generator
    ) -> None:
        self.vocabulary = vocabulary
        self.random, self.shuffled, self.rng = random, shuffled, rng
        self.claims = True
        self._heads = np.zeros(0, np.int32)

    def learn(self, pairs: Pairs) -> TrainingBatch:
        """A batch of pairs that become known, while `claims` says so."""
        new = self.vocabulary.claim(pairs) if self.claims else np.zeros(0, np.int64)
        batch = self.batch(pairs)
        batch.new_entities = new
        return batch

    def batch(self, pairs: Pairs) -> TrainingBatch:
        """A batch of pairs as far as they are known."""
        count, vocabulary = len(pairs), self.vocabulary
        entities = vocabulary.entities(pairs.keys)
        drawn = self.rng.integers(0, 1 << 32, count * self.random, np.uint32)
        prefixes = vocabulary.prefixes(np.concatenate([pairs.addresses, drawn]))
        left, right = self._made_up(pairs)
        if len(self._heads) < vocabulary.used:
            self._heads = np.full(2 * vocabulary.used, -1, np.int32)
        chains = kernels.link(entities, prefixes, self._heads)
        return TrainingBatch(entities, prefixes, left, right, *chains, vocabulary.used)

    def _made_up(self, pairs: Pairs) -> tuple[Array, Array]:
        """Numbers of entities and addresses: the real pairs', then those of made-up pairs.

        An entity gets no address that it has in the batch by another pair of its own.
        """
        count = len(pairs)
        own = np.arange(count, dtype=np.int32)
        left = [np.tile(own, 1 + self.random)]
        right = [np.arange(count * (1 + self.random), dtype=np.int32)]
        for _ in range(self.shuffled):
            other = self.rng.permutation(own)
            apart = pairs.keys[other] != pairs.keys
            apart &= pairs.addresses[other] != pairs.addresses
            left.append(own[apart])
            right.append(other[apart])
        return np.concatenate(left), np.concatenate(right)


def mini_batches(blocks: Iterable[Pairs], size: int, rng: np.random.Generator) -> Iterator[Pairs]:
    """Batches of `size` pairs, shuffled within each block and its neighbour's rest."""
    rest = Pairs.none()
    for block in blocks:
        joined = Pairs.join([rest, block])
        order = rng.permutation(len(joined))
        whole = len(joined) // size * size
        for begin in range(0, whole, size):
            yield joined.take(order[begin : begin + size])
        rest = joined.take(order[whole:])
    if len(rest):
        yield rest
