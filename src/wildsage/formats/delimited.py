"""Tables of numbers in delimited text (commas, tabs, semicolons, ...), read at once by NumPy.

No header and no quotes: a field that is no number is an error, an empty one is NaN.
"""

from __future__ import annotations

from functools import partial
from typing import BinaryIO

import numpy as np

from wildsage.formats.decimals import Fields, scan, scan_all

_NEWLINE = ord("\n")
_DELIMITERS = (b",", b"\t", b";", b"|", b" ", b":")


def sniff(line: bytes) -> bytes | None:
    """The delimiter of a line of numbers: the first of the usual ones that occurs in it."""
    line = line.strip(b" \r\n")
    return next((mark for mark in _DELIMITERS if mark in line), None)


def decode(text: bytes | BinaryIO, delimiter: bytes = b",") -> np.ndarray:
    """The table in a text or a stream of it as float32; blank lines do not count.

    Raises ValueError where rows differ in length or a field is no number.
    """
    tables = decode_parts(text, delimiter)
    if not tables:
        return np.zeros((0, 0), np.float32)
    return tables[0] if len(tables) == 1 else np.concatenate(tables)


def decode_parts(text: bytes | BinaryIO, delimiter: bytes = b",") -> list[np.ndarray]:
    """As `decode`, in parts of equal width that hold the rows in their order."""
    tables = scan_all(text, partial(_decode_piece, delimiter=delimiter))
    tables = [table for table in tables if len(table)]
    widths = {table.shape[1] for table in tables}
    if len(widths) > 1:
        raise ValueError(f"rows differ in their number of columns: {sorted(widths)}")
    return tables


def _decode_piece(text: bytes, delimiter: bytes) -> np.ndarray:
    if b"\r" in text:
        text = text.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    if b" " in text and delimiter != b" ":
        text = text.replace(b" ", b"")
    fields = scan(text, delimiter + b"\n")
    if fields.bad.any():
        raise ValueError(f"could not convert string to float: {_first_bad(fields, text)!r}")
    ends = np.flatnonzero(fields.separators == _NEWLINE)
    widths = np.diff(ends, prepend=-1)
    values, widths = _without_blank_lines(fields, ends, widths)
    if not len(widths):
        return np.zeros((0, 0), np.float32)
    if (widths != widths[0]).any():
        odd = int(widths[widths != widths[0]][0])
        raise ValueError(f"rows differ in their number of columns: {sorted((int(widths[0]), odd))}")
    return values.reshape(len(widths), -1).astype(np.float32)


def _without_blank_lines(
    fields: Fields, ends: np.ndarray, widths: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    blank = (widths == 1) & fields.empty[ends]
    if not blank.any():
        return fields.values, widths
    return np.delete(fields.values, ends[blank]), widths[~blank]


def _first_bad(fields: Fields, text: bytes) -> str:
    index = int(np.flatnonzero(fields.bad)[0])
    start = int(fields.ends[index - 1]) + 1 if index else 0
    return text[start : int(fields.ends[index])].decode("utf-8", "replace")
