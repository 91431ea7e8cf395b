"""Between request members and what the store keeps about an object, both ways."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wildsage.services.platform import Ctx
from wildsage.services.s3.common import quoted, tags_of_header
from wildsage.services.s3.errors import not_implemented
from wildsage.store.objects.types import DEFAULT_CONTENT_TYPE, Attributes, StoredObject
from wildsage.wire.errors import ApiError

_MAX_METADATA = 2048
# Members of the model and the HTTP headers they stand for.
HEADERS = {
    "CacheControl": "Cache-Control",
    "ContentDisposition": "Content-Disposition",
    "ContentEncoding": "Content-Encoding",
    "ContentLanguage": "Content-Language",
    "Expires": "Expires",
    "WebsiteRedirectLocation": "x-amz-website-redirect-location",
}
_ENCRYPTION = ("ServerSideEncryption", "SSEKMSKeyId", "SSEKMSEncryptionContext", "BucketKeyEnabled")
# Not supported, and too important to be ignored: the client would believe that it holds.
_REFUSED = (
    "SSECustomerAlgorithm",
    "CopySourceSSECustomerAlgorithm",
    "ObjectLockMode",
    "ObjectLockRetainUntilDate",
    "ObjectLockLegalHoldStatus",
    "WriteOffsetBytes",
)
_STORAGE_CLASSES = (
    "STANDARD",
    "REDUCED_REDUNDANCY",
    "STANDARD_IA",
    "ONEZONE_IA",
    "INTELLIGENT_TIERING",
    "GLACIER",
    "DEEP_ARCHIVE",
    "GLACIER_IR",
    "EXPRESS_ONEZONE",
)
_OVERRIDES = {
    "ResponseCacheControl": "CacheControl",
    "ResponseContentDisposition": "ContentDisposition",
    "ResponseContentEncoding": "ContentEncoding",
    "ResponseContentLanguage": "ContentLanguage",
    "ResponseContentType": "ContentType",
    "ResponseExpires": "Expires",
}


def refuse_unsupported(request: Mapping[str, Any]) -> None:
    for member in _REFUSED:
        if request.get(member) is not None:
            raise not_implemented(member)


def attributes_of(ctx: Ctx, request: Mapping[str, Any]) -> Attributes:
    """What a request says about the object it makes."""
    refuse_unsupported(request)
    return Attributes(
        content_type=request.get("ContentType") or DEFAULT_CONTENT_TYPE,
        headers=_headers(ctx, request),
        metadata=_metadata(request),
        tags=tags_of_header(request.get("Tagging")),
        storage_class=storage_class_of(request),
        encryption=encryption_of(request),
    )


def _headers(ctx: Ctx, request: Mapping[str, Any]) -> dict[str, str]:
    headers = {name: request[member] for member, name in HEADERS.items() if request.get(member)}
    if "Expires" in headers:  # kept as it was written, like every other header
        headers["Expires"] = ctx.headers.get("expires", headers["Expires"])
    if encoding := headers.pop("Content-Encoding", ""):
        codings = [coding.strip() for coding in encoding.split(",")]
        kept = [coding for coding in codings if coding.lower() != "aws-chunked"]
        if kept:
            headers["Content-Encoding"] = encoding if kept == codings else ",".join(kept)
    return headers


def _metadata(request: Mapping[str, Any]) -> dict[str, str]:
    metadata: dict[str, str] = request.get("Metadata") or {}
    size = sum(len(name.encode()) + len(value.encode()) for name, value in metadata.items())
    if size > _MAX_METADATA:
        text = "Your metadata headers exceed the maximum allowed metadata size"
        fields = {"Size": str(size), "MaxSizeAllowed": str(_MAX_METADATA)}
        raise ApiError("MetadataTooLarge", text, fields=fields)
    return {name.lower(): value for name, value in metadata.items()}


def storage_class_of(request: Mapping[str, Any]) -> str:
    storage_class: str = request.get("StorageClass") or "STANDARD"
    if storage_class not in _STORAGE_CLASSES:
        raise ApiError("InvalidStorageClass", "The storage class you specified is not valid")
    return storage_class


def encryption_of(request: Mapping[str, Any]) -> dict[str, Any]:
    return {member: request[member] for member in _ENCRYPTION if request.get(member) is not None}


def describe(stored: StoredObject) -> dict[str, Any]:
    """The members that tell about an object in answers to GetObject and HeadObject."""
    output: dict[str, Any] = {
        "AcceptRanges": "bytes",
        "LastModified": stored.modified,
        "ContentLength": stored.size,
        "ETag": quoted(stored.etag),
        "ContentType": stored.content_type,
        "Metadata": dict(stored.metadata),
        **stored.encryption,
    }
    for member, name in HEADERS.items():
        if name in stored.headers:
            output[member] = stored.headers[name]
    if stored.storage_class != "STANDARD":
        output["StorageClass"] = stored.storage_class
    if stored.tags:
        output["TagCount"] = len(stored.tags)
    return output


def override(ctx: Ctx, request: Mapping[str, Any], output: dict[str, Any]) -> None:
    """`?response-content-type=…` and its like."""
    for member, target in _OVERRIDES.items():
        if request.get(member) is not None:
            output[target] = request[member]
