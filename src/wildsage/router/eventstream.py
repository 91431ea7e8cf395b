"""AWS's event-stream framing (`application/vnd.amazon.eventstream`), the writing side.

message := total length, headers length, CRC-32 of these two | headers | payload | CRC-32 of it all
header := name length (1 byte) | name | type 7 (string) | value length (2 bytes) | value
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from zlib import crc32

CONTENT_TYPE = b"application/vnd.amazon.eventstream"
_PRELUDE = struct.Struct(">II")
_CRC = struct.Struct(">I")


def event(name: str, payload: bytes, content_type: str = "application/octet-stream") -> bytes:
    headers = {":event-type": name, ":content-type": content_type, ":message-type": "event"}
    return message(headers, payload)


def exception(name: str, payload: bytes) -> bytes:
    """An error in the midst of a stream; `payload` is JSON."""
    return message(
        {
            ":exception-type": name,
            ":content-type": "application/json",
            ":message-type": "exception",
        },
        payload,
    )


def message(headers: Mapping[str, str], payload: bytes) -> bytes:
    encoded = b"".join(_header(name, value) for name, value in headers.items())
    prelude = _PRELUDE.pack(16 + len(encoded) + len(payload), len(encoded))
    start = prelude + _CRC.pack(crc32(prelude))
    checksum = crc32(payload, crc32(encoded, crc32(start)))
    return b"".join((start, encoded, payload, _CRC.pack(checksum)))


def _header(name: str, value: str) -> bytes:
    raw = value.encode()
    return struct.pack(">B", len(name)) + name.encode() + struct.pack(">BH", 7, len(raw)) + raw
