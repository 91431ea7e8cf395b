"""Numbers out of text, a few hundred megabytes a second, with NumPy alone.

`scan` finds every byte that is no digit, reads the run of digits before each as one 64-bit word
(eight digits take three multiplications), and puts sign, integer part, fraction and exponent of
each field together from its neighbours. All steps run over arrays that fit a core's cache; `pieces`
cuts a text at line ends and `scan_all` spreads the parts over the machine's cores, since NumPy
lets go of the interpreter lock. A field that is not a plain decimal (`nan`, twenty digits, a word)
is left to Python's `float`.
"""

from __future__ import annotations

import io
import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain, islice
from typing import BinaryIO, TypeVar

import numpy as np

T = TypeVar("T")

PIECE = 1 << 18
_WINDOW = 8
_PAD = b"\n" * (2 * _WINDOW)
_LOW_NIBBLES = np.uint64(0x0F0F0F0F0F0F0F0F)
_PAIRS = np.uint64(0x000000FF000000FF)
_HUNDREDS = np.uint64(100 + (1000000 << 32))
_ONES = np.uint64(1 + (10000 << 32))
_POWERS = 10.0 ** np.arange(0, 23)
_MINUS, _PLUS, _DOT, _SMALL_E = ord("-"), ord("+"), ord("."), ord("e")


@dataclass(slots=True)
class Fields:
    """The fields of a text: their values, the separator behind each, and where that stands."""

    values: np.ndarray  # float64; NaN where the field is empty or `bad`
    separators: np.ndarray  # uint8
    ends: np.ndarray  # positions of the separators in the text
    empty: np.ndarray  # bool: nothing between two separators
    bad: np.ndarray  # bool: neither empty nor a number


def scan(text: bytes, separators: bytes) -> Fields:
    """The fields of `text`, which must end with one of `separators`."""
    buffer = np.frombuffer(_PAD + text, np.uint8)
    marks = np.flatnonzero((buffer[len(_PAD) - 1 :] - np.uint8(48)) > 9)
    marks += (
        len(_PAD) - 1
    )  # the first mark is the padding's end, a separator before the first field
    return _assemble(buffer, marks, separators)


def _assemble(buffer: np.ndarray, marks: np.ndarray, separators: bytes) -> Fields:
    kinds = buffer[marks]
    lengths = np.empty(len(marks), np.int64)
    lengths[0] = 0
    np.subtract(marks[1:], marks[:-1], out=lengths[1:])
    lengths[1:] -= 1
    runs = _digits(buffer, marks, lengths)
    at = np.flatnonzero(np.logical_or.reduce([kinds == mark for mark in separators]))
    before, at = at[:-1], at[1:]
    reader = _Reader(kinds, lengths, runs)
    values, good = reader.fields(at, at - before)
    empty = marks[at] - marks[before] == 1
    fields = Fields(values, kinds[at], marks[at] - len(_PAD), empty, ~good & ~empty)
    _read_others(buffer, marks[before], marks[at], fields)
    return fields


def _digits(buffer: np.ndarray, ends: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """The value of each run of digits that ends before `ends`; up to 16 digits."""
    # `take` moves eight bytes as they lie; indexing unaligned integers would go one by one.
    words = np.ndarray(len(buffer) - 7, "V8", buffer.data, strides=(1,))
    low = _eight_digits(words.take(ends - _WINDOW).view("<u8"), lengths)
    values = low.astype(np.float64)
    long = np.flatnonzero(lengths > _WINDOW)
    if len(long):
        starts = ends[long] - 2 * _WINDOW
        high = _eight_digits(words.take(starts).view("<u8"), lengths[long] - _WINDOW)
        values[long] += high * 1e8
        _very_long(buffer, ends, lengths, values)
    return values


def _very_long(
    buffer: np.ndarray, ends: np.ndarray, lengths: np.ndarray, values: np.ndarray
) -> None:
    """Runs of more than 16 digits: `float` rounds them right."""
    for index in np.flatnonzero(lengths > 2 * _WINDOW):
        end = ends[index]
        values[index] = float(buffer[end - lengths[index] : end].tobytes())


def _eight_digits(words: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """The number in the last `lengths` (at most 8) characters of each word, which it overwrites."""
    unused = (_WINDOW - np.minimum(lengths, _WINDOW) << 3).view(np.uint64)
    words &= _LOW_NIBBLES
    words >>= unused  # NumPy defines a shift by 64 as 0, which an empty run needs
    words <<= unused
    tens = words >> np.uint64(8)
    words *= np.uint64(10)
    words += tens
    high = (words >> np.uint64(16)) & _PAIRS
    words &= _PAIRS
    words *= _HUNDREDS
    high *= _ONES
    words += high
    words >>= np.uint64(32)
    return words


@dataclass(slots=True)
class _Reader:
    """Puts fields together from the marks (bytes that are no digits) that end their runs."""

    kinds: np.ndarray
    lengths: np.ndarray
    runs: np.ndarray

    def fields(self, at: np.ndarray, spans: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """As `numbers`; fields that are nothing but digits are done first where they are many."""
        others = np.flatnonzero(spans > 1)
        if len(others) > 0.8 * len(at):
            return self.numbers(at, spans)
        values, good = self.runs[at], self.lengths[at] > 0
        values[~good] = np.nan
        values[others], good[others] = self.numbers(at[others], spans[others])
        return values, good

    def numbers(self, at: np.ndarray, spans: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Values and validity of the fields that end at marks `at` and hold `spans` - 1 marks."""
        values, good = self._plain(at, spans)
        self._exponents(at, spans, values, good)
        values[~good] = np.nan
        return values, good

    def _plain(self, at: np.ndarray, spans: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """As `numbers`, without exponents: sign, digits, dot, digits."""
        places = self.lengths[at]
        has_dot = (self.kinds[at - 1] == _DOT) & (spans > 1)
        values = self._with_fractions(at, places * has_dot)
        good = places > 0
        index = np.flatnonzero(~good & has_dot)  # digits before the dot only, as in `5.`
        if len(index):
            whole = at[index] - 1
            values[index], good[index] = self.runs[whole], self.lengths[whole] > 0
        inner = spans - has_dot
        first = at - spans + 1
        sign = self.kinds[first]
        negative = sign == _MINUS
        signed = (inner == 2) & (negative | (sign == _PLUS)) & (self.lengths[first] == 0)
        np.negative(values, out=values, where=signed & negative)
        good &= (inner == 1) | signed
        return values, good

    def _with_fractions(self, at: np.ndarray, places: np.ndarray) -> np.ndarray:
        """whole + fraction / 10^places, rounded once wherever both fit 53 bits; places 0: whole."""
        values = self.runs[at]
        if places.max(initial=0) > 22:
            values = np.where(places > 22, values * 10.0 ** (22.0 - places), values)
            places = np.minimum(places, 22)
        powers = _POWERS[places]
        total: np.ndarray = np.where(places > 0, self.runs[at - 1], 0.0)
        total *= powers
        total += values
        total /= powers
        return total

    def _exponents(
        self, at: np.ndarray, spans: np.ndarray, values: np.ndarray, good: np.ndarray
    ) -> None:
        """Fields such as 1.5e-07: the mantissa is the field that would end at the e."""
        index = np.flatnonzero(~good & (spans > 1) & (self.lengths[at] > 0))
        end = at[index]
        signs = self.kinds[end - 1]
        has_sign = (signs == _MINUS) | (signs == _PLUS)
        letter = end - 1 - has_sign
        spans_left = spans[index] - 1 - has_sign
        fits = (spans_left > 0) & ((self.kinds[letter] | 0x20) == _SMALL_E)
        fits &= ~has_sign | (self.lengths[end - 1] == 0)
        if not fits.any():
            return
        index, end, letter, negative = index[fits], end[fits], letter[fits], signs[fits] == _MINUS
        mantissas, valid = self._plain(letter, spans_left[fits])
        size = np.minimum(self.runs[end], 400.0)
        values[index] = _scaled(mantissas, np.where(negative, -size, size))
        good[index] = valid


def _scaled(mantissas: np.ndarray, exponents: np.ndarray) -> np.ndarray:
    """mantissa * 10^exponent, exact for the small exponents that a double can hold."""
    small = np.abs(exponents) <= 22
    powers = _POWERS[np.where(small, np.abs(exponents), 0).astype(np.int64)]
    scaled: np.ndarray = np.where(exponents < 0, mantissas / powers, mantissas * powers)
    if small.all():
        return scaled
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        half = np.trunc(exponents / 2)
        large = mantissas * 10.0**half * 10.0 ** (exponents - half)
    return np.where(small, scaled, large)


def _read_others(buffer: np.ndarray, starts: np.ndarray, ends: np.ndarray, fields: Fields) -> None:
    """What the arrays could not read: `nan`, `inf`, or no number at all."""
    for index in np.flatnonzero(fields.bad):
        try:
            value = float(buffer[starts[index] + 1 : ends[index]].tobytes())
        except ValueError:
            continue
        fields.values[index] = value
        fields.bad[index] = False


def pieces(stream: BinaryIO, size: int = PIECE) -> Iterator[bytes]:
    """Whole lines of a stream, about `size` bytes at a time; the last line gets its newline."""
    rest = b""
    while block := stream.read(size):
        end = block.rfind(b"\n") + 1
        if end:
            yield rest + block[:end]
            rest = block[end:]
        else:
            rest += block
    if rest:
        yield rest + b"\n"


def scan_all(text: bytes | BinaryIO, read: Callable[[bytes], T]) -> list[T]:
    """`read` of each piece of `text`, in order, on as many threads as the machine has cores.

    Only a few pieces of the text are in memory at a time.
    """
    parts = pieces(io.BytesIO(text) if isinstance(text, bytes) else text)
    first = list(islice(parts, 2))
    if len(first) < 2:
        return [read(piece) for piece in first]
    results: list[T] = []
    workers = os.cpu_count() or 1
    with ThreadPoolExecutor(workers) as pool:
        waiting: deque[Future[T]] = deque()
        for piece in chain(first, parts):
            waiting.append(pool.submit(read, piece))
            if len(waiting) > 2 * workers:
                results.append(waiting.popleft().result())
        results.extend(future.result() for future in waiting)
    return results
