"""lda: topics that are known are found, every parameter acts, mixtures and likelihoods."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_matrix
from scipy.special import psi
from sklearn.base import clone
from sklearn.decomposition import LatentDirichletAllocation
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from algorithms.lda.helpers_lda import WORDS, distance, made, matched
from wildsage.algorithms.lda import LDA, kernels
from wildsage.algorithms.lda.corpus import corpus_of, join
from wildsage.algorithms.lda.inference import Topics
from wildsage.algorithms.lda.moments import decompose, spectral_topics
from wildsage.algorithms.lda.refinement import merged
from wildsage.formats.matrix import SparseMatrix

ROWS, TRUTH, MIXTURES = made()


def test_it_finds_topics_and_their_prior() -> None:
    model = LDA(5).fit(ROWS)
    assert distance(model.components_, TRUTH) < 0.2
    assert model.alpha_.sum() == pytest.approx(0.5, rel=0.25)
    np.testing.assert_allclose(model.components_.sum(axis=1), 1, rtol=1e-4)
    assert (np.diff(model.alpha_) <= 0).all()
    assert model.eta_ == pytest.approx(0.1, rel=0.3)


def test_it_finds_mixtures() -> None:
    model = LDA(5).fit(ROWS)
    mixtures = model.transform(ROWS)[:, matched(model.components_, TRUTH)]
    np.testing.assert_allclose(mixtures.sum(axis=1), 1, rtol=1e-4)
    assert np.abs(mixtures - MIXTURES).sum(axis=1).mean() < 0.15
    np.testing.assert_array_equal(model.transform(csr_matrix(ROWS)), model.transform(ROWS))


def test_it_beats_scikit_learn() -> None:
    rows, truth, _ = made(500, 8, seed=1)
    ours = LDA(8).fit(rows)
    peer = LatentDirichletAllocation(8, learning_method="batch", random_state=0).fit(rows)
    theirs = peer.components_ / peer.components_.sum(axis=1, keepdims=True)
    assert distance(ours.components_, truth) < distance(theirs, truth)
    test = made(600, 8, seed=1)[0][500:]
    assert ours.score(test) > Topics(np.full(8, 1 / 8), theirs).held_out(corpus_of(test))[0] / (
        test.sum()
    )


def test_the_same_seed_gives_the_same_model() -> None:
    first, second = LDA(5, seed=3).fit(ROWS), LDA(5, seed=3).fit(ROWS)
    np.testing.assert_array_equal(first.components_, second.components_)
    np.testing.assert_array_equal(first.alpha_, second.alpha_)


@pytest.mark.parametrize(
    "change",
    [
        {"alpha0": 5.0},
        {"mini_batch_size": 10},
        {"passes": 1},
        {"seed": 1},
        {"max_iterations": 1},
        {"tol": 0.1},
    ],
    ids=str,
)
def test_every_parameter_acts(change: dict[str, Any]) -> None:
    model = LDA(5, passes=2).fit(ROWS)
    other = LDA(5, **{"passes": 2, **change}).fit(ROWS)
    assert not np.array_equal(model.components_, other.components_)


def test_restarts_end_when_two_agree() -> None:
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(6, 6, 6))
    assert len(decompose(noise, 4, 3, 1e-8, rng)) > 1
    assert len(decompose(noise, 1, 3, 1e-8, rng)) == 1
    turned = np.linalg.qr(rng.normal(size=(6, 6)))[0]
    exact = np.einsum("r,ir,jr,kr->ijk", np.arange(1, 7), turned, turned, turned)
    starts = decompose(exact, 10, 1000, 1e-8, rng)
    assert len(starts) == 2
    assert starts[0].residual < 1e-3
    np.testing.assert_allclose(np.sort(starts[0].weights), np.arange(1, 7), rtol=1e-3)


def test_moments_alone_come_close() -> None:
    rows, truth, _ = made(4000, seed=2)
    topics, shares, _ = spectral_topics(
        corpus_of(rows),
        5,
        0.5,
        np.random.default_rng(0),
        restarts=3,
        iterations=100,
        tolerance=1e-8,
    )
    assert distance(topics.T, truth) < 0.5
    assert shares.sum() == pytest.approx(1)


def test_what_moments_do_not_give_comes_from_documents() -> None:
    rows = np.eye(3, dtype=np.float32)[np.arange(30) % 3] * 2  # too short for a third moment
    model = LDA(3).fit(rows)
    assert distance(model.components_, np.eye(3)) < 0.2
    assert LDA(8).fit(rows).components_.shape == (8, 3)  # more topics than words
    assert LDA(70, passes=2, max_iterations=20).fit(ROWS).transform(ROWS[:4]).shape == (4, 70)


def test_one_topic_is_the_corpus() -> None:
    model = LDA(1).fit(ROWS)
    shares = ROWS.sum(axis=0) / ROWS.sum()
    np.testing.assert_allclose(model.components_[0], shares, atol=1e-4)
    np.testing.assert_array_equal(model.transform(ROWS[:3]), 1)


def test_a_document_without_words_is_the_prior() -> None:
    model = LDA(5).fit(np.vstack([ROWS, np.zeros((7, WORDS), np.float32)]))
    prior = model.alpha_ / model.alpha_.sum()
    np.testing.assert_allclose(model.transform(np.zeros((1, WORDS)))[0], prior, rtol=1e-5)
    np.testing.assert_array_equal(model.components_, LDA(5).fit(ROWS).components_)


def test_counts_need_not_be_whole() -> None:
    model = LDA(5).fit(ROWS * np.float32(0.7))
    assert distance(model.components_, TRUTH) < 0.25
    assert LDA(5, passes=2).fit(ROWS * 1000).components_.shape == (5, WORDS)


def test_score_is_the_held_out_likelihood_of_a_word() -> None:
    even = Topics(np.ones(2), np.full((2, 4), 0.25))
    model = LDA.from_topics(even.alpha, even.beta)
    assert model.score(ROWS[:5, :4] + 1) == pytest.approx(math.log(0.25), rel=1e-5)
    assert model.perplexity(np.ones((2, 4))) == pytest.approx(4, rel=1e-5)
    assert math.isnan(model.score(np.zeros((2, 4))))


def test_halves_make_up_the_whole() -> None:
    corpus = corpus_of(ROWS)
    one, other = corpus.halves()
    weights = np.ones(len(corpus))
    np.testing.assert_allclose(
        one.word_sums(weights) + other.word_sums(weights), corpus.word_sums(weights)
    )
    np.testing.assert_allclose(one.lengths, other.lengths, atol=1.01)
    assert one.counts.min() > 0


def test_tables_may_come_one_by_one() -> None:
    whole = LDA(5, passes=2).fit(ROWS)
    parts = LDA(5, passes=2).fit(iter([ROWS[:100], csr_matrix(ROWS[100:])]))
    np.testing.assert_array_equal(whole.components_, parts.components_)


def test_joined_documents_leave_empty_ones_out() -> None:
    corpus = join([corpus_of(np.array([[0, 0], [1, 2]], np.float32)), corpus_of(np.eye(2))])
    assert len(corpus) == 3
    np.testing.assert_array_equal(corpus.lengths, [3, 1, 1])


def test_bad_input_is_refused() -> None:
    with pytest.raises(ValueError, match="Found negative values"):
        LDA(2).fit(-ROWS)
    with pytest.raises(ValueError, match="no documents with words"):
        LDA(2).fit(np.zeros((3, 4)))
    with pytest.raises(ValueError, match="not in the vocabulary"):
        corpus_of(SparseMatrix(np.ones(1, np.float32), np.array([4]), np.array([0, 1]), (1, 4)))
    with pytest.raises(ValueError, match="above 1e"):
        LDA(2).fit(ROWS * np.float32(1e30))
    with pytest.raises(ValueError, match="NaN or infinity"):
        LDA(2).fit(csr_matrix(np.full((3, 4), np.nan)))
    with pytest.raises(ValueError, match="Found 50 features after 60"):
        LDA(2).fit(iter([ROWS, ROWS[:, :50]]))
    with pytest.raises(ValueError, match="expecting 60 features"):
        LDA(2, passes=1).fit(ROWS).transform(ROWS[:, :4])
    with pytest.raises(ValueError, match="not fitted"):
        LDA(2).transform(ROWS)


@pytest.mark.parametrize(
    "change",
    [
        {"num_topics": 0},
        {"alpha0": -1.0},
        {"tol": 0.0},
        {"max_restarts": 0},
        {"max_iterations": 0},
        {"mini_batch_size": 0},
        {"passes": -1},
    ],
    ids=str,
)
def test_parameters_out_of_range_are_refused_by_name(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"^{next(iter(change))} must be"):
        LDA(**{"num_topics": 2, **change}).fit(ROWS[:20])


def test_large_counts_are_borne() -> None:
    model = LDA(5, passes=2).fit(ROWS / ROWS.max() * np.float32(1e9))
    assert np.isfinite(model.components_).all()
    assert math.isfinite(model.score(ROWS))


def test_the_most_alike_topics_are_merged() -> None:
    counts = np.array([[90.0, 45, 0, 1], [10, 5, 0, 1], [0, 0, 80, 1]])
    left = merged(counts, 3)
    np.testing.assert_allclose(left[:, 0], [135, 15, 0])
    assert left.sum() == counts.sum()
    assert merged(counts, 4).shape == (3, 4)


def test_digamma() -> None:
    counts = np.array([[1.0, 2.5], [0.0, 300.0], [7.0, 0.01]])
    prior, result = np.array([0.01, 2.0]), np.empty(2)
    kernels.excess(counts, prior, result)
    np.testing.assert_allclose(result, (psi(counts + prior) - psi(prior)).sum(axis=0), rtol=1e-8)


def test_it_works_with_scikit_learn() -> None:
    model = clone(LDA(3, alpha0=0.5, passes=1))
    assert model.get_params()["alpha0"] == 0.5
    pipeline = make_pipeline(FunctionTransformer(np.round), model)
    assert pipeline.fit_transform(ROWS[:50]).shape == (50, 3)
    assert repr(model) == "LDA(num_topics=3, alpha0=0.5, passes=1)"
