"""k-means on few weighted points: k-means++, Lloyd's iterations, the best of some trials."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from wildsage.algorithms.kmeans.assignment import (
    Workspace,
    nearest,
    squared_norms,
    sums_by_label,
)


def seed_plus_plus(
    points: np.ndarray, weights: np.ndarray, k: int, rng: np.random.Generator
) -> np.ndarray:
    """The numbers of k points, each drawn by its distance to those before (greedy k-means++).

    Of a few candidates the one is taken that lowers the loss most (Arthur and Vassilvitskii 2007,
    section 5).
    """
    norms = squared_norms(points)
    candidates = 2 + int(math.log(k))
    first = _draw(weights.astype(np.float64), 1, rng)
    chosen = [int(first[0])]
    closest = _distances(points, norms, first)[0]
    for _ in range(1, k):
        drawn = _draw(closest * weights, candidates, rng)
        distances = np.minimum(_distances(points, norms, drawn), closest)
        best = int((distances @ weights).argmin())
        chosen.append(int(drawn[best]))
        closest = distances[best]
    return np.array(chosen)


def _draw(masses: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Points by their mass; any points where no mass is left."""
    cumulated = np.cumsum(masses, dtype=np.float64)
    if cumulated[-1] <= 0:
        return rng.integers(len(masses), size=count)
    drawn = np.searchsorted(cumulated, rng.random(count) * cumulated[-1], side="right")
    found: np.ndarray = np.minimum(drawn, len(masses) - 1)
    return found


def _distances(points: np.ndarray, norms: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    squares = points[chosen] @ points.T
    squares *= -2
    squares += norms
    squares += norms[chosen][:, None]
    found: np.ndarray = np.maximum(squares, 0, out=squares)
    return found


def seed_random(
    points: np.ndarray, weights: np.ndarray, k: int, rng: np.random.Generator
) -> np.ndarray:
    """The numbers of k different points."""
    return rng.choice(len(points), k, replace=False)


SEEDS: dict[str, Callable[..., np.ndarray]] = {"kmeans++": seed_plus_plus, "random": seed_random}


def iterate(
    points: np.ndarray,
    weights: np.ndarray,
    centers: np.ndarray,
    iterations: int,
    tolerance: float,
    workspace: Workspace,
) -> tuple[np.ndarray, float]:
    """Lloyd's algorithm until the loss falls by less than `tolerance` of itself: centers and loss.

    The loss is the weighted mean of squared distances.
    """
    total = float(weights.sum())
    constant = float(weights @ squared_norms(points))
    loss = math.inf
    for _ in range(iterations):
        labels, near = nearest(points, centers, workspace)
        previous, loss = loss, max(0.0, (constant + float(weights @ near)) / total)
        centers = means(points, weights, labels, centers, workspace)
        if previous - loss <= tolerance * previous < math.inf:
            break
    labels, near = nearest(points, centers, workspace)
    return centers, max(0.0, (constant + float(weights @ near)) / total)


def means(
    points: np.ndarray,
    weights: np.ndarray,
    labels: np.ndarray,
    centers: np.ndarray,
    workspace: Workspace,
) -> np.ndarray:
    """The mean of each center's points; a center without points stays where it is."""
    masses = np.bincount(labels, weights, len(centers)).astype(np.float32)[:, None]
    totals = sums_by_label(points, labels, len(centers), weights, workspace)
    return np.where(masses > 0, totals / np.maximum(masses, 1e-30), centers)


def shrink(
    points: np.ndarray,
    weights: np.ndarray,
    k: int,
    *,
    init_method: str,
    trials: int,
    iterations: int,
    tolerance: float,
    rng: np.random.Generator,
    report: Callable[[int, float], None],
) -> np.ndarray:
    """k centers for weighted points: the best of `trials` starts. `report` gets each one's loss."""
    middle = weights @ points / weights.sum()
    flat, back = _flatten(points - middle)
    workspace, best, least = Workspace(), flat[:k], math.inf
    for trial in range(trials):
        start = flat[SEEDS[init_method](flat, weights, k, rng)]
        centers, loss = iterate(flat, weights, start, iterations, tolerance, workspace)
        report(trial, loss)
        if loss < least:
            best, least = centers, loss
    found: np.ndarray = (best if back is None else best @ back) + middle
    return found.astype(np.float32)


def _flatten(points: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """Fewer points than dimensions lie in a plane: their coordinates in it, and the way back."""
    if len(points) >= points.shape[1]:
        return points, None
    basis, triangle = np.linalg.qr(points.T)
    return np.ascontiguousarray(triangle.T), basis.T
