"""The trees: how they are cut, what they score, which rows they are grown from."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from wildsage.algorithms.randomcutforest.forest import Forest, memory_needed
from wildsage.algorithms.randomcutforest.sampling import (
    Reservoir,
    shares_of_hosts,
    shares_of_trees,
)
from wildsage.formats.matrix import SparseMatrix

Floats = NDArray[np.float32]
CLOUD = np.random.default_rng(0).normal(size=(500, 4)).astype(np.float32)


def forest_of(points: Floats, trees: int = 20, per_tree: int = 64, seed: int = 0) -> Forest:
    rng = np.random.default_rng(seed)
    return Forest.grow(points, shares_of_trees(len(points), trees, per_tree, rng), rng)


def plain_score(forest: Forest, row: Floats) -> float:
    """The score by the formulas, one node after the other, in double precision."""
    total = 0.0
    for tree in range(forest.trees):
        nodes = slice(forest.starts[tree], forest.starts[tree + 1])
        children = forest.children[nodes] - forest.starts[tree]
        masses = forest.masses[nodes]
        total += _in_tree(forest, nodes, children, masses, row.astype(np.float64))
    return total / forest.trees * math.log2(forest.rows_per_tree + 1)


def _in_tree(
    forest: Forest,
    nodes: slice,
    children: NDArray[np.int32],
    masses: NDArray[np.int32],
    row: NDArray[np.float64],
) -> float:
    features, cuts, leaf_rows = forest.features[nodes], forest.cuts[nodes], forest.leaf_rows[nodes]

    def points_below(node: int) -> NDArray[np.float32]:
        if children[node, 0] == node:
            leaf: Floats = forest.points[leaf_rows[node]][None, : forest.width]
            return leaf
        return np.concatenate([points_below(child) for child in children[node]])

    def score(node: int, depth: int) -> float:
        below = points_below(node).astype(np.float64)
        if len(below) == 1:
            if np.array_equal(below[0], row):
                damping = 1 - masses[node] / (2 * forest.rows_per_tree)
                return float(damping / (depth + math.log2(masses[node] + 1)))
            return 1 / (1 + depth)
        child = children[node, int(row[features[node]] > cuts[node])]
        old = np.ptp(below, axis=0).sum()
        new = np.ptp(np.vstack([below, row]), axis=0).sum()
        apart = (new - old) / new
        return float(apart / (1 + depth) + (1 - apart) * score(int(child), depth + 1))

    return score(0, 0)


def test_scores_are_those_of_the_formulas() -> None:
    forest = forest_of(CLOUD)
    rows = np.concatenate([CLOUD[:5], CLOUD[:20] * 1.5 + 0.1, CLOUD[:2] * 100])
    expected = [plain_score(forest, row) for row in rows]
    np.testing.assert_allclose(forest.score(rows), expected, rtol=1e-5)


def test_cuts_separate_what_is_below_them() -> None:
    forest = forest_of(CLOUD, trees=3)
    for tree in range(forest.trees):
        nodes = slice(forest.starts[tree], forest.starts[tree + 1])
        children = forest.children[nodes] - forest.starts[tree]
        count = (forest.sizes[tree] - 1) // 2
        assert forest.sizes[tree] == 2 * 64 - 1
        assert sorted(children[:count].ravel()) == list(range(1, 2 * count + 1))
        assert (children[count:, 0] == np.arange(count, 2 * count + 1)).all()
        rows = forest.leaf_rows[nodes][count:]
        for leaf, row in zip(range(count, 2 * count + 1), rows, strict=True):
            node = 0
            while children[node, 0] != node:
                point = forest.points[row, forest.features[nodes][node]]
                node = children[node, int(point > forest.cuts[nodes][node])]
            assert node == leaf


def test_features_are_cut_in_proportion_to_their_range() -> None:
    points = np.random.default_rng(1).uniform(size=(4000, 3)).astype(np.float32) * [1, 3, 0]
    forest = forest_of(points.astype(np.float32), trees=2000, per_tree=2)
    first = forest.features[forest.starts[:-1]]
    assert np.mean(first == 1) == pytest.approx(0.7, abs=0.06)
    assert not (first == 2).any()


def test_equal_rows_are_one_leaf() -> None:
    points = np.repeat(CLOUD[:10], 10, axis=0)
    forest = forest_of(points, trees=4, per_tree=100)
    assert (forest.sizes == 19).all()
    assert forest.rows_per_tree == 100
    assert set(forest.masses[forest.masses > 0]) == {10}
    same = forest_of(np.ones((50, 2), np.float32), trees=2, per_tree=50)
    assert same.sizes.tolist() == [1, 1]
    scores = same.score(np.array([[1, 1], [1, 2]], np.float32))
    np.testing.assert_allclose(scores, [0.5, math.log2(51)])


def test_rows_that_differ_by_the_least_and_by_the_most() -> None:
    big = np.float32(3.4e38)
    points = np.array([[-big, 1], [big, 1], [big, np.nextafter(np.float32(1), 2)], [0, 0]])
    forest = forest_of(points.astype(np.float32), trees=10, per_tree=4)
    assert (forest.sizes == 7).all()
    rows = np.array([[big, -big], [0, 0], [0, 1]], np.float32)
    assert np.isfinite(forest.score(rows)).all()


def test_scores_do_not_depend_on_the_company() -> None:
    forest = forest_of(CLOUD)
    rows = np.random.default_rng(2).normal(size=(5000, 4)).astype(np.float32)
    together = forest.score(rows)
    np.testing.assert_array_equal(together[:40], [forest.score(row[None])[0] for row in rows[:40]])
    np.testing.assert_array_equal(together[4000:], forest.score(rows[4000:]))
    sparse = SparseMatrix.from_dense(rows[:100])
    np.testing.assert_array_equal(forest.score(sparse), together[:100])
    assert len(forest.score(rows[:0])) == 0


def test_the_description_is_that_of_the_original() -> None:
    text = forest_of(np.ones((9, 3), np.float32), trees=2, per_tree=3).describe()
    assert text.startswith(
        "ForestInfo{num_trees: 2, num_samples_in_forest: 6, num_samples_per_tree: 3, "
        "sample_dim: 3, shingle_size: 1, trees_num_nodes: [1, 1, ], trees_depth: [0, 0, ], "
        "max_num_nodes: 1, min_num_nodes: 1, avg_num_nodes: 1, max_tree_depth: 0, "
        "min_tree_depth: 0, avg_tree_depth: 0, mem_size: "
    )
    assert text.endswith("}") and int(text.rpartition(" ")[2][:-1]) > 0


def test_memory_is_estimated_on_the_safe_side() -> None:
    points = np.random.default_rng(0).normal(size=(5000, 9)).astype(np.float32)
    sample, needed = memory_needed(20, 250, 9)
    assert sample == points.nbytes
    assert forest_of(points, 20, 250).memory < needed


# --- sampling ------------------------------------------------------------------------------------


def stream(count: int) -> Floats:
    return np.arange(count, dtype=np.float32)[:, None]


@pytest.mark.parametrize("size", [1, 7, 100, 1000])
def test_a_reservoir_does_not_care_about_batches(size: int) -> None:
    whole = Reservoir(50, np.random.default_rng(0))
    whole.add(stream(1000))
    parts = Reservoir(50, np.random.default_rng(0))
    for begin in range(0, 1000, size):
        parts.add(stream(1000)[begin : begin + size])
    np.testing.assert_array_equal(whole.rows, parts.rows)
    assert len(np.unique(whole.rows)) == 50


def test_a_reservoir_is_uniform() -> None:
    counts = np.zeros(200)
    for seed in range(2000):
        reservoir = Reservoir(20, np.random.default_rng(seed))
        for part in np.array_split(stream(200), 3):
            reservoir.add(part)
        counts[reservoir.rows[:, 0].astype(int)] += 1
    assert counts.sum() == 2000 * 20
    # Each row is in a tenth of the samples; the deviation of a count is 13.4.
    assert np.abs(counts - 200).max() < 5 * 13.4
    assert counts[:20].mean() == pytest.approx(200, abs=15)


def test_sparse_and_dense_rows_are_sampled_alike() -> None:
    dense, sparse = (Reservoir(30, np.random.default_rng(0)) for _ in range(2))
    for part in np.array_split(CLOUD, 7):
        dense.add(part)
        sparse.add(SparseMatrix.from_dense(part))
    np.testing.assert_array_equal(dense.rows, sparse.rows)


def test_a_reservoir_takes_no_more_room_than_there_are_rows() -> None:
    reservoir = Reservoir(10**9, np.random.default_rng(0))
    reservoir.add(CLOUD)
    assert len(reservoir.rows) == 500 and len(reservoir.draw(7)) == 7


def test_hosts_share_in_proportion() -> None:
    rng = np.random.default_rng(0)
    assert shares_of_hosts(np.array([10, 5]), 100, rng).tolist() == [10, 5]
    drawn = np.mean([shares_of_hosts(np.array([900, 100]), 100, rng) for _ in range(200)], axis=0)
    np.testing.assert_allclose(drawn, [90, 10], atol=1)
    many = shares_of_hosts(np.array([3_000_000_000, 1_000_000_000]), 1000, rng)
    assert many.sum() == 1000 and 650 < many[0] < 850


def test_trees_share_rows_only_where_they_must() -> None:
    rng = np.random.default_rng(0)
    apart = np.concatenate(shares_of_trees(100, 4, 25, rng))
    assert len(np.unique(apart)) == 100
    shared = shares_of_trees(100, 40, 30, rng)
    assert [len(np.unique(share)) for share in shared] == [30] * 40
    uses = np.bincount(np.concatenate(shared), minlength=100)
    assert uses.min() >= 8 and uses.max() <= 14
    assert [len(share) for share in shares_of_trees(3, 5, 30, rng)] == [3] * 5
