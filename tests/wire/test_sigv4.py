"""botocore signs, we verify."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.auth import S3SigV4QueryAuth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from wildsage import clock
from wildsage.wire import sigv4
from wildsage.wire.errors import ApiError
from wire.helpers_wire import (
    CREDENTIALS,
    KEY,
    SECRET,
    SESSION_KEY,
    SESSION_SECRET,
    TOKEN,
    Signature,
    lookup,
    request_of,
    signed_headers,
)

BASE = "http://127.0.0.1:4570"
PATHS = [
    "/", "/a/b", "/a//b/", "/a/../b/./c", "/with%20space/%E2%82%AC", "/plus+and~tilde",
    "/a%2Fb", "/?list=1", "/x?b=2&a=1&a=0&empty=&flag", "/x?q=%20%2B+%E2%82%AC&z=a%3Db",
]  # fmt: skip


def verify(
    method: str, url: str, headers: dict[str, str], body: bytes | None = b"", now: float = 0
) -> sigv4.Signed:
    request = request_of(method, url, headers)
    hashed = None if body is None else sha256(body).hexdigest()
    return sigv4.verify_request(
        method, request.path, request.query, headers, hashed, lookup, now or clock.now()
    )


def presigned(url: str, service: str = "s3", expires: int = 60, **signing: Any) -> str:
    given = Signature(service, **signing)
    credentials = Credentials(given.key, given.secret, given.token)
    request = AWSRequest("GET", url, headers={"Host": urlsplit(url).netloc})
    signer = S3SigV4QueryAuth if service == "s3" else SigV4QueryAuth
    signer(credentials, service, given.region, expires=expires).add_auth(request)
    return str(request.url)


def refused(call: Callable[[], object]) -> ApiError:
    with pytest.raises(ApiError) as caught:
        call()
    return caught.value


@pytest.mark.parametrize("service", ["s3", "sagemaker"])
@pytest.mark.parametrize("path", PATHS)
def test_signed_headers_hold(path: str, service: str) -> None:
    body = b"some bytes"
    extra = {"Content-Type": "a/b", "X-Amz-Thing": "  two   spaces  ", "User-Agent": "unsigned"}
    headers = signed_headers("POST", BASE + path, body, extra, Signature(service, "eu-west-1"))
    signed = verify("POST", BASE + path, headers, body)
    assert (signed.service, signed.region) == (service, "eu-west-1")
    assert signed.credential is CREDENTIALS[KEY]
    assert signed.scope == f"{signed.date}/eu-west-1/{service}/aws4_request"


@pytest.mark.parametrize("service", ["s3", "sts"])
@pytest.mark.parametrize("path", PATHS)
def test_presigned_urls_hold(path: str, service: str) -> None:
    url = presigned(BASE + path, service)
    assert verify("GET", url, {"host": "127.0.0.1:4570"}).service == service


def test_other_clients_encode_otherwise() -> None:
    """What is signed is encoded in full, whatever the client left plain on the wire."""
    url = f"{BASE}/b/%28key%29%21?prefix=%28a%29"
    headers = signed_headers("GET", url, signature=Signature("s3"))
    assert verify("GET", f"{BASE}/b/(key)!?prefix=(a)", headers).service == "s3"


def test_a_date_header_will_do() -> None:
    headers = signed_headers("GET", BASE + "/", headers={"Date": "x"})
    assert "x-amz-date" not in headers
    assert verify("GET", BASE + "/", headers).service == "sagemaker"


def session(service: str, token: str | None = TOKEN) -> Signature:
    return Signature(service, key=SESSION_KEY, secret=SESSION_SECRET, token=token)


def test_sessions_hold_with_their_token() -> None:
    headers = signed_headers("GET", BASE + "/", signature=session("sts"))
    assert verify("GET", BASE + "/", headers).credential.access_key == SESSION_KEY
    url = presigned(BASE + "/b/k", key=SESSION_KEY, secret=SESSION_SECRET, token=TOKEN)
    assert verify("GET", url, {"host": "127.0.0.1:4570"}).credential.access_key == SESSION_KEY


@pytest.mark.parametrize(
    ("service", "code"), [("sts", "InvalidClientTokenId"), ("s3", "InvalidToken")]
)
@pytest.mark.parametrize("token", [None, "another"])
def test_sessions_do_not_hold_without_their_token(service: str, code: str, token: str) -> None:
    headers = signed_headers("GET", BASE + "/", signature=session(service, token))
    assert refused(lambda: verify("GET", BASE + "/", headers)).code == code


@pytest.mark.parametrize("service", ["sts", "s3"])
def test_sessions_end(service: str) -> None:
    headers = signed_headers("GET", BASE + "/", signature=session(service))
    error = refused(lambda: verify("GET", BASE + "/", headers, now=clock.now() + 3700))
    assert error.code == "ExpiredToken"


def test_a_long_term_key_comes_without_a_token() -> None:
    headers = signed_headers("GET", BASE + "/", signature=Signature(token="any"))
    assert refused(lambda: verify("GET", BASE + "/", headers)).code == "InvalidClientTokenId"


@pytest.mark.parametrize(
    ("signature", "code"),
    [
        (Signature("sts", key="AKIAUNKNOWN"), "InvalidClientTokenId"),
        (Signature("s3", key="AKIAUNKNOWN"), "InvalidAccessKeyId"),
        (Signature("sts", secret="wrong"), "SignatureDoesNotMatch"),
        (Signature("s3", secret="wrong"), "SignatureDoesNotMatch"),
    ],
)
def test_wrong_keys(signature: Signature, code: str) -> None:
    headers = signed_headers("GET", BASE + "/", signature=signature)
    error = refused(lambda: verify("GET", BASE + "/", headers))
    assert (error.code, error.status) == (code, 403)


@pytest.mark.parametrize("change", ["method", "path", "query", "body", "header", "host"])
def test_nothing_signed_may_change(change: str) -> None:
    url = f"{BASE}/a?b=c"
    headers = signed_headers("POST", url, b"body", {"X-Amz-Thing": "x"})
    method, body = ("PUT" if change == "method" else "POST"), b"body"
    url = {"path": f"{BASE}/z?b=c", "query": f"{BASE}/a?b=d"}.get(change, url)
    headers |= {"header": {"x-amz-thing": "y"}, "host": {"host": "other"}}.get(change, {})
    body = b"forged" if change == "body" else b"body"
    error = refused(lambda: verify(method, url, headers, body))
    assert error.code == "SignatureDoesNotMatch"


def test_what_the_signature_does_not_cover_is_refused() -> None:
    headers = signed_headers("PUT", BASE + "/b/k", signature=Signature("s3"))
    error = refused(
        lambda: verify("PUT", BASE + "/b/k", {**headers, "x-amz-copy-source": "/other/key"})
    )
    assert (error.code, error.fields) == ("AccessDenied", {"HeadersNotSigned": "x-amz-copy-source"})
    target = {**signed_headers("POST", BASE + "/"), "x-amz-target": "SageMaker.DeleteModel"}
    assert refused(lambda: verify("POST", BASE + "/", target)).code == "AccessDenied"


@pytest.mark.parametrize(
    ("service", "code"), [("s3", "RequestTimeTooSkewed"), ("sts", "SignatureDoesNotMatch")]
)
@pytest.mark.parametrize("shift", [-1000, 1000])
def test_clocks_may_not_be_far_apart(service: str, code: str, shift: int) -> None:
    headers = signed_headers("GET", BASE + "/", signature=Signature(service))
    error = refused(lambda: verify("GET", BASE + "/", headers, now=clock.now() + shift))
    assert (error.code, error.status) == (code, 403)
    assert verify("GET", BASE + "/", headers, now=clock.now() + shift / 2).service == service


def test_presigned_urls_expire() -> None:
    url = presigned(BASE + "/b/k", expires=60)
    host = {"host": "127.0.0.1:4570"}
    error = refused(lambda: verify("GET", url, host, now=clock.now() + 61))
    assert (error.code, error.message, error.status) == ("AccessDenied", "Request has expired", 403)
    other = presigned(BASE + "/", "sts", expires=60)
    error = refused(lambda: verify("GET", other, host, now=clock.now() + 61))
    assert error.code == "SignatureDoesNotMatch"
    assert error.message.startswith("Signature expired")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("X-Amz-Expires=60", "X-Amz-Expires=604801"),
        ("X-Amz-Expires=60", "X-Amz-Expires=-1"),
        ("X-Amz-Expires=60&", ""),
        ("X-Amz-SignedHeaders=host", "X-Amz-SignedHeaders="),
        ("AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256"),
    ],
)
def test_malformed_presigned_urls(old: str, new: str) -> None:
    url = presigned(BASE + "/b/k", expires=60).replace(old, new)
    error = refused(lambda: verify("GET", url, {"host": "127.0.0.1:4570"}))
    assert (error.code, error.status) == ("AuthorizationQueryParametersError", 400)


@pytest.mark.parametrize(
    "authorization",
    [
        "AWS4-HMAC-SHA256",
        "AWS4-HMAC-SHA256 nonsense",
        "AWS4-HMAC-SHA256 Credential=a/b, SignedHeaders=host, Signature=x",
        "AWS4-HMAC-SHA256 Credential=AKIAEXAMPLE/20260101/../../etc/aws4_request, "
        "SignedHeaders=host, Signature=x",
        "AWS4-HMAC-SHA256 Credential=AKIAEXAMPLE/20260101/r/sts/aws4_request, SignedHeaders=host",
        "AWS4-OTHER Credential=AKIAEXAMPLE/20260101/r/sts/aws4_request, SignedHeaders=host, "
        "Signature=x",
        "AWS4-HMAC-SHA256 Credential=AKIAEXAMPLE/20260101/r/sts/aws4_request, "
        "SignedHeaders=x, Signature=é",
    ],
)
def test_malformed_headers(authorization: str) -> None:
    headers = {"authorization": authorization, "host": "h", "x-amz-date": "20260101T000000Z"}
    error = refused(lambda: verify("GET", BASE + "/", headers, now=1767225600))
    assert (error.code, error.status) == ("IncompleteSignature", 403)


@pytest.mark.parametrize("date", ["", "nonsense", "20250101T000000Z", "20261301T000000Z"])
def test_the_date_must_be_that_of_the_scope(date: str) -> None:
    headers = signed_headers("GET", BASE + "/")
    error = refused(lambda: verify("GET", BASE + "/", {**headers, "x-amz-date": date}))
    assert error.code == "IncompleteSignature"


def test_no_signature_at_all() -> None:
    error = refused(lambda: verify("GET", BASE + "/", {"host": "h"}))
    assert (error.code, error.status) == ("MissingAuthenticationToken", 403)


def test_a_declared_hash_must_be_one_and_hold() -> None:
    headers = signed_headers("PUT", BASE + "/b/k", b"body", signature=Signature("s3"))
    assert verify("PUT", BASE + "/b/k", headers, None).payload == sha256(b"body").hexdigest()
    error = refused(lambda: verify("PUT", BASE + "/b/k", headers, b"other"))
    assert error.code == "XAmzContentSHA256Mismatch"
    bad = {**headers, "x-amz-content-sha256": "nonsense"}
    assert refused(lambda: verify("PUT", BASE + "/b/k", bad, None)).code == "InvalidArgument"


def test_signing_keys_are_kept() -> None:
    key = sigv4.signing_key(SECRET, "20260101", "us-east-1", "s3")
    assert sigv4.signing_key(SECRET, "20260101", "us-east-1", "s3") is key
    assert sigv4.signing_key(SECRET, "20260102", "us-east-1", "s3") != key


def test_secrets_are_not_shown() -> None:
    assert SECRET not in repr(CREDENTIALS[KEY])
    assert TOKEN not in repr(CREDENTIALS[SESSION_KEY])
