from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wildsage import logfile
from wildsage.logfile import LogEvent


@given(
    st.integers(min_value=0, max_value=2**53),
    st.integers(min_value=0, max_value=2**53),
    st.text(st.characters(exclude_categories=["Cs"])),
)
def test_what_is_written_is_read(timestamp: int, ingestion: int, message: str) -> None:
    line = logfile.encode(timestamp, ingestion, message)
    assert line.count(b"\n") == 1
    assert logfile.decode(line) == LogEvent(timestamp, ingestion, message)


@pytest.mark.parametrize("message", ["a\nb", "a\\nb", "\\", "\\\\n", "\r\n", ""])
def test_line_ends_and_backslashes(message: str) -> None:
    assert logfile.decode(logfile.encode(1, 2, message)).message == message


def test_bytes_that_are_no_text_are_replaced() -> None:
    assert logfile.decode(b"1 2 \xff\n").message == "�"
