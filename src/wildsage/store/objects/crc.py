"""CRC-32C and CRC-64/NVME at memory speed with numpy alone.

A CRC is the remainder of the message, read as a polynomial over GF(2), modulo P. Three steps:

1. Fold. P has multiples with very few terms, x^a + x^b + x^c + … + 1. Modulo such a multiple a far
   byte is the same as the exclusive-or of a few nearer ones, so a message of any length shrinks to
   its last `reach` bytes by adding slices to slices, which numpy does with vector instructions.
   (Over GF(2) P(x)^2 = P(x^2), so the exponents may count bytes, or groups of bytes, and not bits.)
2. Lanes. What is left is cut into short lanes that go through the classic table side by side.
3. Join. Neighbouring lanes are merged, pair by pair: crc(A + B) = shift(crc(A), len(B)) ^ crc(B).

Step 3 alone also gives the CRC of a whole object from the CRCs of its parts (`combine`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Words: TypeAlias = NDArray[Any]

_LANE = 64  # bytes in one lane
_SHORT = 1024  # below this many bytes a plain loop is faster than numpy's fixed costs
_BATCH = 1 << 20  # bytes gathered before they are folded


@dataclass(frozen=True)
class Polynomial:
    """A reflected CRC whose register starts, and is finally inverted, with ones.

    `exponents` are those of a sparse multiple, highest first, without the trailing 0; `unit` is
    how many bytes one exponent stands for (a power of two).
    """

    width: int
    reversed: int
    exponents: tuple[int, ...]
    unit: int

    @property
    def mask(self) -> int:
        return (1 << self.width) - 1

    @property
    def reach(self) -> int:
        return self.exponents[0] * self.unit

    @cached_property
    def distances(self) -> tuple[int, ...]:
        """How far behind a byte the bytes stand that take it over; the nearest first."""
        top = self.exponents[0]
        return tuple((top - e) * self.unit for e in (*self.exponents[1:], 0))

    @cached_property
    def word(self) -> Any:
        return np.dtype(f"<u{self.width // 8}")

    @cached_property
    def bytes_table(self) -> list[int]:
        table = []
        for value in range(256):
            for _ in range(8):
                value = value >> 1 ^ (self.reversed if value & 1 else 0)
            table.append(value)
        return table

    @cached_property
    def pairs_table(self) -> Words:
        """The register after two bytes at once, for each of the 65,536 pairs."""
        table = np.array(self.bytes_table, dtype=self.word)
        once = np.tile(table, 256)
        high = np.arange(65536, dtype=self.word) >> 8
        pairs: Words = table[(once ^ high) & 0xFF] ^ (once >> 8)
        return pairs


# Both multiples were found by search and are proven by the tests, which divide them by P.
# zlib computes CRC-32 itself; it is here for `combine` only.
CRC32 = Polynomial(32, 0xEDB88320, (), unit=1)
CRC32C = Polynomial(32, 0x82F63B78, (5685, 1362, 426), unit=4)
CRC64NVME = Polynomial(64, 0x9A6C9329AC4BC9B5, (144025, 64397, 41865, 26687), unit=1)


class Crc:
    """Like a hashlib object: `update` as often as needed, then `value`."""

    def __init__(self, polynomial: Polynomial) -> None:
        self._polynomial = polynomial
        self._first = True
        self._pending: list[Words] = []
        self._size = 0

    def update(self, data: bytes | bytearray | memoryview) -> None:
        if len(data):
            self._pending.append(np.frombuffer(bytes(data), dtype=np.uint8))
            self._size += len(data)
        if self._size >= _BATCH + self._polynomial.reach:
            self._gather(self._polynomial.reach)

    def value(self) -> int:
        if self._first and self._size < _SHORT:
            return _loop(self._polynomial, b"".join(p.tobytes() for p in self._pending))
        self._gather(self._polynomial.reach)
        return _lanes(self._polynomial, self._pending[0]) ^ self._polynomial.mask

    def _gather(self, keep: int) -> None:
        """Join what is pending and fold it down to its last `keep` bytes."""
        message = np.concatenate(self._pending)
        if self._first:  # ones in the register are ones added to the first bytes
            message[: self._polynomial.width // 8] ^= 0xFF
            self._first = False
        if len(message) > keep:
            _fold(self._polynomial, message)
            message = message[-keep:]
        self._pending, self._size = [message], len(message)


def combine(polynomial: Polynomial, first: int, second: int, second_size: int) -> int:
    """The CRC of two pieces one after the other, from the CRC of each."""
    return _multiply(polynomial, first, _power(polynomial, second_size)) ^ second


def _loop(polynomial: Polynomial, data: bytes) -> int:
    table, register = polynomial.bytes_table, polynomial.mask
    for byte in data:
        register = register >> 8 ^ table[(register ^ byte) & 0xFF]
    return register ^ polynomial.mask


def _fold(polynomial: Polynomial, message: Words) -> None:
    """Leave in the last `reach` bytes what the whole message amounts to."""
    distances = polynomial.distances
    position, end = 0, len(message) - polynomial.reach
    while position < end:
        count = min(distances[0], end - position)
        source = message[position : position + count]
        for distance in distances:
            target = message[position + distance : position + distance + count]
            np.bitwise_xor(target, source, out=target)
        position += count


def _lanes(polynomial: Polynomial, message: Words) -> int:
    """The register after the message, starting from zero (so that zeros in front count nothing)."""
    lanes = 1 << max(0, -(-len(message) // _LANE) - 1).bit_length()
    padded = np.zeros(lanes * _LANE, dtype=np.uint8)
    padded[len(padded) - len(message) :] = message
    columns = np.ascontiguousarray(padded.view("<u2").reshape(lanes, _LANE // 2).T)
    table = polynomial.pairs_table
    registers = np.zeros(lanes, dtype=polynomial.word)
    for column in columns:
        registers = table.take((registers ^ column) & 0xFFFF) ^ (registers >> 16)
    size = _LANE
    while len(registers) > 1:
        registers = _shift(polynomial, registers[0::2], size) ^ registers[1::2]
        size *= 2
    return int(registers[0])


def _shift(polynomial: Polynomial, registers: Words, size: int) -> Words:
    """Each register as it would be `size` zero bytes later."""
    shifted = np.zeros(len(registers), dtype=polynomial.word)
    for position, table in enumerate(_shift_tables(polynomial, size)):
        shifted ^= table.take((registers >> (8 * position)) & 0xFF)
    return shifted


@lru_cache(maxsize=64)
def _shift_tables(polynomial: Polynomial, size: int) -> tuple[Words, ...]:
    factor = _power(polynomial, size)
    images = [_multiply(polynomial, 1 << bit, factor) for bit in range(polynomial.width)]
    tables = []
    for position in range(polynomial.width // 8):
        table = np.zeros(256, dtype=polynomial.word)
        for bit, image in enumerate(images[8 * position : 8 * position + 8]):
            table[1 << bit : 2 << bit] = table[: 1 << bit] ^ polynomial.word.type(image)
        tables.append(table)
    return tuple(tables)


def _multiply(polynomial: Polynomial, a: int, b: int) -> int:
    """The product modulo P; in the reflected order the top bit is x^0."""
    product, bit = 0, 1 << (polynomial.width - 1)
    while bit:
        if a & bit:
            product ^= b
        b = b >> 1 ^ (polynomial.reversed if b & 1 else 0)
        bit >>= 1
    return product


@lru_cache(maxsize=256)
def _power(polynomial: Polynomial, size: int) -> int:
    """What `size` zero bytes multiply a register with: x^(8 size) modulo P."""
    exponent = 8 * size
    result, square = 1 << (polynomial.width - 1), 1 << (polynomial.width - 2)
    while exponent:
        if exponent & 1:
            result = _multiply(polynomial, result, square)
        square = _multiply(polynomial, square, square)
        exponent >>= 1
    return result
