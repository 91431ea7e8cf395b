"""`RandomCutForest` as a library."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_matrix
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.ensemble import IsolationForest
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from wildsage.algorithms.randomcutforest import RandomCutForest
from wildsage.contract.failure import ClientError

RNG = np.random.default_rng(0)
ROWS = RNG.normal(size=(3000, 5)).astype(np.float32)
FAR = ROWS[:20] + np.float32(8)


def test_scores_have_the_documented_scale() -> None:
    forest = RandomCutForest(50, 60).fit(ROWS)
    normal, far = forest.anomaly_score(RNG.normal(size=(500, 5))), forest.anomaly_score(FAR)
    assert 0.6 < normal.mean() < 1
    assert far.min() > 2 * normal.mean()
    assert far.max() <= np.log2(61)
    assert normal.max() < forest.threshold_ + 0.5 < far.min() + 0.5


def test_it_finds_a_digit_among_others_as_its_peer_does() -> None:
    images, digits = load_digits(return_X_y=True)
    normal, other = images[digits == 1], images[digits != 1]
    rows = np.concatenate([normal, other])
    labels = np.arange(len(rows)) >= len(normal)
    ours, theirs = [], []
    for seed in range(3):
        forest = RandomCutForest(100, 128, seed=seed).fit(normal)
        peer = IsolationForest(n_estimators=100, max_samples=128, random_state=seed).fit(normal)
        ours.append(roc_auc_score(labels, forest.anomaly_score(rows)))
        theirs.append(roc_auc_score(labels, -peer.score_samples(rows)))
    assert np.mean(ours) >= np.mean(theirs) - 0.005
    assert np.mean(ours) > 0.95


def test_every_parameter_acts() -> None:
    scores = {
        name: RandomCutForest(**{"num_trees": 50, **changed}).fit(ROWS).anomaly_score(FAR)
        for name, changed in {
            "as it is": {},
            "again": {},
            "trees": {"num_trees": 60},
            "samples": {"num_samples_per_tree": 30},
            "seed": {"seed": 1},
        }.items()
    }
    np.testing.assert_array_equal(scores["as it is"], scores["again"])
    for name in ("trees", "samples", "seed"):
        assert not np.allclose(scores["as it is"], scores[name])


def test_batches_give_what_the_table_gives() -> None:
    table = RandomCutForest(50, 20).fit(ROWS)
    by_iterator = RandomCutForest(50, 20).fit(iter(np.array_split(ROWS, 7)))
    by_parts = RandomCutForest(50, 20)
    for part in np.array_split(ROWS, 3):
        by_parts.partial_fit(part)
    for model in (by_iterator, by_parts):
        np.testing.assert_array_equal(model.anomaly_score(FAR), table.anomaly_score(FAR))
    before = by_parts.anomaly_score(FAR)
    after = by_parts.partial_fit(np.tile(FAR, (50, 1))).anomaly_score(FAR)
    assert (after < before).all()


def test_scikit_learns_methods_agree() -> None:
    forest = RandomCutForest(50, 20).fit(ROWS)
    rows = np.concatenate([ROWS[:100], FAR])
    scores = forest.anomaly_score(rows)
    np.testing.assert_array_equal(forest.score_samples(rows), -scores)
    np.testing.assert_array_equal(forest.decision_function(rows), forest.threshold_ - scores)
    expected = np.where(scores > forest.threshold_, -1, 1)
    np.testing.assert_array_equal(forest.predict(rows), expected)
    assert (forest.predict(FAR) == -1).all()
    np.testing.assert_array_equal(forest.fit_predict(ROWS), forest.predict(ROWS))


def test_it_is_cloned_and_put_into_pipelines() -> None:
    pipeline = make_pipeline(StandardScaler(), RandomCutForest(50, 20))
    found = clone(pipeline).fit(ROWS).predict(np.concatenate([ROWS[:50], FAR]))
    assert (found[-20:] == -1).all() and (found[:50] == 1).mean() > 0.9
    assert clone(RandomCutForest(7, seed=3)).get_params()["num_trees"] == 7
    assert repr(RandomCutForest(7)) == "RandomCutForest(num_trees=7)"


def test_sparse_rows_are_taken() -> None:
    rows = np.where(RNG.random(ROWS.shape) < 0.3, ROWS, 0).astype(np.float32)
    by_dense = RandomCutForest(50, 20).fit(rows)
    by_sparse = RandomCutForest(50, 20).fit(csr_matrix(rows))
    np.testing.assert_array_equal(
        by_dense.anomaly_score(rows[:50]), by_sparse.anomaly_score(csr_matrix(rows[:50]))
    )


@pytest.mark.parametrize("count", [1, 2, 30])
def test_few_rows_are_enough(count: int) -> None:
    forest = RandomCutForest(50, 256).fit(ROWS[:count])
    assert forest.forest_.rows_per_tree == count
    assert forest.anomaly_score(FAR).min() > forest.anomaly_score(ROWS[:count]).max()


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([[np.nan]], "NaN or infinity"),
        (csr_matrix(np.array([[np.inf]])), "NaN or infinity"),
        ([1, 2], "table of rows and columns"),
        (np.empty((0, 2)), "no rows to learn from"),
    ],
)
def test_what_cannot_be_learned_from_is_refused(rows: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        RandomCutForest().fit(rows)


def test_misuse_is_told() -> None:
    with pytest.raises(ValueError, match="not fitted"):
        RandomCutForest().anomaly_score(ROWS)
    with pytest.raises(ValueError, match="at least 1"):
        RandomCutForest(0).fit(ROWS)
    with pytest.raises(ValueError, match="X has 2 features"):
        RandomCutForest(5, 5).fit(ROWS).predict(ROWS[:, :2])
    with pytest.raises(ValueError, match="X has 2 features"):
        RandomCutForest(5, 5).partial_fit(ROWS).partial_fit(ROWS[:, :2])


def test_a_missing_compiler_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "numba", None)
    monkeypatch.delitem(sys.modules, "wildsage.algorithms.compiling")
    with pytest.raises(ClientError, match=r"pip install wildsage\[algorithms\]"):
        import_module("wildsage.algorithms.compiling")
