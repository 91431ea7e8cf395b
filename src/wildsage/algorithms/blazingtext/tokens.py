"""Text as numbers: `TokenReader` numbers words as they come, `TokenStore` keeps the numbers.

Words are numbered in the order they are first seen; a dictionary gives them their places later,
when their counts are known. A corpus takes four bytes a word, in memory up to a limit and in a
temporary file beyond it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import IO

import numpy as np

from wildsage.algorithms.blazingtext import token_kernels as kernels

IN_MEMORY = 1 << 28  # numbers: 1 GiB
BLOCK = 1 << 22
_SPACES = b" \t\n\v\f\r\0"


@dataclass
class TokenStore:
    """A growing array of 32-bit numbers."""

    limit: int = IN_MEMORY
    parts: list[np.ndarray] = field(default_factory=list)
    size: int = 0
    file: IO[bytes] | None = None

    def append(self, numbers: np.ndarray) -> None:
        self.size += len(numbers)
        self.parts.append(numbers)
        if self.size > self.limit:
            self._spill()

    def _spill(self) -> None:
        if self.file is None:
            self.file = tempfile.TemporaryFile()  # noqa: SIM115
        for part in self.parts:
            self.file.write(part.data)
        self.parts = []

    def array(self) -> np.ndarray:
        """All of it, mapped from the file where it was too large."""
        if self.file is not None:
            self._spill()
            self.file.flush()
            return np.memmap(self.file, np.int32, "r", shape=(self.size,))
        if len(self.parts) != 1:
            self.parts = [np.concatenate(self.parts) if self.parts else np.zeros(0, np.int32)]
        return self.parts[0]

    def blocks(self) -> Iterator[np.ndarray]:
        """The numbers in order, a block at a time."""
        numbers = self.array()
        for begin in range(0, self.size, BLOCK):
            yield np.asarray(numbers[begin : begin + BLOCK])


class TokenReader:
    """Numbers the words of text that is added piece by piece."""

    def __init__(self, limit: int = IN_MEMORY) -> None:
        self.store = TokenStore(limit)
        self._sizes = np.array([0, 0, 0, kernels.LINE_END], np.int64)
        self._table = np.zeros(1 << 12, np.int32)
        self._hashes = np.zeros(1 << 10, np.uint32)
        self._counts = np.zeros(1 << 10, np.int64)
        self._starts = np.zeros((1 << 10) + 1, np.int64)
        self._arena = np.zeros(1 << 14, np.uint8)
        self._rest = b""

    def add(self, piece: bytes) -> None:
        """Some text; a word may go on in the next piece."""
        piece = self._rest + piece
        end = 1 + max(piece.rfind(space) for space in (b" ", b"\n", b"\t"))
        self._rest = piece[end:]
        self._scan(piece[:end])

    def end_line(self) -> None:
        """The text so far ends a line, whether or not it says so."""
        rest, self._rest = self._rest, b""
        self._scan(rest + b"\n")

    def _scan(self, piece: bytes) -> None:
        text = np.frombuffer(piece, np.uint8)
        position = 0
        out = np.empty(min(len(text) + 1, BLOCK), np.int32)
        while position < len(text):
            position = kernels.scan(
                text,
                position,
                self._table,
                self._hashes,
                self._starts,
                self._arena,
                self._counts,
                out,
                self._sizes,
            )
            self.store.append(out[: self._sizes[kernels.TOKENS]].copy())
            self._sizes[kernels.TOKENS] = 0
            if position < len(text):
                self._make_room(len(text) - position)

    def _make_room(self, needed: int) -> None:
        """Twice as large where it is more than half full."""
        entries, used = int(self._sizes[kernels.ENTRIES]), int(self._sizes[kernels.BYTES])
        if 2 * (entries + 1) > len(self._hashes):
            grown = 2 * len(self._hashes)
            self._hashes = np.resize(self._hashes, grown)
            self._counts = np.resize(self._counts, grown)
            self._starts = np.resize(self._starts, grown + 1)
            self._table = np.zeros(4 * grown, np.int32)
            kernels.rebuild(self._table, self._hashes, entries)
        if 2 * used > len(self._arena) or used + needed > len(self._arena):
            self._arena = np.resize(self._arena, max(2 * len(self._arena), used + needed))

    # --- what was read ---------------------------------------------------------------------------

    @property
    def distinct(self) -> int:
        return int(self._sizes[kernels.ENTRIES])

    @property
    def counts(self) -> np.ndarray:
        return self._counts[: self.distinct]

    @property
    def hashes(self) -> np.ndarray:
        return self._hashes[: self.distinct]

    @property
    def starts(self) -> np.ndarray:
        return self._starts[: self.distinct + 1]

    @property
    def arena(self) -> np.ndarray:
        return self._arena[: self._sizes[kernels.BYTES]]

    def words(self) -> list[bytes]:
        """The words in the order of their numbers."""
        text, starts = self.arena.tobytes(), self.starts.tolist()
        return [text[a:b] for a, b in zip(starts[:-1], starts[1:], strict=True)]


def read_lines(lines: Iterable[bytes]) -> TokenReader:
    """The words of lines; line ends inside a line are spaces."""
    reader = TokenReader()
    for line in lines:
        if line.strip(_SPACES):
            reader.add(line.replace(b"\n", b" ") + b"\n")
        else:
            reader.store.append(np.array([kernels.LINE_END], np.int32))
    return reader
