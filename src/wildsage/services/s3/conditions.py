"""Conditional requests, byte ranges and part numbers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from wildsage.services.s3.errors import invalid_request, precondition_failed
from wildsage.store.objects.types import Condition, StoredObject
from wildsage.wire.errors import ApiError

_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


@dataclass(frozen=True, slots=True)
class Slice:
    """The part of an object that is asked for."""

    offset: int
    length: int
    partial: bool

    def content_range(self, size: int) -> str:
        return f"bytes {self.offset}-{self.offset + self.length - 1}/{size}"


def not_modified(request: Mapping[str, Any], stored: StoredObject) -> bool:
    """Whether the answer is 304; PreconditionFailed when it is 412. The order is RFC 9110's."""
    modified = int(stored.modified)
    if (tags := request.get("IfMatch")) is not None:
        if not _matches(tags, stored.etag):
            raise precondition_failed("If-Match")
    elif (since := request.get("IfUnmodifiedSince")) is not None and modified > since:
        raise precondition_failed("If-Unmodified-Since")
    if (tags := request.get("IfNoneMatch")) is not None:
        return _matches(tags, stored.etag)
    since = request.get("IfModifiedSince")
    return since is not None and modified <= since


def check_copy_source(request: Mapping[str, Any], stored: StoredObject) -> None:
    """The same conditions on the source of a copy, where every failure is 412."""
    prefix = "CopySource"
    conditions = {
        name.removeprefix(prefix): value
        for name, value in request.items()
        if name.startswith(prefix + "If")
    }
    if not_modified(conditions, stored):
        failed = "If-None-Match" if "IfNoneMatch" in conditions else "If-Modified-Since"
        raise precondition_failed(f"x-amz-copy-source-{failed}")


def write_condition(request: Mapping[str, Any]) -> Condition:
    """What a conditional write expects under its key."""
    absent, etag = request.get("IfNoneMatch"), request.get("IfMatch")
    if absent not in (None, "*"):
        text = "A header you provided implies functionality that is not implemented"
        raise ApiError("NotImplemented", text, 501, fields={"Header": "If-None-Match"})
    return Condition(absent=absent == "*", etag=None if etag is None else etag.strip('"'))


def _matches(header: str, etag: str) -> bool:
    tags = [tag.strip().removeprefix("W/").strip('"') for tag in header.split(",")]
    return "*" in tags or etag in tags


def range_of(header: str | None, size: int) -> Slice:
    """As S3 does, a header that is not one simple range is ignored."""
    whole = Slice(0, size, False)
    match = _RANGE.fullmatch((header or "").replace(" ", ""))
    if match is None or not (match[1] or match[2]):
        return whole
    first, last = match[1], match[2]
    if not first:
        length = min(int(last), size)
        return _within(Slice(size - length, length, True), size, header)
    if last and int(last) < int(first):
        return whole
    end = min(int(last), size - 1) if last else size - 1
    return _within(Slice(int(first), end - int(first) + 1, True), size, header)


def _within(part: Slice, size: int, header: str | None) -> Slice:
    if part.length <= 0 or part.offset >= size:
        fields = {"RangeRequested": header or "", "ActualObjectSize": str(size)}
        text = "The requested range is not satisfiable"
        raise ApiError("InvalidRange", text, 416, fields=fields)
    return part


def exact_range(header: str, size: int) -> Slice:
    """The range of a copied part, which must lie within the source."""
    match = _RANGE.fullmatch(header)
    if match is None or not match[1] or not match[2] or int(match[2]) < int(match[1]):
        text = (
            "The x-amz-copy-source-range value must be of the form bytes=first-last where first "
            "and last are the zero-based offsets of the first and last bytes to copy"
        )
        raise ApiError("InvalidArgument", text, fields={"ArgumentName": "x-amz-copy-source-range"})
    if int(match[2]) >= size:
        raise invalid_request("The specified copy range is invalid for the source object size")
    return Slice(int(match[1]), int(match[2]) - int(match[1]) + 1, True)
