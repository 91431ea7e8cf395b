"""The compiled loops: growing a tree, deriving its boxes, and scoring rows against a forest.

The nodes of all trees stand in the same arrays. A tree of m cuts has its cuts first, in preorder,
then its m + 1 leaves; cuts have boxes, which are counted through all trees. A leaf's children are
itself and its cut is infinite, so that rows can be sent down in groups, all by the same number of
steps, without a branch: what a processor does many times faster than one row after the other.

The score follows aws/random-cut-forest-by-aws (AnomalyScoreVisitor): the expectation, over all
random cuts that could have been, of 1 / (1 + depth) of the row were it inserted into the tree.
"""

from __future__ import annotations

import math

import numpy as np

from wildsage.algorithms.compiling import compiled

Arrays = tuple[np.ndarray, ...]

LANES = 16
STEPS = 4
BLOCK = 2048
FEW = 16


@compiled
def uniform(state: np.ndarray) -> float:
    """The next number in [0, 1) of a SplitMix64 generator."""
    state[0] += np.uint64(0x9E3779B97F4A7C15)
    z = state[0]
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z = z ^ (z >> np.uint64(31))
    return float((z >> np.uint64(11)) * (1.0 / 9007199254740992.0))


@compiled
def bound(points: np.ndarray, rows: np.ndarray, low: np.ndarray, high: np.ndarray) -> float:
    """The box around some points into `low` and `high`; returns the sum of its sides."""
    low[:] = points[rows[0]]
    high[:] = points[rows[0]]
    for row in rows[1:]:
        for j in range(len(low)):
            value = points[row, j]
            low[j] = value if value < low[j] else low[j]
            high[j] = value if value > high[j] else high[j]
    extent = 0.0
    for j in range(len(low)):
        extent += np.float64(high[j]) - np.float64(low[j])
    return extent


@compiled
def choose_cut(
    low: np.ndarray, high: np.ndarray, extent: float, state: np.ndarray
) -> tuple[int, np.float32]:
    """A side of a box with a chance in proportion to its length, and a place on it."""
    left = uniform(state) * extent
    feature = 0
    for j in range(len(low)):
        side = np.float64(high[j]) - np.float64(low[j])
        if side > 0:
            feature = j
            if left < side:
                break
            left -= side
    place = np.float32(np.float64(low[feature]) + left)
    # Rounding must not leave one side of the cut empty.
    if not low[feature] <= place < high[feature]:
        place = low[feature]
    return feature, place


@compiled
def split(points: np.ndarray, rows: np.ndarray, feature: int, place: np.float32) -> int:
    """Put the rows at or below the cut first; returns how many they are."""
    begin, end = 0, len(rows)
    while begin < end:
        row = rows[begin]
        if points[row, feature] <= place:
            begin += 1
        else:
            end -= 1
            rows[begin] = rows[end]
            rows[end] = row
    return begin


@compiled
def grow(
    points: np.ndarray,
    rows: np.ndarray,
    seed: np.uint64,
    features: np.ndarray,
    cuts: np.ndarray,
    children: np.ndarray,
    leaf_rows: np.ndarray,
    masses: np.ndarray,
) -> int:
    """Grow a tree from some rows, which are put into another order; returns its number of cuts.

    Leaf l is told by the child -1-l. Equal points make one leaf, of the mass of all of them.
    """
    low, high = np.empty(points.shape[1], np.float32), np.empty(points.shape[1], np.float32)
    state = np.full(1, seed, np.uint64)
    waiting = np.empty((len(rows) + 1, 3), np.int64)  # begin, end, 2 * parent + side
    waiting[0, 0], waiting[0, 1], waiting[0, 2] = 0, len(rows), -1
    count, cut_count, leaf_count = 1, 0, 0
    while count > 0:
        count -= 1
        begin, end, place = waiting[count, 0], waiting[count, 1], waiting[count, 2]
        extent = bound(points, rows[begin:end], low, high)
        if extent > 0:
            node = cut_count
            cut_count += 1
            features[node], cuts[node] = choose_cut(low, high, extent, state)
            middle = begin + split(points, rows[begin:end], features[node], cuts[node])
            waiting[count, 0], waiting[count, 1] = middle, end
            waiting[count, 2] = 2 * node + 1
            waiting[count + 1, 0], waiting[count + 1, 1] = begin, middle
            waiting[count + 1, 2] = 2 * node
            count += 2
        else:
            node = -1 - leaf_count
            leaf_rows[leaf_count], masses[leaf_count] = rows[begin], end - begin
            leaf_count += 1
        if place >= 0:
            children[place >> 1, place & 1] = node
    return cut_count


@compiled
def derive(
    points: np.ndarray,
    starts: np.ndarray,
    children: np.ndarray,
    leaf_rows: np.ndarray,
    depths: np.ndarray,
    parents: np.ndarray,
    boxes: np.ndarray,
    extents: np.ndarray,
    enclosing: np.ndarray,
) -> None:
    """What scoring needs besides the trees: depths, the boxes of cuts and the sums of their sides.

    `parents` are the boxes of nodes' parents, `enclosing` those of boxes' parents; -1 at the roots.
    """
    for tree in range(len(starts) - 1):
        start, first_box = starts[tree], (starts[tree] - tree) // 2
        cut_count = (starts[tree + 1] - start) // 2
        parents[start], depths[start] = -1, 0
        for node in range(start, start + cut_count):
            box = first_box + node - start
            enclosing[box] = parents[node]
            for side in range(2):
                parents[children[node, side]] = box
                depths[children[node, side]] = depths[node] + 1
        for node in range(start + cut_count - 1, start - 1, -1):
            box = first_box + node - start
            for side in range(2):
                child = children[node, side]
                if child < start + cut_count:
                    low, high = boxes[box + child - node, 0], boxes[box + child - node, 1]
                else:
                    low = high = points[leaf_rows[child]]
                join(boxes[box], low, high, side == 0)
            extents[box] = 0.0
            for j in range(boxes.shape[2]):
                extents[box] += np.float64(boxes[box, 1, j]) - np.float64(boxes[box, 0, j])


@compiled
def join(box: np.ndarray, low: np.ndarray, high: np.ndarray, first: bool) -> None:
    """Widen a box by another one; the first one makes it."""
    for j in range(box.shape[1]):
        box[0, j] = low[j] if first or low[j] < box[0, j] else box[0, j]
        box[1, j] = high[j] if first or high[j] > box[1, j] else box[1, j]


@compiled
def descend(
    rows: np.ndarray,
    row_step: int,
    roots: np.ndarray,
    root_step: int,
    count: int,
    cuts: Arrays,
    leaves: np.ndarray,
) -> None:
    """The leaves of many rows in one tree (steps 1, 0), or of one row in many trees (0, 1)."""
    features, places, children = cuts
    nodes = np.empty(LANES, np.int32)
    for begin in range(0, count, LANES):
        lanes = min(LANES, count - begin)
        for lane in range(lanes):
            nodes[lane] = roots[(begin + lane) * root_step]
        moving = True
        while moving:
            for _ in range(STEPS):
                # The number of lanes is known to the compiler in one case, which is the fast one.
                if lanes == LANES:
                    for lane in range(LANES):
                        node = np.uint32(nodes[lane])
                        right = rows[(begin + lane) * row_step, features[node]] > places[node]
                        nodes[lane] = children[node, np.int64(right)]
                else:
                    for lane in range(lanes):
                        node = np.uint32(nodes[lane])
                        right = rows[(begin + lane) * row_step, features[node]] > places[node]
                        nodes[lane] = children[node, np.int64(right)]
            moving = False
            for lane in range(lanes):
                moving = moving or places[np.uint32(nodes[lane])] < np.inf
        for lane in range(lanes):
            leaves[begin + lane] = nodes[lane]


@compiled
def climb(
    rows: np.ndarray,
    step: int,
    leaves: np.ndarray,
    ends: Arrays,
    walls: Arrays,
    inverses: np.ndarray,
    tree_mass: float,
    scores: np.ndarray,
) -> None:
    """Add the scores at the leaves: from each one up, until a box has the row inside.

    A random cut of a box with the row added separates the two with the chance `1 - kept`; the row
    would then be a leaf at the depth of the box.
    """
    points, leaf_rows, masses, depths, parents = ends
    boxes, extents, enclosing = walls
    zero = np.float32(0)
    for i in range(len(leaves)):
        row, leaf = rows[i * step], np.uint32(leaves[i])
        depth, point = depths[leaf], points[leaf_rows[leaf]]
        outside = zero
        for j in range(len(row)):
            outside += abs(row[j] - point[j])
        if outside == 0:
            mass = masses[leaf]
            damping = 1.0 - mass / (2.0 * tree_mass)
            scores[i * step] += damping / (depth + math.log2(mass + 1.0))
            continue
        score = inverses[depth]
        box = parents[leaf]
        while box >= 0:
            depth -= 1
            low, high = boxes[box, 0], boxes[box, 1]
            outside = zero
            for j in range(len(row)):
                value = row[j]
                inside = value if value < high[j] else high[j]
                inside = inside if inside > low[j] else low[j]
                outside += abs(value - inside)
            if outside == 0:
                break
            kept = extents[box] / (extents[box] + outside)
            score = inverses[depth] + kept * (score - inverses[depth])
            box = enclosing[box]
        scores[i * step] += score


@compiled
def score(
    rows: np.ndarray,
    starts: np.ndarray,
    cuts: Arrays,
    ends: Arrays,
    walls: Arrays,
    inverses: np.ndarray,
    tree_mass: float,
    scores: np.ndarray,
) -> None:
    """The sum of all trees' scores of each row.

    `cuts` are features, cuts and children; `ends` points, leaf rows, masses, depths and parents;
    `walls` boxes, extents and enclosing. Many rows go block by block: a tree and a block fit the
    cache together, and a block is large enough to be worth the tree's coming there. A few go one by
    one through many trees at a time.
    """
    trees = len(starts) - 1
    leaves = np.empty(max(BLOCK, trees), np.int32)
    whole = len(rows) if len(rows) >= FEW else 0
    for begin in range(0, whole, BLOCK):
        block, sums = rows[begin : begin + BLOCK], scores[begin : begin + BLOCK]
        found = leaves[: len(block)]
        for tree in range(trees):
            descend(block, 1, starts[tree:], 0, len(block), cuts, found)
            climb(block, 1, found, ends, walls, inverses, tree_mass, sums)
    for i in range(whole, len(rows)):
        row, found = rows[i : i + 1], leaves[:trees]
        descend(row, 0, starts, 1, trees, cuts, found)
        climb(row, 0, found, ends, walls, inverses, tree_mass, scores[i : i + 1])
