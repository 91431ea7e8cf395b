"""Page tokens: opaque, unforgeable, and good only for the query they were given out for."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from typing import Any

import orjson

from wildsage.store.errors import InvalidToken

_MAC_BYTES = 16


class Tokens:
    """Seals a position together with the query it belongs to (`binding`)."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def seal(self, position: Any, binding: str) -> str:
        payload = orjson.dumps(position)
        return base64.urlsafe_b64encode(self._mac(payload, binding) + payload).decode().rstrip("=")

    def open(self, token: str, binding: str) -> Any:
        """The position; InvalidToken when the token was changed or is another query's."""
        try:
            sealed = base64.urlsafe_b64decode(token.encode() + b"=" * (-len(token) % 4))
        except (binascii.Error, ValueError):
            raise InvalidToken from None
        mac, payload = sealed[:_MAC_BYTES], sealed[_MAC_BYTES:]
        if not hmac.compare_digest(mac, self._mac(payload, binding)):
            raise InvalidToken
        return orjson.loads(payload)

    def _mac(self, payload: bytes, binding: str) -> bytes:
        return hmac.digest(self._key, binding.encode() + b"\0" + payload, hashlib.sha256)[
            :_MAC_BYTES
        ]
