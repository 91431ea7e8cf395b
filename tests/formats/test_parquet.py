"""Parquet files as float32 tables."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from wildsage.formats.parquet import ParquetUnavailable, decode, encode


def test_what_is_written_is_read(tmp_path: Path) -> None:
    matrix = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
    content = encode(matrix)
    np.testing.assert_array_equal(decode(content), matrix)
    path = tmp_path / "a.parquet"
    path.write_bytes(content)
    np.testing.assert_array_equal(decode(path), matrix)
    with open(path, "rb") as stream:
        np.testing.assert_array_equal(decode(stream), matrix)


def test_integers_booleans_and_nulls() -> None:
    table = pa.table({"a": [1, None, 3], "b": [True, False, True], "c": [0.5, 1.5, None]})
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    np.testing.assert_array_equal(
        decode(bytes(sink.getvalue())), [[1, 1, 0.5], [np.nan, 0, 1.5], [3, 1, np.nan]]
    )


def test_text_is_no_number() -> None:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"a": [1], "name": ["x"]}), sink)
    with pytest.raises(ValueError, match="column 'name' of type string is no number"):
        decode(bytes(sink.getvalue()))


def test_what_is_no_parquet() -> None:
    with pytest.raises(ValueError):
        decode(b"label,feature\n1,2\n")


def test_without_pyarrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ParquetUnavailable, match=r"pip install wildsage\[parquet\]"):
        decode(b"")
    with pytest.raises(ParquetUnavailable, match=r"pip install wildsage\[parquet\]"):
        encode(np.zeros((1, 1)))
