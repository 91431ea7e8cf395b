"""Words, subwords and word n-grams have the places that fastText gives them."""

from __future__ import annotations

import numpy as np

from algorithms.blazingtext.test_tokens import fnv
from wildsage.algorithms.blazingtext.dictionary import (
    Dictionary,
    Shape,
    as_places,
    build,
)
from wildsage.algorithms.blazingtext.tokens import read_lines


def ngrams(word: str, least: int, most: int) -> list[str]:
    """The character n-grams of `<word>`, but not its first and last character alone."""
    text = f"<{word}>"
    found = []
    for begin in range(len(text)):
        for size in range(least, most + 1):
            end = begin + size
            if end <= len(text) and not (size == 1 and (begin == 0 or end == len(text))):
                found.append(text[begin:end])
    return found


def test_words_are_ordered_by_count_then_by_their_first_place() -> None:
    text = read_lines([b"c b b a a d", b"e e e"])
    dictionary = build(text, 2, supervised=False, shape=Shape())
    assert dictionary.words == [b"e", b"b", b"a"]
    assert dictionary.counts.tolist() == [3, 2, 2]
    assert as_places(text, dictionary).tolist() == [1, 1, 2, 2, -1, 0, 0, 0, -1]


def test_labels_are_kept_however_rare_and_line_ends_are_a_word() -> None:
    text = read_lines([b"__label__x a a", b"__label__y a b", b"__label__y a"])
    dictionary = build(text, 3, supervised=True, shape=Shape())
    assert dictionary.labels == [b"__label__y", b"__label__x"]
    assert dictionary.words == [b"a", b"</s>"]
    assert dictionary.tokens == 11
    words = build(text, 1, supervised=False, shape=Shape())
    assert b"__label__y" in words.words and not words.labels


def test_subwords_are_fasttexts() -> None:
    shape = Shape(buckets=97, least_characters=1, most_characters=3)
    dictionary = Dictionary([b"ab", "é".encode(), b"</s>"], np.ones(3, np.int64), shape=shape)
    words = ["ab", "é", "</s>", "aéb"]
    rows, starts = dictionary.word_rows([word.encode() for word in words])
    for number, word in enumerate(words):
        own = [] if word == "aéb" else [number]
        parts = [] if word == "</s>" else ngrams(word, 1, 3)
        expected = own + [3 + fnv(part.encode()) % 97 for part in parts]
        assert rows[starts[number] : starts[number + 1]].tolist() == expected


def test_lines_are_words_and_ngrams_up_to_the_line_end() -> None:
    shape = Shape(buckets=1009, word_ngrams=3)
    text = read_lines([b"__label__a x y unknown", b"x", b"__label__b"])
    dictionary = Dictionary(
        [b"x", b"y", b"</s>"],
        np.ones(3, np.int64),
        [b"__label__a"],
        np.ones(1, np.int64),
        shape,
    )
    bags = dictionary.bags(text)
    assert bags.labels.tolist() == [0] and bags.label_starts.tolist() == [0, 1, 1, 1]
    first = bags.features[: bags.starts[1]].tolist()
    expected = [0, 1, 2, *word_ngrams(["x", "y", "unknown", "</s>"], 3, 1009, 3)]
    assert sorted(first) == sorted(expected)
    second = bags.features[bags.starts[1] : bags.starts[2]].tolist()
    assert sorted(second) == sorted([0, 2, *word_ngrams(["x", "</s>"], 3, 1009, 3)])
    assert bags.features[bags.starts[2] :].tolist() == [2]


def word_ngrams(words: list[str], most: int, buckets: int, base: int) -> list[int]:
    """fastText's addWordNgrams, from its definition: hashes are signed."""
    hashes = [fnv(word.encode()) for word in words]
    hashes = [value - 2**32 if value >= 2**31 else value for value in hashes]
    found = []
    for begin in range(len(hashes)):
        value = hashes[begin] % 2**64
        for other in hashes[begin + 1 : begin + most]:
            value = (value * 116049371 + other) % 2**64
            found.append(base + value % buckets)
    return found
