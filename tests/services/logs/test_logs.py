from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import pytest

from wildsage import clock
from wildsage.clock import ManualClock
from wildsage.store.logs import MAX_EVENTS
from wildsage.wire.errors import ApiError

Call: TypeAlias = Callable[..., dict[str, Any]]
NOW = 1_700_000_000
MS = NOW * 1000
HOUR = 3600 * 1000
DAY = 24 * HOUR


@pytest.fixture
def stream(call: Call) -> dict[str, str]:
    names = {"logGroupName": "/g", "logStreamName": "s/1"}
    call("logs", "CreateLogGroup", logGroupName="/g")
    call("logs", "CreateLogStream", **names)
    return names


def put(call: Call, stream: dict[str, str], *events: tuple[int, str]) -> dict[str, Any]:
    pairs = [{"timestamp": timestamp, "message": message} for timestamp, message in events]
    with clock.using(ManualClock(NOW)):
        return call("logs", "PutLogEvents", logEvents=pairs, **stream)


def refusal(call: Call, operation: str, **request: Any) -> tuple[str, str]:
    with pytest.raises(ApiError) as error:
        call("logs", operation, **request)
    return error.value.code, error.value.message


def test_what_is_put_is_got(call: Call, stream: dict[str, str]) -> None:
    answer = put(call, stream, (MS, "one"), (MS + 1, "two"))
    assert set(answer) == {"nextSequenceToken"}
    found = call("logs", "GetLogEvents", **stream)
    assert found["events"] == [
        {"timestamp": MS, "message": "one", "ingestionTime": MS},
        {"timestamp": MS + 1, "message": "two", "ingestionTime": MS},
    ]
    token = found["nextForwardToken"]
    again = call("logs", "GetLogEvents", nextToken=token, **stream)
    assert (again["events"], again["nextForwardToken"]) == ([], token)


@pytest.mark.parametrize(
    "operation",
    ["GetLogEvents", "PutLogEvents", "DescribeLogStreams", "FilterLogEvents", "DeleteLogGroup"],
)
def test_a_missing_group(call: Call, operation: str) -> None:
    events = [{"timestamp": MS, "message": "x"}]
    answer = refusal(call, operation, logGroupName="/x", logStreamName="s", logEvents=events)
    text = "The specified log group does not exist."
    assert answer == ("ResourceNotFoundException", text)


def test_a_missing_stream(call: Call, stream: dict[str, str]) -> None:
    answer = refusal(call, "GetLogEvents", logGroupName="/g", logStreamName="x")
    text = "The specified log stream does not exist."
    assert answer == ("ResourceNotFoundException", text)


def test_what_is_there_already(call: Call, stream: dict[str, str]) -> None:
    code = "ResourceAlreadyExistsException"
    answer = refusal(call, "CreateLogGroup", logGroupName="/g")
    assert answer == (code, "The specified log group already exists")
    answer = refusal(call, "CreateLogStream", **stream)
    assert answer == (code, "The specified log stream already exists")


@pytest.mark.parametrize(
    ("events", "text"),
    [
        ([(MS + 1, "a"), (MS, "b")], "chronological order"),
        ([(MS - DAY - 1, "a"), (MS, "b")], "cannot span more than 24 hours"),
        ([(MS, "x" * (1 << 20))], "Upload too large: 1048602 bytes exceeds limit of 1048576"),
    ],
)
def test_bad_batches(
    call: Call, stream: dict[str, str], events: list[tuple[int, str]], text: str
) -> None:
    with pytest.raises(ApiError, match=text) as error:
        put(call, stream, *events)
    assert error.value.code == "InvalidParameterException"
    assert call("logs", "GetLogEvents", **stream)["events"] == []


def test_too_old_and_too_new_events_are_left_out(call: Call, stream: dict[str, str]) -> None:
    answer = put(
        call,
        stream,
        (MS - 20 * DAY, "old"),
        (MS - 15 * DAY, "old"),
        (MS, "fine"),
        (MS + 3 * HOUR, "new"),
    )
    assert answer["rejectedLogEventsInfo"] == {
        "tooOldLogEventEndIndex": 2,
        "tooNewLogEventStartIndex": 3,
    }
    found = call("logs", "GetLogEvents", **stream)["events"]
    assert [event["message"] for event in found] == ["fine"]


def test_expired_events_are_left_out(call: Call, stream: dict[str, str]) -> None:
    call("logs", "PutRetentionPolicy", logGroupName="/g", retentionInDays=1)
    answer = put(call, stream, (MS - 2 * DAY, "expired"), (MS, "fine"))
    assert answer["rejectedLogEventsInfo"] == {"expiredLogEventEndIndex": 1}
    groups = call("logs", "DescribeLogGroups")["logGroups"]
    assert groups[0]["retentionInDays"] == 1
    call("logs", "DeleteRetentionPolicy", logGroupName="/g")
    assert "retentionInDays" not in call("logs", "DescribeLogGroups")["logGroups"][0]


def test_a_retention_that_aws_does_not_offer(call: Call, stream: dict[str, str]) -> None:
    code, text = refusal(call, "PutRetentionPolicy", logGroupName="/g", retentionInDays=2)
    assert code == "InvalidParameterException"
    assert "Value '2' at 'retentionInDays' failed" in text


def test_groups_are_described(call: Call, stream: dict[str, str]) -> None:
    put(call, stream, (MS, "x"))
    [group] = call("logs", "DescribeLogGroups", logGroupNamePrefix="/")["logGroups"]
    assert group["arn"] == "arn:aws:logs:us-east-1:000000000000:log-group:/g:*"
    assert group["logGroupArn"] == group["arn"].removesuffix(":*")
    assert group["storedBytes"] > 0
    both = refusal(call, "DescribeLogGroups", logGroupNamePrefix="a", logGroupNamePattern="b")
    assert both[0] == "InvalidParameterException"


def test_streams_are_described(call: Call, stream: dict[str, str]) -> None:
    put(call, stream, (MS, "x"), (MS + 5, "y"))
    [found] = call("logs", "DescribeLogStreams", logGroupName="/g")["logStreams"]
    assert found["arn"] == "arn:aws:logs:us-east-1:000000000000:log-group:/g:log-stream:s/1"
    times = found["firstEventTimestamp"], found["lastEventTimestamp"], found["lastIngestionTime"]
    assert times == (MS, MS + 5, MS)
    answer = refusal(
        call,
        "DescribeLogStreams",
        logGroupName="/g",
        orderBy="LastEventTime",
        logStreamNamePrefix="s",
    )
    assert answer[1] == "Cannot order by LastEventTime with a logStreamNamePrefix."
    call("logs", "DeleteLogStream", **stream)
    assert call("logs", "DescribeLogStreams", logGroupName="/g")["logStreams"] == []


def test_events_are_filtered(call: Call, stream: dict[str, str]) -> None:
    put(call, stream, (MS, "ERROR a"), (MS + 1, "INFO b"), (MS + 2, "ERROR c"))
    page = call("logs", "FilterLogEvents", logGroupName="/g", filterPattern="ERROR", limit=1)
    [event] = page["events"]
    assert (event["message"], event["logStreamName"]) == ("ERROR a", "s/1")
    page = call(
        "logs",
        "FilterLogEvents",
        logGroupName="/g",
        filterPattern="ERROR",
        limit=MAX_EVENTS,
        nextToken=page["nextToken"],
    )
    assert [event["message"] for event in page["events"]] == ["ERROR c"]
    assert "nextToken" not in page


def test_what_filters_refuse(call: Call, stream: dict[str, str]) -> None:
    code, text = refusal(call, "FilterLogEvents", logGroupName="/g", filterPattern="[a, b]")
    assert (code, "not supported" in text) == ("InvalidParameterException", True)
    code, _ = refusal(
        call, "FilterLogEvents", logGroupName="/g", logStreamNames=["a"], logStreamNamePrefix="b"
    )
    assert code == "InvalidParameterException"
    code, _ = refusal(call, "FilterLogEvents", logGroupName="/g", startFromHead=False)
    assert code == "NotImplemented"


def test_a_bad_token(call: Call, stream: dict[str, str]) -> None:
    answer = refusal(call, "GetLogEvents", nextToken="f/1/s", **stream)
    assert answer == ("InvalidParameterException", "The specified nextToken is invalid.")


@pytest.mark.parametrize("suffix", ["", ":*"])
def test_a_group_by_its_arn(call: Call, stream: dict[str, str], suffix: str) -> None:
    arn = "arn:aws:logs:us-east-1:000000000000:log-group:/g" + suffix
    put(call, stream, (MS, "x"))
    page = call("logs", "GetLogEvents", logGroupIdentifier=arn, logStreamName="s/1")
    assert len(page["events"]) == 1
    assert refusal(call, "GetLogEvents", logStreamName="s/1")[0] == "InvalidParameterException"


def test_tags(call: Call, stream: dict[str, str]) -> None:
    arn = "arn:aws:logs:us-east-1:000000000000:log-group:/g"
    call("logs", "TagLogGroup", logGroupName="/g", tags={"a": "1", "b": "2"})
    call("logs", "TagResource", resourceArn=arn, tags={"c": "3"})
    call("logs", "UntagLogGroup", logGroupName="/g", tags=["a"])
    call("logs", "UntagResource", resourceArn=arn, tagKeys=["b"])
    assert call("logs", "ListTagsLogGroup", logGroupName="/g") == {"tags": {"c": "3"}}
    assert call("logs", "ListTagsForResource", resourceArn=arn) == {"tags": {"c": "3"}}
    many = {f"k{n}": "" for n in range(50)}
    answer = refusal(call, "TagLogGroup", logGroupName="/g", tags=many)
    assert answer[0] == "InvalidParameterException"


def test_through_boto3(client: Callable[..., Any]) -> None:
    logs = client("logs")
    logs.create_log_group(logGroupName="/g", tags={"team": "a"})
    logs.create_log_stream(logGroupName="/g", logStreamName="s")
    now = int(clock.now() * 1000)
    events = [{"timestamp": now + n, "message": f"{n}"} for n in range(7)]
    logs.put_log_events(logGroupName="/g", logStreamName="s", logEvents=events)
    pages = logs.get_paginator("filter_log_events").paginate(
        logGroupName="/g", PaginationConfig={"PageSize": 3}
    )
    assert [e["message"] for page in pages for e in page["events"]] == list("0123456")
    with pytest.raises(logs.exceptions.ResourceNotFoundException, match="does not exist"):
        logs.get_log_events(logGroupName="/x", logStreamName="s")
