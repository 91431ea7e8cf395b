"""Rows from memory and from streams."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from wildsage.algorithms.linear_learner.sources import (
    Block,
    MemorySource,
    StreamSource,
    folds,
    open_source,
)
from wildsage.formats.matrix import SparseMatrix

X = np.arange(60, dtype=np.float32).reshape(30, 2)
Y = np.arange(30, dtype=np.float32)


class Reader:
    """Counts the epochs it was asked for."""

    def __init__(self) -> None:
        self.epochs: list[int] = []

    def __call__(self, rows: int | None, epoch: int) -> Iterator[Block]:
        self.epochs.append(epoch)
        rows = rows or 7
        for start in range(0, 30, rows):
            yield X[start : start + rows], Y[start : start + rows]


def labels_of(blocks: Iterator[Block]) -> list[float]:
    return [float(value) for _, labels in blocks for value in labels]


def test_rows_that_fit_are_read_once() -> None:
    reader = Reader()
    source = open_source(reader, head_rows=5, budget=10_000)
    assert isinstance(source, MemorySource)
    assert source.count == 30
    for _ in range(3):
        assert labels_of(source.blocks(4)) == list(range(30))
    assert reader.epochs == [0]


def test_blocks_go_over_the_ends_of_parts() -> None:
    for ends in ((0, 11, 30), (0, 3, 5, 6, 30), (0, 1, 2, 29, 30), (0, 10, 20, 30)):
        parts = [(X[a:b], Y[a:b]) for a, b in zip(ends[:-1], ends[1:], strict=True)]
        for rows in (1, 4, 10, 29, 100):
            found = list(MemorySource(parts).blocks(rows))
            assert labels_of(iter(found)) == list(range(30))
            assert all(len(labels) == rows for _, labels in found[:-1])
            np.testing.assert_array_equal(np.concatenate([np.asarray(f) for f, _ in found]), X)


def test_rows_that_do_not_fit_are_read_in_every_pass() -> None:
    reader = Reader()
    source = open_source(reader, head_rows=5, budget=10)
    assert isinstance(source, StreamSource)
    assert source.count is None
    for _ in range(3):
        assert labels_of(source.blocks(4)) == list(range(30))
    assert reader.epochs == [0, 1, 2, 3]


def test_a_stream_keeps_its_head_as_sample() -> None:
    source = open_source(Reader(), head_rows=10, budget=1)
    features, labels = source.sample(10)
    np.testing.assert_array_equal(labels, Y[:10])
    np.testing.assert_array_equal(features, X[:10])


def test_a_sample_from_memory_is_spread_over_all_rows() -> None:
    source = MemorySource([(X[:11], Y[:11]), (X[11:], Y[11:])])
    features, labels = source.sample(10)
    np.testing.assert_array_equal(labels, Y[::3])
    np.testing.assert_array_equal(features, X[::3])
    assert len(source.sample(1000)[1]) == 30


def test_sparse_rows() -> None:
    source = MemorySource([(SparseMatrix.from_dense(X), Y)])
    features, labels = source.sample(10)
    assert isinstance(features, SparseMatrix)
    np.testing.assert_array_equal(features.to_dense(), X[::3])
    assert labels_of(source.blocks(7)) == list(range(30))


def test_transformed_features() -> None:
    stream = open_source(Reader(), head_rows=10, budget=1)
    for source in (MemorySource([(X, Y)]), stream):
        changed = source.transformed(lambda features: np.asarray(features) * 2)
        np.testing.assert_array_equal(next(iter(changed.blocks(3)))[0], X[:3] * 2)
        np.testing.assert_array_equal(np.asarray(changed.sample(10)[0])[0], X[0] * 2)


def test_folds_judge_by_every_row_once() -> None:
    judged = []
    for train, rest in folds(MemorySource([(X, Y)]), 4):
        own = labels_of(rest.blocks(100))
        assert set(own).isdisjoint(labels_of(train.blocks(100)))
        judged += own
    assert sorted(judged) == list(range(30))
