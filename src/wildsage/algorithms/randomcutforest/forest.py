"""`Forest`: the trees as arrays: growing them, scoring rows, telling about them, files.

All trees stand in the same arrays, one after the other; `starts` says where. The points of the
sample are kept once, padded with zeros to a multiple of the width of the processor's vectors.
Trees are grown, and blocks of rows scored, by threads; what each one does depends on nothing but
its own tree or rows, so that the result is the same with any number of them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np

from wildsage.algorithms.randomcutforest import kernels
from wildsage.algorithms.rows import Features, dense

VECTOR = 8
LARGEST_BLOCK = 4 << 20  # values of rows that are made dense and padded at a time
WORTH_THREADS = 1 << 14  # rows times trees

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass
class Forest:
    """A forest, as it is kept in a file and as scoring wants it.

    Tree t is in the entries from `starts[t]`, its root. A cut sends rows with `row[feature] > cut`
    to the second of its `children`, the others to the first. Leaves are their own children, and
    stand for `masses` rows of the sample equal to `points[leaf_rows]`.
    """

    points: np.ndarray
    starts: np.ndarray
    features: np.ndarray
    cuts: np.ndarray
    children: np.ndarray
    leaf_rows: np.ndarray
    masses: np.ndarray
    width: int = 0
    depths: np.ndarray = field(init=False, repr=False)
    parents: np.ndarray = field(init=False, repr=False)
    boxes: np.ndarray = field(init=False, repr=False)
    extents: np.ndarray = field(init=False, repr=False)
    enclosing: np.ndarray = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.width = self.width or int(self.points.shape[1])
        self.points = padded(self.points)
        nodes, cuts = len(self.cuts), (len(self.cuts) - self.trees) // 2
        self.depths, self.parents = np.empty(nodes, np.int32), np.empty(nodes, np.int32)
        self.boxes = np.empty((cuts, 2, self.points.shape[1]), np.float32)
        self.extents, self.enclosing = np.empty(cuts, np.float64), np.empty(cuts, np.int32)
        kernels.derive(
            self.points,
            self.starts,
            self.children,
            self.leaf_rows,
            self.depths,
            self.parents,
            self.boxes,
            self.extents,
            self.enclosing,
        )
        self._inverses = 1.0 / (1.0 + np.arange(int(self.depths.max()) + 2))

    @classmethod
    def grow(
        cls, points: np.ndarray, shares: Sequence[np.ndarray], rng: np.random.Generator
    ) -> Forest:
        """A tree for each share, which is a list of numbers of points."""
        width, points = int(points.shape[1]), padded(points)
        seeds = rng.integers(0, 1 << 63, len(shares), dtype=np.uint64)

        def work(number: int) -> tuple[np.ndarray, ...]:
            return _grow(points, shares[number], seeds[number])

        trees = list(_in_threads(work, range(len(shares))))
        starts = np.cumsum([0, *(len(features) for features, *_ in trees)])
        features, cuts, children, leaf_rows, masses = map(np.concatenate, zip(*trees, strict=True))
        children += np.repeat(starts[:-1], np.diff(starts))[:, None].astype(np.int32)
        return cls(points, starts, features, cuts, children, leaf_rows, masses, width)

    @property
    def trees(self) -> int:
        return len(self.starts) - 1

    @property
    def rows_per_tree(self) -> int:
        """How many rows of the sample each tree stands for; it is the same for all."""
        return int(self.masses[: self.starts[1]].sum())

    @property
    def sizes(self) -> np.ndarray:
        """The number of nodes of each tree."""
        return np.diff(self.starts)

    @property
    def tree_depths(self) -> np.ndarray:
        """The number of cuts above each tree's deepest leaf."""
        return np.maximum.reduceat(self.depths, self.starts[:-1])

    @property
    def memory(self) -> int:
        """Bytes."""
        return sum(a.nbytes for a in vars(self).values() if isinstance(a, np.ndarray))

    def score(self, rows: Features) -> np.ndarray:
        """The anomaly score of each row: the mean over trees, scaled by the size of the sample."""
        sums = np.zeros(len(rows))
        threads = processors() if len(rows) * self.trees >= WORTH_THREADS else 1
        size = min(kernels.BLOCK, -(-len(rows) // threads), LARGEST_BLOCK // self.points.shape[1])

        def work(begin: int) -> None:
            block = padded(dense(rows[begin : begin + size]))
            self._add_scores(block, sums[begin : begin + size])

        blocks = range(0, len(rows), max(1, size))
        list(map(work, blocks) if threads == 1 else _in_threads(work, blocks))
        scores: np.ndarray = sums * (np.log2(self.rows_per_tree + 1.0) / self.trees)
        return scores

    def _add_scores(self, rows: np.ndarray, sums: np.ndarray) -> None:
        kernels.score(
            rows,
            self.starts,
            (self.features, self.cuts, self.children),
            (self.points, self.leaf_rows, self.masses, self.depths, self.parents),
            (self.boxes, self.extents, self.enclosing),
            self._inverses,
            float(self.rows_per_tree),
            sums,
        )

    def describe(self) -> str:
        """The line of the log that tells about the forest."""
        sizes, depths = self.sizes, self.tree_depths
        facts = {
            "num_trees": self.trees,
            "num_samples_in_forest": self.trees * self.rows_per_tree,
            "num_samples_per_tree": self.rows_per_tree,
            "sample_dim": self.width,
            "shingle_size": 1,
            "trees_num_nodes": _listed(sizes),
            "trees_depth": _listed(depths),
            "max_num_nodes": sizes.max(),
            "min_num_nodes": sizes.min(),
            "avg_num_nodes": int(sizes.mean()),
            "max_tree_depth": depths.max(),
            "min_tree_depth": depths.min(),
            "avg_tree_depth": int(depths.mean()),
            "mem_size": self.memory,
        }
        return "ForestInfo{" + ", ".join(f"{name}: {fact}" for name, fact in facts.items()) + "}"

    def arrays(self) -> dict[str, np.ndarray]:
        """What a file has to hold."""
        return {
            "points": self.points[:, : self.width],
            "starts": self.starts,
            "features": self.features,
            "cuts": self.cuts,
            "children": self.children,
            "leaf_rows": self.leaf_rows,
            "masses": self.masses,
        }


def memory_needed(trees: int, rows_per_tree: int, width: int) -> tuple[int, int]:
    """Bytes of the sample, and of everything that building the forest takes, at the most."""
    rows, vector = trees * rows_per_tree, -(-width // VECTOR) * VECTOR
    sample = 4 * rows * width
    boxes, nodes = 2 * 4 * rows * vector, 2 * rows * 28 + 12 * rows
    return sample, 2 * sample + 4 * rows * vector + boxes + nodes


def padded(rows: np.ndarray) -> np.ndarray:
    """float32 rows with zeros behind, so that loops over them fill whole vectors."""
    count, width = rows.shape
    missing = -width % VECTOR
    if not missing:
        return np.ascontiguousarray(rows, np.float32)
    wider = np.zeros((count, width + missing), np.float32)
    wider[:, :width] = rows
    return wider


def _grow(points: np.ndarray, share: np.ndarray, seed: np.uint64) -> tuple[np.ndarray, ...]:
    """A tree's features, cuts, children (from 0), leaf rows and masses, node by node."""
    most = len(share)
    features, cuts = np.zeros(most, np.int32), np.zeros(most, np.float32)
    children = np.zeros((most, 2), np.int32)
    leaf_rows, masses = np.zeros(most, np.int32), np.zeros(most, np.int32)
    rows = share.astype(np.int64)
    count = kernels.grow(points, rows, seed, features, cuts, children, leaf_rows, masses)
    leaves = count + 1
    below = children[:count]
    own = np.arange(count, count + leaves, dtype=np.int32)
    return (
        np.concatenate([features[:count], np.zeros(leaves, np.int32)]),
        np.concatenate([cuts[:count], np.full(leaves, np.inf, np.float32)]),
        np.concatenate([np.where(below < 0, count - 1 - below, below), np.stack([own, own], 1)]),
        np.concatenate([np.full(count, -1, np.int32), leaf_rows[:leaves]]),
        np.concatenate([np.zeros(count, np.int32), masses[:leaves]]),
    )


def _in_threads(work: Callable[[Item], Result], items: Iterable[Item]) -> Iterable[Result]:
    """The results in the order of the items."""
    with ThreadPoolExecutor(processors()) as pool:
        return pool.map(work, items)


def processors() -> int:
    """The processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _listed(numbers: np.ndarray) -> str:
    # The original leaves a comma behind the last one.
    return "[" + "".join(f"{number}, " for number in numbers.tolist()) + "]"
