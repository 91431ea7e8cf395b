"""Scalar values and their text: timestamps, numbers, booleans, blobs.

In requests and responses of handlers a timestamp is a float (seconds since the epoch), a blob is
bytes. A handler may also answer with a datetime, or with text that is in its final form already.
"""

from __future__ import annotations

import base64
import binascii
import math
import re
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import formatdate, parsedate_to_datetime
from functools import partial
from typing import Any

from wildsage.wire.errors import serialization
from wildsage.wire.shapes import Shape

_INTEGER = re.compile(r"\s*[+-]?[0-9]{1,20}\s*", re.ASCII)
_FLOAT = re.compile(r"\s*(NaN|-?Infinity|[+-]?[0-9.]+([eE][+-]?[0-9]+)?)\s*", re.ASCII)
_BITS = {"integer": 31, "long": 63}
_LATEST = 253402300799  # the end of the year 9999


# ---- from text


def reader(shape: Shape) -> Callable[[str], Any]:
    """How the text of a scalar, in a header, a query or an XML element, becomes its value."""
    kind = shape.type_name
    if kind in _BITS:
        return partial(_read_integer, kind)
    return _READERS.get(kind, str)


def _read_integer(kind: str, text: str) -> int:
    if not _INTEGER.fullmatch(text):
        raise _bad(text, kind)
    return check_range(int(text), kind)


def _read_float(text: str) -> float:
    if not _FLOAT.fullmatch(text):
        raise _bad(text, "double")
    try:
        return float(text)
    except ValueError:
        raise _bad(text, "double") from None


def _read_boolean(text: str) -> bool:
    lowered = text.strip().lower()
    if lowered not in ("true", "false"):
        raise _bad(text, "boolean")
    return lowered == "true"


def read_timestamp(text: str) -> float:
    """ISO 8601, RFC 822 or seconds since the epoch."""
    for parse in (float, _from_iso, _from_rfc822):
        try:
            return check_timestamp(parse(text))
        except (ValueError, TypeError, IndexError):
            continue
    raise _bad(text, "timestamp")


def _from_iso(text: str) -> float:
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _from_rfc822(text: str) -> float:
    return parsedate_to_datetime(text).timestamp()


def read_blob(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise _bad(text, "blob") from None


def check_timestamp(seconds: float) -> float:
    if not -_LATEST <= seconds <= _LATEST:
        raise _bad(str(seconds), "timestamp")
    return seconds


def check_range(value: int, kind: str) -> int:
    limit = 1 << _BITS[kind]
    if not -limit <= value < limit:
        raise _bad(str(value), kind)
    return value


def _bad(text: str, kind: str) -> Exception:
    return serialization(f"Value '{text[:100]}' cannot be converted to {kind.capitalize()}")


_READERS: dict[str, Callable[[str], Any]] = {
    "float": _read_float,
    "double": _read_float,
    "boolean": _read_boolean,
    "timestamp": read_timestamp,
    "blob": read_blob,
}


# ---- to text


def writer(shape: Shape, timestamps: str) -> Callable[[Any], str]:
    """How a scalar's value becomes text; `timestamps` is the format where the shape names none."""
    if shape.type_name == "timestamp":
        return TIMESTAMPS[shape.serialization.get("timestampFormat", timestamps)]
    return _WRITERS.get(shape.type_name, str)


def seconds_of(value: Any) -> float:
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp()
    return float(value)


def unix(value: Any) -> int | float:
    """Seconds since the epoch, to the millisecond."""
    if isinstance(value, str):
        value = read_timestamp(value)
    return value if isinstance(value, int) else round(seconds_of(value), 3)


def _iso(value: Any) -> str:
    if isinstance(value, str):
        return value
    return f"{datetime.fromtimestamp(int(seconds_of(value)), UTC):%Y-%m-%dT%H:%M:%SZ}"


def _iso_millis(value: Any) -> str:
    """S3 keeps seconds and writes milliseconds."""
    return value if isinstance(value, str) else _iso(value)[:-1] + ".000Z"


def _rfc822(value: Any) -> str:
    return value if isinstance(value, str) else formatdate(int(seconds_of(value)), usegmt=True)


def _unix_text(value: Any) -> str:
    return str(unix(value))


def write_float(value: Any) -> str:
    if math.isfinite(value):
        return str(value)
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _write_boolean(value: Any) -> str:
    return "true" if value else "false"


def write_blob(value: bytes | str) -> str:
    return base64.b64encode(value.encode() if isinstance(value, str) else value).decode()


TIMESTAMPS: dict[str, Callable[[Any], str]] = {
    "iso8601": _iso,
    "iso8601-millis": _iso_millis,
    "rfc822": _rfc822,
    "unixTimestamp": _unix_text,
    "unixtimestamp": _unix_text,
}
_WRITERS: dict[str, Callable[[Any], str]] = {
    "float": write_float,
    "double": write_float,
    "boolean": _write_boolean,
    "blob": write_blob,
}
