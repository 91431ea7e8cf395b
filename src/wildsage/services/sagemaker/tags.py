"""Tags of any resource, by its ARN."""

from __future__ import annotations

import base64
import binascii
from typing import Any

from wildsage.services.platform import Ctx
from wildsage.services.sagemaker import errors
from wildsage.store.errors import NotFound

_MOST_TAGS = 50

Request = dict[str, Any]


def add_tags(ctx: Ctx, request: Request) -> Request:
    arn = _owned(ctx, request["ResourceArn"])
    added = {tag["Key"]: tag["Value"] for tag in request["Tags"]}
    if any(key.lower().startswith("aws:") for key in added):
        raise errors.validation("aws: prefixed tag key names are not allowed for external use.")
    if len(ctx.platform.resources.tags(arn) | added) > _MOST_TAGS:
        raise errors.validation(f"A resource can have at most {_MOST_TAGS} tags.")
    ctx.platform.resources.add_tags(arn, added)
    return {"Tags": _listed(ctx, arn)}


def list_tags(ctx: Ctx, request: Request) -> Request:
    tags = _listed(ctx, _owned(ctx, request["ResourceArn"]))
    first = _position(request.get("NextToken"))
    end = first + (request.get("MaxResults") or _MOST_TAGS)
    following = {"NextToken": _token(end)} if end < len(tags) else {}
    return {"Tags": tags[first:end], **following}


def delete_tags(ctx: Ctx, request: Request) -> Request:
    arn = _owned(ctx, request["ResourceArn"])
    ctx.platform.resources.remove_tags(arn, request["TagKeys"])
    return {}


def _owned(ctx: Ctx, arn: str) -> str:
    """The ARN of a resource of the caller's account."""
    try:
        resource = ctx.platform.resources.get_by_arn(arn)
    except NotFound:
        raise errors.not_found() from None
    if resource.scope.account != ctx.scope.account:
        raise errors.not_found()
    return arn


def _listed(ctx: Ctx, arn: str) -> list[dict[str, str]]:
    tags = ctx.platform.resources.tags(arn)
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def _token(position: int) -> str:
    return base64.urlsafe_b64encode(str(position).encode()).decode()


def _position(token: str | None) -> int:
    if not token:
        return 0
    try:
        return int(base64.urlsafe_b64decode(token))
    except (ValueError, binascii.Error):
        raise errors.invalid_token() from None


OPERATIONS = {"AddTags": add_tags, "DeleteTags": delete_tags, "ListTags": list_tags}
