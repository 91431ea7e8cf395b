"""Real clients against a real server."""

from __future__ import annotations

import http.client
import io
import socket
import subprocess
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from wire.helpers_wire import KEY, SECRET, Toy

BIG = 3_000_000


def client(port: int, service: str, secret: str = SECRET, **options: Any) -> Any:
    return boto3.client(
        service,
        region_name="us-east-1",
        endpoint_url=f"http://127.0.0.1:{port}",
        aws_access_key_id=KEY,
        aws_secret_access_key=secret,
        config=Config(retries={"max_attempts": 0}, **options),
    )


def test_boto3_calls_and_gets_answers(port: int) -> None:
    assert client(port, "sts").get_caller_identity()["Account"] == "000000000000"
    s3 = client(port, "s3")
    assert s3.list_buckets()["Buckets"][0]["CreationDate"].timestamp() == 1_700_000_000
    assert s3.get_bucket_location(Bucket="b")["LocationConstraint"] == "eu-west-1"
    with pytest.raises(ClientError) as caught:
        client(port, "sagemaker").describe_training_job(TrainingJobName="nope")
    assert caught.value.response["Error"]["Code"] == "ValidationException"
    assert caught.value.response["ResponseMetadata"]["RequestId"]


@pytest.mark.parametrize("key", ["plain", "a/../b//c/./", "é+%2F &?#", "//", "\x01\n"])
def test_objects_of_any_key(port: int, toy: Toy, key: str) -> None:
    s3 = client(port, "s3")
    put = s3.put_object(Bucket="bucket", Key=key, Body=b"data", Metadata={"a": "b"})
    assert put["ETag"] == '"8d777f385d3dfec8815d20f7496026dc"'
    assert toy.platform["last"]["Key"] == key
    got = s3.get_object(Bucket="bucket", Key=key)
    assert (got["Body"].read(), got["Metadata"]) == (b"data", {"name": "value"})


def test_large_objects_stream_both_ways(port: int) -> None:
    s3, data = client(port, "s3"), bytes(range(250)) * (BIG // 250)
    s3.put_object(Bucket="bucket", Key="key", Body=io.BytesIO(data))
    assert s3.get_object(Bucket="bucket", Key="key")["Body"].read() == data
    part = s3.get_object(Bucket="bucket", Key="key", Range="bytes=2999000-")
    assert part["Body"].read() == data[2999000:]
    assert part["ResponseMetadata"]["HTTPStatusCode"] == 206


@pytest.mark.parametrize("version", ["s3", "s3v4"])
def test_presigned_urls(port: int, version: str) -> None:
    s3 = client(port, "s3", signature_version=version)
    params = {"Bucket": "bucket", "Key": "a key+é"}
    url = s3.generate_presigned_url("put_object", Params=params, ExpiresIn=60)
    assert fetch(port, "PUT", url, b"by url") == (200, b"")
    url = s3.generate_presigned_url("get_object", Params=params, ExpiresIn=60)
    assert fetch(port, "GET", url) == (200, b"by url")
    status, body = fetch(port, "GET", url.replace("Signature=", "Signature=0"))
    assert (status, b"SignatureDoesNotMatch" in body) == (403, True)


def fetch(port: int, method: str, url: str, body: bytes | None = None) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request(method, url.split(str(port), 1)[1], body)
    response = connection.getresponse()
    answer = response.status, response.read()
    connection.close()
    return answer


def test_an_early_error_does_not_hang_an_upload(port: int) -> None:
    """The refused client reads its error, and its connection or the next serves on."""
    s3 = client(port, "s3", secret="wrong")
    for _ in range(2):
        with pytest.raises(ClientError, match="SignatureDoesNotMatch"):
            s3.put_object(Bucket="bucket", Key="key", Body=b"x" * BIG)
    with pytest.raises(ClientError, match="NoSuchBucket"):
        client(port, "s3").put_object(Bucket="missing", Key="key", Body=b"x" * BIG)
    assert fetch(port, "PUT", f"http://127.0.0.1:{port}/bucket/key", b"x" * BIG)[0] == 403


def test_a_signature_that_fails_late_is_told_too(port: int) -> None:
    s3 = client(port, "s3")
    sent = {}

    def spoil(request: Any, **_: Any) -> None:
        sent["expect"] = request.headers.get("Expect")
        request.body = b"y" * BIG

    s3.meta.events.register("before-send.s3.PutObject", spoil)
    with pytest.raises(ClientError, match="XAmzContentSHA256Mismatch"):
        s3.put_object(Bucket="bucket", Key="key", Body=b"x" * BIG)
    assert sent["expect"]


def test_curl_waits_for_100_continue(port: int, tmp_path: Any) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x" * BIG)
    url = client(port, "s3").generate_presigned_url(
        "put_object", Params={"Bucket": "bucket", "Key": "key"}, ExpiresIn=60
    )
    done = subprocess.run(
        ["curl", "-sv", "--max-time", "10", "-T", str(path), url], capture_output=True, text=True
    )
    assert "Expect: 100-continue" in done.stderr
    assert "HTTP/1.1 100 Continue" in done.stderr
    assert "HTTP/1.1 200 OK" in done.stderr


def test_a_client_that_leaves_a_download_is_let_go(port: int, toy: Toy) -> None:
    s3 = client(port, "s3")
    s3.put_object(Bucket="bucket", Key="key", Body=b"x" * BIG)
    url = s3.generate_presigned_url("get_object", Params={"Bucket": "bucket", "Key": "key"})
    with socket.create_connection(("127.0.0.1", port), 10) as connection:
        path = url.split(str(port), 1)[1]
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
        assert connection.recv(1000).startswith(b"HTTP/1.1 200 OK")
    assert client(port, "sts").get_caller_identity()["Account"] == "000000000000"


def test_virtual_hosts_name_buckets(port: int, toy: Toy) -> None:
    s3 = client(port, "s3")
    s3.put_object(Bucket="bucket", Key="key", Body=b"data")
    virtual = boto3.client(
        "s3",
        region_name="us-east-1",
        endpoint_url=f"http://localhost:{port}",
        aws_access_key_id=KEY,
        aws_secret_access_key=SECRET,
        config=Config(s3={"addressing_style": "virtual"}, signature_version="s3v4"),
    )
    url = virtual.generate_presigned_url("get_object", Params={"Bucket": "bucket", "Key": "key"})
    assert url.startswith(f"http://bucket.localhost:{port}/key?")
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    path = url.split(str(port), 1)[1]
    connection.request("GET", path, headers={"Host": f"bucket.localhost:{port}"})
    assert connection.getresponse().read() == b"data"
    connection.close()
