"""Numbers in CSV, as the first-party algorithms take them: no header, every field a number."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np

BLOCK_BYTES = 8 << 20
_EMPTY_FIELD = re.compile(rb"(^|,)[ \t]*(?=,|\r?$)", re.MULTILINE)


class CsvFormatError(ValueError):
    """The text is not a table of numbers."""


def decode(text: bytes) -> np.ndarray:
    """The table in `text` as float32; an empty field is NaN. Blank lines do not count."""
    lines = _lines(text)
    if not lines:
        return np.zeros((0, 0), np.float32)
    try:
        table: np.ndarray = np.loadtxt(
            lines, np.float32, delimiter=",", comments=None, ndmin=2, encoding="utf-8"
        )
    except ValueError as error:
        raise CsvFormatError(str(error)) from error
    return table


def _lines(text: bytes) -> list[str]:
    text = text.replace(b'"', b"").removeprefix(b"\xef\xbb\xbf").replace(b"\r", b"")
    text = _EMPTY_FIELD.sub(rb"\1nan", text) if b",," in text or b",\n" in text else text
    try:
        return [line for line in text.decode().split("\n") if line and not line.isspace()]
    except UnicodeDecodeError as error:
        raise CsvFormatError(str(error)) from error


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
