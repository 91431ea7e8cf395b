"""Log groups: create, describe, delete, and how long they keep events."""

from __future__ import annotations

from typing import Any

from wildsage.services.logs.answers import invalid, operations
from wildsage.services.platform import Ctx
from wildsage.store.log_rows import Group

_RETENTIONS = (
    1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922,
    3288, 3653,
)  # fmt: skip


def create_log_group(ctx: Ctx, request: dict[str, Any]) -> None:
    ctx.platform.logs.create_group(
        ctx.scope,
        request["logGroupName"],
        kms_key=request.get("kmsKeyId"),
        tags=request.get("tags"),
    )


def delete_log_group(ctx: Ctx, request: dict[str, Any]) -> None:
    ctx.platform.logs.delete_group(ctx.scope, request["logGroupName"])


def describe_log_groups(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    prefix, contains = request.get("logGroupNamePrefix"), request.get("logGroupNamePattern")
    if prefix and contains:
        raise invalid("LogGroup name prefix and LogGroup name pattern are mutually exclusive.")
    found, token = ctx.platform.logs.describe_groups(
        ctx.scope,
        prefix=prefix or "",
        contains=contains or "",
        limit=request.get("limit", 50),
        token=request.get("nextToken"),
    )
    answer: dict[str, Any] = {"logGroups": [_describe(ctx, group) for group in found]}
    return answer | ({"nextToken": token} if token else {})


def _describe(ctx: Ctx, group: Group) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "logGroupName": group.name,
        "creationTime": group.created,
        "metricFilterCount": 0,
        "arn": f"{group.arn}:*",
        "logGroupArn": group.arn,
        "storedBytes": ctx.platform.logs.stored_bytes(group),
        "logGroupClass": "STANDARD",
    }
    if group.retention_days is not None:
        answer["retentionInDays"] = group.retention_days
    if group.kms_key is not None:
        answer["kmsKeyId"] = group.kms_key
    return answer


def put_retention_policy(ctx: Ctx, request: dict[str, Any]) -> None:
    days = request["retentionInDays"]
    if days not in _RETENTIONS:
        raise invalid(
            f"1 validation error detected: Value '{days}' at 'retentionInDays' failed to satisfy "
            f"constraint: Member must satisfy enum value set: {list(_RETENTIONS)}"
        )
    ctx.platform.logs.set_retention(ctx.scope, request["logGroupName"], days)


def delete_retention_policy(ctx: Ctx, request: dict[str, Any]) -> None:
    ctx.platform.logs.set_retention(ctx.scope, request["logGroupName"], None)


OPERATIONS = operations(
    {
        "CreateLogGroup": create_log_group,
        "DeleteLogGroup": delete_log_group,
        "DescribeLogGroups": describe_log_groups,
        "PutRetentionPolicy": put_retention_policy,
        "DeleteRetentionPolicy": delete_retention_policy,
    }
)
