"""Sentences of two planted themes, whose words keep company with their own kind."""

from __future__ import annotations

import json

import numpy as np

from wildsage.algorithms.blazingtext.classifier import TextClassifier
from wildsage.algorithms.blazingtext.spec import TEXT
from wildsage.algorithms.blazingtext.word2vec import Word2Vec
from wildsage.algorithms.example import Example
from wildsage.algorithms.spec import JSON, JSONLINES

THEMES = (
    ["sea", "ship", "sail", "wave", "harbour", "anchor", "captain", "tide", "deck", "rope"],
    ["oven", "bread", "flour", "butter", "sugar", "cake", "dough", "kitchen", "spoon", "recipe"],
)
COMMON = ["the", "a", "of", "and", "with"]
WORDS = ["sea", "bread", "unheard"]


def themed_sentences(count: int, seed: int = 0) -> tuple[list[str], list[int]]:
    """Sentences of ten words, and the theme that each is about."""
    rng = np.random.default_rng(seed)
    themes = rng.integers(len(THEMES), size=count).tolist()
    return [" ".join(_words(rng, THEMES[theme])) for theme in themes], themes


def _words(rng: np.random.Generator, theme: list[str]) -> list[str]:
    return [str(rng.choice(theme if rng.random() < 0.7 else COMMON)) for _ in range(10)]


def pairs() -> bytes:
    """Words of one theme are alike, words of two are not."""
    sea, kitchen = THEMES
    alike = [(theme[i], theme[i + 1], 9) for theme in THEMES for i in range(0, 10, 2)]
    apart = [(sea[i], kitchen[i], 1) for i in range(10)]
    return "\n".join(f"{one}\t{other}\t{score}" for one, other, score in alike + apart).encode()


def request(texts: list[str]) -> dict[str, bytes]:
    lines = "\n".join(json.dumps({"source": text}) for text in texts)
    return {JSON: json.dumps({"instances": texts}).encode(), JSONLINES: lines.encode()}


def example() -> Example:
    """Word vectors; `supervised_example` is the other half of the algorithm."""
    sentences, _ = themed_sentences(300)
    return Example(
        {"mode": "batch_skipgram", "vector_dim": "10", "min_count": "2", "learning_rate": "0.2"},
        {"train": {TEXT: "\n".join(sentences).encode()}, "wordsim": {TEXT: pairs()}},
        request(WORDS),
        len(WORDS),
        ("vector", "word"),
        estimator=Word2Vec,
        variations={"subwords": {"mode": "cbow", "subwords": "true"}},
        is_tabular=False,
    )


def supervised_example() -> Example:
    """Which theme a sentence is about."""
    sentences, themes = themed_sentences(300)
    half = slice(0, 100)
    return Example(
        {"mode": "supervised", "vector_dim": "10", "min_count": "1", "learning_rate": "0.5"},
        {
            "train": _labelled(sentences, themes),
            "validation": _labelled(sentences[half], themes[half]),
        },
        request(sentences[:3]),
        3,
        ("label", "prob"),
        estimator=TextClassifier,
        is_tabular=False,
    )


def _labelled(sentences: list[str], themes: list[int]) -> dict[str, bytes]:
    """The same lines as text and as an augmented manifest."""
    both = list(zip(sentences, themes, strict=True))
    text = "\n".join(f"__label__{theme} {sentence}" for sentence, theme in both)
    lines = [json.dumps({"source": sentence, "label": theme}) for sentence, theme in both]
    return {TEXT: text.encode(), JSONLINES: "\n".join(lines).encode()}
