"""Word vectors: planted company is found, and every parameter acts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Normalizer

from algorithms.blazingtext.helpers_blazingtext import separation
from wildsage.algorithms.blazingtext import Word2Vec
from wildsage.algorithms.blazingtext.example import THEMES, themed_sentences
from wildsage.algorithms.blazingtext.fasttext import ModelFileError
from wildsage.algorithms.blazingtext.sharing import adaptive_sum
from wildsage.algorithms.blazingtext.threads import thread_count
from wildsage.algorithms.blazingtext.word2vec import EmptyVocabulary
from wildsage.algorithms.blazingtext.word_kernels import alias_table
from wildsage.algorithms.blazingtext.word_training import (
    LONGEST_BLOCK,
    Diverged,
    block_starts,
    blocks_of,
)

SENTENCES = themed_sentences(400)[0]
SMALL: dict[str, Any] = {
    "vector_dim": 12,
    "min_count": 1,
    "learning_rate": 0.2,
    "sampling_threshold": 0.01,
    "buckets": 300,
}


def fitted(**parameters: Any) -> Word2Vec:
    return Word2Vec(**{**SMALL, **parameters}).fit(SENTENCES)


@pytest.mark.parametrize(
    ("mode", "subwords"),
    [
        ("skipgram", False),
        ("batch_skipgram", False),
        ("cbow", False),
        ("skipgram", True),
        ("cbow", True),
    ],
)
def test_words_in_like_company_have_like_vectors(mode: str, subwords: bool) -> None:
    model = fitted(mode=mode, subwords=subwords, epochs=10)
    assert separation(model) > (0.4 if subwords else 0.5)
    assert model.vectors_.shape == (len(model.words_), 12)
    assert np.isfinite(model.vectors_).all()


@pytest.mark.parametrize(
    "change",
    [
        {"mode": "cbow"},
        {"batch_size": 2, "mode": "batch_skipgram"},
        {"epochs": 6},
        {"learning_rate": 0.1},
        {"min_count": 200},
        {"negative_samples": 2},
        {"sampling_threshold": 0.001},
        {"subwords": True},
        {"window_size": 2},
        {"seed": 1},
    ],
    ids=lambda change: next(iter(change)),
)
def test_every_parameter_acts(change: dict[str, Any]) -> None:
    base = fitted().transform(["sea", "bread"])
    assert np.abs(fitted(**change).transform(["sea", "bread"]) - base).max() > 1e-4


@pytest.mark.parametrize("change", [{"min_char": 2}, {"max_char": 4}, {"buckets": 301}])
def test_every_parameter_of_subwords_acts(change: dict[str, Any]) -> None:
    asked = ["harbourside"]
    base = fitted(subwords=True).transform(asked)
    assert np.abs(fitted(subwords=True, **change).transform(asked) - base).max() > 1e-5


def test_the_same_seed_gives_the_same_vectors() -> None:
    assert np.array_equal(fitted().vectors_, fitted().vectors_)
    assert not np.array_equal(fitted().vectors_, fitted(seed=7).vectors_)


def test_two_threads_learn_as_well() -> None:
    assert separation(fitted(threads=2, epochs=10)) > 0.5


def test_small_jobs_are_done_on_one_thread() -> None:
    assert thread_count(None, 1_000_000) == 1
    assert thread_count(3, 10) == 3


def test_unheard_words_are_zeros_unless_their_parts_are_known() -> None:
    assert not fitted().transform(["harbours"]).any()
    parts = fitted(subwords=True, epochs=10)
    known, unheard = parts.transform(["harbour", "harbours"])
    cosine = known @ unheard / np.linalg.norm(known) / np.linalg.norm(unheard)
    assert cosine > 0.8
    assert not parts.transform([""]).any() or parts.min_char <= 2


def test_files_and_lists_of_words_are_corpora_too(tmp_path: Path) -> None:
    path = tmp_path / "corpus.txt"
    path.write_text("\n".join(SENTENCES))
    by_file = Word2Vec(**SMALL).fit(path)
    by_lists = Word2Vec(**SMALL).fit([sentence.split() for sentence in SENTENCES])
    assert np.array_equal(by_file.vectors_, fitted().vectors_)
    assert np.array_equal(by_lists.vectors_, fitted().vectors_)


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    model = fitted(subwords=True)
    model.save(tmp_path / "vectors.bin")
    loaded = Word2Vec.load(tmp_path / "vectors.bin")
    asked = ["sea", "seaside", "bread"]
    np.testing.assert_allclose(loaded.transform(asked), model.transform(asked), atol=1e-7)
    assert loaded.words_ == model.words_
    loaded.save(tmp_path / "again.bin")
    assert (tmp_path / "again.bin").read_bytes() == (tmp_path / "vectors.bin").read_bytes()
    model.save_text(tmp_path / "vectors.txt")
    first, second, *_ = (tmp_path / "vectors.txt").read_text().splitlines()
    assert first == f"{len(model.words_)} 12"
    assert second.split()[0] == model.words_[0]


def test_conventions_of_scikit_learn() -> None:
    model = clone(Word2Vec(**SMALL))
    pipeline = make_pipeline(model, Normalizer())
    lengths = np.linalg.norm(pipeline.fit(SENTENCES).transform(["sea", "bread"]), axis=1)
    np.testing.assert_allclose(lengths, 1, rtol=1e-5)
    neighbours = [word for word, _ in fitted(epochs=10).most_similar("sea", 3)]
    assert set(neighbours) <= set(THEMES[0])


def test_what_cannot_be_learned_is_said() -> None:
    with pytest.raises(EmptyVocabulary, match="Empty vocabulary"):
        fitted(min_count=10**6)
    with pytest.raises(ValueError, match="mode must be one of"):
        fitted(mode="glove")
    with pytest.raises(ValueError, match="does not learn subwords"):
        fitted(mode="batch_skipgram", subwords=True)
    with pytest.raises(ValueError, match="not fitted"):
        Word2Vec().transform(["a"])


@pytest.mark.parametrize("mode", ["cbow", "skipgram"])
def test_vectors_that_are_no_numbers_are_not_handed_out(mode: str) -> None:
    with pytest.raises(Diverged, match="smaller value of learning_rate"):
        fitted(mode=mode, learning_rate=1e30)


def test_a_model_of_texts_is_not_one_of_words(tmp_path: Path) -> None:
    from wildsage.algorithms.blazingtext import TextClassifier

    TextClassifier(vector_dim=2, min_count=1, buckets=5).fit(["a b"], [1]).save(tmp_path / "m.bin")
    with pytest.raises(ModelFileError, match="not of words"):
        Word2Vec.load(tmp_path / "m.bin")


# --- parts ---------------------------------------------------------------------------------------


def test_aliases_draw_by_weight() -> None:
    weights = np.array([1.0, 5.0, 0.5, 3.5])
    chances, aliases = alias_table(weights)
    kept = chances / 2.0**32
    drawn = kept / 4
    np.add.at(drawn, aliases, (1 - kept) / 4)
    np.testing.assert_allclose(drawn, weights / 10, atol=1e-6)


def test_hosts_add_what_differs_and_average_what_agrees() -> None:
    one = np.array([[1, 0], [2, 2], [0, 0]], np.float32)
    other = np.array([[0, 1], [2, 2], [3, 1]], np.float32)
    assert adaptive_sum(one, other).tolist() == [[1, 1], [2, 2], [3, 1]]


def test_blocks_are_whole_sentences() -> None:
    tokens = np.array([0, 1, -1, 2, 3, 4, 5, 6, -1, 7, -1, 8], np.int32)
    starts = block_starts(tokens, 2)
    assert starts.tolist() == [0, 3, 9, 11, 12]
    assert blocks_of(tokens, starts, np.array([3, 0])).tolist() == [8, -1, 0, 1, -1, -1]
    assert blocks_of(tokens, starts, np.array([], np.int64)).tolist() == []


@pytest.mark.parametrize("wanted", [0, 50, LONGEST_BLOCK, 10**6])
def test_blocks_of_a_text_without_sentences_are_not_long(wanted: int) -> None:
    tokens = np.zeros(5 * LONGEST_BLOCK + 7, np.int32)
    starts = block_starts(tokens, wanted)
    assert starts[0] == 0 and starts[-1] == len(tokens)
    sizes = np.diff(starts)
    assert sizes.min() > 0 and sizes.max() < min(wanted, LONGEST_BLOCK) + LONGEST_BLOCK + 1
    assert block_starts(tokens[:0], wanted).tolist() == [0]


@pytest.mark.parametrize("mode", ["cbow", "skipgram"])
def test_a_corpus_that_is_sorted_by_subject_is_learned_as_well(mode: str) -> None:
    texts, themes = themed_sentences(400)
    ordered = [text for _, text in sorted(zip(themes, texts, strict=True))]
    model = Word2Vec(**{**SMALL, "mode": mode, "epochs": 10}).fit(ordered)
    assert separation(model) > 0.5
