"""What the round trips of tests/conformance do not reach: types, limits and odd forms."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from wildsage.wire import query_codec, scalars, xml_codec
from wildsage.wire.dispatch import codec_of
from wildsage.wire.errors import ApiError
from wildsage.wire.model import service_model
from wildsage.wire.patterns import compile_pattern
from wildsage.wire.reply import Reply
from wildsage.wire.request import HttpRequest, decode_form
from wildsage.wire.rest import split_header
from wildsage.wire.streams import Response

MOMENT = 1_700_000_000.0


def read(service: str, operation: str, body: bytes) -> dict[str, Any]:
    model = service_model(service)
    codec = codec_of(model.operation(operation), model.protocol)
    return codec.read(HttpRequest("POST", "/", "", {}), {}, body)


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b'"text"', "Unexpected field type"),
        (b"[]", "Start of list found where not expected"),
        (b'{"TrainingJobName": {}}', "Start of structure or map found where not expected."),
        (b'{"TrainingJobName": []}', "Start of list found where not expected"),
        (b'{"TrainingJobName": true}', "TRUE_VALUE can not be converted to a String"),
        (b'{"TrainingJobName": false}', "FALSE_VALUE can not be converted to a String"),
        (b'{"TrainingJobName": 1.5}', "DECIMAL_VALUE can not be converted to a String"),
        (b'{"InputDataConfig": "x"}', "Unexpected field type"),
        (b'{"InputDataConfig": {}}', "Start of structure or map found where not expected."),
        (b'{"HyperParameters": []}', "Start of list found where not expected"),
        (b'{"ResourceConfig": {"InstanceCount": "1"}}', "STRING_VALUE can not be converted to an"),
        (b'{"ResourceConfig": {"InstanceCount": 3000000000}}', "cannot be converted to Integer"),
        (b'{"EnableNetworkIsolation": "true"}', "STRING_VALUE can not be converted to a Boolean"),
    ],
)
def test_json_of_the_wrong_type(body: bytes, text: str) -> None:
    with pytest.raises(ApiError) as caught:
        read("sagemaker", "CreateTrainingJob", body)
    assert caught.value.code == "SerializationException"
    assert text in caught.value.message


def test_json_leaves_out_nulls_and_what_it_does_not_know() -> None:
    body = b'{"TrainingJobName": "x", "RoleArn": null, "Unknown": 1, "Tags": [null]}'
    assert read("sagemaker", "CreateTrainingJob", body) == {"TrainingJobName": "x", "Tags": []}


def test_json_numbers_are_taken_as_their_types_want_them() -> None:
    body = b'{"ResourceConfig": {"InstanceCount": 2.0, "VolumeSizeInGB": 3.9}}'
    config = read("sagemaker", "CreateTrainingJob", body)["ResourceConfig"]
    assert config == {"InstanceCount": 2, "VolumeSizeInGB": 3}


@pytest.mark.parametrize("value", ["1700000000", '"2023-11-14T22:13:20Z"', "1.7e9"])
def test_json_timestamps(value: str) -> None:
    body = b'{"CreationTimeAfter": ' + value.encode() + b"}"
    assert read("sagemaker", "ListTrainingJobs", body) == {"CreationTimeAfter": MOMENT}


@pytest.mark.parametrize("value", ["1e300", '"yesterday"', "true", "[]"])
def test_json_timestamps_that_are_none(value: str) -> None:
    with pytest.raises(ApiError, match="SerializationException"):
        read("sagemaker", "ListTrainingJobs", b'{"CreationTimeAfter": ' + value.encode() + b"}")


def test_json_of_great_depth_is_no_fault_of_ours() -> None:
    with pytest.raises(ApiError, match="SerializationException"):
        read("sagemaker", "Search", b'{"a":' * 2000 + b"1" + b"}" * 2000)


@pytest.mark.parametrize(
    "text",
    [
        "1700000000", "1700000000.0", "2023-11-14T22:13:20Z", "2023-11-14T22:13:20.000Z",
        "2023-11-14T23:13:20+01:00", "2023-11-14T22:13:20", "Tue, 14 Nov 2023 22:13:20 GMT",
    ],
)  # fmt: skip
def test_timestamps_are_read_in_every_form(text: str) -> None:
    assert scalars.read_timestamp(text) == MOMENT


@pytest.mark.parametrize(
    "value",
    [
        MOMENT,
        int(MOMENT),
        datetime.fromtimestamp(MOMENT, UTC),
        datetime.fromtimestamp(MOMENT, UTC).replace(tzinfo=None),
        datetime.fromtimestamp(MOMENT, timezone(timedelta(hours=5))),
    ],
)
def test_timestamps_are_written_from_every_form(value: Any) -> None:
    assert scalars.unix(value) == MOMENT
    assert scalars.TIMESTAMPS["iso8601"](value) == "2023-11-14T22:13:20Z"
    assert scalars.TIMESTAMPS["iso8601-millis"](value) == "2023-11-14T22:13:20.000Z"
    assert scalars.TIMESTAMPS["rfc822"](value) == "Tue, 14 Nov 2023 22:13:20 GMT"


def test_text_that_is_final_passes_through() -> None:
    assert scalars.TIMESTAMPS["rfc822"]("any") == "any"
    assert scalars.unix("2023-11-14T22:13:20Z") == MOMENT


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("integer", " -5 ", -5),
        ("float", "1e3", 1000.0),
        ("double", "-Infinity", -math.inf),
        ("boolean", "TRUE", True),
        ("blob", "AP8=", b"\x00\xff"),
    ],
)
def test_scalars_of_text(kind: str, text: str, value: Any) -> None:
    assert scalars.reader(FakeShape(kind))(text) == value


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("integer", "1_0"), ("integer", "٣"), ("integer", "9" * 5000), ("integer", "2147483648"),
        ("float", "1.2.3"), ("float", "1_0"), ("float", "inf"), ("boolean", "yes"),
        ("blob", "not base64!"), ("timestamp", "x"), ("timestamp", ""), ("timestamp", "nan"),
    ],
)  # fmt: skip
def test_text_that_is_no_such_scalar(kind: str, text: str) -> None:
    with pytest.raises(ApiError, match="SerializationException"):
        scalars.reader(FakeShape(kind))(text)


class FakeShape:
    def __init__(self, kind: str) -> None:
        self.type_name = kind


def test_floats_are_written_with_their_special_values() -> None:
    values = [1.5, math.nan, math.inf, -math.inf]
    assert [scalars.write_float(value) for value in values] == [
        "1.5", "NaN", "Infinity", "-Infinity",
    ]  # fmt: skip


# ---- query


def test_queries_are_trees() -> None:
    body = b"Tags.member.2.Key=b&Tags.member.1.Key=a&Tags.member.10.Key=c&UserName=a+%26b"
    request = read("iam", "CreateUser", body)
    assert request == {"UserName": "a &b", "Tags": [{"Key": k} for k in "abc"]}


def test_empty_lists_are_sent_as_nothing() -> None:
    assert read("iam", "CreateUser", b"UserName=u&Tags=") == {"UserName": "u", "Tags": []}


@pytest.mark.parametrize("body", [b"Tags.member.x.Key=a", b"Tags.member.-1.Key=a"])
def test_numbers_of_lists_must_be_numbers(body: bytes) -> None:
    with pytest.raises(ApiError, match="SerializationException"):
        read("iam", "CreateUser", body)


def test_queries_of_great_depth_are_refused() -> None:
    with pytest.raises(ApiError, match="MalformedQueryString"):
        query_codec.tree([("a." * 1000, "x")])


def test_odd_forms() -> None:
    assert decode_form("a=b=c&&d&=e&%ff=%zz") == [
        ("a", "b=c"), ("d", ""), ("", "e"), ("\ufffd", "%zz"),
    ]  # fmt: skip


# ---- xml


def test_text_is_escaped() -> None:
    assert xml_codec.escape("a<b>&\"'\r\x00é") == "a&lt;b&gt;&amp;&quot;&#39;&#xd;&#x0;é"


@pytest.mark.parametrize("body", [b"", b"<a>", b"<a/><b/>", b"\xff\xfe\x00", b"<!DOCTYPE a><a/>"])
def test_what_is_no_xml(body: bytes) -> None:
    with pytest.raises(ApiError, match="MalformedXML"):
        xml_codec.parse(body)


def test_attributes_are_read() -> None:
    body = (
        b'<AccessControlPolicy><AccessControlList><Grant><Grantee xmlns:xsi="http://x" '
        b'xsi:type="CanonicalUser"><ID>i</ID></Grantee></Grant></AccessControlList>'
        b"</AccessControlPolicy>"
    )
    policy = read("s3", "PutBucketAcl", body)["AccessControlPolicy"]
    assert policy == {"Grants": [{"Grantee": {"Type": "CanonicalUser", "ID": "i"}}]}


# ---- headers


@pytest.mark.parametrize(
    ("text", "items"),
    [
        ("a, b ,c", ["a", "b", "c"]),
        ('"a,b", "c\\"d"', ["a,b", 'c"d']),
        ("one", ["one"]),
        ("", []),
    ],
)
def test_lists_in_headers(text: str, items: list[str]) -> None:
    assert split_header(text) == items


def test_headers_cannot_be_split_by_what_they_say() -> None:
    reply = Reply(200, {"x-a": "a\r\nx-evil: b", "x-b": "€", "x-c": "é"})
    headers = dict(reply.raw_headers())
    assert headers[b"x-a"] == b"a  x-evil: b"
    assert (headers[b"x-b"], headers[b"x-c"]) == ("€".encode(), b"\xe9")


def test_a_handler_may_set_status_and_headers() -> None:
    codec = codec_of(service_model("s3").operation("GetObject"), "rest-xml")
    reply = codec.write(Response({"Body": b""}, 304, {"X-Raw": "1"}), "i")
    assert (reply.status, reply.headers["x-raw"], reply.has_body) == (304, "1", False)


# ---- patterns


@pytest.mark.parametrize(
    ("pattern", "good", "bad"),
    [
        (r"[\p{L}\p{Z}\p{N}_.:/=+\-@]*", "Ünï 中 ٣ _.:/=+-@", "a#b"),
        (r"\p{ASCII}*", "abc~", "é"),
        (r"\A\S[\p{Print}]*\z", "a b", " a"),
        (r"[\w-_]*", "a-b_c", "a b"),
        (r"[\u0020-\uFFFD\uD800\uDC00-\uDBFF\uDFFF\t]*", "a\t\U0001f600", "\x01"),
        (r"\d+", "12", "٣"),
        (r"([a-z]*)${1,128}", "abc", "1"),
    ],
)
def test_patterns_of_java(pattern: str, good: str, bad: str) -> None:
    compiled = compile_pattern(pattern)
    assert compiled is not None
    assert compiled.fullmatch(good)
    assert not compiled.fullmatch(bad)


def test_a_pattern_that_cannot_be_said_checks_nothing() -> None:
    assert compile_pattern(r"\p{NoSuchThing}") is None
    assert compile_pattern("(") is None
