"""The nearest rows of many queries by products of matrices, to the bit what row by row gives.

|q - y|² = |q|² + |y|² - 2 q·y makes a search a product of matrices, which takes a fraction of the
time and loses digits. So the products only say which rows may be the nearest. faiss computes the
distances of these anew, and, of queries whose nearest rows are not certain then, those of all.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from wildsage.algorithms.knn.library import faiss, multiplying

Found = tuple[np.ndarray, np.ndarray]

# Products pay from so many queries on, and from so many times as many rows as are asked for.
MANY_QUERIES = 64
MANY_ROWS = 16
EXTRA = 10
# Farther than so many times their spread from the origin, rows are moved there.
FAR = 2.0
_TRIAL = 1024
_BLOCK_FLOATS = 1 << 23
_SAMPLE_ROWS = 1024
_ROUNDING = 2.0**-24


class FlatSearch:
    """Searches an `IndexFlat` of the metric L2."""

    def __init__(self, index: Any) -> None:
        library = faiss()
        self._index = index
        rows = library.rev_swig_ptr(index.get_xb(), index.ntotal * index.d)
        self._rows = rows.reshape(index.ntotal, index.d)
        # A selection has faiss compare row by row, whatever the number of queries.
        self._singly = library.SearchParameters(sel=library.IDSelectorAll())

    def __call__(self, queries: np.ndarray, k: int) -> Found:
        """(squared distances, places), the nearest first."""
        if len(queries) < MANY_QUERIES or len(self._rows) < MANY_ROWS * (k + EXTRA):
            return self._one_by_one(queries, k)
        if len(queries) < 4 * _TRIAL:
            return self._by_products(queries, k)[0]
        tried, unsure = self._by_products(queries[:_TRIAL], k)
        rest = queries[_TRIAL:]
        # Where rows lie so close together that products cannot tell them apart, they are no use.
        useless = 2 * unsure > _TRIAL
        others = self._one_by_one(rest, k) if useless else self._by_products(rest, k)[0]
        return np.concatenate([tried[0], others[0]]), np.concatenate([tried[1], others[1]])

    def _one_by_one(self, queries: np.ndarray, k: int) -> Found:
        found: Found = self._index.search(queries, k, params=self._singly)
        return found

    def _by_products(self, queries: np.ndarray, k: int) -> tuple[Found, int]:
        """What is found, and of how many queries only one by one."""
        library, wanted = faiss(), k + max(EXTRA, k // 2)
        others, places = self._candidates(queries, wanted)
        values = np.empty(places.shape, np.float32)
        pointers = map(library.swig_ptr, (values, queries, self._rows, places))
        library.fvec_L2sqr_by_idx(*pointers, queries.shape[1], len(queries), wanted)
        order = np.argsort(values, axis=1, kind="stable")[:, :k]
        values, places = np.take_along_axis(values, order, 1), np.take_along_axis(places, order, 1)
        unsure = np.flatnonzero(~(values[:, -1] < others))
        if len(unsure):
            values[unsure], places[unsure] = self._one_by_one(queries[unsure], k)
        return (values, places), len(unsure)

    def _candidates(self, queries: np.ndarray, wanted: int) -> Found:
        """How far, at least, all rows are but those that seem nearest; and these, by number."""
        library, rows, middle = faiss(), self._rows, self._middle
        step = len(rows) if middle is None else max(wanted, _BLOCK_FLOATS // rows.shape[1])
        moved = queries if middle is None else queries - middle
        heap = library.ResultHeap(len(queries), wanted, keep_max=False)
        for begin in range(0, len(rows), step):
            part = rows[begin : begin + step]
            part = part if middle is None else part - middle
            with multiplying():
                values, places = library.knn(moved, part, min(wanted, len(part)))
            heap.add_result(values, places + begin)
        heap.finalize()
        lengths = np.sqrt(np.einsum("ij,ij->i", moved, moved)) + self._longest
        # No sum of so many rounded products is farther off.
        off = (queries.shape[1] + 8) * _ROUNDING * np.square(lengths)
        return heap.D[:, -1] - off, np.sort(heap.I, axis=1)

    @cached_property
    def _middle(self) -> np.ndarray | None:
        return middle_of(self._rows[:: -(-len(self._rows) // _SAMPLE_ROWS)])

    @cached_property
    def _longest(self) -> float:
        """The length of the longest row as it is multiplied."""
        longest, step = 0.0, max(1, _BLOCK_FLOATS // self._rows.shape[1])
        for begin in range(0, len(self._rows), step):
            part = self._rows[begin : begin + step]
            part = part if self._middle is None else part - self._middle
            longest = max(longest, float(np.einsum("ij,ij->i", part, part).max()))
        return float(np.sqrt(longest))


def middle_of(rows: np.ndarray) -> np.ndarray | None:
    """The point to see rows from, so that products of them lose few digits; None for the origin."""
    middle = rows.mean(axis=0, dtype=np.float64)
    spread = float(np.square(rows - middle).sum() / max(1, len(rows)))
    if float(middle @ middle) <= FAR**2 * spread:
        return None
    moved: np.ndarray = middle.astype(np.float32)
    return moved
