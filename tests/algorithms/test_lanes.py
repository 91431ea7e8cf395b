"""Sixteen values at a time do what NumPy does with them one by one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from wildsage.algorithms.compiling import compiled
from wildsage.algorithms.lanes import (
    WIDTH,
    aligned_zeros,
    every,
    larger,
    load,
    root,
    smaller,
    store,
    total,
    zeros,
)

Array = NDArray[Any]
FLOAT = np.float32


@compiled
def _arithmetic(one: Array, other: Array, found: Array) -> float:
    """Into `found` ((a + 2) * b - a / (b + 1)) / b; the sum of a."""
    summed = zeros()
    for place in range(0, len(one), WIDTH):
        left = len(one) - place
        a, b = load(one, place, left), load(other, place, left)
        c = (a + FLOAT(2)) * b - a / (FLOAT(1) + b)
        store(found, place, left, c / b)
        summed += a
    return float(total(summed))


@compiled
def _bounded(values: Array, low: Any, high: Any, found: Array) -> None:
    for place in range(0, len(values), WIDTH):
        left = len(values) - place
        kept = smaller(larger(load(values, place, left), every(low)), every(high))
        store(found, place, left, root(kept))


@pytest.mark.parametrize("count", [1, 7, 15, 16, 17, 32, 45])
def test_arithmetic_of_rows_of_any_length(count: int) -> None:
    rng = np.random.default_rng(0)
    a, b = (rng.random(count, FLOAT) + FLOAT(0.5) for _ in range(2))
    found = np.full(count + WIDTH, 7, FLOAT)
    assert _arithmetic(a, b, found) == pytest.approx(a.sum(), rel=1e-5)
    assert found[:count] == pytest.approx(((a + 2) * b - a / (b + 1)) / b, rel=1e-5)
    assert (found[count:] == 7).all()  # beyond the row nothing is written


@pytest.mark.parametrize("count", [3, 16, 20])
def test_bounds_and_roots(count: int) -> None:
    values, found = np.linspace(0, 9, count, dtype=FLOAT), np.zeros(count, FLOAT)
    _bounded(values, FLOAT(1), FLOAT(4), found)
    assert found == pytest.approx(np.sqrt(np.clip(values, 1, 4)), rel=1e-6)


def test_tables_begin_with_a_cache_line() -> None:
    for size in (1, 5, 100):
        table = aligned_zeros(size, 3, 4)
        assert table.shape == (size, 3, 4)
        assert table.ctypes.data % 64 == 0
        assert not table.any()
        table[:] = 1  # all of it is there
