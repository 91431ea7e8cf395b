"""CSV as the first-party algorithms take it."""

from __future__ import annotations

import io

import numpy as np
import pytest

from wildsage.formats import csv
from wildsage.formats.csv import CsvFormatError

LONG = b"1.5,-2e3,0.25\n" * 1000


@pytest.mark.parametrize("repeat", [1, 500], ids=["short", "long"])
@pytest.mark.parametrize(
    "line", [b"1.5,-2e3,3\n", b'"1.5","-2e3","3"\r\n', b" 1.5 , -2000 , 3.0 \n", b"1.5,-2e3,3\n\n"]
)
def test_the_same_numbers_however_written(line: bytes, repeat: int) -> None:
    table = csv.decode(line * repeat)
    assert table.dtype == np.float32
    assert np.array_equal(table, [[1.5, -2000, 3]] * repeat)


def test_a_byte_order_mark_and_no_newline_at_the_end() -> None:
    assert csv.decode(b"\xef\xbb\xbf1,2\n3,4").tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize("more", [b"", LONG], ids=["short", "long"])
def test_an_empty_field_is_nan(more: bytes) -> None:
    table = csv.decode(b"1,,3\n,2,\n" + more)
    assert np.isnan(table[:2]).tolist() == [[False, True, False], [True, False, True]]


@pytest.mark.parametrize("more", [b"", LONG], ids=["short", "long"])
@pytest.mark.parametrize(
    "bad", [b"a,b,c\n", b"1,2\n", b"1,2,3,4\n", b"1_0,2,3\n", b"\xff\xfe,1,2\n"]
)
def test_what_is_no_table_of_numbers_is_refused(bad: bytes, more: bytes) -> None:
    with pytest.raises(CsvFormatError):
        csv.decode(b"7,8,9\n" + more + bad)


def test_nothing_is_no_rows() -> None:
    assert len(csv.decode(b"")) == 0
    assert len(csv.decode(b"\n \n")) == 0
    assert list(csv.read(io.BytesIO(b"\n\n"))) == []


@pytest.mark.parametrize("block", [5, 100, 1 << 20])
def test_a_stream_is_read_in_whole_lines(block: int) -> None:
    rows = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
    text = "\n".join(",".join(map(repr, row)) for row in rows.tolist()).encode()
    np.testing.assert_array_equal(np.concatenate(list(csv.read(io.BytesIO(text), block))), rows)
