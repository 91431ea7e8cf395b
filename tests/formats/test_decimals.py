"""Numbers out of text, against Python's `float`."""

from __future__ import annotations

import io
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wildsage.formats.decimals import pieces, scan, scan_all


def read(words: list[str]) -> tuple[list[float], list[bool], list[bool]]:
    fields = scan((",".join(words) + "\n").encode(), b",\n")
    return fields.values.tolist(), fields.empty.tolist(), fields.bad.tolist()


@pytest.mark.parametrize(
    "word",
    [
        *(
            "0",
            "7",
            "-3",
            "+4",
            "12345678",
            "123456789",
            "1234567890123456",
            "99999999999999999999",
        ),
        *("1.5", "-.25", ".5", "5.", "0.1234567890123456", "123456.123456789", "00000000000.5"),
        *("1e5", "1E5", "1e+5", "-2.5e-07", "1.000000000000000000e+00", "1e22", "1e-22", "3e40"),
        *("1e-45", "1e400", "-1e400", "1e-400", "2.2250738585072014e-308", "0.1e1"),
        *("nan", "-inf", "inf", "Infinity", " 5", "5 ", "1_000"),
    ],
)
def test_a_word_reads_as_python_reads_it(word: str) -> None:
    (value, *_), _, (bad, *_) = read([word, "1"])
    assert not bad
    assert value == pytest.approx(float(word), rel=1e-15, nan_ok=True)
    assert math.copysign(1, value) == math.copysign(1, float(word)) or math.isnan(value)


@pytest.mark.parametrize(
    "word",
    ["a", "-", "+", ".", "1.2.3", "--1", "1-2", "e5", "1e", "1e-", "1e5e5", "1e5.5", "-.", "1a"],
)
def test_a_word_that_is_no_number_is_bad(word: str) -> None:
    values, empty, bad = read([word, "1"])
    assert bad == [True, False] and empty == [False, False]
    assert math.isnan(values[0]) and values[1] == 1


def test_nothing_between_separators_is_empty() -> None:
    values, empty, bad = read(["", "1", ""])
    assert empty == [True, False, True] and not any(bad)
    assert math.isnan(values[0]) and values[1] == 1 and math.isnan(values[2])


def test_separators_and_their_places_are_told() -> None:
    fields = scan(b"1:20 3\n", b": \n")
    assert fields.separators.tobytes() == b": \n"
    assert fields.ends.tolist() == [1, 4, 6]


@given(st.lists(st.floats(width=32, allow_nan=False), min_size=1, max_size=30))
def test_every_float32_survives_any_notation(numbers: list[float]) -> None:
    for form in (repr, "{:.9g}".format, "{:.18e}".format):
        values, _, bad = read([form(number) for number in numbers])
        assert not any(bad)
        with np.errstate(over="ignore"):
            found = np.array(values).astype(np.float32)
        np.testing.assert_allclose(found, np.array(numbers, np.float32), rtol=1.2e-7)


@given(st.lists(st.text("0123456789.-+e", max_size=8), min_size=1, max_size=20))
def test_any_mess_of_digits_and_signs_is_judged_as_python_judges_it(words: list[str]) -> None:
    values, empty, bad = read(words)
    for word, value, is_empty, is_bad in zip(words, values, empty, bad, strict=True):
        assert is_empty == (word == "")
        try:
            expected = float(word)
        except ValueError:
            assert is_bad or is_empty
        else:
            assert not is_bad
            assert value == pytest.approx(expected, rel=1e-15)


def test_pieces_are_whole_lines() -> None:
    text = b"1,2\n33,44\n5,6"
    assert list(pieces(io.BytesIO(text), 5)) == [b"1,2\n", b"33,44\n", b"5,6\n"]
    assert list(pieces(io.BytesIO(b"1" * 20), 5)) == [b"1" * 20 + b"\n"]
    assert list(pieces(io.BytesIO(b""))) == []


def test_parts_come_back_in_order() -> None:
    text = b"".join(b"%d\n" % number for number in range(300_000))
    parts = scan_all(text, lambda piece: scan(piece, b"\n").values)
    assert len(parts) > 5
    np.testing.assert_array_equal(np.concatenate(parts), np.arange(300_000))


def test_an_error_in_a_part_is_raised() -> None:
    def refuse(piece: bytes) -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        scan_all(b"1\n" * 300_000, refuse)
