"""Rows kept in blocks: a table grows without being copied and is given back block by block."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

BLOCK_BYTES = 16 << 20


class Table:
    """float32 rows of one width in blocks of equal size."""

    def __init__(self, width: int, block_bytes: int = BLOCK_BYTES) -> None:
        self.width = width
        self.block_rows = max(1, block_bytes // max(4, 4 * width))
        self._blocks: list[np.ndarray] = []
        self._rows = 0

    def __len__(self) -> int:
        return self._rows

    def append(self, rows: np.ndarray) -> None:
        while len(rows):
            used = self._rows % self.block_rows
            if used == 0:
                self._blocks.append(np.empty((self.block_rows, self.width), np.float32))
            part = rows[: self.block_rows - used]
            self._blocks[-1][used : used + len(part)] = part
            self._rows += len(part)
            rows = rows[len(part) :]

    def put(self, places: np.ndarray, rows: np.ndarray) -> None:
        """Write over the rows at `places`."""
        for number, chosen in self._by_block(places):
            self._blocks[number][places[chosen] % self.block_rows] = rows[chosen]

    def take(self, places: np.ndarray) -> np.ndarray:
        """A copy of the rows at `places`."""
        taken = np.empty((len(places), self.width), np.float32)
        for number, chosen in self._by_block(places):
            taken[chosen] = self._blocks[number][places[chosen] % self.block_rows]
        return taken

    def _by_block(self, places: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
        blocks = places // self.block_rows
        for number in np.unique(blocks).tolist():
            yield number, np.flatnonzero(blocks == number)

    def blocks(self) -> Iterator[np.ndarray]:
        """All rows, as views."""
        for number, block in enumerate(self._blocks):
            yield block[: self._rows - number * self.block_rows]

    def drain(self) -> Iterator[np.ndarray]:
        """All rows; each block's memory is free as soon as the next one is asked for."""
        rows, self._rows = self._rows, 0
        blocks, self._blocks = self._blocks[::-1], []
        while blocks:
            block = blocks.pop()
            yield block[:rows]
            rows -= len(block)
            del block

    def whole(self) -> np.ndarray:
        """All rows in one array, copied only where there are several blocks."""
        parts = list(self.blocks())
        if len(parts) == 1:
            return parts[0]
        return np.concatenate(parts) if parts else np.empty((0, self.width), np.float32)
