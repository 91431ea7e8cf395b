"""What every operation of S3 does first: find the bucket, check the key, know the owner."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, quote

from wildsage.services.platform import Ctx
from wildsage.services.s3.errors import (
    access_denied,
    invalid_argument,
    no_such_version,
)
from wildsage.store.objects.types import Bucket
from wildsage.wire.errors import ApiError

MAX_KEY = 1024
_MAX_TAGS = 10
_TAG_CHARACTERS = re.compile(r"[\w\s+\-=.:/@]*")


def bucket_of(ctx: Ctx, request: Mapping[str, Any]) -> Bucket:
    """The bucket of the request, if it is there and the caller's."""
    return check_owner(ctx, request["Bucket"], request.get("ExpectedBucketOwner"))


def check_owner(ctx: Ctx, name: str, expected: str | None) -> Bucket:
    bucket = ctx.platform.objects.bucket(name)
    # Without a bucket policy another account's bucket is closed.
    if bucket.account != ctx.principal.account or expected not in (None, bucket.account):
        raise access_denied()
    return bucket


def key_of(request: Mapping[str, Any]) -> str:
    """The key of the request, which may be any text of up to 1024 bytes."""
    return check_key(request["Key"])


def check_key(key: str) -> str:
    try:
        size = len(key.encode())
    except UnicodeEncodeError:
        raise ApiError("InvalidURI", "Couldn't parse the specified URI.") from None
    if not size:
        text = "A key must be specified."
        raise ApiError("UserKeyMustBeSpecified", text)
    if size > MAX_KEY:
        fields = {"Size": str(size), "MaxSizeAllowed": str(MAX_KEY)}
        raise ApiError("KeyTooLongError", "Your key is too long", fields=fields)
    return key


def check_version(request: Mapping[str, Any]) -> None:
    """Buckets are not versioned, so the only version of an object is "null"."""
    if request.get("VersionId", "null") != "null":
        raise no_such_version(request["Key"], request["VersionId"])


def canonical_user(account: str) -> dict[str, str]:
    """S3 knows an account by 64 hexadecimal digits of its own."""
    return {"ID": hashlib.sha256(account.encode()).hexdigest(), "DisplayName": account}


def quoted(etag: str) -> str:
    return f'"{etag}"'


def encoder(request: Mapping[str, Any]) -> Any:
    """How keys are written in a listing: URL-encoded when the client asks for it."""
    encoding = request.get("EncodingType")
    if encoding not in (None, "", "url"):
        raise invalid_argument(
            "Invalid Encoding Method specified in Request", "encoding-type", encoding
        )
    return (lambda text: quote(text, safe="/")) if encoding else str


def page_size(request: Mapping[str, Any], member: str, argument: str) -> int:
    """At most 1000 entries, however many are asked for."""
    size: int = request.get(member, 1000)
    if size < 0:
        text = f"Argument {argument} must be an integer between 0 and 2147483647"
        raise invalid_argument(text, argument, size)
    return min(size, 1000)


def tags_of_header(header: str | None) -> dict[str, str]:
    """`x-amz-tagging: a=1&b=2`."""
    pairs = parse_qsl(header or "", keep_blank_values=True)
    return check_tags(pairs)


def tags_of_set(tag_set: list[dict[str, str]], most: int = _MAX_TAGS) -> dict[str, str]:
    return check_tags([(tag.get("Key", ""), tag.get("Value", "")) for tag in tag_set], most)


def check_tags(pairs: list[tuple[str, str]], most: int = _MAX_TAGS) -> dict[str, str]:
    if len(pairs) > most:
        raise ApiError("BadRequest", f"Object tags cannot be greater than {most}")
    tags = dict(pairs)
    if len(tags) != len(pairs):
        raise ApiError("InvalidTag", "Cannot provide multiple Tags with the same key")
    for key, value in pairs:
        if not 0 < len(key) <= 128 or not _TAG_CHARACTERS.fullmatch(key):
            raise ApiError("InvalidTag", "The TagKey you have provided is invalid")
        if len(value) > 256 or not _TAG_CHARACTERS.fullmatch(value):
            raise ApiError("InvalidTag", "The TagValue you have provided is invalid")
    return tags


def tag_set(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]
