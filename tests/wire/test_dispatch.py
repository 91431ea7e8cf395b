"""Hosts, paths and signing names."""

from __future__ import annotations

import pytest

from wildsage.wire.addressing import bucket_of_host
from wildsage.wire.context import Context
from wildsage.wire.dispatch import Dispatcher
from wildsage.wire.model import service_model
from wildsage.wire.registry import Registry
from wildsage.wire.request import HttpRequest
from wildsage.wire.routes import Routes


@pytest.mark.parametrize(
    ("host", "bucket"),
    [
        ("bucket.s3.amazonaws.com", "bucket"),
        ("bucket.s3.us-west-2.amazonaws.com", "bucket"),
        ("bucket.s3-us-west-2.amazonaws.com", "bucket"),
        ("bucket.s3.dualstack.eu-west-1.amazonaws.com", "bucket"),
        ("bucket.s3-accelerate.amazonaws.com", "bucket"),
        ("bucket.s3.cn-north-1.amazonaws.com.cn", "bucket"),
        ("a.dotted.bucket.s3.amazonaws.com", "a.dotted.bucket"),
        ("my.s3.bucket.s3.us-east-1.amazonaws.com", "my.s3.bucket"),
        ("s3.amazonaws.com", None),
        ("s3.us-west-2.amazonaws.com", None),
        ("s3-us-west-2.amazonaws.com", None),
        ("sts.us-west-2.amazonaws.com", None),
        ("bucket.localhost", "bucket"),
        ("bucket.s3.localhost", "bucket"),
        ("s3.localhost", None),
        ("localhost", None),
        ("127.0.0.1", None),
        ("[::1]", None),
        ("bucket.example.org", None),
    ],
)
def test_buckets_in_hosts(host: str, bucket: str | None) -> None:
    assert bucket_of_host(host, ("localhost",)) == bucket


@pytest.mark.parametrize(
    ("header", "host"),
    [("Bucket.S3.amazonaws.com:443", "bucket.s3.amazonaws.com"), ("[::1]:80", "[::1]"), ("h", "h")],
)
def test_the_host_of_a_request(header: str, host: str) -> None:
    assert HttpRequest("GET", "/", "", {"host": header}).host == host


@pytest.mark.parametrize(
    ("method", "path", "query", "headers", "operation", "labels"),
    [
        ("GET", "/", "", {}, "ListBuckets", {}),
        ("GET", "/b", "", {}, "ListObjects", {"Bucket": "b"}),
        ("GET", "/b/", "prefix=x", {}, "ListObjects", {"Bucket": "b"}),
        ("GET", "/b", "list-type=2", {}, "ListObjectsV2", {"Bucket": "b"}),
        ("GET", "/b", "list-type=3", {}, "ListObjects", {"Bucket": "b"}),
        ("GET", "/b", "uploads", {}, "ListMultipartUploads", {"Bucket": "b"}),
        ("GET", "/b", "versions&prefix=", {}, "ListObjectVersions", {"Bucket": "b"}),
        ("GET", "/b//", "", {}, "GetObject", {"Bucket": "b", "Key": "/"}),
        ("GET", "/b/k/", "", {}, "GetObject", {"Bucket": "b", "Key": "k/"}),
        ("GET", "/b/a%2Fb%252F+", "", {}, "GetObject", {"Bucket": "b", "Key": "a/b%2F+"}),
        ("GET", "/b/k", "partNumber=1", {}, "GetObject", {"Bucket": "b", "Key": "k"}),
        ("GET", "/b/k", "uploadId=u", {}, "ListParts", {"Bucket": "b", "Key": "k"}),
        ("PUT", "/b/k", "x-id=PutObject", {}, "PutObject", {"Bucket": "b", "Key": "k"}),
        (
            "PUT",
            "/b/k",
            "",
            {"x-amz-copy-source": "/c/d"},
            "CopyObject",
            {"Bucket": "b", "Key": "k"},
        ),
        ("PUT", "/b/k", "partNumber=1&uploadId=u", {}, "UploadPart", {"Bucket": "b", "Key": "k"}),
        (
            "PUT",
            "/b/k",
            "partNumber=1&uploadId=u",
            {"x-amz-copy-source": "/c/d"},
            "UploadPartCopy",
            {"Bucket": "b", "Key": "k"},
        ),
        ("POST", "/b/k", "uploads=", {}, "CreateMultipartUpload", {"Bucket": "b", "Key": "k"}),
        ("POST", "/b/k", "uploadId=u", {}, "CompleteMultipartUpload", {"Bucket": "b", "Key": "k"}),
        ("POST", "/b", "delete", {}, "DeleteObjects", {"Bucket": "b"}),
        ("DELETE", "/b/k", "uploadId=u", {}, "AbortMultipartUpload", {"Bucket": "b", "Key": "k"}),
    ],
)
def test_the_operations_of_s3(
    method: str,
    path: str,
    query: str,
    headers: dict[str, str],
    operation: str,
    labels: dict[str, str],
) -> None:
    request = HttpRequest(method, path, query, headers)
    found = Routes(service_model("s3")).find(method, path, request.parameters, headers)
    assert found is not None
    assert (found.operation, found.labels) == (operation, labels)


def test_a_bucket_in_the_host_is_part_of_the_path() -> None:
    dispatcher = Dispatcher(("s3",), ("localhost",))
    request = HttpRequest("GET", "/", "", {"host": "bucket.localhost:4570"})
    operation, labels = dispatcher.operation(dispatcher.address(request, "s3"), request, b"")
    assert (operation.name, labels) == ("ListObjects", {"Bucket": "bucket"})


def test_modules_are_imported_when_they_are_needed() -> None:
    registry = Registry({"sts": "wire.helpers_toy_sts"})
    assert registry.loaded("sts") is None
    assert registry.loaded("kms") == {}
    assert "GetCallerIdentity" in registry.load("sts")
    assert registry.loaded("sts") is registry.load("sts")
    assert registry.load("kms") == {}


@pytest.mark.parametrize(
    ("agent", "polls"),
    [
        ("Boto3/1.44 lib/AWS-SageMaker-Python-SDK#2.257.7", True),
        ("Boto3/1.44 lib/AWS-SageMakerCore#2.27.0", True),
        ("Boto3/1.44", False),
    ],
)
def test_clients_that_poll_are_known(agent: str, polls: bool) -> None:
    from wildsage.arns import Scope
    from wire.helpers_wire import principal

    context = Context(None, Scope(), principal("x"), "s", "o", "i", agent, "", "", {})
    assert context.polls is polls
