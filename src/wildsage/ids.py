"""Identifiers and randomness, in one place, so that tests own them (`with ids.seeded(7)`)."""

from __future__ import annotations

import base64
import random
import secrets
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

_ACCESS_KEY_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"

_seeded: random.Random | None = None


def random_bytes(count: int) -> bytes:
    return _seeded.randbytes(count) if _seeded else secrets.token_bytes(count)


def request_id() -> str:
    """A UUID, as AWS puts into `x-amzn-RequestId`."""
    return str(uuid.UUID(bytes=random_bytes(16), version=4))


def token(byte_count: int = 16) -> str:
    """Random hexadecimal text, `2 * byte_count` characters long."""
    return random_bytes(byte_count).hex()


def access_key_id(prefix: str = "AKIA") -> str:
    """`AKIA…` for long-term keys, `ASIA…` for sessions, `AROA…`/`AIDA…` for entities."""
    return prefix + "".join(_ACCESS_KEY_ALPHABET[b % 32] for b in random_bytes(16))


def secret_key() -> str:
    return base64.b64encode(random_bytes(30)).decode()


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Make every identifier of the process reproducible until the block ends. For tests only."""
    global _seeded
    previous, _seeded = _seeded, random.Random(seed)
    try:
        yield
    finally:
        _seeded = previous
