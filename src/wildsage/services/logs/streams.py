"""Log streams: create, describe, delete."""

from __future__ import annotations

from typing import Any

from wildsage.services.logs.answers import group_name, invalid, operations
from wildsage.services.platform import Ctx
from wildsage.store.logs import StreamSummary


def create_log_stream(ctx: Ctx, request: dict[str, Any]) -> None:
    ctx.platform.logs.create_stream(ctx.scope, request["logGroupName"], request["logStreamName"])


def delete_log_stream(ctx: Ctx, request: dict[str, Any]) -> None:
    ctx.platform.logs.delete_stream(ctx.scope, request["logGroupName"], request["logStreamName"])


def describe_log_streams(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    prefix, order = request.get("logStreamNamePrefix"), request.get("orderBy", "LogStreamName")
    if prefix and order == "LastEventTime":
        raise invalid("Cannot order by LastEventTime with a logStreamNamePrefix.")
    found, token = ctx.platform.logs.describe_streams(
        ctx.scope,
        group_name(request),
        prefix=prefix or "",
        order_by=order,
        descending=request.get("descending", False),
        limit=request.get("limit", 50),
        token=request.get("nextToken"),
    )
    answer: dict[str, Any] = {"logStreams": [_describe(summary) for summary in found]}
    return answer | ({"nextToken": token} if token else {})


def _describe(summary: StreamSummary) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "logStreamName": summary.stream.name,
        "creationTime": summary.stream.created,
        "arn": summary.stream.arn,
        "storedBytes": 0,  # AWS reports 0 for every stream since 2019
    }
    if summary.last is not None:
        answer["firstEventTimestamp"] = summary.first
        answer["lastEventTimestamp"] = summary.last
        answer["lastIngestionTime"] = summary.last_ingestion
    return answer


OPERATIONS = operations(
    {
        "CreateLogStream": create_log_stream,
        "DeleteLogStream": delete_log_stream,
        "DescribeLogStreams": describe_log_streams,
    }
)
