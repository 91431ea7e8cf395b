"""Log events: PutLogEvents with its checks, GetLogEvents, FilterLogEvents."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from wildsage.services.logs.answers import group_name, invalid, operations
from wildsage.services.platform import Ctx
from wildsage.store.log_rows import now_ms
from wildsage.store.logs import MAX_EVENTS
from wildsage.wire.errors import not_implemented

_HOUR = 3600 * 1000
_DAY = 24 * _HOUR
_MAX_BATCH_BYTES = 1 << 20
_EVENT_OVERHEAD = 26


def put_log_events(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """The sequence token is ignored, as on AWS; an answer still carries one for old clients."""
    logs, events = ctx.platform.logs, request["logEvents"]
    group, stream = request["logGroupName"], request["logStreamName"]
    _check_batch(events)
    retention = logs.find_group(ctx.scope, group).retention_days
    accepted, rejected = _split(events, now_ms(), retention)
    _check_span(accepted)
    pairs = [(event["timestamp"], event["message"]) for event in accepted]
    if pairs:
        logs.put_events(ctx.scope, group, stream, pairs)
    answer: dict[str, Any] = {"nextSequenceToken": f"{now_ms():056d}"}
    return answer | ({"rejectedLogEventsInfo": rejected} if rejected else {})


def _check_batch(events: list[dict[str, Any]]) -> None:
    size = sum(len(event["message"].encode()) + _EVENT_OVERHEAD for event in events)
    if size > _MAX_BATCH_BYTES:
        raise invalid(f"Upload too large: {size} bytes exceeds limit of {_MAX_BATCH_BYTES}")
    if any(a["timestamp"] > b["timestamp"] for a, b in pairwise(events)):
        raise invalid("Log events in a single PutLogEvents request must be in chronological order.")


def _check_span(events: list[dict[str, Any]]) -> None:
    if events and events[-1]["timestamp"] - events[0]["timestamp"] > _DAY:
        raise invalid(
            "The batch of log events in a single PutLogEvents request cannot span more than "
            "24 hours."
        )


def _split(
    events: list[dict[str, Any]], now: int, retention_days: int | None
) -> tuple[list[dict[str, Any]], dict[str, int]]:
    """The events that are taken, and where those that are too old, expired or too new end."""
    rejected: dict[str, int] = {}
    too_old = sum(event["timestamp"] < now - 14 * _DAY for event in events)
    too_new = sum(event["timestamp"] > now + 2 * _HOUR for event in events)
    expired = 0
    if retention_days is not None:
        expired = sum(event["timestamp"] < now - retention_days * _DAY for event in events)
    if too_old:
        rejected["tooOldLogEventEndIndex"] = too_old
    if expired > too_old:
        rejected["expiredLogEventEndIndex"] = expired
    if too_new:
        rejected["tooNewLogEventStartIndex"] = len(events) - too_new
    return events[max(too_old, expired) : len(events) - too_new], rejected


def get_log_events(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    page = ctx.platform.logs.get_events(
        ctx.scope,
        group_name(request),
        request["logStreamName"],
        start_time=request.get("startTime"),
        end_time=request.get("endTime"),
        limit=request.get("limit", MAX_EVENTS),
        token=request.get("nextToken"),
        start_from_head=request.get("startFromHead", False),
    )
    events = [
        {"timestamp": timestamp, "message": message, "ingestionTime": ingestion}
        for timestamp, ingestion, message in page.events
    ]
    return {
        "events": events,
        "nextForwardToken": page.forward,
        "nextBackwardToken": page.backward,
    }


def filter_log_events(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    names, prefix = request.get("logStreamNames"), request.get("logStreamNamePrefix")
    if names and prefix:
        raise invalid("Only one of logStreamNames and logStreamNamePrefix may be specified.")
    if not request.get("startFromHead", True):
        raise not_implemented("logs", "FilterLogEvents with startFromHead=false")
    page = ctx.platform.logs.filter_events(
        ctx.scope,
        group_name(request),
        streams=names or (),
        prefix=prefix or "",
        start_time=request.get("startTime"),
        end_time=request.get("endTime"),
        pattern=request.get("filterPattern", ""),
        limit=request.get("limit", MAX_EVENTS),
        token=request.get("nextToken"),
    )
    events = [
        {
            "logStreamName": found.stream,
            "timestamp": found.timestamp,
            "message": found.event.message,
            "ingestionTime": found.event.ingestion,
            "eventId": found.event_id,
        }
        for found in page.events
    ]
    # AWS leaves searchedLogStreams empty since 2019.
    answer: dict[str, Any] = {"events": events, "searchedLogStreams": []}
    return answer | ({"nextToken": page.next_token} if page.next_token else {})


OPERATIONS = operations(
    {
        "PutLogEvents": put_log_events,
        "GetLogEvents": get_log_events,
        "FilterLogEvents": filter_log_events,
    }
)
