"""Tags of keys."""

from __future__ import annotations

from typing import Any

from wildsage.services.kms.lookup import find_key
from wildsage.services.platform import Ctx


def tag_resource(ctx: Ctx, request: dict[str, Any]) -> None:
    tags = {tag["TagKey"]: tag["TagValue"] for tag in request["Tags"]}
    ctx.platform.resources.add_tags(find_key(ctx, request["KeyId"]).arn, tags)


def untag_resource(ctx: Ctx, request: dict[str, Any]) -> None:
    ctx.platform.resources.remove_tags(find_key(ctx, request["KeyId"]).arn, request["TagKeys"])


def list_resource_tags(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    tags = ctx.platform.resources.tags(find_key(ctx, request["KeyId"]).arn)
    answer = [{"TagKey": key, "TagValue": value} for key, value in tags.items()]
    return {"Tags": answer, "Truncated": False}


OPERATIONS = {
    "TagResource": tag_resource,
    "UntagResource": untag_resource,
    "ListResourceTags": list_resource_tags,
}
