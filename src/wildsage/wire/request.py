"""A request as it came in: nothing decoded that a signature may cover."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote_plus


@dataclass(slots=True)
class HttpRequest:
    """`path` and `query` are raw; `headers` has lower-case names, repeated ones joined by commas.

    Header values are Latin-1 text, so that `value.encode("latin-1")` gives back the bytes sent.
    """

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    source_ip: str = ""
    _parameters: list[tuple[str, str]] | None = field(default=None, repr=False)

    @classmethod
    def from_scope(cls, scope: Mapping[str, Any]) -> HttpRequest:
        raw_path: bytes = scope.get("raw_path") or scope["path"].encode()
        client = scope.get("client")
        return cls(
            scope["method"],
            raw_path.decode("latin-1"),
            scope["query_string"].decode("latin-1"),
            _join(scope["headers"]),
            client[0] if client else "",
        )

    @property
    def host(self) -> str:
        """The host asked for, in lower case and without its port."""
        host = self.headers.get("host", "").lower()
        name, _, port = host.rpartition(":")
        return name if name and port.isdecimal() else host

    @property
    def parameters(self) -> list[tuple[str, str]]:
        """The query string, decoded; a parameter without a value has an empty one."""
        if self._parameters is None:
            self._parameters = decode_form(self.query)
        return self._parameters


def _join(pairs: list[tuple[bytes, bytes]]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for raw_name, raw_value in pairs:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]},{value}" if name in headers else value
    return headers


def decode_form(text: str) -> list[tuple[str, str]]:
    """`a=b&c=d+e` as pairs, in order."""
    pairs = [part.partition("=") for part in text.split("&") if part]
    return [(unquote_plus(name), unquote_plus(value)) for name, _, value in pairs]
