"""Tags of log groups, by name (the old operations) and by ARN."""

from __future__ import annotations

from typing import Any

from wildsage.services.logs.answers import invalid, name_in_arn, operations
from wildsage.services.platform import Ctx

_MAX_TAGS = 50


def tag_log_group(ctx: Ctx, request: dict[str, Any]) -> None:
    _add(ctx, request["logGroupName"], request["tags"])


def untag_log_group(ctx: Ctx, request: dict[str, Any]) -> None:
    _remove(ctx, request["logGroupName"], request["tags"])


def list_tags_log_group(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    return {"tags": ctx.platform.logs.find_group(ctx.scope, request["logGroupName"]).tags}


def tag_resource(ctx: Ctx, request: dict[str, Any]) -> None:
    _add(ctx, name_in_arn(request["resourceArn"]), request["tags"])


def untag_resource(ctx: Ctx, request: dict[str, Any]) -> None:
    _remove(ctx, name_in_arn(request["resourceArn"]), request["tagKeys"])


def list_tags_for_resource(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    group = ctx.platform.logs.find_group(ctx.scope, name_in_arn(request["resourceArn"]))
    return {"tags": group.tags}


def _add(ctx: Ctx, name: str, tags: dict[str, str]) -> None:
    merged = ctx.platform.logs.find_group(ctx.scope, name).tags | tags
    if len(merged) > _MAX_TAGS:
        raise invalid(f"A log group can have no more than {_MAX_TAGS} tags.")
    ctx.platform.logs.set_group_tags(ctx.scope, name, merged)


def _remove(ctx: Ctx, name: str, keys: list[str]) -> None:
    tags = ctx.platform.logs.find_group(ctx.scope, name).tags
    kept = {key: value for key, value in tags.items() if key not in keys}
    ctx.platform.logs.set_group_tags(ctx.scope, name, kept)


OPERATIONS = operations(
    {
        "TagLogGroup": tag_log_group,
        "UntagLogGroup": untag_log_group,
        "ListTagsLogGroup": list_tags_log_group,
        "TagResource": tag_resource,
        "UntagResource": untag_resource,
        "ListTagsForResource": list_tags_for_resource,
    }
)
