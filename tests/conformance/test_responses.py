"""Whatever a handler answers, botocore reads back the same; errors too."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import pytest
from botocore.awsrequest import HeadersDict
from botocore.parsers import create_parser

from conformance.helpers_samples import MOMENT, plain, pruned, sample
from wildsage.wire.dispatch import codec_of
from wildsage.wire.errors import ApiError, internal_failure, not_implemented
from wildsage.wire.model import Service, service_model
from wildsage.wire.protocols import write_error
from wildsage.wire.reply import Reply
from wildsage.wire.streams import Response

SERVICES = (
    "sagemaker", "sagemaker-runtime", "sagemaker-featurestore-runtime", "sagemaker-metrics",
    "s3", "iam", "sts", "logs", "kms", "lambda", "cloudwatch",
)  # fmt: skip
# botocore's client reads the first in a hook of its own (tests/wire does it with the client); the
# second, deprecated, has two members for one element.
ALWAYS = {"ContentLength", "ContentType"}
EXCEPTIONS = {("s3", "GetBucketLocation"), ("s3", "GetBucketNotification")}


def _has_event_stream(service: Service, operation: str) -> bool:
    return bool(service._model.operation_model(operation).has_event_stream_output)


OPERATIONS = [
    pytest.param(name, operation, id=f"{name}.{operation}")
    for name in SERVICES
    for operation in sorted(service_model(name).operation_names)
    if (name, operation) not in EXCEPTIONS and not _has_event_stream(service_model(name), operation)
]


def written(service: str, operation: str, output: dict[str, Any]) -> bytes:
    """The body of an answer."""
    model = service_model(service)
    body = codec_of(model.operation(operation), model.protocol).write(Response(output), "i").body
    assert isinstance(body, bytes)
    return body


def read_by_botocore(service: Service, reply: Reply, shape: Any) -> dict[str, Any]:
    assert isinstance(reply.body, bytes)
    headers = HeadersDict({k.decode(): v.decode("latin-1") for k, v in reply.raw_headers()})
    payload = shape.serialization.get("payload") if shape is not None else None
    streams = payload and shape.members[payload].type_name == "blob"
    body = BytesIO(reply.body) if streams else reply.body
    response = {"status_code": reply.status, "headers": headers, "body": body, "context": {}}
    parsed: dict[str, Any] = create_parser(service.protocol).parse(response, shape)
    if payload and streams:
        parsed[payload] = parsed[payload].read()
    return parsed


@pytest.mark.parametrize(("service_name", "operation_name"), OPERATIONS)
@pytest.mark.parametrize("full", [True, False], ids=["full", "few"])
def test_every_member_comes_back(service_name: str, operation_name: str, full: bool) -> None:
    service = service_model(service_name)
    operation = service.operation(operation_name)
    given = sample(operation.output, full=full) if operation.output is not None else {}
    codec = codec_of(operation, service.protocol)
    parsed = read_by_botocore(service, codec.write(Response(given), "id-1"), operation.output)
    metadata = parsed["ResponseMetadata"]
    assert metadata["RequestId"] == ("ID1" if service_name == "s3" else "id-1")
    assert _comparable(plain(parsed), operation.output) == _comparable(given, operation.output)


def _comparable(values: dict[str, Any], shape: Any) -> Any:
    """Without the status, the length and the type, which every answer has."""
    members = shape.members.items() if shape is not None else ()
    status = {n for n, m in members if m.serialization.get("location") == "statusCode"}
    return pruned({k: v for k, v in values.items() if k not in {*ALWAYS, *status}})


@pytest.mark.parametrize("service_name", SERVICES)
def test_errors_arrive_with_code_text_and_status(service_name: str) -> None:
    service = service_model(service_name)
    for error in (
        ApiError("SomeException", 'a <text> & "more"', 418),
        not_implemented(service_name, "Any"),
        internal_failure(),
    ):
        reply = write_error(service, service.protocol, error, "id-1")
        parsed = read_by_botocore(service, reply, None)
        assert parsed["Error"]["Code"] == error.code
        assert parsed["Error"]["Message"] == error.message
        assert parsed["ResponseMetadata"]["HTTPStatusCode"] == error.status


@pytest.mark.parametrize("service_name", [s for s in SERVICES if s != "s3"])
def test_modelled_errors_arrive_by_their_codes(service_name: str) -> None:
    service = service_model(service_name)
    for shape in service._model.error_shapes:
        reply = write_error(service, service.protocol, ApiError(shape.name, "text"), "id-1")
        parsed = read_by_botocore(service, reply, None)
        known = {shape.name, shape.error_code}
        assert {parsed["Error"]["Code"], parsed["Error"].get("QueryErrorCode")} & known
        assert parsed["Error"]["Message"] == "text"
        assert reply.status == shape.metadata.get("error", {}).get("httpStatusCode", 400)


def test_the_members_of_an_exception_arrive() -> None:
    service = service_model("sagemaker-runtime")
    fields = {"OriginalStatusCode": 500, "OriginalMessage": "boom", "LogStreamArn": "arn:x"}
    error = ApiError("ModelError", "Received server error (500)", 424, fields=fields)
    reply = write_error(service, "rest-json", error, "id-1")
    parsed = read_by_botocore(service, reply, service._model.shape_for("ModelError"))
    assert parsed == {"Message": "Received server error (500)", **fields}


def test_s3_errors_carry_fields_and_both_ids() -> None:
    error = ApiError(
        "NoSuchKey", "The specified key does not exist.", 404, fields={"Key": "a\x01<b"}
    )
    reply = write_error(service_model("s3"), "rest-xml", error, "0123-4567-89ab-cdef-0")
    assert isinstance(reply.body, bytes)
    assert reply.body.startswith(b'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>NoSuchKey')
    assert b"<Key>a&#x1;&lt;b</Key><RequestId>0123456789ABCDEF</RequestId>" in reply.body
    assert reply.headers["x-amz-request-id"] == "0123456789ABCDEF"


def test_timestamps_of_each_protocol() -> None:
    buckets = {"Buckets": [{"Name": "b", "CreationDate": MOMENT}]}
    element = b"<CreationDate>2023-11-14T22:13:20.000Z</CreationDate>"
    assert element in written("s3", "ListBuckets", buckets)
    user = {"User": {"UserName": "x", "CreateDate": MOMENT + 0.5}}
    assert b"<CreateDate>2023-11-14T22:13:20Z</CreateDate>" in written("iam", "GetUser", user)
    job = {"CreationTime": MOMENT + 0.1234567}
    body = written("sagemaker", "DescribeTrainingJob", job)
    assert body == b'{"CreationTime":1700000000.123}'


def test_timestamps_in_headers() -> None:
    operation = service_model("s3").operation("HeadObject")
    head = codec_of(operation, "rest-xml").write(Response({"LastModified": MOMENT}), "i")
    assert head.headers["last-modified"] == "Tue, 14 Nov 2023 22:13:20 GMT"


def test_the_roots_of_s3_answers() -> None:
    assert written("s3", "ListObjectsV2", {"Name": "b"}) == (
        b'<?xml version="1.0" encoding="UTF-8"?>\n'
        b'<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
        b"<Name>b</Name></ListBucketResult>"
    )
