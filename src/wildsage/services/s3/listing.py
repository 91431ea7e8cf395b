"""Listings of a bucket: ListObjects, ListObjectsV2, and ListObjectVersions without versions."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from typing import Any

from wildsage.services.platform import Ctx
from wildsage.services.s3.common import (
    bucket_of,
    canonical_user,
    encoder,
    page_size,
    quoted,
)
from wildsage.services.s3.errors import invalid_argument, operations
from wildsage.store.objects.listing import Listing, Page
from wildsage.store.objects.types import StoredObject


def list_objects(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    marker, encode = request.get("Marker", ""), encoder(request)
    page, output = _page(ctx, request, marker)
    output["Marker"] = encode(marker)
    if page.truncated and request.get("Delimiter"):
        output["NextMarker"] = encode(page.last)
    owner = canonical_user(ctx.principal.account)
    output["Contents"] = [_entry(stored, encode) | {"Owner": owner} for stored in page.entries]
    return output


def list_objects_v2(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    start, encode = request.get("StartAfter", ""), encoder(request)
    token = request.get("ContinuationToken")
    page, output = _page(ctx, request, start if token is None else _read_token(token))
    owner = {"Owner": canonical_user(ctx.principal.account)} if request.get("FetchOwner") else {}
    output["Contents"] = [_entry(stored, encode) | owner for stored in page.entries]
    output["KeyCount"] = len(page)
    if start:
        output["StartAfter"] = encode(start)
    if token is not None:
        output["ContinuationToken"] = token
    if page.truncated:
        output["NextContinuationToken"] = _token(page.last)
    return output


def list_object_versions(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """Where nothing is versioned, every object has one version, named "null"."""
    marker, encode = request.get("KeyMarker", ""), encoder(request)
    page, output = _page(ctx, request, marker)
    output["KeyMarker"] = encode(marker)
    output["VersionIdMarker"] = request.get("VersionIdMarker", "")
    if page.truncated:
        output["NextKeyMarker"] = encode(page.last)
        output["NextVersionIdMarker"] = "null"
    more = {
        "Owner": canonical_user(ctx.principal.account),
        "VersionId": "null",
        "IsLatest": True,
    }
    output["Versions"] = [_entry(stored, encode) | more for stored in page.entries]
    return output


def _page(
    ctx: Ctx, request: Mapping[str, Any], after: str
) -> tuple[Page[StoredObject], dict[str, Any]]:
    """The page that is asked for, and what every kind of listing answers with."""
    bucket, encode = bucket_of(ctx, request), encoder(request)
    prefix, delimiter = request.get("Prefix", ""), request.get("Delimiter", "")
    most = page_size(request, "MaxKeys", "maxKeys")
    page = ctx.platform.objects.page(bucket.name, Listing(prefix, delimiter, after, most))
    output = {
        "Name": bucket.name,
        "Prefix": encode(prefix),
        "MaxKeys": most,
        "IsTruncated": page.truncated,
        "CommonPrefixes": [{"Prefix": encode(common)} for common in page.prefixes],
    }
    if delimiter:
        output["Delimiter"] = encode(delimiter)
    if request.get("EncodingType"):
        output["EncodingType"] = request["EncodingType"]
    return page, output


def _entry(stored: StoredObject, encode: Callable[[str], str]) -> dict[str, Any]:
    entry = {
        "Key": encode(stored.key),
        "LastModified": stored.modified,
        "ETag": quoted(stored.etag),
        "Size": stored.size,
        "StorageClass": stored.storage_class,
    }
    if stored.checksums:
        entry["ChecksumAlgorithm"] = list(stored.checksums)
        entry["ChecksumType"] = stored.checksum_type
    return entry


def _token(last: str) -> str:
    return base64.urlsafe_b64encode(b"1" + last.encode()).decode()


def _read_token(token: str) -> str:
    try:
        last = base64.b64decode(token, altchars=b"-_", validate=True).decode()
    except ValueError:
        last = ""
    if not last.startswith("1"):
        text = "The continuation token provided is incorrect"
        raise invalid_argument(text, "continuation-token", token)
    return last[1:]


OPERATIONS = operations(
    {
        "ListObjects": list_objects,
        "ListObjectsV2": list_objects_v2,
        "ListObjectVersions": list_object_versions,
    }
)
