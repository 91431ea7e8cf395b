"""Parquet: the columns of a file as one float32 matrix, read by PyArrow (`wildsage[parquet]`)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np

MISSING = "reading Parquet needs PyArrow: pip install wildsage[parquet]"


class ParquetUnavailable(ImportError):
    """PyArrow is not installed."""


def decode(source: Path | BinaryIO | bytes) -> np.ndarray:
    """Every column of the file, in its order, as float32; nulls are NaN. Raises ValueError."""
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise ParquetUnavailable(MISSING) from error
    try:
        table = pq.read_table(pa.BufferReader(source) if isinstance(source, bytes) else source)
    except pa.ArrowException as error:
        raise ValueError(str(error)) from error
    matrix = np.empty((table.num_rows, table.num_columns), np.float32)
    for position, (name, column) in enumerate(zip(table.column_names, table.columns, strict=True)):
        try:
            matrix[:, position] = column.to_numpy()
        except (ValueError, TypeError, pa.ArrowException) as error:
            raise ValueError(f"column {name!r} of type {column.type} is no number") from error
    return matrix


def encode(matrix: np.ndarray, names: Sequence[str] | None = None) -> bytes:
    """A Parquet file of the columns of `matrix`."""
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise ParquetUnavailable(MISSING) from error
    names = names or [f"c{index}" for index in range(matrix.shape[1])]
    table = pa.table({name: matrix[:, index] for index, name in enumerate(names)})
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    return bytes(sink.getvalue())
