"""The life of a request, without a socket."""

from __future__ import annotations

import gzip
import logging

import orjson
import pytest

from wire.helpers_wire import ACCOUNT, KEY, Signature, Toy, signed_headers

JOB = {
    "TrainingJobName": "a-job",
    "RoleArn": "arn:aws:iam::000000000000:role/r",
    "AlgorithmSpecification": {"TrainingInputMode": "File", "TrainingImage": "kmeans:1"},
    "OutputDataConfig": {"S3OutputPath": "s3://bucket/out"},
    "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
    "StoppingCondition": {"MaxRuntimeInSeconds": 60},
}
URL = "http://127.0.0.1:4570/"
FORM = {"content-type": "application/x-www-form-urlencoded; charset=utf-8"}


def test_a_request_reaches_its_handler_and_the_answer_comes_back(toy: Toy) -> None:
    answer = toy.sagemaker("CreateTrainingJob", orjson.dumps(JOB), region="eu-west-1")
    assert answer.status == 200
    arn = f"arn:aws:sagemaker:eu-west-1:{ACCOUNT}:x/a-job"
    assert orjson.loads(answer.body) == {"TrainingJobArn": arn}
    assert answer.headers["content-type"] == "application/x-amz-json-1.1"
    assert toy.platform["a-job"] == JOB
    described = toy.sagemaker("DescribeTrainingJob", b'{"TrainingJobName": "a-job"}')
    expected = {k: v for k, v in JOB.items() if k != "RoleArn"} | {"CreationTime": 1_700_000_000.5}
    assert orjson.loads(described.body) == expected


def test_an_operation_without_output_answers_with_nothing(toy: Toy) -> None:
    answer = toy.sagemaker("DeleteTrainingJob", b'{"TrainingJobName": "a-job"}')
    assert (answer.status, answer.body, answer.headers["content-length"]) == (200, b"", "0")


@pytest.mark.parametrize(
    ("operation", "body", "status", "code", "text"),
    [
        ("CreateModel", b"{}", 501, "NotImplemented", "sagemaker:CreateModel is not implemented"),
        ("MakeCoffee", b"{}", 400, "UnknownOperationException", ""),
        ("DescribeTrainingJob", b"{nonsense", 400, "SerializationException", ""),
        (
            "DescribeTrainingJob",
            b'{"TrainingJobName": 3}',
            400,
            "SerializationException",
            "NUMBER_VALUE can not be converted to a String",
        ),
        (
            "DescribeTrainingJob",
            b"{}",
            400,
            "ValidationException",
            "1 validation error detected: Value null at 'trainingJobName' failed to satisfy "
            "constraint: Member must not be null",
        ),
        (
            "DescribeTrainingJob",
            b'{"TrainingJobName": "nope"}',
            400,
            "ValidationException",
            "Requested resource not found.",
        ),
        ("ListTrainingJobs", b"{}", 500, "InternalFailure", "The request processing has failed"),
    ],
)
def test_what_goes_wrong_is_told_in_the_protocol(
    toy: Toy, operation: str, body: bytes, status: int, code: str, text: str
) -> None:
    answer = toy.sagemaker(operation, body)
    assert answer.status == status
    error = orjson.loads(answer.body)
    assert error["__type"] == code
    assert error["message"].startswith(text)


def test_an_unexpected_exception_is_logged_and_not_told(
    toy: Toy, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        answer = toy.sagemaker("ListTrainingJobs", b"{}")
    assert b"secret" not in answer.body
    assert "a secret of the server's" in caplog.text


def test_every_request_is_recorded(toy: Toy) -> None:
    toy.sagemaker("DescribeTrainingJob", b'{"TrainingJobName": "nope"}', region="us-west-2")
    toy.call("GET", URL + "bucket", {"user-agent": "curl"})
    signed, unsigned = toy.records
    assert (signed.service, signed.operation) == ("sagemaker", "DescribeTrainingJob")
    assert (signed.account, signed.region, signed.access_key) == (ACCOUNT, "us-west-2", KEY)
    assert (signed.status, signed.error_code) == (400, "ValidationException")
    assert signed.principal.endswith("user/tester")
    assert signed.source_ip == "127.0.0.9"
    assert signed.duration >= 0
    assert len(signed.request_id) == 36
    assert (unsigned.service, unsigned.operation, unsigned.principal) == ("s3", "", "")
    assert (unsigned.error_code, unsigned.user_agent) == ("AccessDenied", "curl")


def test_a_taken_name_is_an_error_of_the_model(toy: Toy) -> None:
    toy.sagemaker("CreateTrainingJob", orjson.dumps(JOB))
    answer = toy.sagemaker("CreateTrainingJob", orjson.dumps(JOB))
    assert orjson.loads(answer.body) == {
        "__type": "ResourceInUse",
        "Message": "Training job names must be unique",
    }


# ---- query


def _form(toy: Toy, body: bytes, headers: dict[str, str]) -> tuple[int, str]:
    answer = toy.call("POST", URL, headers, body)
    return answer.status, answer.body.decode()


def test_query_answers_are_wrapped(toy: Toy) -> None:
    body = b"Action=GetCallerIdentity&Version=2011-06-15"
    status, text = _form(toy, body, signed_headers("POST", URL, body, FORM, Signature("sts")))
    assert status == 200
    assert text.startswith(
        '<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">'
        f"<GetCallerIdentityResult><Account>{ACCOUNT}</Account>"
    )


def test_query_requests_may_come_by_get(toy: Toy) -> None:
    url = f"{URL}?Action=GetCallerIdentity&Version=2011-06-15"
    answer = toy.call("GET", url, signed_headers("GET", url, signature=Signature("sts")))
    assert b"<Arn>arn:aws:iam::000000000000:user/tester</Arn>" in answer.body


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"Action=Nonsense&Version=2011-06-15", "InvalidAction"),
        (b"Version=2011-06-15", "MissingAction"),
        (b"Action=AssumeRole&Version=2011-06-15", "NotImplemented"),
    ],
)
def test_query_errors(toy: Toy, body: bytes, code: str) -> None:
    headers = signed_headers("POST", URL, body, FORM, Signature("sts"))
    assert f"<Code>{code}</Code>" in _form(toy, body, headers)[1]


def test_some_operations_need_no_signature(toy: Toy) -> None:
    action = b"Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleSessionName=session"
    body = action + b"&RoleArn=arn:aws:iam::000000000000:role/r&WebIdentityToken=token"
    status, text = _form(toy, body, FORM)
    assert status == 200
    assert "anonymous session" in text
    status, text = _form(toy, b"Action=GetCallerIdentity&Version=2011-06-15", FORM)
    assert (status, "MissingAuthenticationToken" in text) == (403, True)


# ---- what is not signed, and what is not ours


def test_unsigned_requests_are_refused_in_the_protocol_they_look_like(toy: Toy) -> None:
    s3 = toy.call("GET", URL + "bucket/key", {"host": "127.0.0.1:4570"})
    assert (s3.status, b"<Code>AccessDenied</Code>" in s3.body) == (403, True)
    target = {"x-amz-target": "SageMaker.ListTrainingJobs"}
    json = toy.call("POST", URL, target, b"{}")
    assert json.status == 400
    assert orjson.loads(json.body)["__type"] == "MissingAuthenticationTokenException"


def test_services_that_are_not_served_answer_by_name(toy: Toy) -> None:
    target = {"x-amz-target": "AWSGlue.GetTables"}
    headers = signed_headers("POST", URL, b"{}", target, Signature("glue"))
    answer = toy.call("POST", URL, headers, b"{}")
    assert answer.status == 501
    assert orjson.loads(answer.body)["message"] == "glue:GetTables is not implemented by wildsage."


def test_json_without_a_target_is_an_unknown_operation(toy: Toy) -> None:
    for service in ("kms", "monitoring"):
        headers = signed_headers("POST", URL, b"{}", signature=Signature(service))
        answer = toy.call("POST", URL, headers, b"{}")
        assert (answer.status, b"UnknownOperationException" in answer.body) == (400, True)


def test_warming_loads_every_service(toy: Toy) -> None:
    toy.app.warm()
    assert toy.sagemaker("DeleteTrainingJob", b'{"TrainingJobName": "a"}').status == 200


def test_a_service_that_aws_does_not_have_is_unknown(toy: Toy) -> None:
    headers = signed_headers("GET", URL, signature=Signature("nonsense"))
    assert toy.call("GET", URL, headers).status == 404


def test_the_data_planes_of_sagemaker_are_told_apart_by_path(toy: Toy) -> None:
    for method, path, name in (
        ("GET", "FeatureGroup/group", "sagemaker-featurestore-runtime:GetRecord"),
        ("PUT", "BatchPutMetrics", "sagemaker-metrics:BatchPutMetrics"),
        ("POST", "endpoints/e/invocations", "sagemaker-runtime:InvokeEndpoint"),
        ("GET", "human-loops/loop", "sagemaker-a2i-runtime:DescribeHumanLoop"),
    ):
        headers = signed_headers(method, URL + path)
        answer = toy.call(method, URL + path, headers)
        assert answer.status == 501
        assert orjson.loads(answer.body)["message"].startswith(name)
        assert answer.headers["x-amzn-errortype"] == "NotImplemented"


# ---- bodies


def test_a_body_that_is_too_large_is_refused(toy: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wildsage.wire.app.MAX_BODY", 5000)
    answer = toy.sagemaker("DescribeTrainingJob", b" " * 5001)
    assert answer.status == 413
    assert orjson.loads(answer.body)["__type"] == "RequestEntityTooLarge"


def test_a_body_may_be_gzipped(toy: Toy) -> None:
    body = gzip.compress(b'{"TrainingJobName": "nope"}')
    headers = {"x-amz-target": "SageMaker.DescribeTrainingJob", "content-encoding": "gzip"}
    answer = toy.call("POST", URL, signed_headers("POST", URL, body, headers), body)
    assert b"Requested resource not found." in answer.body
    broken = toy.call("POST", URL, signed_headers("POST", URL, b"no", headers), b"no")
    assert orjson.loads(broken.body)["__type"] == "SerializationException"


def test_an_object_is_put_and_got(toy: Toy) -> None:
    data = bytes(range(256)) * 5000  # more than one piece of the file
    put = toy.s3("PUT", "/bucket/a/../b//%20%2Fc", data, {"x-amz-meta-name": "a value"})
    assert put.status == 200
    assert toy.platform["last"]["Key"] == "a/../b// /c"
    assert toy.platform["last"]["Metadata"] == {"name": "a value"}
    got = toy.s3("GET", "/bucket/a/../b//%20%2Fc")
    assert (got.status, got.body) == (200, data)
    assert got.headers["content-length"] == str(len(data))
    assert got.headers["content-type"] == "text/csv;label_size=0"
    assert got.headers["x-amz-meta-name"] == "value"
    assert got.headers["x-extra"] == "1"
    assert len(got.headers["x-amz-request-id"]) == 16


def test_a_part_of_an_object_is_got(toy: Toy) -> None:
    toy.s3("PUT", "/bucket/key", b"0123456789")
    got = toy.s3("GET", "/bucket/key", headers={"range": "bytes=4-"})
    assert (got.status, got.body, got.headers["content-length"]) == (206, b"456789", "6")


def test_a_head_has_headers_and_no_body(toy: Toy) -> None:
    toy.s3("PUT", "/bucket/key", b"0123456789")
    found, missing = toy.s3("HEAD", "/bucket/key"), toy.s3("HEAD", "/bucket/nothing")
    assert (found.status, found.body, found.headers["content-length"]) == (200, b"", "10")
    assert (missing.status, missing.body) == (404, b"")


def test_a_delete_answers_204_without_a_body(toy: Toy) -> None:
    answer = toy.s3("DELETE", "/bucket/key")
    assert (answer.status, answer.body) == (204, b"")
    assert "content-length" not in answer.headers


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("POST", "/bucket", 405, "MethodNotAllowed"),
        ("PATCH", "/bucket/key", 405, "MethodNotAllowed"),
        ("GET", "//key", 400, "InvalidURI"),
        ("GET", "/bucket/%ff", 400, "InvalidURI"),
        ("GET", "/bucket?acl", 501, "NotImplemented"),
        ("GET", "/bucket/key?uploadId=x", 501, "NotImplemented"),
    ],
)
def test_what_s3_cannot_do(toy: Toy, method: str, path: str, status: int, code: str) -> None:
    answer = toy.s3(method, path)
    assert answer.status == status
    assert f"<Code>{code}</Code>".encode() in answer.body


@pytest.mark.parametrize(
    "body",
    [
        b"<Delete><Object><Key>a</Key></Object>",
        b'<!DOCTYPE x [<!ENTITY a "b">]><Delete><Object><Key>&a;</Key></Object></Delete>',
        "<Delete><Object><Key>a</Key></Object></Delete>".encode("utf-16"),
    ],
    ids=["cut off", "doctype", "utf-16"],
)
def test_xml_that_is_refused_or_read(toy: Toy, body: bytes) -> None:
    answer = toy.s3("POST", "/bucket?delete", body)
    if body.startswith(b"\xff\xfe"):
        assert b"<Deleted><Key>a</Key></Deleted>" in answer.body
    else:
        assert (answer.status, b"<Code>MalformedXML</Code>" in answer.body) == (400, True)


def test_a_client_that_waits_to_send_is_not_waited_for(toy: Toy) -> None:
    url = "http://127.0.0.1:4570/bucket/key"
    waiting = {"expect": "100-continue", "content-length": "1000000"}
    refused = toy.call("PUT", url, waiting)
    assert refused.headers["connection"] == "close"
    body = b"x" * 1_000_000
    headers = {**signed_headers("PUT", url, body, signature=Signature("s3")), **waiting}
    taken = toy.call("PUT", url, headers, body)
    assert (taken.status, "connection" in taken.headers) == (200, False)


def test_a_file_that_is_replaced_meanwhile_is_looked_up_again(
    toy: Toy, monkeypatch: pytest.MonkeyPatch
) -> None:
    from wildsage.wire import app, files

    toy.s3("PUT", "/bucket/key", b"0123456789")
    times = []

    def open_file(part: object) -> object:
        times.append(part)
        if len(times) == 1:
            raise FileNotFoundError
        return files.OpenedFile(part)  # type: ignore[arg-type]

    monkeypatch.setattr(app, "OpenedFile", open_file)
    assert toy.s3("GET", "/bucket/key").body == b"0123456789"
    assert len(times) == 2
