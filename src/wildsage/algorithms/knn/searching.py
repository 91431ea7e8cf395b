"""Searching an index: many queries at once list by list, always k results, distances that grow.

faiss compares a query with a list row by row. Where many queries look into the same list, all of
them are compared with it at once, which is several times as fast. What lies far from the origin is
moved there before, for such comparisons would lose its digits.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from wildsage.algorithms.knn.library import faiss
from wildsage.algorithms.knn.nearest import FlatSearch, middle_of

# From so many queries a list on, on average, lists are gone through one by one.
_QUERIES_PER_LIST = 4
_BLOCK_QUERIES = 16384


class Searcher:
    """An index of faiss, with whatever transforms it begins with taken apart."""

    def __init__(self, index: Any) -> None:
        self.index = index
        self._core = index
        self._transforms: list[Any] = []
        library = faiss()
        if isinstance(index, library.IndexPreTransform):
            chain = index.chain
            self._transforms = [
                library.downcast_VectorTransform(chain.at(n)) for n in range(chain.size())
            ]
            self._core = library.downcast_index(index.index)
        self.is_inverted = isinstance(self._core, library.IndexIVF)
        self._batched = isinstance(self._core, library.IndexIVFFlat)
        self.is_distance = self._core.metric_type == library.METRIC_L2
        is_flat = isinstance(self._core, library.IndexFlat)
        self._flat = FlatSearch(self._core) if is_flat and self.is_distance else None

    @property
    def width(self) -> int:
        return int(self.index.d)

    @property
    def rows(self) -> int:
        return int(self.index.ntotal)

    @property
    def nprobe(self) -> int | None:
        return int(self._core.nprobe) if self.is_inverted else None

    def search(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """What faiss says of the k nearest rows, the nearest first, and their numbers.

        That is the squared distance (L2), the smaller the nearer, or the inner product.
        """
        k = min(k, self.rows)
        parts = [
            self._search(queries[begin : begin + _BLOCK_QUERIES], k)
            for begin in range(0, max(len(queries), 1), _BLOCK_QUERIES)
        ]
        return np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts])

    def _search(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        queries = np.ascontiguousarray(queries, np.float32)
        for transform in self._transforms:
            queries = transform.apply(queries)
        if self._flat is not None:
            return self._flat(queries, k)
        if not self.is_inverted:
            found: tuple[np.ndarray, np.ndarray] = self._core.search(queries, k)
            return found
        if (
            self._batched
            and len(queries) * self._core.nprobe >= _QUERIES_PER_LIST * self._core.nlist
        ):
            values, numbers = self._by_list(queries, k)
        else:
            values, numbers = self._core.search(queries, k)
        short = np.flatnonzero(numbers[:, -1] < 0)
        if len(short):  # the lists that were looked into have fewer than k rows
            every = faiss().SearchParametersIVF(nprobe=self._core.nlist)
            values[short], numbers[short] = self._core.search(queries[short], k, params=every)
        return values, numbers

    def _by_list(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        library, core, middle = faiss(), self._core, self._middle
        _, probed = core.quantizer.search(queries, core.nprobe)
        order = np.argsort(probed, axis=None, kind="stable")
        ends = np.cumsum(np.bincount(probed.ravel(), minlength=core.nlist)).tolist()
        heap = library.ResultHeap(len(queries), k, keep_max=not self.is_distance)
        if middle is not None:
            queries = queries - middle
        begin = 0
        for number, end in enumerate(ends):
            asking, begin = order[begin:end] // core.nprobe, end
            rows, ids = self._list(number)
            if len(asking) and len(rows):
                rows = rows if middle is None else rows - middle
                values, places = library.knn(
                    queries[asking], rows, min(k, len(rows)), core.metric_type
                )
                heap.add_result_subset(asking, values, ids[places])
        heap.finalize()
        return heap.D, heap.I

    @cached_property
    def _middle(self) -> np.ndarray | None:
        """The point to see rows from, taken from the middles of the lists."""
        core = self._core
        if not self.is_distance:
            return None
        return middle_of(core.quantizer.reconstruct_n(0, core.nlist))

    def _list(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """Views of a list's rows and of their numbers."""
        library, lists = faiss(), self._core.invlists
        size = lists.list_size(number)
        if not size:
            return np.empty((0, self._core.d), np.float32), np.empty(0, np.int64)
        codes = library.rev_swig_ptr(lists.get_codes(number), size * lists.code_size)
        return codes.view(np.float32).reshape(size, -1), library.rev_swig_ptr(
            lists.get_ids(number), size
        )
