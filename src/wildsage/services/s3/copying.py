"""Copies within the store: CopyObject and UploadPartCopy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import unquote

from wildsage.services.platform import Ctx
from wildsage.services.s3 import checksums
from wildsage.services.s3.attributes import (
    HEADERS,
    attributes_of,
    encryption_of,
    refuse_unsupported,
    storage_class_of,
)
from wildsage.services.s3.common import (
    bucket_of,
    check_key,
    check_owner,
    key_of,
    quoted,
    tags_of_header,
)
from wildsage.services.s3.conditions import Slice, check_copy_source, exact_range, write_condition
from wildsage.services.s3.errors import (
    invalid_argument,
    invalid_request,
    no_such_version,
    operations,
)
from wildsage.services.s3.multipart import part_number, upload_of
from wildsage.store.objects.types import Attributes, StoredObject
from wildsage.store.objects.writer import BodyWriter

_CHUNK = 1 << 20


def copy_object(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    bucket, key = bucket_of(ctx, request), key_of(request)
    refuse_unsupported(request)
    source = _source(ctx, request)
    _refuse_no_change(request, source)
    algorithm = request.get("ChecksumAlgorithm")
    stored = ctx.platform.objects.copy(
        source,
        bucket.name,
        key,
        _attributes(ctx, request, source),
        algorithm=checksums.check_algorithm(algorithm) if algorithm else None,
        condition=write_condition(request),
    )
    result = {
        "ETag": quoted(stored.etag),
        "LastModified": stored.modified,
        **checksums.of_object(stored),
    }
    return {"CopyObjectResult": result, **stored.encryption}


def _source(ctx: Ctx, request: Mapping[str, Any]) -> StoredObject:
    bucket, key = _parse_source(request["CopySource"])
    check_owner(ctx, bucket, request.get("ExpectedSourceBucketOwner"))
    source = ctx.platform.objects.head(bucket, check_key(key))
    check_copy_source(request, source)
    return source


def _parse_source(header: str) -> tuple[str, str]:
    """`/bucket/key?versionId=…`, URL-encoded."""
    path, _, version = header.partition("?versionId=")
    bucket, _, key = unquote(path).removeprefix("/").partition("/")
    if not bucket or not key:
        text = "Copy Source must mention the source bucket and key: sourcebucket/sourcekey"
        raise invalid_argument(text, "x-amz-copy-source", header)
    if version not in ("", "null"):
        raise no_such_version(key, version)
    return bucket, key


def _refuse_no_change(request: Mapping[str, Any], source: StoredObject) -> None:
    itself = (request["Bucket"], request["Key"]) == (source.bucket, source.key)
    changes = (
        request.get("MetadataDirective") == "REPLACE"
        or request.get("StorageClass") not in (None, source.storage_class)
        or request.get("WebsiteRedirectLocation")
        or encryption_of(request)
    )
    if itself and not changes:
        raise invalid_request(
            "This copy request is illegal because it is trying to copy an object to itself "
            "without changing the object's metadata, storage class, website redirect location "
            "or encryption attributes."
        )


def _attributes(ctx: Ctx, request: Mapping[str, Any], source: StoredObject) -> Attributes:
    """Metadata and tags are the source's unless a directive says REPLACE; the rest is new."""
    attributes = attributes_of(ctx, request)
    if _directive(request, "MetadataDirective", "metadata") == "COPY":
        redirect = HEADERS["WebsiteRedirectLocation"]
        headers = {n: v for n, v in source.headers.items() if n != redirect}
        if redirect in attributes.headers:
            headers[redirect] = attributes.headers[redirect]
        attributes = replace(
            attributes,
            content_type=source.content_type,
            headers=headers,
            metadata=source.metadata,
        )
    replaced = _directive(request, "TaggingDirective", "tagging") == "REPLACE"
    tags = tags_of_header(request.get("Tagging")) if replaced else source.tags
    return replace(attributes, tags=tags, storage_class=storage_class_of(request))


def _directive(request: Mapping[str, Any], member: str, name: str) -> str:
    directive: str = request.get(member) or "COPY"
    if directive not in ("COPY", "REPLACE"):
        text = f"Unknown {name} directive."
        raise invalid_argument(text, f"x-amz-{name}-directive", directive)
    return directive


def upload_part_copy(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    refuse_unsupported(request)
    upload, number = upload_of(ctx, request), part_number(request)
    source = _source(ctx, request)
    header = request.get("CopySourceRange")
    wanted = exact_range(header, source.size) if header else Slice(0, source.size, False)
    algorithms = (upload.checksum_algorithm,) if upload.checksum_algorithm else ()
    uploads = ctx.platform.objects.uploads
    with uploads.part(upload, number, wanted.length, algorithms) as writer:
        _copy(source, wanted, writer)
        part = uploads.commit_part(upload, number, writer)
    result = {
        "ETag": quoted(part.etag),
        "LastModified": part.modified,
        **checksums.output_members(part.checksums, None),
    }
    return {"CopyPartResult": result, **upload.attributes.encryption}


def _copy(source: StoredObject, wanted: Slice, writer: BodyWriter) -> None:
    left = wanted.length
    with source.path.open("rb") as file:
        file.seek(wanted.offset)
        while left:
            chunk = file.read(min(_CHUNK, left))
            writer.write(chunk)
            left -= len(chunk)


OPERATIONS = operations({"CopyObject": copy_object, "UploadPartCopy": upload_part_copy})
