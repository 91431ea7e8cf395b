"""Presigned URLs of version 2, as boto3 makes them for an endpoint of one's own."""

from __future__ import annotations

from typing import Any

import boto3
import pytest
from botocore.config import Config

from wildsage import clock
from wildsage.wire import sigv2
from wildsage.wire.errors import ApiError
from wildsage.wire.request import HttpRequest
from wildsage.wire.sigv4 import Signed
from wire.helpers_wire import (
    KEY,
    SECRET,
    SESSION_KEY,
    SESSION_SECRET,
    TOKEN,
    lookup,
    request_of,
)

HOST = {"host": "127.0.0.1:4570"}


def presign(operation: str, key: str = KEY, secret: str = SECRET, **params: Any) -> str:
    client = boto3.client(
        "s3",
        region_name="us-east-1",
        endpoint_url="http://127.0.0.1:4570",
        aws_access_key_id=key,
        aws_secret_access_key=secret,
        aws_session_token=TOKEN if key == SESSION_KEY else None,
        config=Config(signature_version="s3"),
    )
    url: str = client.generate_presigned_url(operation, Params=params, ExpiresIn=60)
    assert sigv2.is_presigned(url)
    return url


def verify(request: HttpRequest, bucket: str | None = None, later: float = 0) -> Signed:
    return sigv2.verify(request, bucket, lookup, clock.now() + later)


@pytest.mark.parametrize(
    "params",
    [
        {"Key": "a key/with é+plus"},
        {"Key": "k", "ResponseContentType": "text/x; a=b", "VersionId": "v"},
        {"Key": "k", "ResponseContentDisposition": 'attachment; filename="a b+c.csv"'},
    ],
)
def test_urls_hold(params: dict[str, str]) -> None:
    url = presign("get_object", Bucket="bucket", **params)
    signed = verify(request_of("GET", url, HOST))
    assert (signed.credential.access_key, signed.service) == (KEY, "s3")


def test_headers_that_were_signed_may_come_either_way() -> None:
    url = presign("put_object", Bucket="bucket", Key="k", Metadata={"a": "b"}, ContentType="x/y")
    assert verify(request_of("PUT", url, HOST)).credential.access_key == KEY
    sent = {**HOST, "x-amz-meta-a": "b", "content-type": "x/y"}
    assert verify(request_of("PUT", url, sent)).credential.access_key == KEY


def test_sessions() -> None:
    url = presign("get_object", SESSION_KEY, SESSION_SECRET, Bucket="bucket", Key="k")
    assert verify(request_of("GET", url, HOST)).credential.access_key == SESSION_KEY


def test_the_bucket_may_be_in_the_host() -> None:
    url = presign("get_object", Bucket="bucket", Key="k").replace("/bucket/", "/")
    assert verify(request_of("GET", url, {"host": "bucket.localhost"}), "bucket").service == "s3"


@pytest.mark.parametrize(
    ("change", "later", "code"),
    [
        (("/bucket/k", "/bucket/other"), 0, "SignatureDoesNotMatch"),
        ((KEY, "AKIAUNKNOWN"), 0, "InvalidAccessKeyId"),
        (("Expires=", "Expires=x"), 0, "AccessDenied"),
        (("", ""), 61, "AccessDenied"),
    ],
)
def test_what_is_refused(change: tuple[str, str], later: float, code: str) -> None:
    url = presign("get_object", Bucket="bucket", Key="k").replace(*change)
    with pytest.raises(ApiError) as caught:
        verify(request_of("GET", url, HOST), later=later)
    assert (caught.value.code, caught.value.status) == (code, 403)
    if later:
        assert caught.value.message == "Request has expired"


def test_a_header_that_was_not_signed_spoils_the_signature() -> None:
    url = presign("put_object", Bucket="bucket", Key="k")
    with pytest.raises(ApiError, match="SignatureDoesNotMatch"):
        verify(request_of("PUT", url, {**HOST, "x-amz-copy-source": "/other/key"}))
