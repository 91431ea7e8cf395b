"""Entities and addresses as numbers: which vector an entity has, and which prefixes an address.

An entity is hashed (FNV-1a, 64 bits) to one of `num_entity_vectors` numbers. An address is known by
its leading bits, at several lengths: networks are nested prefixes, and a new address of a known
network shares most of them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

LENGTHS = (8, 12, 16, 18, 20, 22, 24, 32)
ENTITY_MARK = 1 << 63
_OFFSET, _PRIME = np.uint64(14695981039346656037), np.uint64(1099511628211)
_ADDRESS = re.compile(r"(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})\Z")


def entity_keys(names: Sequence[str], entities: int) -> Array:
    """The key of each entity's vector; the same as `kernels.parse` finds."""
    encoded = [name.encode() for name in names]
    lengths = np.array([len(name) for name in encoded], np.int64)
    letters = np.zeros((len(encoded), int(lengths.max(initial=0))), np.uint8)
    flat = np.frombuffer(b"".join(encoded), np.uint8)
    letters[np.arange(letters.shape[1]) < lengths[:, None]] = flat
    hashes = np.full(len(encoded), _OFFSET)
    for column in range(letters.shape[1]):
        mixed = (hashes ^ letters[:, column].astype(np.uint64)) * _PRIME
        hashes = np.where(column < lengths, mixed, hashes)
    hashes ^= hashes >> np.uint64(32)
    return np.asarray(hashes % np.uint64(entities) | np.uint64(ENTITY_MARK))


def parse_address(text: str) -> int:
    """The number of an IPv4 address in dotted notation; ValueError where it is none."""
    found = _ADDRESS.match(text)
    parts = [int(part) for part in found.groups()] if found else [256]
    if max(parts) > 255:
        raise ValueError(f"'{text}' is not an IPv4 address")
    return parts[0] << 24 | parts[1] << 16 | parts[2] << 8 | parts[3]


def prefix_keys(addresses: Array) -> Array:
    """The keys of each address's prefixes, a row each: length and leading bits."""
    wide = np.asarray(addresses, np.uint64)[:, None]
    lengths = np.array(LENGTHS, np.uint64)
    return np.asarray(lengths << np.uint64(32) | wide >> (np.uint64(32) - lengths))
