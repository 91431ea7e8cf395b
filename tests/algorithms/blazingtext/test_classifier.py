"""Labels of texts: quality, parameters, several labels, early stopping."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone

from wildsage.algorithms.blazingtext import TextClassifier
from wildsage.algorithms.blazingtext.classifier import NoLabels
from wildsage.algorithms.blazingtext.example import themed_sentences
from wildsage.algorithms.blazingtext.fasttext import ModelFileError
from wildsage.algorithms.blazingtext.text_training import Listener
from wildsage.algorithms.blazingtext.tokens import read_lines

TEXTS, THEMES = themed_sentences(300)
SMALL: dict[str, Any] = {
    "vector_dim": 8,
    "min_count": 1,
    "learning_rate": 0.3,
    "buckets": 500,
}


def fitted(**parameters: Any) -> TextClassifier:
    return TextClassifier(**{**SMALL, **parameters}).fit(TEXTS, THEMES)


def test_themes_are_told_apart() -> None:
    held, themes = themed_sentences(100, seed=1)
    model = fitted()
    assert model.score(held, themes) > 0.95
    assert set(model.classes_.tolist()) == {0, 1}
    chances = model.predict_proba(held)
    np.testing.assert_allclose(chances.sum(axis=1), 1, rtol=1e-5)
    assert (model.predict(held) == np.array(themes)).mean() > 0.95


def test_word_order_is_learned_by_ngrams_only() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(2, size=300).tolist()
    texts = ["x not good y" if label else "x good not y" for label in labels]
    assert fitted().set_params(epochs=10).fit(texts, labels).score(texts, labels) == 1
    assert fitted().set_params(word_ngrams=1).fit(texts, labels).score(texts, labels) < 0.7


@pytest.mark.parametrize(
    "change",
    [
        {"vector_dim": 9},
        {"learning_rate": 0.1},
        {"epochs": 6},
        {"min_count": 200},
        {"word_ngrams": 3},
        {"buckets": 100},
        {"seed": 1},
    ],
    ids=lambda change: next(iter(change)),
)
def test_every_parameter_acts(change: dict[str, Any]) -> None:
    base, changed = fitted().predict_proba(TEXTS), fitted(**change).predict_proba(TEXTS)
    assert np.abs(base - changed).max() > 1e-4


def test_the_same_seed_gives_the_same_model() -> None:
    one, other = fitted().predict_proba(TEXTS), fitted().predict_proba(TEXTS)
    assert np.array_equal(one, other)


def test_two_threads_learn_as_well() -> None:
    assert fitted(threads=2).score(TEXTS, THEMES) > 0.95


def test_a_text_may_have_several_labels() -> None:
    labels = [["odd", f"theme{theme}"] for theme in THEMES]
    model = TextClassifier(**SMALL, epochs=20).fit(TEXTS, labels)
    (names, chances), *_ = model.top(TEXTS[:1], [2])
    assert sorted(names) == sorted(["__label__odd", f"__label__theme{THEMES[0]}"])
    assert chances[0] == pytest.approx(0.5, abs=0.15)
    assert model.score(TEXTS, labels) == 1


class Notes(Listener):
    def __init__(self) -> None:
        self.accuracies: list[float] = []

    def validated(self, accuracy: float, improved: bool, waited: int) -> None:
        self.accuracies.append(accuracy)


def learn(notes: Notes, **parameters: Any) -> TextClassifier:
    lines = [f"__label__{theme} {text}".encode() for text, theme in zip(TEXTS, THEMES, strict=True)]
    held = read_lines(lines[:60])
    model = TextClassifier(**{**SMALL, "early_stopping": True, "epochs": 30, **parameters})
    return model.learn(read_lines(lines), held, listener=notes)


def test_training_stops_when_validation_does_not_improve() -> None:
    notes = Notes()
    model = learn(notes, min_epochs=2, patience=3)
    best = int(np.argmax(notes.accuracies))
    assert model.epochs_ == len(notes.accuracies) == best + 1 + 3 < 30
    assert learn(Notes(), min_epochs=9, patience=1).epochs_ >= 9
    assert learn(Notes(), min_epochs=2, patience=5).epochs_ > model.epochs_
    assert learn(Notes(), early_stopping=False, epochs=7).epochs_ == 7


def test_the_best_epochs_model_is_kept() -> None:
    notes = Notes()
    model = learn(notes, learning_rate=5.0, min_epochs=8, epochs=8)
    assert model.score(TEXTS[:60], THEMES[:60]) == pytest.approx(max(notes.accuracies))


def test_validation_for_the_library() -> None:
    model = TextClassifier(**SMALL, epochs=30, early_stopping=True, patience=1, min_epochs=1)
    model.fit(TEXTS, THEMES, validation=(TEXTS[:50], THEMES[:50]))
    assert model.epochs_ < 30


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    model = fitted()
    model.save(tmp_path / "model.bin")
    loaded = TextClassifier.load(tmp_path / "model.bin")
    asked = [*TEXTS[:20], "unheard sea"]
    np.testing.assert_allclose(loaded.predict_proba(asked), model.predict_proba(asked), atol=1e-6)
    assert loaded.classes_.tolist() == [f"__label__{name}" for name in model.classes_]
    with pytest.raises(ValueError, match="copy its file"):
        loaded.save(tmp_path / "again.bin")


def test_other_models_are_refused(tmp_path: Path) -> None:
    from wildsage.algorithms.blazingtext import Word2Vec

    Word2Vec(vector_dim=2, min_count=1).fit(["a b"]).save(tmp_path / "v.bin")
    with pytest.raises(ModelFileError, match="not of texts"):
        TextClassifier.load(tmp_path / "v.bin")
    fitted().save(tmp_path / "m.bin")
    content = bytearray((tmp_path / "m.bin").read_bytes())
    content[32] = 1  # loss: hierarchical softmax
    (tmp_path / "m.bin").write_bytes(bytes(content))
    with pytest.raises(ModelFileError, match="hierarchical"):
        TextClassifier.load(tmp_path / "m.bin")
    content[32] = 4  # one against all: labels are independent
    (tmp_path / "m.bin").write_bytes(bytes(content))
    found = TextClassifier.load(tmp_path / "m.bin").predict_proba(TEXTS[:5])
    expected = fitted().predict_proba(TEXTS[:5])
    odds = np.log(expected / (1 - expected)) / 2  # two labels' scores are each other's opposites
    np.testing.assert_allclose(found, 1 / (1 + np.exp(-odds)), atol=1e-4)


def test_conventions_of_scikit_learn() -> None:
    model = clone(TextClassifier(**SMALL))
    assert model.get_params()["buckets"] == 500
    with pytest.raises(ValueError, match="not fitted"):
        model.predict(["a"])
    with pytest.raises(NoLabels, match="No labels"):
        model.learn(read_lines([b"a b"]))
