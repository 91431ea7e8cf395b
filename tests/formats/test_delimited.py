"""Tables in delimited text."""

from __future__ import annotations

import io

import numpy as np
import pytest

from wildsage.formats.delimited import decode, sniff


@pytest.mark.parametrize(
    ("text", "delimiter", "table"),
    [
        (b"1,2\n3,4\n", b",", [[1, 2], [3, 4]]),
        (b"1,2\r\n\r\n3,4", b",", [[1, 2], [3, 4]]),
        (b"1\t2\n3\t4", b"\t", [[1, 2], [3, 4]]),
        (b"1, -2\n 3,4e1 \n", b",", [[1, -2], [3, 40]]),
        (b"1 2\n3 4\n", b" ", [[1, 2], [3, 4]]),
        (b"5\n6\n", b",", [[5], [6]]),
    ],
)
def test_tables(text: bytes, delimiter: bytes, table: list[list[float]]) -> None:
    assert decode(text, delimiter).tolist() == table


def test_an_empty_field_is_nan() -> None:
    np.testing.assert_array_equal(decode(b",1\n2,\n,\n"), [[np.nan, 1], [2, np.nan], [np.nan] * 2])


@pytest.mark.parametrize("text", [b"", b"\n\n"])
def test_nothing(text: bytes) -> None:
    assert decode(text).shape == (0, 0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"a,b\n1,2\n", "could not convert string to float: 'a'"),
        (b"1,2\n3,x\n", "could not convert string to float: 'x'"),
        (b"1,2\n3\n", r"rows differ in their number of columns: \[1, 2\]"),
    ],
)
def test_what_is_no_table(text: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        decode(text)


def test_a_long_stream_reads_as_numpy_reads_it() -> None:
    table = np.random.default_rng(0).normal(size=(20_000, 6))
    stream = io.BytesIO()
    np.savetxt(stream, table, delimiter=",")
    stream.seek(0)
    np.testing.assert_allclose(decode(stream), table.astype(np.float32), rtol=1.2e-7)
    with pytest.raises(ValueError, match="rows differ"):
        decode(stream.getvalue() + b"1,2\n")


@pytest.mark.parametrize(
    ("line", "mark"),
    [
        (b"1,2\n", b","),
        (b"1\t2", b"\t"),
        (b"1;2", b";"),
        (b"1|2", b"|"),
        (b"1 2 \n", b" "),
        (b"1.5 \n", None),
        (b"", None),
    ],
)
def test_delimiters(line: bytes, mark: bytes | None) -> None:
    assert sniff(line) == mark
