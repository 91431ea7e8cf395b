"""Multipart uploads: create, upload parts, list, complete, abort."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from wildsage.services.platform import Ctx
from wildsage.services.s3 import checksums
from wildsage.services.s3.attributes import attributes_of, refuse_unsupported
from wildsage.services.s3.common import (
    bucket_of,
    canonical_user,
    encoder,
    key_of,
    page_size,
    quoted,
)
from wildsage.services.s3.conditions import write_condition
from wildsage.services.s3.errors import (
    invalid_argument,
    invalid_request,
    malformed_xml,
    operations,
)
from wildsage.services.s3.streaming import body_of, in_thread, is_small, opened, receive
from wildsage.store.objects.checksums import MULTIPART_TYPES
from wildsage.store.objects.errors import NoSuchKey, NoSuchUpload
from wildsage.store.objects.multipart import PartWriter
from wildsage.store.objects.types import Part, PartChoice, StoredObject, Upload

_MAX_PARTS = 10000


def create_multipart_upload(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    bucket, key = bucket_of(ctx, request), key_of(request)
    attributes = attributes_of(ctx, request)
    algorithm, kind = _checksum_choice(request)
    upload = ctx.platform.objects.uploads.create(
        bucket.name,
        key,
        attributes,
        owner=ctx.principal.arn,
        checksum_algorithm=algorithm,
        checksum_type=kind,
    )
    output = {"Bucket": bucket.name, "Key": key, "UploadId": upload.id, **attributes.encryption}
    if algorithm:
        output |= {"ChecksumAlgorithm": algorithm, "ChecksumType": kind}
    return output


def _checksum_choice(request: Mapping[str, Any]) -> tuple[str | None, str | None]:
    algorithm, kind = request.get("ChecksumAlgorithm"), request.get("ChecksumType")
    if not algorithm:
        if kind:
            raise invalid_request(
                "The x-amz-checksum-type header can only be used with the "
                "x-amz-checksum-algorithm header."
            )
        return None, None
    kinds = MULTIPART_TYPES[checksums.check_algorithm(algorithm)]
    if kind and kind not in kinds:
        raise invalid_request(
            f"The {kind} checksum type cannot be used with the {algorithm.lower()} "
            "checksum algorithm."
        )
    return algorithm, kind or kinds[0]


def upload_of(ctx: Ctx, request: Mapping[str, Any]) -> Upload:
    """The upload of the request, in a bucket that is the caller's."""
    bucket, key = bucket_of(ctx, request), key_of(request)
    return ctx.platform.objects.uploads.get(bucket.name, key, request["UploadId"])


def part_number(request: Mapping[str, Any]) -> int:
    number: int = request["PartNumber"]
    if not 1 <= number <= _MAX_PARTS:
        text = f"Part number must be an integer between 1 and {_MAX_PARTS}, inclusive"
        raise invalid_argument(text, "partNumber", number)
    return number


async def upload_part(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    body = body_of(request)
    if is_small(body):
        data = await body.read()
        return await in_thread(_upload_small, ctx, request, data, body.trailers)
    part = await in_thread(_part_of, ctx, request)
    async with opened(lambda: part.writer(ctx, body.content_length)) as writer:
        await receive(body, writer)
        return await in_thread(part.commit, ctx, writer, body.trailers)


def _upload_small(
    ctx: Ctx, request: dict[str, Any], data: bytes, trailers: Mapping[str, str]
) -> dict[str, Any]:
    part = _part_of(ctx, request)
    with part.writer(ctx, len(data)) as writer:
        writer.write(data)
        return part.commit(ctx, writer, trailers)


@dataclass(frozen=True, slots=True)
class _Incoming:
    """A part that is about to arrive, all that can be checked beforehand checked."""

    upload: Upload
    number: int
    declared: checksums.Declared
    algorithms: tuple[str, ...]

    def writer(self, ctx: Ctx, length: int | None) -> AbstractContextManager[PartWriter]:
        uploads = ctx.platform.objects.uploads
        return uploads.part(self.upload, self.number, length, self.algorithms)

    def commit(self, ctx: Ctx, writer: PartWriter, trailers: Mapping[str, str]) -> dict[str, Any]:
        writer.verify(self.declared.md5, self.declared.complete(trailers))
        part = ctx.platform.objects.uploads.commit_part(self.upload, self.number, writer)
        return {
            "ETag": quoted(part.etag),
            **checksums.output_members(part.checksums, None),
            **self.upload.attributes.encryption,
        }


def _part_of(ctx: Ctx, request: dict[str, Any]) -> _Incoming:
    refuse_unsupported(request)
    number, upload = part_number(request), upload_of(ctx, request)
    declared = checksums.declared(ctx, request)
    return _Incoming(upload, number, declared, _part_algorithms(upload, declared))


def _part_algorithms(upload: Upload, declared: checksums.Declared) -> tuple[str, ...]:
    """What to compute: the upload's algorithm, even where the part does not declare it."""
    wanted = upload.checksum_algorithm
    if wanted is None:
        return declared.algorithms
    if declared.algorithms not in ((), (wanted,)):
        raise invalid_request(
            f"Checksum Type mismatch occurred, expected checksum Type: {wanted.lower()}, "
            f"actual checksum Type: {declared.algorithms[0].lower()}"
        )
    return (wanted,)


def complete_multipart_upload(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    bucket, key = bucket_of(ctx, request), key_of(request)
    choices = _choices(request)
    try:
        upload = ctx.platform.objects.uploads.get(bucket.name, key, request["UploadId"])
        _check_type(request, upload)
        stored = ctx.platform.objects.complete(
            upload,
            choices,
            declared=checksums.checksum_members(request),
            size=request.get("MpuObjectSize"),
            condition=write_condition(request),
        )
    except NoSuchUpload:
        stored = _completed_before(ctx, request)
    return {
        "Location": f"http://{ctx.host}/{bucket.name}/{quote(key, safe='')}",
        "Bucket": bucket.name,
        "Key": key,
        "ETag": quoted(stored.etag),
        **checksums.of_object(stored),
        **stored.encryption,
    }


def _completed_before(ctx: Ctx, request: Mapping[str, Any]) -> StoredObject:
    """A Complete whose answer got lost is sent again, and gets the same answer."""
    upload_id = request["UploadId"]
    try:
        stored = ctx.platform.objects.head(request["Bucket"], request["Key"])
    except NoSuchKey:
        raise NoSuchUpload(upload_id) from None
    if stored.upload != upload_id:
        raise NoSuchUpload(upload_id)
    return stored


def _choices(request: Mapping[str, Any]) -> list[PartChoice]:
    parts = (request.get("MultipartUpload") or {}).get("Parts") or []
    if not parts or len(parts) > _MAX_PARTS:
        raise malformed_xml()
    try:
        return [
            PartChoice(part["PartNumber"], part["ETag"], checksums.checksum_members(part))
            for part in parts
        ]
    except KeyError:
        raise malformed_xml() from None


def _check_type(request: Mapping[str, Any], upload: Upload) -> None:
    kind = request.get("ChecksumType")
    if kind and upload.checksum_type and kind != upload.checksum_type:
        raise invalid_request(
            f"The upload was created using the {upload.checksum_type} checksum mode. "
            "The complete request must use the same checksum mode."
        )


def abort_multipart_upload(ctx: Ctx, request: dict[str, Any]) -> None:
    ctx.platform.objects.uploads.abort(upload_of(ctx, request))


def list_parts(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    upload = upload_of(ctx, request)
    most = page_size(request, "MaxParts", "max-parts")
    after = int(request.get("PartNumberMarker") or 0)
    later = [p for p in ctx.platform.objects.uploads.parts(upload) if p.number > after]
    page = later[:most]
    owner = canonical_user(ctx.principal.account)
    output: dict[str, Any] = {
        "Bucket": upload.bucket,
        "Key": upload.key,
        "UploadId": upload.id,
        "PartNumberMarker": after,
        "NextPartNumberMarker": page[-1].number if page else 0,
        "MaxParts": most,
        "IsTruncated": len(page) < len(later),
        "Parts": [_part(part) for part in page],
        "Initiator": {"ID": upload.owner, "DisplayName": upload.owner.rpartition("/")[2]},
        "Owner": owner,
        "StorageClass": upload.attributes.storage_class,
    }
    if upload.checksum_algorithm:
        output["ChecksumAlgorithm"] = upload.checksum_algorithm
        output["ChecksumType"] = upload.checksum_type
    return output


def _part(part: Part) -> dict[str, Any]:
    return {
        "PartNumber": part.number,
        "LastModified": part.modified,
        "ETag": quoted(part.etag),
        "Size": part.size,
        **checksums.output_members(part.checksums, None),
    }


def list_multipart_uploads(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    bucket, encode = bucket_of(ctx, request), encoder(request)
    prefix, delimiter = request.get("Prefix", ""), request.get("Delimiter", "")
    most = page_size(request, "MaxUploads", "max-uploads")
    key_marker = request.get("KeyMarker", "")
    id_marker = request.get("UploadIdMarker", "") if key_marker else ""
    entries = _entries(ctx.platform.objects.uploads.under_way(bucket.name, prefix), request)
    page = entries[:most]
    output: dict[str, Any] = {
        "Bucket": bucket.name,
        "KeyMarker": encode(key_marker),
        "UploadIdMarker": id_marker,
        "Prefix": encode(prefix),
        "MaxUploads": most,
        "IsTruncated": len(page) < len(entries),
        "Uploads": [_upload(ctx, entry, encode) for entry in page if isinstance(entry, Upload)],
        "CommonPrefixes": [{"Prefix": encode(e)} for e in page if isinstance(e, str)],
    }
    if delimiter:
        output["Delimiter"] = encode(delimiter)
    if request.get("EncodingType"):
        output["EncodingType"] = request["EncodingType"]
    if output["IsTruncated"] and page:
        last = page[-1]
        output["NextKeyMarker"] = encode(last if isinstance(last, str) else last.key)
        output["NextUploadIdMarker"] = "" if isinstance(last, str) else last.id
    return output


def _entries(uploads: list[Upload], request: Mapping[str, Any]) -> list[Upload | str]:
    """What comes after the markers: uploads, or the common prefixes that stand for them."""
    prefix, delimiter = request.get("Prefix", ""), request.get("Delimiter", "")
    key_marker = request.get("KeyMarker", "")
    id_marker = request.get("UploadIdMarker", "") if key_marker else ""
    entries: list[Upload | str] = []
    for upload in uploads:
        found = upload.key.find(delimiter, len(prefix)) if delimiter else -1
        if found >= 0:
            common = upload.key[: found + len(delimiter)]
            if common > key_marker and (not entries or entries[-1] != common):
                entries.append(common)
        elif upload.key.encode() > key_marker.encode() or (
            upload.key == key_marker and id_marker and upload.id > id_marker
        ):
            entries.append(upload)
    return entries


def _upload(ctx: Ctx, upload: Upload, encode: Any) -> dict[str, Any]:
    output = {
        "UploadId": upload.id,
        "Key": encode(upload.key),
        "Initiated": upload.initiated,
        "StorageClass": upload.attributes.storage_class,
        "Owner": canonical_user(ctx.principal.account),
        "Initiator": {"ID": upload.owner, "DisplayName": upload.owner.rpartition("/")[2]},
    }
    if upload.checksum_algorithm:
        output["ChecksumAlgorithm"] = upload.checksum_algorithm
        output["ChecksumType"] = upload.checksum_type
    return output


OPERATIONS = operations(
    {
        "CreateMultipartUpload": create_multipart_upload,
        "UploadPart": upload_part,
        "CompleteMultipartUpload": complete_multipart_upload,
        "AbortMultipartUpload": abort_multipart_upload,
        "ListParts": list_parts,
        "ListMultipartUploads": list_multipart_uploads,
    }
)
