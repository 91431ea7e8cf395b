"""Buckets: create, head, list, locate, tag, delete."""

from __future__ import annotations

import ipaddress
import re
from typing import Any

from wildsage import arns
from wildsage.arns import Scope
from wildsage.services.platform import Ctx
from wildsage.services.s3.common import (
    bucket_of,
    canonical_user,
    tag_set,
    tags_of_set,
)
from wildsage.services.s3.errors import malformed_xml, not_implemented, operations
from wildsage.store.objects.errors import BucketExists
from wildsage.wire.errors import ApiError

_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_RESERVED_PREFIXES = ("xn--", "sthree-", "amzn-s3-demo-")
_RESERVED_SUFFIXES = ("-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3")
_MAX_TAGS = 50


def create_bucket(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    name = request["Bucket"]
    _check_name(name)
    configuration = request.get("CreateBucketConfiguration") or {}
    if request.get("ObjectLockEnabledForBucket"):
        raise not_implemented("x-amz-bucket-object-lock-enabled")
    if configuration.get("Bucket") or configuration.get("Location"):
        raise not_implemented("directory buckets")
    region = _region(ctx, configuration.get("LocationConstraint"))
    tags = tags_of_set(configuration.get("Tags", []), _MAX_TAGS)
    try:
        ctx.platform.objects.create_bucket(Scope(ctx.principal.account, region), name)
    except BucketExists as error:
        _answer_existing(ctx, error)
    if tags:
        ctx.platform.objects.tag_bucket(name, tags)
    return {"Location": f"/{name}"}


def _answer_existing(ctx: Ctx, error: BucketExists) -> None:
    """In us-east-1 creating one's own bucket again is no error."""
    fields = {"BucketName": error.name}
    if error.account != ctx.principal.account:
        text = (
            "The requested bucket name is not available. The bucket namespace is shared by all "
            "users of the system. Please select a different name and try again."
        )
        raise ApiError("BucketAlreadyExists", text, 409, fields=fields)
    if ctx.scope.region != arns.DEFAULT_REGION:
        text = "Your previous request to create the named bucket succeeded and you already own it."
        raise ApiError("BucketAlreadyOwnedByYou", text, 409, fields=fields)


def _check_name(name: str) -> None:
    legal = (
        _NAME.fullmatch(name)
        and ".." not in name
        and not name.startswith(_RESERVED_PREFIXES)
        and not name.endswith(_RESERVED_SUFFIXES)
        and not _is_address(name)
    )
    if not legal:
        fields = {"BucketName": name}
        raise ApiError("InvalidBucketName", "The specified bucket is not valid.", fields=fields)


def _is_address(name: str) -> bool:
    try:
        ipaddress.IPv4Address(name)
    except ValueError:
        return False
    return True


def _region(ctx: Ctx, constraint: str | None) -> str:
    """Where the bucket goes: the constraint and the endpoint's region have to agree."""
    endpoint = ctx.scope.region
    if constraint == arns.DEFAULT_REGION:
        fields = {"LocationConstraint": constraint}
        text = "The specified location-constraint is not valid"
        raise ApiError("InvalidLocationConstraint", text, fields=fields)
    wanted = {"EU": "eu-west-1", None: arns.DEFAULT_REGION}.get(constraint, constraint)
    if endpoint not in (arns.DEFAULT_REGION, wanted):
        named = constraint or "unspecified"
        raise ApiError(
            "IllegalLocationConstraintException",
            f"The {named} location constraint is incompatible for the region specific endpoint "
            "this request was sent to.",
        )
    return str(wanted)


def head_bucket(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    bucket = bucket_of(ctx, request)
    return {"BucketRegion": bucket.region, "AccessPointAlias": False}


def list_buckets(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    prefix, after = request.get("Prefix", ""), request.get("ContinuationToken", "")
    region, most = request.get("BucketRegion"), request.get("MaxBuckets")
    found = [
        bucket
        for bucket in ctx.platform.objects.list_buckets(ctx.principal.account)
        if bucket.name.startswith(prefix)
        and bucket.name > after
        and region in (None, bucket.region)
    ]
    page = found if most is None else found[:most]
    output: dict[str, Any] = {
        "Owner": canonical_user(ctx.principal.account),
        "Buckets": [
            {"Name": b.name, "CreationDate": b.created, "BucketRegion": b.region} for b in page
        ],
    }
    if prefix:
        output["Prefix"] = prefix
    if len(page) < len(found):
        output["ContinuationToken"] = page[-1].name
    return output


def get_bucket_location(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    region = bucket_of(ctx, request).region
    return {} if region == arns.DEFAULT_REGION else {"LocationConstraint": region}


def delete_bucket(ctx: Ctx, request: dict[str, Any]) -> None:
    ctx.platform.objects.delete_bucket(bucket_of(ctx, request).name)


def get_bucket_versioning(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """What AWS answers for a bucket on which versioning was never enabled."""
    bucket_of(ctx, request)
    return {}


def get_bucket_tagging(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    bucket = bucket_of(ctx, request)
    if not bucket.tags:
        fields = {"BucketName": bucket.name}
        raise ApiError("NoSuchTagSet", "The TagSet does not exist", 404, fields=fields)
    return {"TagSet": tag_set(bucket.tags)}


def put_bucket_tagging(ctx: Ctx, request: dict[str, Any]) -> None:
    bucket = bucket_of(ctx, request)
    if "TagSet" not in (request.get("Tagging") or {}):
        raise malformed_xml()
    tags = tags_of_set(request["Tagging"]["TagSet"], _MAX_TAGS)
    ctx.platform.objects.tag_bucket(bucket.name, tags)


def delete_bucket_tagging(ctx: Ctx, request: dict[str, Any]) -> None:
    ctx.platform.objects.tag_bucket(bucket_of(ctx, request).name, {})


OPERATIONS = operations(
    {
        "CreateBucket": create_bucket,
        "HeadBucket": head_bucket,
        "ListBuckets": list_buckets,
        "GetBucketLocation": get_bucket_location,
        "DeleteBucket": delete_bucket,
        "GetBucketVersioning": get_bucket_versioning,
        "GetBucketTagging": get_bucket_tagging,
        "PutBucketTagging": put_bucket_tagging,
        "DeleteBucketTagging": delete_bucket_tagging,
    }
)
