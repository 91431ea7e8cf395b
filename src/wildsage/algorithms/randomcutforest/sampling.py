"""Which rows the trees are grown from: a uniform sample of a stream, and each tree's share of it.

`Reservoir` keeps a sample without replacement of all rows that passed (Vitter 1985; Park et al.
2004), in one pass, with room for the sample only. Samples of several hosts are merged by
`shares_of_hosts`: how many rows of each host belong to a sample of all their rows together.
"""

from __future__ import annotations

import numpy as np

from wildsage.algorithms.rows import Features, dense
from wildsage.formats.matrix import SparseMatrix

# NumPy's draw without replacement takes populations below this.
_LARGEST_POPULATION = 900_000_000


class Reservoir:
    """A uniform sample of at most `capacity` rows of a stream, however it is cut into batches."""

    def __init__(self, capacity: int, rng: np.random.Generator) -> None:
        self.capacity = capacity
        self.seen = 0
        self._rng = rng
        self._rows = np.empty((0, 0), np.float32)

    def __len__(self) -> int:
        return min(self.seen, self.capacity)

    @property
    def rows(self) -> np.ndarray:
        """The sample, in no particular order."""
        return self._rows[: len(self)]

    def add(self, batch: Features) -> None:
        """Let a batch of rows pass."""
        vacant = min(self.capacity - len(self), len(batch))
        if vacant:
            self._fill(batch[:vacant])
        if len(batch) > vacant:
            self._replace(batch[vacant:])

    def draw(self, count: int) -> np.ndarray:
        """`count` rows of the sample, in random order."""
        rows: np.ndarray = self.rows[self._rng.permutation(len(self))[:count]]
        return rows

    def _fill(self, batch: Features) -> None:
        begin, self.seen = self.seen, self.seen + len(batch)
        if self.seen > len(self._rows):
            self._grow(int(batch.shape[1]))
        self._rows[begin : self.seen] = dense(batch)

    def _grow(self, width: int) -> None:
        size = min(self.capacity, max(self.seen, 2 * len(self._rows)))
        grown = np.empty((size, width), np.float32)
        if len(self._rows):
            grown[: len(self._rows)] = self._rows
        self._rows = grown

    def _replace(self, batch: Features) -> None:
        """The i-th row of the stream takes a random place among i; most fall outside the sample."""
        counts = self.seen + 1 + np.arange(len(batch))
        places = (self._rng.random(len(batch)) * counts).astype(np.int64)
        self.seen += len(batch)
        taken = np.flatnonzero(places < self.capacity)
        if len(taken):
            # Where a place is taken twice, the later row stays.
            self._rows[places[taken]] = _take(batch, taken)


def _take(batch: Features, rows: np.ndarray) -> np.ndarray:
    return batch.take(rows).to_dense() if isinstance(batch, SparseMatrix) else batch[rows]


def shares_of_hosts(seen: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
    """How many rows of a sample of `size` come from each host, of which each has seen so many."""
    total = int(seen.sum())
    if total <= size:
        return seen
    if total > _LARGEST_POPULATION:
        seen = (seen * (_LARGEST_POPULATION / total)).astype(np.int64)
    drawn: np.ndarray = rng.multivariate_hypergeometric(seen, size)
    return drawn


def shares_of_trees(
    rows: int, trees: int, per_tree: int, rng: np.random.Generator
) -> list[np.ndarray]:
    """The numbers of the rows that each tree is grown from.

    Where there are enough rows, no two trees share any, as AWS describes it. Where there are fewer,
    AWS makes its trees smaller; ours keep the size that was asked for and share rows, each row
    being in nearly as many trees as any other: small trees know too little of what is normal.
    """
    per_tree = min(per_tree, rows)
    shares: list[np.ndarray] = []
    while len(shares) < trees:
        order = rng.permutation(rows)
        whole = min(rows // per_tree, trees - len(shares))
        shares += np.split(order[: whole * per_tree], whole)
    return shares
