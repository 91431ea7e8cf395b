"""Rank correlations with similarity lists."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.stats import spearmanr

from wildsage.algorithms.blazingtext import evaluation
from wildsage.algorithms.blazingtext.evaluation import evaluate, parse_pairs, spearman


def test_spearman_is_scipys_with_ties_too() -> None:
    rng = np.random.default_rng(0)
    left = rng.integers(5, size=40).astype(float)
    right = left + rng.integers(4, size=40)
    assert spearman(left, right) == pytest.approx(spearmanr(left, right)[0])
    assert spearman(left, np.ones(40)) == 0
    assert spearman(left[:1], right[:1]) == 0


def test_lists_come_in_several_forms() -> None:
    lines = ["# a comment", "Word 1,Word 2,Human (mean)", "love,sex,6.77", "tiger\tcat\t7.35"]
    assert parse_pairs([*lines, "a b 1", "too short", ""]) == [
        ("love", "sex", 6.77),
        ("tiger", "cat", 7.35),
        ("a", "b", 1.0),
    ]


def test_figures_for_each_list_and_their_mean() -> None:
    vectors = {"a": np.array([1.0, 0]), "b": np.array([1.0, 0.1]), "c": np.array([0, 1.0])}
    lists = {
        "one": [("a", "b", 9.0), ("A", "c", 1.0), ("b", "c", 2.0), ("a", "missing", 5.0)],
        "other": [("a", "b", 1.0), ("a", "c", 2.0), ("b", "c", 1.5)],
    }
    assert evaluate(lists, vectors.get) == {
        "one": {"not_found": 1, "spearmans_rho": pytest.approx(1.0), "total_pairs": 4},
        "other": {"not_found": 0, "spearmans_rho": pytest.approx(-1.0), "total_pairs": 3},
        "mean_rho": pytest.approx(0.0),
    }


def test_without_gensim_there_is_no_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert evaluation.installed_pairs() == {}


def test_gensims_list_is_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder = tmp_path / "test" / "test_data"
    folder.mkdir(parents=True)
    (folder / "wordsim353.tsv").write_text("# heading\nlove\tsex\t6.77\n")
    found = SimpleNamespace(submodule_search_locations=[str(tmp_path)])
    monkeypatch.setattr("importlib.util.find_spec", lambda name: found)
    assert evaluation.installed_pairs() == {"EN-WS-353-ALL.txt": [("love", "sex", 6.77)]}
