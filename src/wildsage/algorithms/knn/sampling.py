"""An even sample of the rows that pass by, on one host or over several.

Each row has a pseudo-random key that follows from its number; the rows with the smallest keys are
the sample. So samples of parts join to a sample of the whole: the smallest keys of all are kept.
Where hosts share one numbering, as when each takes its share of a replicated channel, they come to
the very sample that one host would have drawn.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from wildsage.algorithms.knn.tables import Table
from wildsage.contract.cluster import Cluster
from wildsage.contract.failure import ClientError

ALL = np.uint64(0xFFFF_FFFF_FFFF_FFFF)
_WORD = (1 << 64) - 1
_STEP = 0x9E3779B97F4A7C15
_SLACK = 16
_LEAST_PENDING = 1024


def keys_of(numbers: np.ndarray, seed: int) -> np.ndarray:
    """SplitMix64 of the rows' numbers: no two numbers have the same key."""
    start = np.uint64((_mixed(seed & _WORD) + _STEP) & _WORD)
    keys = numbers.astype(np.uint64) * np.uint64(_STEP) + start
    keys = (keys ^ (keys >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    keys = (keys ^ (keys >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: np.ndarray = keys ^ (keys >> np.uint64(31))
    return mixed


def _mixed(word: int) -> int:
    return ((word ^ (word >> 33)) * 0xFF51AFD7ED558CCD) & _WORD


class Sample:
    """Up to `size` rows with labels. `prepare` is applied to the rows that are kept, and no other.

    Memory: the prepared rows of the sample and a sixteenth of it for rows on their way in.
    """

    def __init__(
        self,
        size: int,
        seed: int = 0,
        prepare: Callable[[np.ndarray], np.ndarray] = lambda rows: rows,
    ) -> None:
        self.size = size
        self._seed = seed
        self._prepare = prepare
        self.features: Table | None = None
        self.labels: Table | None = None
        self._keys: list[np.ndarray] = []
        self._numbers: list[np.ndarray] = []
        self._limit = ALL
        self._pending: list[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]] = []

    def __len__(self) -> int:
        return 0 if self.features is None else len(self.features)

    @property
    def numbers(self) -> np.ndarray:
        """The number of each row of the sample."""
        self.settle()
        return self._joined(self._numbers, np.dtype(np.int64))

    @property
    def keys(self) -> np.ndarray:
        self.settle()
        return self._joined(self._keys, np.dtype(np.uint64))

    @staticmethod
    def _joined(parts: list[np.ndarray], dtype: np.dtype) -> np.ndarray:
        if len(parts) != 1:
            parts[:] = [np.concatenate(parts) if parts else np.empty(0, dtype)]
        return parts[0]

    def offer(self, rows: np.ndarray, labels: np.ndarray, numbers: np.ndarray) -> None:
        """Rows (n × features), their labels (n × labels) and their numbers."""
        keys = keys_of(numbers, self._seed)
        room = min(self.size - len(self), len(rows))
        if room:
            self._append(rows[:room], labels[:room], numbers[:room], keys[:room])
            if len(self) == self.size:
                self._limit = self.keys.max()
        chosen = room + np.flatnonzero(keys[room:] < self._limit)
        if len(chosen):
            self._pending.append((rows[chosen], labels[chosen], numbers[chosen], keys[chosen]))
            waiting = sum(len(part[3]) for part in self._pending)
            if waiting >= max(_LEAST_PENDING, self.size // _SLACK):
                self.settle()

    def _append(
        self, rows: np.ndarray, labels: np.ndarray, numbers: np.ndarray, keys: np.ndarray
    ) -> None:
        prepared = self._prepare(rows)
        if self.features is None or self.labels is None:
            self.features, self.labels = Table(prepared.shape[1]), Table(labels.shape[1])
        self.features.append(prepared)
        self.labels.append(labels)
        self._keys.append(keys)
        self._numbers.append(numbers.astype(np.int64))

    def settle(self) -> None:
        """Let the waiting rows with small keys take the places of those with the largest."""
        if not self._pending:
            return
        assert self.features is not None and self.labels is not None
        rows, labels, numbers, keys = (np.concatenate(p) for p in zip(*self._pending, strict=True))
        self._pending = []
        own_keys, own_numbers = self.keys, self._joined(self._numbers, np.dtype(np.int64))
        count = len(own_keys)
        every = np.concatenate([own_keys, keys])
        smallest = np.argpartition(every, count - 1)[:count]
        kept = np.zeros(len(every), bool)
        kept[smallest] = True
        leaving, entering = np.flatnonzero(~kept[:count]), np.flatnonzero(kept[count:])
        self.features.put(leaving, self._prepare(rows[entering]))
        self.labels.put(leaving, labels[entering])
        own_keys[leaving], own_numbers[leaving] = keys[entering], numbers[entering]
        self._limit = own_keys.max()

    def merge(self, cluster: Cluster) -> None:
        """Join the samples of all hosts on the first one."""
        if cluster.size == 1:
            return
        assert self.features is not None and self.labels is not None
        _expect_equal_widths(cluster, self.features.width, self.labels.width)
        keys = cluster.allgather(self.keys)
        every, numbers = np.concatenate(keys), self.numbers
        limit = (
            ALL if len(every) <= self.size else np.partition(every, self.size - 1)[self.size - 1]
        )
        mine = np.flatnonzero(keys[cluster.rank] <= limit)
        step = self.features.block_rows
        most = max(int(np.count_nonzero(part <= limit)) for part in keys)
        merged = Sample(self.size, self._seed)
        for begin in range(0, max(most, 1), step):
            part = mine[begin : begin + step]
            columns = (
                self.features.take(part),
                self.labels.take(part),
                numbers[part],
                self.keys[part],
            )
            gathered = [cluster.gather(column) for column in columns]
            if cluster.rank == 0:
                for columns_of_host in zip(*(g for g in gathered if g is not None), strict=True):
                    merged._append(*columns_of_host)
        if cluster.rank == 0:
            self.features, self.labels = merged.features, merged.labels
            self._keys, self._numbers = merged._keys, merged._numbers


def _expect_equal_widths(cluster: Cluster, features: int, labels: int) -> None:
    widths = {tuple(part.tolist()) for part in cluster.allgather(np.array([features, labels]))}
    if len(widths) > 1:
        raise ClientError(
            "Unable to read data channel 'train'. The instances found rows of different numbers of "
            f"features and labels: {sorted(widths)}. Please verify the correct data channel "
            "configuration is provided."
        )
