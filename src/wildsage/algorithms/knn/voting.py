"""From the labels of the neighbours to a prediction, for all queries at once."""

from __future__ import annotations

import numpy as np


def majority(codes: np.ndarray) -> np.ndarray:
    """The most frequent code of each row; among equals that of the nearest neighbour.

    Rows hold the codes of neighbours, the nearest first.
    """
    order = np.argsort(codes, axis=1, kind="stable")
    ordered = np.take_along_axis(codes, order, axis=1)
    starts = np.ones(codes.shape, bool)
    starts[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    runs = np.cumsum(starts, axis=None).reshape(codes.shape) - 1
    counts = np.bincount(runs.ravel())[runs]
    votes = np.empty_like(counts)
    np.put_along_axis(votes, order, counts, axis=1)
    winners: np.ndarray = np.take_along_axis(codes, votes.argmax(axis=1)[:, None], axis=1)[:, 0]
    return winners


def shares(codes: np.ndarray, classes: int) -> np.ndarray:
    """The share of each class among the neighbours: rows × classes."""
    rows = np.arange(len(codes))[:, None] * classes
    counts = np.bincount((rows + codes).ravel(), minlength=len(codes) * classes)
    found: np.ndarray = counts.reshape(len(codes), classes) / codes.shape[1]
    return found
