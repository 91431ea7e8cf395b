"""Tags of objects, and GetObjectAttributes."""

from __future__ import annotations

from typing import Any

from wildsage.services.platform import Ctx
from wildsage.services.s3 import checksums
from wildsage.services.s3.common import (
    bucket_of,
    check_version,
    key_of,
    page_size,
    tag_set,
    tags_of_set,
)
from wildsage.services.s3.errors import invalid_argument, malformed_xml, operations
from wildsage.store.objects.types import ObjectPart, StoredObject


def _stored(ctx: Ctx, request: dict[str, Any]) -> StoredObject:
    bucket, key = bucket_of(ctx, request), key_of(request)
    check_version(request)
    return ctx.platform.objects.head(bucket.name, key)


def get_object_tagging(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    return {"TagSet": tag_set(_stored(ctx, request).tags)}


def put_object_tagging(ctx: Ctx, request: dict[str, Any]) -> None:
    stored = _stored(ctx, request)
    if "TagSet" not in (request.get("Tagging") or {}):
        raise malformed_xml()
    tags = tags_of_set(request["Tagging"]["TagSet"])
    ctx.platform.objects.tag(stored.bucket, stored.key, tags)


def delete_object_tagging(ctx: Ctx, request: dict[str, Any]) -> None:
    stored = _stored(ctx, request)
    ctx.platform.objects.tag(stored.bucket, stored.key, {})


def get_object_attributes(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    stored = _stored(ctx, request)
    wanted = request.get("ObjectAttributes") or []
    if not wanted:
        text = "The x-amz-object-attributes header specifying the attributes to be retrieved is "
        raise invalid_argument(text + "either missing or empty", "x-amz-object-attributes", "")
    output: dict[str, Any] = {"LastModified": stored.modified}
    if "ETag" in wanted:
        output["ETag"] = stored.etag
    if "Checksum" in wanted and stored.checksums:
        output["Checksum"] = checksums.of_object(stored)
    if "ObjectParts" in wanted and (parts := ctx.platform.objects.parts(stored)):
        output["ObjectParts"] = _object_parts(request, parts)
    if "StorageClass" in wanted:
        output["StorageClass"] = stored.storage_class
    if "ObjectSize" in wanted:
        output["ObjectSize"] = stored.size
    return output


def _object_parts(request: dict[str, Any], parts: list[ObjectPart]) -> dict[str, Any]:
    """Single parts are named only where they have checksums, as on AWS."""
    after = int(request.get("PartNumberMarker") or 0)
    most = page_size(request, "MaxParts", "max-parts")
    later = [part for part in parts if part.number > after and part.checksums]
    page = later[:most]
    output: dict[str, Any] = {"TotalPartsCount": len(parts)}
    if any(part.checksums for part in parts):
        output |= {
            "PartNumberMarker": after,
            "NextPartNumberMarker": page[-1].number if page else 0,
            "MaxParts": most,
            "IsTruncated": len(page) < len(later),
            "Parts": [
                {
                    "PartNumber": part.number,
                    "Size": part.size,
                    **checksums.output_members(part.checksums, None),
                }
                for part in page
            ],
        }
    return output


OPERATIONS = operations(
    {
        "GetObjectTagging": get_object_tagging,
        "PutObjectTagging": put_object_tagging,
        "DeleteObjectTagging": delete_object_tagging,
        "GetObjectAttributes": get_object_attributes,
    }
)
