"""A dictionary of words and labels as fastText has it: places by count, subwords, word n-grams."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from wildsage.algorithms.blazingtext import token_kernels as kernels
from wildsage.algorithms.blazingtext.tokens import TokenReader, TokenStore

LABEL_PREFIX = b"__label__"
END = b"</s>"  # fastText's word for the end of a line


@dataclass(frozen=True, slots=True)
class Shape:
    """How text becomes features."""

    buckets: int = 0
    least_characters: int = 0
    most_characters: int = 0
    word_ngrams: int = 1


@dataclass(frozen=True, slots=True)
class Bags:
    """Lines as rows of a ragged array of features, and of one of labels."""

    features: np.ndarray
    starts: np.ndarray
    labels: np.ndarray
    label_starts: np.ndarray

    def __len__(self) -> int:
        return len(self.starts) - 1


@dataclass(frozen=True)
class Dictionary:
    """Words, most frequent first, then labels; a feature is a word's place or a bucket behind."""

    words: list[bytes]
    counts: np.ndarray
    labels: list[bytes] = field(default_factory=list)
    label_counts: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    shape: Shape = Shape()
    tokens: int = 0

    @cached_property
    def places(self) -> dict[bytes, int]:
        return {word: place for place, word in enumerate(self.words)}

    @cached_property
    def label_places(self) -> dict[bytes, int]:
        return {label: place for place, label in enumerate(self.labels)}

    @property
    def rows(self) -> int:
        """Rows of the input matrix."""
        return len(self.words) + self.shape.buckets

    # --- words as rows ---------------------------------------------------------------------------

    def word_rows(self, words: list[bytes]) -> tuple[np.ndarray, np.ndarray]:
        """Each word's rows: its own where it has one, and its subwords': (rows, starts)."""
        own = np.array([self.places.get(word, -1) for word in words], np.int64)
        starts = np.cumsum([0, *map(len, words)])
        arena = np.frombuffer(b"".join(words), np.uint8)
        plain = words.index(END) if END in words else -1
        return self._rows(arena, starts, np.arange(len(words)), own, plain)

    def _rows(
        self, arena: np.ndarray, starts: np.ndarray, words: np.ndarray, own: np.ndarray, plain: int
    ) -> tuple[np.ndarray, np.ndarray]:
        shape = self.shape
        most = shape.most_characters if shape.buckets else 0
        rows, begins = kernels.subwords(
            arena,
            starts,
            words,
            own,
            plain,
            shape.least_characters,
            most,
            max(1, shape.buckets),
            len(self.words),
        )
        return rows, begins

    # --- lines as bags ---------------------------------------------------------------------------

    def bags(self, text: TokenReader) -> Bags:
        """The lines that were read; their ends count as a word, as in fastText."""
        words = text.words()
        own = np.array([self.places.get(word, kernels.UNKNOWN) for word in words], np.int64)
        kinds = np.array([self._kind(word) for word in words], np.int64)
        starts = text.starts
        rows, begins = self._rows(text.arena, starts, np.arange(len(words)), own, -1)
        features, sizes, labels, label_sizes = TokenStore(), [], TokenStore(), []
        for tokens in _whole_lines(text.store):
            ended, kinds_, hashes, rows_, begins_ = self._with_ends(
                tokens, kinds, text.hashes, rows, begins
            )
            found, line_starts, marked, mark_starts = kernels.line_features(
                ended,
                kinds_,
                hashes,
                rows_,
                begins_,
                self.shape.word_ngrams,
                len(self.words),
                max(1, self.shape.buckets),
            )
            features.append(found)
            labels.append(marked)
            sizes.append(np.diff(line_starts))
            label_sizes.append(np.diff(mark_starts))
        return Bags(features.array(), _starts(sizes), labels.array(), _starts(label_sizes))

    def _kind(self, word: bytes) -> int:
        place = self.label_places.get(word)
        if place is not None:
            return -2 - place
        return kernels.IGNORED if self.labels and word.startswith(LABEL_PREFIX) else 0

    def _with_ends(
        self,
        tokens: np.ndarray,
        kinds: np.ndarray,
        hashes: np.ndarray,
        rows: np.ndarray,
        begins: np.ndarray,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """The same with one more word, which stands at each line's end."""
        ends = np.flatnonzero(tokens == kernels.LINE_END)
        ended = np.insert(tokens, ends, np.int32(len(kinds)))
        place = self.places.get(END)
        own = [] if place is None else [place]
        code = kernels.hash_bytes(np.frombuffer(END, np.uint8), 0, len(END))
        return (
            ended,
            np.append(kinds, 0),
            np.append(hashes, np.uint32(code)),
            np.append(rows, own).astype(np.int64),
            np.append(begins, begins[-1] + len(own)),
        )


def _starts(sizes: list[np.ndarray]) -> np.ndarray:
    starts: np.ndarray = np.cumsum(np.concatenate([[0], *sizes]), dtype=np.int64)
    return starts


def _whole_lines(store: TokenStore) -> list[np.ndarray]:
    """Blocks that end where a line ends."""
    blocks, rest = [], np.zeros(0, np.int32)
    for block in store.blocks():
        joined = np.concatenate([rest, block])
        ends = np.flatnonzero(joined == kernels.LINE_END)
        cut = int(ends[-1]) + 1 if len(ends) else 0
        blocks.append(joined[:cut])
        rest = joined[cut:]
    return [block for block in blocks if len(block)]


# --- building ------------------------------------------------------------------------------------


def build(text: TokenReader, least: int, *, supervised: bool, shape: Shape) -> Dictionary:
    """The dictionary of a corpus: words that occur `least` times; every label where supervised."""
    words, counts = text.words(), text.counts.copy()
    is_label = np.array([supervised and word.startswith(LABEL_PREFIX) for word in words], bool)
    label_numbers = by_count(np.flatnonzero(is_label), counts)
    if supervised:
        lines = sum(int(np.count_nonzero(b == kernels.LINE_END)) for b in text.store.blocks())
        words, counts = [*words, END], np.append(counts, lines)
        is_label = np.append(is_label, False)
    numbers = by_count(np.flatnonzero(~is_label & (counts >= max(1, least))), counts)
    return Dictionary(
        [words[number] for number in numbers],
        counts[numbers],
        [words[number] for number in label_numbers],
        counts[label_numbers],
        shape,
        int(counts.sum()),
    )


def by_count(numbers: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """The most frequent first; among equals the one that was seen first."""
    ordered: np.ndarray = numbers[np.argsort(-counts[numbers], kind="stable")]
    return ordered


def as_places(text: TokenReader, dictionary: Dictionary) -> np.ndarray:
    """The corpus as places of words, -1 between lines; unknown words are left out."""
    places = np.array([dictionary.places.get(word, -2) for word in text.words()], np.int32)
    places = np.append(places, np.int32(kernels.LINE_END))  # found by the number -1
    store = TokenStore(text.store.limit)
    for block in text.store.blocks():
        placed = places[block]
        store.append(placed[placed != -2])
    return store.array()
