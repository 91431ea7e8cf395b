"""Numbers in CSV, as the first-party algorithms take them: no header, every field a number.

Fields may stand in quotes; an empty one is NaN, so that the reader of a channel can refuse it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

import numpy as np

from wildsage.formats import delimited

BLOCK_BYTES = 16 << 20
_SHORT = 4096
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class CsvFormatError(ValueError):
    """The text is not a table of numbers."""


def decode(text: bytes) -> np.ndarray:
    """The table in `text` as float32. Blank lines do not count."""
    text = bytes(text).removeprefix(_BYTE_ORDER_MARK)
    if b'"' in text:
        text = text.replace(b'"', b"")
    if b"_" in text:  # which Python takes for a separator of digits
        raise CsvFormatError("could not convert string to float: a number has an underscore")
    try:
        return _decode_short(text) if len(text) < _SHORT else delimited.decode(text)
    except ValueError as error:
        raise CsvFormatError(str(error)) from error


def _decode_short(text: bytes) -> np.ndarray:
    """A few rows, as requests have them: Python is done before NumPy has begun."""
    lines = [line for line in text.splitlines() if line and not line.isspace()]
    rows = [[_number(field) for field in line.split(b",")] for line in lines]
    widths = sorted({len(row) for row in rows})
    if len(widths) > 1:
        raise ValueError(f"rows differ in their number of columns: {widths}")
    return np.array(rows, np.float32).reshape(len(rows), *widths or (0,))


def _number(field: bytes) -> float:
    if not field or field.isspace():
        return float("nan")
    return float(field)


def read(stream: BinaryIO, block_bytes: int = BLOCK_BYTES) -> Iterator[np.ndarray]:
    """The rows of a stream, some at a time: whole lines of about `block_bytes`."""
    for block in line_blocks(stream, block_bytes):
        table = decode(block)
        if len(table):
            yield table


def line_blocks(stream: BinaryIO, block_bytes: int = BLOCK_BYTES) -> Iterator[bytes]:
    """Whole lines of a stream, as many as fit into `block_bytes` or one that is longer."""
    rest: list[bytes] = []
    while part := stream.read(block_bytes):
        cut = part.rfind(b"\n") + 1
        if cut:
            yield b"".join((*rest, part[:cut]))
            rest = [part[cut:]]
        else:
            rest.append(part)
    if last := b"".join(rest):
        yield last
