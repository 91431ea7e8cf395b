"""The parts of knn: sampling, projections, indices, searching, voting, metrics."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from typing import Any

import faiss
import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.metrics import f1_score

from wildsage.algorithms.knn import indexing, metrics
from wildsage.algorithms.knn.indexing import IndexSettings, build, padded_width, shares
from wildsage.algorithms.knn.reduction import Reduction, hadamard, normalized
from wildsage.algorithms.knn.sampling import Sample, keys_of
from wildsage.algorithms.knn.searching import Searcher
from wildsage.algorithms.knn.tables import Table
from wildsage.algorithms.knn.voting import majority

RNG = np.random.default_rng(0)
ROWS = RNG.permutation(load_digits().data.astype(np.float32))


def table_of(rows: np.ndarray, block_bytes: int = 20_000) -> Table:
    table = Table(rows.shape[1], block_bytes)
    table.append(rows)
    return table


def recall(found: np.ndarray, truth: np.ndarray) -> float:
    hits = [len(set(one) & set(other)) for one, other in zip(found, truth, strict=True)]
    return sum(hits) / truth.size


# --- sampling ------------------------------------------------------------------------------------


def test_tables_are_made_of_blocks() -> None:
    rows = RNG.normal(size=(50, 3)).astype(np.float32)
    table = Table(3, block_bytes=7 * 12)
    for part in np.array_split(rows, 4):
        table.append(part)
    places = np.array([49, 0, 7, 6, 7])
    np.testing.assert_array_equal(table.take(places), rows[places])
    table.put(places[:3], -rows[places[:3]])
    rows[places[:3]] *= -1
    np.testing.assert_array_equal(table.whole(), rows)
    assert [len(block) for block in table.drain()] == [7] * 7 + [1] and len(table) == 0
    assert table.whole().shape == (0, 3)


def sampled(seed: int, size: int, count: int, parts: int = 9) -> Sample:
    sample = Sample(size, seed)
    for numbers in np.array_split(np.arange(count), parts):
        rows = numbers[:, None].astype(np.float32)
        sample.offer(rows, -rows, numbers)
    sample.settle()
    return sample


def test_the_sample_is_even_and_keeps_rows_and_labels_together() -> None:
    counts: Counter[int] = Counter()
    for seed in range(300):
        sample = sampled(seed, 20, 100)
        assert sample.features is not None and sample.labels is not None
        rows, numbers = sample.features.whole()[:, 0], sample.numbers
        np.testing.assert_array_equal(rows, numbers)
        np.testing.assert_array_equal(sample.labels.whole()[:, 0], -rows)
        assert len(set(numbers.tolist())) == 20
        counts.update(numbers.tolist())
    assert len(counts) == 100 and min(counts.values()) > 30 and max(counts.values()) < 90


def test_a_long_stream() -> None:
    sample = sampled(1, 3000, 60_000, parts=30)
    assert len(sample) == 3000
    smallest = np.argsort(keys_of(np.arange(60_000), 1))[:3000]
    assert set(sample.numbers.tolist()) == set(smallest.tolist())
    assert abs(float(sample.numbers.mean()) - 30_000) < 1500
    assert len(np.unique(keys_of(np.arange(60_000), 5))) == 60_000


def test_only_kept_rows_are_prepared() -> None:
    prepared = []

    def prepare(rows: np.ndarray) -> np.ndarray:
        prepared.append(len(rows))
        return rows * 2

    sample = Sample(10, 0, prepare)
    for numbers in np.array_split(np.arange(5000), 50):
        sample.offer(numbers[:, None].astype(np.float32), numbers[:, None], numbers)
    sample.settle()
    assert sum(prepared) < 1000 and sample.features is not None
    np.testing.assert_array_equal(sample.features.whole()[:, 0], 2 * sample.numbers)


# --- projections ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["sign", "fjlt"])
@pytest.mark.parametrize("width", [64, 50])
def test_projections_keep_distances(kind: str, width: int) -> None:
    rows = ROWS[:200, :width]
    reduction = Reduction(kind, 3, 40, width)
    before, after = (np.linalg.norm(r[:100] - r[100:], axis=1) for r in (rows, reduction(rows)))
    assert np.median(np.abs(after / before - 1)) < 0.15
    again = Reduction.from_json(reduction.as_json())
    np.testing.assert_array_equal(again(rows), reduction(rows))
    with pytest.raises(ValueError, match="Unknown type"):
        Reduction.from_json({**reduction.as_json(), "type": "pca"})


def test_projections_are_what_the_readme_says() -> None:
    rows = ROWS[:5, :13]
    random = np.random.RandomState(3)
    matrix = (2 * random.randint(0, 2, (13, 6)) - 1) / np.sqrt(6)
    np.testing.assert_allclose(Reduction("sign", 3, 6, 13)(rows), rows @ matrix, rtol=1e-5)
    random = np.random.RandomState(3)
    signed = np.zeros((5, 16))
    signed[:, :13] = rows * (2 * random.randint(0, 2, 13) - 1)
    kept = (signed @ hadamard(4))[:, random.permutation(16)[:6]] / np.sqrt(6)
    np.testing.assert_allclose(Reduction("fjlt", 3, 6, 13)(rows), kept, rtol=1e-5, atol=1e-5)


def test_rows_of_length_one() -> None:
    rows = normalized(np.array([[3, 4], [0, 0]], np.float32))
    np.testing.assert_allclose(rows, np.array([[0.6, 0.8], [0, 0]]))


# --- indices -------------------------------------------------------------------------------------


def test_probes_follow_from_the_data() -> None:
    flat = Searcher(build(table_of(ROWS[:1500]), IndexSettings(k=10)))
    inverted = Searcher(build(table_of(ROWS[:1500]), IndexSettings("faiss.IVFFlat", k=10)))
    assert inverted.index.nlist == 38 and inverted.nprobe is not None
    assert 1 < inverted.nprobe < 38
    _, truth = flat.search(ROWS[1500:], 10)
    assert recall(inverted.search(ROWS[1500:], 10)[1], truth) >= 0.97
    set_by_hand = IndexSettings("faiss.IVFFlat", nprobe=99)
    assert Searcher(build(table_of(ROWS), set_by_hand)).nprobe == 42


def test_neighbours_are_searched_without_the_row_itself() -> None:
    rows = np.repeat(ROWS[:30], 2, axis=0)  # each one twice
    places = np.array([0, 7, 31])
    near = indexing.neighbours_among(table_of(rows, 3000), rows[places], places, IndexSettings(k=1))
    assert near[:, 0].tolist() == [1, 6, 30]


@pytest.mark.parametrize("metric", ["L2", "INNER_PRODUCT"])
def test_many_queries_at_once_find_what_single_ones_find(metric: str) -> None:
    settings = IndexSettings("faiss.IVFFlat", metric, 15, nprobe=4)
    searcher = Searcher(build(table_of(ROWS), settings))
    together = searcher.search(ROWS[:300], 7)
    singly = [searcher.search(row[None], 7) for row in ROWS[:300]]
    np.testing.assert_allclose(together[0], np.concatenate([s[0] for s in singly]), rtol=1e-4)
    assert recall(together[1], np.concatenate([s[1] for s in singly])) > 0.99
    theirs, _ = searcher.index.search(ROWS[:300], 7)
    np.testing.assert_allclose(together[0], theirs, rtol=1e-4)


@pytest.mark.parametrize("count", [1, 400])
def test_there_are_always_k_neighbours(count: int) -> None:
    settings = IndexSettings("faiss.IVFFlat", "L2", 40, nprobe=1)
    searcher = Searcher(build(table_of(ROWS[:400]), settings))
    values, numbers = searcher.search(ROWS[:count], 300)
    assert (numbers >= 0).all() and (np.diff(values, axis=1) >= 0).all()
    assert searcher.search(ROWS[:count], 1000)[1].shape == (count, 400)


def test_codes_are_better_than_those_of_faiss_by_default() -> None:
    known, new = ROWS[:1500], ROWS[1500:]
    _, truth = Searcher(build(table_of(known), IndexSettings())).search(new, 10)
    ours = build(table_of(known), IndexSettings("faiss.IVFPQ", faiss_index_pq_m=16, nprobe=38))
    theirs: Any = faiss.IndexIVFPQ(faiss.IndexFlatL2(64), 64, 38, 16, 8)
    theirs.do_polysemous_training = False
    theirs.cp.min_points_per_centroid = theirs.pq.cp.min_points_per_centroid = 1
    theirs.train(known)
    theirs.add(known)
    theirs.nprobe = 38
    mine, peers = (recall(i.search(new, 10)[1], truth) for i in (ours, theirs))
    assert mine >= peers - 0.01 and mine > 0.8


@pytest.mark.parametrize(("width", "pieces"), [(64, 12), (5, 8), (7, 1)])
def test_codes_of_any_number(width: int, pieces: int) -> None:
    settings = IndexSettings("faiss.IVFPQ", faiss_index_pq_m=pieces, k=3)
    index = build(table_of(ROWS[:100, :width]), settings)  # fewer rows than codes
    inner: Any = faiss.downcast_index(index.index)
    assert index.d == width and inner.d == padded_width(width, pieces) and pieces == inner.pq.M
    assert index.search(ROWS[:5, :width], 3)[1].shape == (5, 3)


def test_pieces_get_equal_shares() -> None:
    spreads = np.exp(-np.arange(12.0))
    places = shares(spreads, 12, 4)
    assert sorted(places.tolist()) == list(range(12))
    products = np.zeros(4)
    np.add.at(products, places // 3, np.log(spreads))
    assert np.ptp(products) <= 4
    assert len(set(shares(np.zeros(5), 8, 2).tolist())) == 5


def test_rows_without_spread() -> None:
    same = np.ones((60, 6), np.float32)
    settings: list[dict[str, Any]] = [
        {"index_type": "faiss.IVFFlat"},
        {"index_type": "faiss.IVFPQ", "faiss_index_pq_m": 2},
    ]
    for setting in settings:
        index = build(table_of(same), IndexSettings(k=3, **setting))
        assert Searcher(index).search(same[:4], 3)[0].max() < 1e-6
    assert Searcher(build(table_of(same[:1]), IndexSettings("faiss.IVFFlat", k=1))).nprobe == 1


# --- votes and metrics ---------------------------------------------------------------------------


def test_votes() -> None:
    codes = np.array([[3, 1, 1], [2, 1, 0], [0, 0, 5], [4, 5, 5]])
    assert majority(codes).tolist() == [1, 2, 0, 5]
    many = RNG.integers(0, 4, (500, 9))
    counts = np.stack([(many == c).sum(axis=1) for c in range(4)], axis=1)
    won = majority(many)
    assert (counts[np.arange(500), won] == counts.max(axis=1)).all()


def test_scores() -> None:
    actual, predicted = RNG.integers(0, 4, (2, 300, 1)).astype(np.float32)
    scores = metrics.classification(predicted, actual)
    assert scores["accuracy"] == pytest.approx((actual == predicted).mean())
    expected = f1_score(actual[:, 0], predicted[:, 0], average="macro")
    assert scores["macro_f_1.000"] == pytest.approx(expected)
    assert metrics.regression(np.array([[1.0, 3.0]]), np.array([[2.0, 5.0]])) == {"mse": 2.5}


# --- libraries side by side ----------------------------------------------------------------------


def test_faiss_shares_a_process_with_other_users_of_openmp() -> None:
    code = """
import numpy as np
rows = np.random.default_rng(0).normal(size=(600, 16)).astype(np.float32)
labels = (rows[:, 0] > 0).astype(int)
import xgboost
xgboost.train({"max_depth": 2}, xgboost.DMatrix(rows, labels), 2)
from wildsage.algorithms.knn import KNN
from sklearn.cluster import KMeans
for _ in range(2):
    KNN(3, index_type="faiss.IVFFlat").fit(rows, labels).predict(rows)
    KMeans(3, n_init=1).fit(rows)
    rows @ rows.T
    xgboost.train({"max_depth": 2}, xgboost.DMatrix(rows, labels), 2)
"""
    environment = {**os.environ, "OMP_WAIT_POLICY": "PASSIVE"}
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, env=environment)
    assert ended.returncode == 0, ended.stderr.decode()
