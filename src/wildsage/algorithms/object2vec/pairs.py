"""Pairs of token sequences: reading them from JSON lines, keeping and batching them.

All pairs are kept in memory, as one array of tokens a side: four bytes a token.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson

BLOCK_LINES = 20_000
SIDES = ("in0", "in1")


class PairError(ValueError):
    """A line is not a pair."""


@dataclass(slots=True)
class Sequences:
    """Sequence i is `tokens[offsets[i]:offsets[i + 1]]`."""

    tokens: np.ndarray
    offsets: np.ndarray

    @classmethod
    def of(cls, sequences: Sequence[Sequence[int]], name: str = "in0") -> Sequences:
        """From lists of numbers; PairError where there are other things in them, or nothing."""
        lengths = np.fromiter(map(len, sequences), np.int64, len(sequences))
        flat = [token for sequence in sequences for token in sequence]
        if not lengths.all():
            raise PairError(f"A sequence of {name} is empty")
        kinds = set(map(type, flat)) - {int, np.int32, np.int64}
        if kinds:
            raise PairError(f"The tokens of {name} must be integers")
        try:
            tokens = np.array(flat, np.int32)
        except OverflowError as error:
            raise PairError(f"A token of {name} is too large") from error
        return cls(tokens, np.concatenate(([0], np.cumsum(lengths))))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> np.ndarray:
        return np.diff(self.offsets)

    def take(self, rows: np.ndarray) -> Sequences:
        """The given sequences in the given order."""
        first = self.offsets[rows]
        lengths = self.offsets[rows + 1] - first
        offsets = np.concatenate(([0], np.cumsum(lengths)))
        begins = np.repeat(first - offsets[:-1], lengths)
        return Sequences(self.tokens[np.arange(offsets[-1]) + begins], offsets)

    def cut(self, most: int) -> Sequences:
        """The first `most` tokens of each."""
        lengths = self.lengths
        if not len(lengths) or lengths.max() <= most:
            return self
        offsets = np.concatenate(([0], np.cumsum(np.minimum(lengths, most))))
        begins = np.repeat(self.offsets[:-1] - offsets[:-1], np.diff(offsets))
        return Sequences(self.tokens[np.arange(offsets[-1]) + begins], offsets)

    def check(self, vocab_size: int, name: str) -> Sequences:
        """Itself; PairError where a token is not below `vocab_size`."""
        if len(self.tokens) and self.tokens.min() < 0:
            raise PairError(
                f'Inconsistent vocab for {name} found. Vocab id "{self.tokens.min()}" is negative'
            )
        if len(self.tokens) and self.tokens.max() >= vocab_size:
            raise PairError(
                f'Inconsistent vocab for {name} found. Vocab id "{self.tokens.max()}" '
                f"is not less than vocab_size={vocab_size}"
            )
        return self


def join(parts: Sequence[Sequences]) -> Sequences:
    ends = np.cumsum([0, *(part.offsets[-1] for part in parts)])
    starts = [part.offsets[:-1] + end for part, end in zip(parts, ends[:-1], strict=True)]
    tokens = np.concatenate([part.tokens for part in parts])
    return Sequences(tokens, np.concatenate([*starts, ends[-1:]]))


@dataclass(slots=True)
class Pairs:
    """Two sequences a row, and a label."""

    first: Sequences
    second: Sequences
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: np.ndarray) -> Pairs:
        return Pairs(self.first.take(rows), self.second.take(rows), self.labels[rows])

    def batches(
        self, size: int, rng: np.random.Generator | None = None, bucket_width: int = 0
    ) -> Iterator[Pairs]:
        """All pairs once: in order without `rng`; with it at random, alike in length if wanted."""
        if rng is None:
            for begin in range(0, len(self), size):
                yield self.take(np.arange(begin, min(begin + size, len(self))))
            return
        order = rng.permutation(len(self))
        begins = [order[begin : begin + size] for begin in range(0, len(order), size)]
        if bucket_width:
            begins = self._bucketed(order, size, bucket_width)
            rng.shuffle(begins)
        for rows in begins:
            yield self.take(rows)

    def _bucketed(self, order: np.ndarray, size: int, width: int) -> list[np.ndarray]:
        """Batches of pairs whose lengths fall into the same buckets."""
        buckets = self.first.lengths // width * 10_000 + self.second.lengths // width
        order = order[np.argsort(buckets[order], kind="stable")]
        edges = np.flatnonzero(np.diff(buckets[order])) + 1
        return [
            run[begin : begin + size]
            for run in np.split(order, edges)
            for begin in range(0, len(run), size)
        ]


def read_pairs(lines: Iterable[bytes]) -> Iterator[Pairs]:
    """Blocks of pairs; PairError names what is wrong with a line."""
    block: list[dict[str, Any]] = []
    for line in lines:
        if not line.strip():
            continue
        block.append(_parsed(line))
        if len(block) == BLOCK_LINES:
            yield _pairs(block)
            block = []
    if block:
        yield _pairs(block)


def _parsed(line: bytes) -> dict[str, Any]:
    try:
        record = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise PairError(f"A line is not JSON: {error}") from error
    if not isinstance(record, dict):
        raise PairError("A line is not a JSON object")
    return record


def _pairs(records: Sequence[dict[str, Any]]) -> Pairs:
    sides = [Sequences.of(column(records, name), name) for name in SIDES]
    labels = [record.get("label") for record in records]
    if not all(type(label) in (int, float) for label in labels):
        raise PairError("A line has no 'label' that is a number")
    values = np.array(labels, np.float64)
    if not np.isfinite(values).all():
        raise PairError("A label is NaN or infinite")
    return Pairs(sides[0], sides[1], values.astype(np.float32))


def column(records: Sequence[dict[str, Any]], name: str) -> list[list[int]]:
    """One side of all records."""
    found = [record.get(name) for record in records]
    lists = [value for value in found if isinstance(value, list)]
    if len(lists) < len(found):
        raise PairError(f"A line has no list of tokens named '{name}'")
    return lists


def join_pairs(parts: Sequence[Pairs]) -> Pairs:
    return Pairs(
        join([part.first for part in parts]),
        join([part.second for part in parts]),
        np.concatenate([part.labels for part in parts]),
    )
