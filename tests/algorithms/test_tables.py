"""Gradients of the same row are added up; what is kept for it is as before afterwards."""

from __future__ import annotations

import numpy as np

from wildsage.algorithms.tables import merge


def test_gradients_of_the_same_row_are_added_up() -> None:
    rng = np.random.default_rng(0)
    rows = rng.integers(0, 20, 50).astype(np.int32)
    gradients = rng.normal(size=(50, 3)).astype(np.float32)
    expected = np.zeros((20, 3), np.float32)
    np.add.at(expected, rows, gradients)
    slots = np.full(20, -1, np.int32)
    touched, found = rows.copy(), gradients.copy()
    count = merge(touched, found, slots)
    assert sorted(touched[:count]) == sorted(set(rows.tolist()))
    np.testing.assert_allclose(found[:count], expected[touched[:count]], rtol=1e-5, atol=1e-6)
    assert (slots == -1).all()
