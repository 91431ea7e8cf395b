"""The library: topics are found, every parameter acts, conventions are kept."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from algorithms.ntm.helpers_ntm import WORDS, counts
from wildsage.algorithms.ntm import NTM, starting
from wildsage.algorithms.ntm.corpus import Corpus, as_counts
from wildsage.algorithms.ntm.example import documents
from wildsage.algorithms.ntm.model import TopicModel
from wildsage.algorithms.ntm.refitting import refitted
from wildsage.algorithms.ntm.training import Settings, Trainer
from wildsage.formats.matrix import SparseMatrix


def small(**changes: Any) -> NTM:
    return NTM(**{"num_topics": 2, "epochs": 2, "mini_batch_size": 40, **changes})


def test_finds_the_topics_that_documents_are_made_of() -> None:
    rows, prevailing = documents(300)
    model = small(epochs=20, optimizer="adam", learning_rate=0.01).fit(rows)
    agreement = np.mean(model.predict(rows) == prevailing)
    assert max(agreement, 1 - agreement) > 0.97
    halves = sorted(sorted(words) for words in model.top_words(count=6))
    assert halves == [[0, 1, 2, 3, 4, 5], [6, 7, 8, 9, 10, 11]]


def test_is_better_than_word_frequencies() -> None:
    rows, held = counts(300), counts(60, seed=1)
    model = small(epochs=20, optimizer="adam", learning_rate=0.01).fit(rows)
    shares = rows.sum(axis=0) / rows.sum()
    unigram = math.exp(-(held * np.log(shares)).sum() / held.sum())
    assert model.perplexity(held) < 0.9 * unigram


def test_the_encoder_knows_the_topics_that_training_starts_from() -> None:
    rows, prevailing = documents(300)
    trainer = Trainer(Settings(2), Corpus(as_counts(rows)))
    trainer.begin()
    agreement = np.mean(NTM.from_model(trainer.network.export()).predict(rows) == prevailing)
    assert max(agreement, 1 - agreement) > 0.97


def test_the_rate_rises_in_the_first_steps() -> None:
    settings = Settings(2, optimizer="adam", learning_rate=0.02, epochs=3, mini_batch_size=40)
    trainer = Trainer(settings, Corpus(as_counts(counts(120))))
    trainer.begin()
    rates = [trainer._descent.rate for _ in trainer.epochs()]
    assert rates == pytest.approx([0.01, 0.02, 0.02])


def test_refitted_topics_explain_the_documents_better() -> None:
    rows = as_counts(counts(300))
    trainer = Trainer(Settings(2), Corpus(rows))
    trainer.begin()
    shares = starting.frequencies_of(rows)
    topics = trainer.network.export().topics().T
    trainer.network.take_topics(0.5 * topics + 0.5 * shares[:, None])
    model = trainer.network.export()
    weights = model.topic_weights(rows)[rows.row_numbers()]
    found = refitted(model, trainer.corpus, shares, trainer.cluster)

    def likelihood(words: np.ndarray) -> float:
        return float((rows.data * np.log((weights * words[rows.indices]).sum(axis=1))).sum())

    np.testing.assert_allclose(found.sum(axis=0), 1, rtol=1e-5)
    assert likelihood(found) > likelihood(model.topics().T)


def test_refitted_topics_must_be_better_for_the_validation_documents() -> None:
    rows = as_counts(counts(300))
    trainer = Trainer(Settings(2, epochs=1, mini_batch_size=40), Corpus(rows), Corpus(rows))
    trainer.begin()
    assert len(list(trainer.epochs())) == 1
    before = trainer.network.export().projection_weight
    trainer.best_loss = 0.0  # none is as good
    np.testing.assert_array_equal(trainer.finish().projection_weight, before)


def test_weights_and_topics_are_distributions() -> None:
    rows = counts()
    model = small().fit(rows)
    weights = model.transform(rows)
    assert weights.shape == (120, 2)
    np.testing.assert_allclose(weights.sum(axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(model.components_.sum(axis=1), 1, rtol=1e-5)


def test_sparse_and_dense_documents_give_the_same_model() -> None:
    rows = counts()
    dense = small().fit(rows).transform(rows)
    sparse = small().fit(csr_matrix(rows)).transform(csr_matrix(rows))
    np.testing.assert_array_equal(dense, sparse)


CHANGES: dict[str, Any] = {
    "encoder_layers": [7],
    "encoder_layers_activation": "tanh",
    "batch_norm": True,
    "epochs": 1,
    "mini_batch_size": 30,
    "optimizer": "sgd",
    "learning_rate": 0.01,
    "rescale_gradient": 0.001,
    "clip_gradient": 0.001,
    "weight_decay": 0.1,
    "sub_sample": 0.5,
    "seed": 1,
    "num_topics": 3,
}


@pytest.mark.parametrize("name", CHANGES)
def test_every_parameter_acts(name: str) -> None:
    rows = counts()
    base = small().fit(rows).transform(rows)
    changed = small(**{name: CHANGES[name]}).fit(rows).transform(rows)
    assert base.shape != changed.shape or not np.array_equal(base, changed)


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adagrad", "adadelta", "rmsprop"])
def test_every_optimizer_learns(optimizer: str) -> None:
    model = small(optimizer=optimizer, epochs=6, num_patience_epochs=6).fit(counts())
    assert min(model.history_[1:]) < model.history_[0]


def test_stops_when_the_loss_no_longer_falls() -> None:
    patient = small(epochs=12, num_patience_epochs=12).fit(counts())
    hasty = small(epochs=12, num_patience_epochs=2, tolerance=0.1).fit(counts())
    assert (patient.n_iter_, hasty.n_iter_) == (12, 3)


def test_judges_by_validation_documents() -> None:
    held = counts(40, seed=1)
    model = small(epochs=3).fit(counts(), validation=held)
    assert model.perplexity_ == pytest.approx(math.exp(min(model.history_)))
    assert model.perplexity_ == pytest.approx(model.perplexity(held), rel=0.02)


def test_batch_normalisation_is_folded_into_the_layers() -> None:
    rows = as_counts(counts())
    trainer = Trainer(Settings(2, batch_norm=True, epochs=2, mini_batch_size=40), Corpus(rows))
    trainer.begin()
    assert len(list(trainer.epochs())) == 2
    inside = trainer.judge(Corpus(rows)).total
    outside = math.log(NTM.from_model(trainer.network.export()).perplexity(rows))
    assert outside == pytest.approx(inside, rel=0.02)


def test_the_model_is_kept_in_a_file(tmp_path: Any) -> None:
    rows = counts()
    model = small().fit(rows)
    model.model_.save(tmp_path / "model")
    loaded = NTM.from_model(TopicModel.load(tmp_path / "model"))
    np.testing.assert_array_equal(loaded.transform(rows), model.transform(rows))


def test_documents_without_words_are_borne() -> None:
    rows = counts()
    rows[::7] = 0
    weights = small().fit(rows).transform(np.zeros((2, WORDS)))
    np.testing.assert_allclose(weights.sum(axis=1), 1, rtol=1e-5)


@pytest.mark.parametrize("rows", [1, 3])
def test_fewer_documents_than_topics(rows: int) -> None:
    model = small(num_topics=5).fit(counts(rows))
    assert np.isfinite(model.components_).all()


def test_bad_documents_are_refused() -> None:
    with pytest.raises(ValueError, match="negative"):
        small().fit(-counts())
    with pytest.raises(ValueError, match="no words"):
        small().fit(np.zeros((4, WORDS)))
    with pytest.raises(ValueError, match="another vocabulary"):
        small().fit(counts(), validation=counts()[:, :5])
    with pytest.raises(ValueError, match="not fitted"):
        small().transform(counts())
    with pytest.raises(ValueError, match="expecting 12 features"):
        small().fit(counts()).transform(counts()[:, :5])


def test_works_in_a_pipeline() -> None:
    from sklearn.base import clone
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    rows, prevailing = documents(120)
    chain = make_pipeline(clone(small(epochs=5)), LogisticRegression())
    assert chain.fit(rows, prevailing).score(rows, prevailing) > 0.9


def test_documents_that_do_not_fit_are_read_again() -> None:
    rows = as_counts(counts())
    passes: list[int] = []

    def read(epoch: int) -> Any:
        passes.append(epoch)
        yield rows[:70]
        yield rows[70:]

    corpus = Corpus.open(read, budget=0)
    assert len(corpus.documents) == 70
    rng = np.random.default_rng(0)
    streamed = list(corpus.batches(50, rng))
    assert passes == [0, 1]
    assert sum(map(len, streamed)) == 120
    assert sum(batch.data.sum() for batch in streamed) == rows.data.sum()
    again = np.concatenate([batch.to_dense() for batch in corpus.in_order(50)])
    np.testing.assert_array_equal(again, counts())


def test_an_epoch_goes_over_a_share_of_the_documents() -> None:
    rows = SparseMatrix.from_dense(counts())
    drawn = Corpus(rows).batches(20, np.random.default_rng(0), 0.25)
    assert sum(map(len, drawn)) == 30
