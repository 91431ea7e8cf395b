"""A little S3: objects in files of a folder, which the platform names."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from wildsage.wire.context import Context
from wildsage.wire.errors import ApiError
from wildsage.wire.registry import Handler
from wildsage.wire.streams import FileSlice, Response

Ctx = Context[dict[str, Any]]


def _path(ctx: Ctx, request: dict[str, Any]) -> Path:
    name = f"{request['Bucket']}/{request['Key']}".encode()
    folder: Path = ctx.platform["folder"]
    return folder / hashlib.sha256(name).hexdigest()


async def put_object(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    if request["Bucket"] == "missing":
        raise ApiError("NoSuchBucket", "The specified bucket does not exist", 404)
    body, digest = request.pop("Body"), hashlib.md5()
    with open(_path(ctx, request), "wb") as file:
        async for chunk in body:
            digest.update(chunk)
            file.write(chunk)
    ctx.platform["last"] = {**request, "trailers": dict(body.trailers)}
    return {"ETag": f'"{digest.hexdigest()}"'}


def get_object(ctx: Ctx, request: dict[str, Any]) -> Response:
    path = _path(ctx, request)
    if not path.exists():
        raise ApiError("NoSuchKey", "The specified key does not exist.", 404)
    size = path.stat().st_size
    first = 0 if "Range" not in request else int(request["Range"].removeprefix("bytes=")[:-1])
    output = {
        "Body": FileSlice(path, first, size - first),
        "ContentLength": size - first,
        "ContentType": "text/csv;label_size=0",
        "Metadata": {"name": "value"},
        "LastModified": 1_700_000_000,
    }
    return Response(output, status=206 if first else None, headers={"X-Extra": "1"})


def head_object(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in get_object(ctx, request).output.items() if k != "Body"}


def list_buckets(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    return {"Buckets": [{"Name": "a-bucket", "CreationDate": 1_700_000_000}], "Owner": {"ID": "x"}}


def get_bucket_location(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    return {"LocationConstraint": "eu-west-1"}


def delete_objects(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    objects = request.get("Delete", {}).get("Objects", [])
    return {"Deleted": [{"Key": item.get("Key")} for item in objects]}


def delete_object(ctx: Ctx, request: dict[str, Any]) -> None:
    _path(ctx, request).unlink(missing_ok=True)


OPERATIONS: dict[str, Handler] = {
    "DeleteObject": delete_object,
    "DeleteObjects": delete_objects,
    "GetBucketLocation": get_bucket_location,
    "GetObject": get_object,
    "HeadObject": head_object,
    "ListBuckets": list_buckets,
    "PutObject": put_object,
}
