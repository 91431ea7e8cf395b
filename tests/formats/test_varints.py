"""Varints one by one and all at once agree."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wildsage.formats import varints

NUMBERS = st.lists(st.integers(0, (1 << 63) - 1), max_size=50)


@given(NUMBERS)
def test_both_ways_agree(numbers: list[int]) -> None:
    values = np.array(numbers, np.int64)
    encoded = varints.encode(values)
    assert encoded.tobytes() == b"".join(map(varints.encode_one, numbers))
    assert varints.decode(encoded).tolist() == numbers
    assert varints.sizes(values).tolist() == [len(varints.encode_one(n)) for n in numbers]


@given(st.lists(st.integers(0, (1 << 35) - 1), min_size=1, max_size=20))
def test_decoding_at_positions(numbers: list[int]) -> None:
    pieces = [varints.encode_one(number) for number in numbers]
    starts = np.cumsum([0, *map(len, pieces)])
    values, after = varints.decode_at(np.frombuffer(b"".join(pieces), np.uint8), starts[:-1])
    assert values.tolist() == numbers
    assert after.tolist() == starts[1:].tolist()


def test_negative_numbers_take_ten_bytes() -> None:
    encoded = varints.encode(np.array([-1]))
    assert encoded.tobytes() == varints.encode_one(-1) == b"\xff" * 9 + b"\x01"
    assert varints.decode(encoded).tolist() == [-1]


def test_numbers_cut_off_or_too_long_are_refused() -> None:
    for bad in (b"\x80", b"\x80" * 11 + b"\x01"):
        with pytest.raises(ValueError, match="varint"):
            varints.decode(np.frombuffer(bad, np.uint8))
    with pytest.raises(ValueError, match="longer"):
        varints.decode_one(b"\x80" * 11 + b"\x01", 0)
    with pytest.raises(ValueError, match="longer"):
        varints.decode_at(np.frombuffer(b"\x80" * 9, np.uint8), np.array([0]))
