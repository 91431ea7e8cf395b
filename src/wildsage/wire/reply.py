"""An answer on its way out: status, headers and a body that may be a slice of a file."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from wildsage.wire.files import OpenedFile

Body: TypeAlias = bytes | OpenedFile | AsyncIterator[bytes]

_CONTROL = re.compile("[\x00-\x08\x0a-\x1f\x7f]")


@dataclass(slots=True)
class Reply:
    """Header names are in lower case."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: Body = b""

    @property
    def has_body(self) -> bool:
        return self.status not in (204, 304)

    def raw_headers(self) -> list[tuple[bytes, bytes]]:
        """As ASGI wants them, with a Content-Length where it is known."""
        headers = dict(self.headers)
        if self.has_body and isinstance(self.body, bytes):
            headers.setdefault("content-length", str(len(self.body)))
        elif isinstance(self.body, OpenedFile):
            headers["content-length"] = str(self.body.length)
        return [(name.encode("latin-1"), _value(text)) for name, text in headers.items()]


def _value(text: str) -> bytes:
    """The bytes that came in go out again; what may not stand in a header becomes a blank."""
    if _CONTROL.search(text):
        text = _CONTROL.sub(" ", text)
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        return text.encode("utf-8")


def request_ids(service: str, request_id: str) -> Mapping[str, str]:
    """The headers that carry a request's id. S3 has names of its own, and a second id."""
    if service == "s3":
        short = request_id.replace("-", "")[:16].upper()
        return {"x-amz-request-id": short, "x-amz-id-2": request_id}
    return {"x-amzn-requestid": request_id}
