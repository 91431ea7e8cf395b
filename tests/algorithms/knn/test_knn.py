"""knn as a library: answers, every parameter, labels of all kinds, scikit-learn's conventions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.model_selection import cross_val_score, train_test_split
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from wildsage.algorithms.knn import KNN
from wildsage.contract.failure import ClientError

IMAGES, DIGITS = load_digits(return_X_y=True)
KNOWN, NEW, LABELS, TRUTH = train_test_split(IMAGES, DIGITS, random_state=0)
METRICS = {"L2": "euclidean", "COSINE": "cosine"}


@pytest.mark.parametrize("metric", METRICS)
def test_neighbours_are_those_of_scikit_learn(metric: str) -> None:
    peer = KNeighborsClassifier(5, metric=METRICS[metric], algorithm="brute").fit(KNOWN, LABELS)
    theirs, _ = peer.kneighbors(NEW)
    model = KNN(5, index_metric=metric).fit(KNOWN, LABELS)
    ours, numbers = model.kneighbors(NEW)
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)
    assert (np.diff(ours, axis=1) >= 0).all() and numbers.shape == (len(NEW), 5)
    assert model.score(NEW, TRUTH) >= peer.score(NEW, TRUTH) - 0.01
    assert model.kneighbors(NEW[:3], 2, return_distance=False).tolist() == numbers[:3, :2].tolist()


def test_inner_products() -> None:
    distances, numbers = KNN(3, index_metric="INNER_PRODUCT").fit(KNOWN, LABELS).kneighbors(NEW)
    products = np.sort(-(NEW @ KNOWN.T), axis=1)[:, :3]
    np.testing.assert_allclose(distances, products, rtol=1e-5)
    assert np.allclose(-(NEW[:, None] * KNOWN[numbers]).sum(axis=2), products)


def test_a_regressor_takes_the_mean() -> None:
    targets = IMAGES @ np.arange(64)
    known, new, told, truth = train_test_split(IMAGES, targets, random_state=0)
    peer = KNeighborsRegressor(4).fit(known, told)
    model = KNN(4, "regressor").fit(known, told)
    same = np.isclose(model.predict(new), peer.predict(new), rtol=1e-5)
    assert same.mean() > 0.98  # neighbours at equal distances may be taken in another order
    assert model.score(new, truth) == pytest.approx(peer.score(new, truth), abs=1e-3)
    with pytest.raises(AttributeError, match="no classes_"):
        model.classes_


def test_equal_votes_go_to_the_nearest() -> None:
    rows = np.array([[0.0], [1.0], [2.1], [3.1]], np.float32)
    model = KNN(4).fit(rows, ["b", "a", "a", "b"])
    assert model.predict([[0.1], [2.2]]).tolist() == ["b", "a"]
    assert model.classes_.tolist() == ["a", "b"]
    np.testing.assert_allclose(model.predict_proba([[0.1]]), [[0.5, 0.5]])


def test_label_vectors() -> None:
    pairs = np.stack([LABELS, LABELS % 2], axis=1)
    model = KNN(3).fit(KNOWN, pairs)
    said = model.predict(NEW)
    assert said.shape == (len(NEW), 2) and (said[:, 0] == TRUTH).mean() > 0.98
    assert [table.shape[1] for table in model.predict_proba(NEW)] == [10, 2]
    means = KNN(3, "regressor").fit(KNOWN, pairs.astype(float)).predict(NEW)
    numbers = model.kneighbors(NEW, return_distance=False)
    np.testing.assert_allclose(means, pairs[numbers].mean(axis=1), rtol=1e-5)


@pytest.mark.parametrize(
    "change",
    [
        {"k": 2},
        {"predictor_type": "regressor"},
        {"sample_size": 300},
        {"dimension_reduction_type": "sign", "dimension_reduction_target": 16},
        {"dimension_reduction_type": "sign", "dimension_reduction_target": 24},
        {"dimension_reduction_type": "fjlt", "dimension_reduction_target": 16},
        {"index_type": "faiss.IVFFlat", "faiss_index_ivf_nlists": 20, "nprobe": 1},
        {"index_type": "faiss.IVFFlat", "faiss_index_ivf_nlists": 5, "nprobe": 1},
        {"index_type": "faiss.IVFFlat", "faiss_index_ivf_nlists": 20, "nprobe": 2},
        {"index_type": "faiss.IVFPQ", "faiss_index_pq_m": 4},
        {"index_type": "faiss.IVFPQ", "faiss_index_pq_m": 3},
        {"index_metric": "COSINE"},
        {"index_metric": "INNER_PRODUCT"},
    ],
    ids=str,
)
def test_every_parameter_acts(change: dict[str, Any]) -> None:
    usual = answers({})
    changed = answers(change)
    assert changed.shape != usual.shape or not np.allclose(changed, usual, rtol=1e-6)
    np.testing.assert_array_equal(changed, answers(change))  # the same seed, the same model


def answers(change: dict[str, Any]) -> np.ndarray:
    model = KNN(**{"k": 5, **change}).fit(KNOWN, LABELS)
    distances = model.kneighbors(NEW)[0]
    return np.column_stack([model.predict(NEW), distances])


@pytest.mark.parametrize("kind", ["sign", "fjlt"])
def test_the_seed_draws_the_projection_and_the_sample(kind: str) -> None:
    settings: dict[str, Any] = {
        "dimension_reduction_type": kind,
        "dimension_reduction_target": 20,
    }
    first, second = (KNN(seed=s, **settings).fit(KNOWN, LABELS) for s in (0, 1))
    assert not np.allclose(first.kneighbors(NEW)[0], second.kneighbors(NEW)[0])
    drawn = [set(KNN(seed=s, sample_size=100).fit(KNOWN, LABELS).sample_indices_) for s in (0, 1)]
    assert len(drawn[0]) == 100 and drawn[0] != drawn[1]


def test_pieces_give_what_the_table_gives() -> None:
    parts = zip(np.array_split(KNOWN, 7), np.array_split(LABELS, 7), strict=True)
    whole, pieces = KNN(sample_size=900).fit(KNOWN, LABELS), KNN(sample_size=900).fit(iter(parts))
    assert set(whole.sample_indices_) == set(pieces.sample_indices_)
    np.testing.assert_allclose(whole.kneighbors(NEW)[0], pieces.kneighbors(NEW)[0])
    assert (whole.predict(NEW) == pieces.predict(NEW)).mean() > 0.99


def test_scikit_learn_can_use_it() -> None:
    scores = cross_val_score(make_pipeline(StandardScaler(), KNN(3)), IMAGES, DIGITS, cv=3)
    assert scores.mean() > 0.94
    twin = clone(KNN(7, "regressor", index_type="faiss.IVFFlat"))
    assert twin.get_params()["k"] == 7 and twin.kind == "regressor"


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"index_type": "flat"}, "index_type must be one of"),
        ({"index_type": "faiss.IVFPQ"}, "needs faiss_index_pq_m"),
        ({"index_type": "faiss.IVFPQ", "faiss_index_pq_m": 5}, "faiss_index_pq_m must be one of"),
        (
            {"index_type": "faiss.IVFPQ", "faiss_index_pq_m": 4, "index_metric": "COSINE"},
            "L2 as its metric",
        ),
    ],
    ids=str,
)
def test_wrong_parameters(parameters: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        KNN(**parameters).fit(KNOWN, LABELS)


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="rows and 3 labels"):
        KNN().fit(KNOWN, LABELS[:3])
    with pytest.raises(ValueError, match="no rows with labels"):
        KNN().fit(KNOWN)
    with pytest.raises(ValueError, match="no rows with labels"):
        KNN().fit(iter([]))
    with pytest.raises(ValueError, match="expecting 64 features"):
        KNN().fit(KNOWN, LABELS).predict(np.ones((2, 3)))
    with pytest.raises(ValueError, match="not fitted"):
        KNN().predict(NEW)
    with pytest.raises(ClientError, match="must not be greater than the number of sampled"):
        KNN(10).fit(KNOWN[:9], LABELS[:9])
    with pytest.raises(ClientError, match="less than feature_dim '64'"):
        KNN(dimension_reduction_type="sign", dimension_reduction_target=64).fit(KNOWN, LABELS)
    with pytest.raises(ClientError, match="faiss_index_ivf_nlists"):
        KNN(3, index_type="faiss.IVFFlat", faiss_index_ivf_nlists=30).fit(KNOWN[:20], LABELS[:20])


def test_rows_far_from_the_origin_lose_no_digits() -> None:
    far = (KNOWN + 20_000).astype(np.float32)
    for index_type in ("faiss.Flat", "faiss.IVFFlat"):
        distances, numbers = KNN(1, index_type=index_type).fit(far, LABELS).kneighbors(far)
        np.testing.assert_array_equal(numbers[:, 0], np.arange(len(far)))
        assert not distances.any()
    coded = KNN(5, index_type="faiss.IVFPQ", faiss_index_pq_m=16).fit(far, LABELS)
    assert coded.score(NEW + 20_000, TRUTH) > 0.97
