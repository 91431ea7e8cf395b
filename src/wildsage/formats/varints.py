"""Protobuf's variable-length integers, one at a time and a whole array at once."""

from __future__ import annotations

import numpy as np

LONGEST = 10
_LIMITS = np.array([1 << (7 * size) for size in range(1, LONGEST - 1)], np.uint64)


def encode_one(value: int) -> bytes:
    encoded = bytearray()
    value &= (1 << 64) - 1
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def decode_one(data: bytes | memoryview | np.ndarray, position: int) -> tuple[int, int]:
    """The number at `position`, and the position behind it; IndexError at the data's end."""
    value = shift = 0
    while True:
        byte = int(data[position])
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
        if shift >= 7 * LONGEST:
            raise ValueError("a varint is longer than 10 bytes")


def sizes(values: np.ndarray) -> np.ndarray:
    """How many bytes each number takes."""
    found: np.ndarray = np.searchsorted(_LIMITS, values.astype(np.uint64), side="right") + 1
    # Beyond 63 bits there is only the full length (negative numbers).
    found[values.astype(np.uint64) >= np.uint64(1 << 63)] = LONGEST
    return found


def encode(values: np.ndarray) -> np.ndarray:
    """The numbers as varints, one after the other."""
    rest = values.astype(np.uint64)
    lengths = sizes(values)
    ends = np.cumsum(lengths)
    encoded = np.empty(int(ends[-1]) if len(ends) else 0, np.uint8)
    positions = ends - lengths
    while len(rest):
        more = rest > np.uint64(0x7F)
        encoded[positions] = (rest & np.uint64(0x7F)).astype(np.uint8) | (
            more.astype(np.uint8) << 7
        )
        rest, positions = rest[more] >> np.uint64(7), positions[more] + 1
    return encoded


def decode(data: np.ndarray) -> np.ndarray:
    """All varints of `data` (uint8), as int64; ValueError where the last one is cut off."""
    return decode_to(data, last_bytes(data))


def last_bytes(data: np.ndarray) -> np.ndarray:
    """Where each varint of `data` ends; ValueError where the last one is cut off."""
    ends = np.flatnonzero(data < 0x80)
    if len(data) and (not len(ends) or ends[-1] != len(data) - 1):
        raise ValueError("a varint is cut off")
    return ends


def decode_to(data: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """The varints that end at `ends`, from the beginning of `data` on."""
    if len(ends) == len(data):
        return data.astype(np.int64)
    starts = np.concatenate(([0], ends[:-1] + 1))
    lengths = ends - starts + 1
    if lengths.max(initial=0) > LONGEST:
        raise ValueError("a varint is longer than 10 bytes")
    values = (data[starts] & 0x7F).astype(np.int64)
    longer = np.flatnonzero(lengths > 1)
    for place in range(1, LONGEST):
        if not len(longer):
            break
        part = (data[starts[longer] + place] & 0x7F).astype(np.uint64) << np.uint64(7 * place)
        values[longer] |= part.astype(np.int64)
        longer = longer[lengths[longer] > place + 1]
    return values


def decode_at(data: np.ndarray, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The number at each position, and the positions behind them; each within five bytes."""
    values = np.zeros(len(positions), np.int64)
    positions = positions.copy()
    pending = np.arange(len(positions))
    for place in range(5):
        byte = data[positions[pending]].astype(np.int64)
        values[pending] |= (byte & 0x7F) << (7 * place)
        positions[pending] += 1
        pending = pending[byte >= 0x80]
        if not len(pending):
            return values, positions
    raise ValueError("a length is longer than 5 bytes")
