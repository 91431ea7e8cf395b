"""Text becomes numbers as splitting and counting in Python would have it."""

from __future__ import annotations

from collections import Counter

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from wildsage.algorithms.blazingtext import token_kernels, tokens
from wildsage.algorithms.blazingtext.tokens import TokenReader, TokenStore, read_lines

TEXT = st.text(alphabet="ab c\n\t\0é", max_size=60)


def lines_of(reader: TokenReader) -> list[list[bytes]]:
    words, lines = reader.words(), []
    line: list[bytes] = []
    for number in reader.store.array().tolist():
        if number == token_kernels.LINE_END:
            lines.append(line)
            line = []
        else:
            line.append(words[number])
    return lines


def split(text: str) -> list[list[bytes]]:
    lines = [line.replace("\0", " ").split() for line in text.split("\n")]
    return [[word.encode() for word in line] for line in lines if line]


@given(TEXT, st.integers(1, 20))
@settings(max_examples=60)
def test_text_in_pieces_is_read_like_a_whole(text: str, size: int) -> None:
    reader, content = TokenReader(), text.encode()
    for begin in range(0, len(content), size):
        reader.add(content[begin : begin + size])
    reader.end_line()
    assert lines_of(reader) == split(text)
    expected = Counter(word for line in split(text) for word in line)
    assert dict(zip(reader.words(), reader.counts.tolist(), strict=True)) == expected


def test_buffers_grow() -> None:
    words = [f"word-{number}" * (1 + number % 7) for number in range(5000)]
    reader = read_lines([" ".join(words + words[:100]).encode()])
    assert [word.decode() for word in reader.words()] == words
    assert int(reader.counts.sum()) == 5100
    assert reader.hashes[3] == fnv(words[3].encode())


def test_a_word_may_be_longer_than_a_buffer() -> None:
    long = b"x" * 100_000
    assert read_lines([b"a " + long + b" b"]).words() == [b"a", long, b"b"]


def test_an_empty_line_stays_a_line_of_a_request() -> None:
    assert lines_of(read_lines([b"a", b" ", b"b\nc"])) == [[b"a"], [], [b"b", b"c"]]


def test_many_numbers_go_to_a_file() -> None:
    store = TokenStore(limit=10)
    for begin in range(0, 40, 4):
        store.append(np.arange(begin, begin + 4, dtype=np.int32))
    array = store.array()
    assert isinstance(array, np.memmap)
    assert array.tolist() == list(range(40))
    assert np.concatenate(list(store.blocks())).tolist() == list(range(40))
    assert store.file is not None
    store.file.close()


def test_no_numbers_are_an_empty_array() -> None:
    assert TokenStore().array().tolist() == []
    assert tokens.TokenReader().distinct == 0


def fnv(word: bytes) -> int:
    """fastText's hash, from its definition."""
    value = 2166136261
    for byte in word:
        signed = byte - 256 if byte > 127 else byte
        value = ((value ^ (signed & 0xFFFFFFFF)) * 16777619) & 0xFFFFFFFF
    return value


def test_hashes_extend_the_sign_of_bytes() -> None:
    for word in (b"a", "é".encode(), b"\xff\x80 z"):
        text = np.frombuffer(word, np.uint8)
        assert token_kernels.hash_bytes(text, 0, len(word)) == fnv(word)
