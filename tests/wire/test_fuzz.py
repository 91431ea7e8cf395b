"""Whatever is sent, signed or not: an answer, and never a fault of the server's."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wire.helpers_wire import Answer, Signature, Toy, signed_headers

URL = "http://127.0.0.1:4570/"
FEW = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**62), 2**62)
    | st.floats(allow_nan=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
MEMBERS = st.sampled_from(
    ["TrainingJobName", "RoleArn", "InputDataConfig", "HyperParameters", "ResourceConfig", "Tags"]
)
LATIN = st.text(st.characters(max_codepoint=255, exclude_characters="\r\n"), max_size=30)
PATHS = st.text("abc/.%20?=&+~-_ACF", max_size=30)


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Toy:
    return Toy(Path(tmp_path_factory.mktemp("fuzz")))


def assert_no_fault(answer: Answer) -> None:
    assert 200 <= answer.status < 500 or answer.status == 501
    assert "x-amzn-requestid" in answer.headers or "x-amz-request-id" in answer.headers


@FEW
@given(
    st.sampled_from(["GET", "PUT", "POST", "DELETE", "HEAD", "OPTIONS"]),
    PATHS,
    st.dictionaries(
        st.sampled_from(
            ["authorization", "x-amz-target", "content-type", "host", "x-amz-date", "expect"]
        ),
        LATIN | st.sampled_from(["AWS4-HMAC-SHA256 Credential=a/1/b/s3/aws4_request", "a.b"]),
    ),
    st.binary(max_size=50),
)
def test_unsigned_noise(
    toy: Toy, method: str, path: str, headers: dict[str, str], body: bytes
) -> None:
    assert_no_fault(toy.call(method, URL + path, headers, body))


@FEW
@given(st.sampled_from(["X-Amz-Algorithm=AWS4-HMAC-SHA256", "AWSAccessKeyId=a&Signature=b"]), LATIN)
def test_presigned_noise(toy: Toy, start: str, rest: str) -> None:
    query = rest.replace("#", "")
    assert_no_fault(toy.call("GET", f"{URL}b/k?{start}&{query}", {"host": "127.0.0.1:4570"}))


@FEW
@given(st.binary(max_size=60) | JSON.map(orjson.dumps))
def test_signed_json_noise(toy: Toy, body: bytes) -> None:
    assert_no_fault(toy.sagemaker("CreateTrainingJob", body))


@FEW
@given(st.dictionaries(MEMBERS, JSON))
def test_signed_members_of_any_type(toy: Toy, value: dict[str, object]) -> None:
    answer = toy.sagemaker("CreateTrainingJob", orjson.dumps(value))
    assert answer.status == 400
    assert orjson.loads(answer.body)["__type"] in ("SerializationException", "ValidationException")


@FEW
@given(st.binary(max_size=60) | st.text("Action=RoleArn&.member123%", max_size=60).map(str.encode))
def test_signed_query_noise(toy: Toy, body: bytes) -> None:
    form = {"content-type": "application/x-www-form-urlencoded"}
    body = b"Action=AssumeRoleWithWebIdentity&" + body
    headers = signed_headers("POST", URL, body, form, Signature("sts"))
    assert_no_fault(toy.call("POST", URL, headers, body))


@FEW
@given(
    st.sampled_from(["GET", "PUT", "POST", "DELETE", "HEAD"]),
    st.text("ab/.%2", max_size=20),
    st.sampled_from(["", "?delete", "?uploads", "?acl", "?partNumber=x&uploadId=", "?max-keys=x"]),
    st.binary(max_size=60) | st.text("<Delete>/Objct &;", max_size=60).map(str.encode),
)
def test_signed_s3_noise(toy: Toy, method: str, path: str, query: str, body: bytes) -> None:
    answer = toy.s3(method, f"/bucket/{path}{query}", body)
    assert_no_fault(answer)
    assert b"SignatureDoesNotMatch" not in answer.body
