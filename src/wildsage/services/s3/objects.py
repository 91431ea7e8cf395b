"""Objects: put, get, head, delete."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wildsage.services.platform import Ctx
from wildsage.services.s3 import checksums
from wildsage.services.s3.attributes import (
    attributes_of,
    describe,
    encryption_of,
    override,
    refuse_unsupported,
)
from wildsage.services.s3.common import bucket_of, check_key, check_version, key_of, quoted
from wildsage.services.s3.conditions import Slice, not_modified, range_of, write_condition
from wildsage.services.s3.errors import invalid_request, malformed_xml, operations, translate
from wildsage.services.s3.streaming import body_of, in_thread, is_small, opened, receive
from wildsage.store.errors import StoreError
from wildsage.store.objects.types import Condition, StoredObject
from wildsage.store.objects.writer import BodyWriter
from wildsage.wire.errors import ApiError
from wildsage.wire.streams import FileSlice, Response

_IN_MEMORY = 256 << 10  # a body up to this size is read where its row was, instead of streamed
_MAX_DELETES = 1000
_KEPT_AT_304 = ("ETag", "LastModified", "CacheControl", "Expires")


async def put_object(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    body = body_of(request)
    if is_small(body):
        data = await body.read()
        return await in_thread(_put_small, ctx, request, data, body.trailers)
    await in_thread(_check_put, ctx, request)
    declared = checksums.declared(ctx, request)
    async with opened(lambda: ctx.platform.objects.writer(declared.algorithms)) as writer:
        await receive(body, writer)
        return await in_thread(_commit, ctx, request, declared, writer, body.trailers)


def _check_put(ctx: Ctx, request: dict[str, Any]) -> None:
    """All that can be wrong before the body is there."""
    bucket_of(ctx, request)
    key_of(request)
    attributes_of(ctx, request)
    write_condition(request)


def _put_small(
    ctx: Ctx, request: dict[str, Any], data: bytes, trailers: Mapping[str, str]
) -> dict[str, Any]:
    _check_put(ctx, request)
    declared = checksums.declared(ctx, request)
    with ctx.platform.objects.writer(declared.algorithms) as writer:
        writer.write(data)
        return _commit(ctx, request, declared, writer, trailers)


def _commit(
    ctx: Ctx,
    request: dict[str, Any],
    declared: checksums.Declared,
    writer: BodyWriter,
    trailers: Mapping[str, str],
) -> dict[str, Any]:
    writer.verify(declared.md5, declared.complete(trailers))
    stored = ctx.platform.objects.commit(
        writer,
        request["Bucket"],
        request["Key"],
        attributes_of(ctx, request),
        write_condition(request),
    )
    return {"ETag": quoted(stored.etag), **checksums.of_object(stored), **encryption_of(request)}


def get_object(ctx: Ctx, request: dict[str, Any]) -> Response | dict[str, Any]:
    stored, part, answer = _look(ctx, request)
    if answer.status != 304:
        answer.output["Body"] = _body(stored, part)
    return answer


def head_object(ctx: Ctx, request: dict[str, Any]) -> Response:
    return _look(ctx, request)[2]


def _look(ctx: Ctx, request: dict[str, Any]) -> tuple[StoredObject, Slice, Response]:
    """The object, the slice that is asked for, and the answer without its body."""
    refuse_unsupported(request)
    bucket, key = bucket_of(ctx, request), key_of(request)
    check_version(request)
    stored = ctx.platform.objects.head(bucket.name, key)
    output = describe(stored)
    if not_modified(request, stored):
        kept = {name: output[name] for name in _KEPT_AT_304 if name in output}
        return stored, Slice(0, 0, False), Response(kept, status=304)
    part = _slice(ctx, request, stored, output)
    override(ctx, request, output)
    output["ContentLength"] = part.length
    if part.partial:
        output["ContentRange"] = part.content_range(stored.size)
    if request.get("ChecksumMode") == "ENABLED" and part.length == stored.size:
        output.update(checksums.of_object(stored))
    return stored, part, Response(output, status=206 if part.partial else None)


def _slice(
    ctx: Ctx, request: dict[str, Any], stored: StoredObject, output: dict[str, Any]
) -> Slice:
    number = request.get("PartNumber")
    if number is None:
        return range_of(request.get("Range"), stored.size)
    if request.get("Range"):
        text = "Cannot specify both Range header and partNumber query parameter"
        raise invalid_request(text)
    parts = ctx.platform.objects.parts(stored)
    if parts:
        output["PartsCount"] = len(parts)
    offset = 0
    for part in parts:
        if part.number == number:
            return Slice(offset, part.size, True)
        offset += part.size
    if number == 1 and not parts:
        return Slice(0, stored.size, stored.size > 0)
    fields = {"PartNumberRequested": str(number), "ActualPartCount": str(len(parts) or 1)}
    text = "The requested partnumber is not satisfiable"
    raise ApiError("InvalidPartNumber", text, 416, fields=fields)


def _body(stored: StoredObject, part: Slice) -> bytes | FileSlice:
    if part.length > _IN_MEMORY:
        return FileSlice(stored.path, part.offset, part.length)
    if not part.length:
        return b""
    with stored.path.open("rb") as file:
        file.seek(part.offset)
        return file.read(part.length)


def delete_object(ctx: Ctx, request: dict[str, Any]) -> None:
    bucket, key = bucket_of(ctx, request), key_of(request)
    check_version(request)
    ctx.platform.objects.delete(bucket.name, key, _delete_condition(request.get("IfMatch")))


def _delete_condition(etag: str | None) -> Condition:
    return Condition(etag=None if etag is None else etag.strip('"'))


def delete_objects(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    bucket = bucket_of(ctx, request)
    wanted = (request.get("Delete") or {}).get("Objects") or []
    if not 0 < len(wanted) <= _MAX_DELETES:
        raise malformed_xml()
    deleted: list[dict[str, Any]] = []
    errors: list[dict[str, Any]] = []
    plain = [item for item in wanted if _is_plain(item)]
    ctx.platform.objects.delete_many(bucket.name, [item["Key"] for item in plain])
    for item in wanted:
        try:
            if not _is_plain(item):
                check_key(item.get("Key", ""))
                check_version(item)
                condition = _delete_condition(item.get("ETag"))
                ctx.platform.objects.delete(bucket.name, item["Key"], condition)
            deleted.append({name: item[name] for name in ("Key", "VersionId") if name in item})
        except (ApiError, StoreError) as error:
            errors.append(_failure(item, error))
    output = {} if request["Delete"].get("Quiet") else {"Deleted": deleted}
    return output | ({"Errors": errors} if errors else {})


def _is_plain(item: Mapping[str, Any]) -> bool:
    """Whether it is deleted together with the others: nothing to check, nothing that can fail."""
    key = item.get("Key", "")
    conditional = item.get("ETag") or item.get("VersionId", "null") != "null"
    return not conditional and 0 < len(key) <= 256  # 256 characters are at most 1024 bytes


def _failure(item: Mapping[str, Any], error: Exception) -> dict[str, Any]:
    answer = translate(error)
    assert isinstance(answer, ApiError)
    return {"Key": item.get("Key", ""), "Code": answer.code, "Message": answer.message}


OPERATIONS = operations(
    {
        "PutObject": put_object,
        "GetObject": get_object,
        "HeadObject": head_object,
        "DeleteObject": delete_object,
        "DeleteObjects": delete_objects,
    }
)
