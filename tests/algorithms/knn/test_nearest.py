"""Searching by products of matrices: the same to the bit as row by row."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from wildsage.algorithms.knn import KNN, nearest
from wildsage.algorithms.knn.library import faiss as load
from wildsage.algorithms.knn.library import multiplying
from wildsage.algorithms.knn.nearest import FlatSearch, middle_of

faiss = load()
RNG = np.random.default_rng(0)
ROWS = RNG.standard_normal((3000, 12), dtype=np.float32)
WHOLE = np.round(4 * ROWS)
TIGHT = WHOLE + np.float32(1e-4) * RNG.standard_normal(WHOLE.shape, dtype=np.float32)
DATA = {"near": ROWS, "far": ROWS + 3000, "ties": WHOLE, "tight": TIGHT, "equal": 0 * ROWS + 7}


def flat(rows: np.ndarray) -> Any:
    index = faiss.IndexFlatL2(rows.shape[1])
    index.add(rows)
    return index


@pytest.mark.parametrize("queries", [10, 200, 500])
@pytest.mark.parametrize("name", DATA)
def test_products_find_what_row_by_row_finds(
    monkeypatch: pytest.MonkeyPatch, name: str, queries: int
) -> None:
    monkeypatch.setattr(nearest, "_TRIAL", 100)
    rows = DATA[name].astype(np.float32)
    asked = np.concatenate([rows[: queries // 2], rows[-queries // 2 :] + np.float32(0.25)])
    values, places = FlatSearch(flat(rows))(asked, 5)
    truth = np.sort(np.square(asked[:, None].astype(np.float64) - rows).sum(axis=2), axis=1)[:, :5]
    np.testing.assert_allclose(values, truth, rtol=1e-5, atol=1e-30)
    singly = faiss.SearchParameters(sel=faiss.IDSelectorAll())
    expected, numbers = flat(rows).search(asked, 5, params=singly)
    np.testing.assert_array_equal(values, expected)
    if name not in ("ties", "equal"):
        np.testing.assert_array_equal(places, numbers)


def test_rows_in_several_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nearest, "_BLOCK_FLOATS", 12 * 700)
    far = DATA["far"]
    values, places = FlatSearch(flat(far))(far[:100], 20)
    expected, numbers = flat(far).search(far[:20], 20)
    np.testing.assert_array_equal(values[:20], expected)
    np.testing.assert_array_equal(places[:20], numbers)


def test_lists_far_from_the_origin_lose_no_digits() -> None:
    far = RNG.standard_normal((3000, 150), dtype=np.float32) * 50 + 100_000
    model = KNN(1, "regressor", index_type="faiss.IVFFlat", faiss_index_ivf_nlists=2)
    model.fit(far, np.arange(3000))
    np.testing.assert_array_equal(model.kneighbors(far, return_distance=False)[:, 0], range(3000))


def test_where_rows_are_seen_from() -> None:
    assert middle_of(ROWS) is None
    middle = middle_of(DATA["far"])
    assert middle is not None
    np.testing.assert_allclose(middle, 3000, atol=0.2)


def test_the_process_keeps_its_settings() -> None:
    before = faiss.cvar.distance_compute_blas_threshold
    with multiplying(), multiplying():
        assert faiss.cvar.distance_compute_blas_threshold == 1
    assert faiss.cvar.distance_compute_blas_threshold == before
