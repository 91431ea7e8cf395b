"""Checksums of every kind, by every way they can come; presigned requests."""

from __future__ import annotations

import base64
import hashlib
import http.client
import os
import urllib.error
import urllib.request
import zlib
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from wildsage.store.objects.checksums import ALGORITHMS, Digests

BIG = os.urandom(64) * 40_000  # more than is read into memory at once


def checksum(algorithm: str, data: bytes) -> str:
    digests = Digests([algorithm])
    digests.update(data)
    return digests.checksums()[algorithm]


def code(error: pytest.ExceptionInfo[ClientError]) -> tuple[str, int]:
    response = error.value.response
    return response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("data", [b"Hello world", BIG])
def test_a_declared_checksum(s3: Any, bucket: str, algorithm: str, data: bytes) -> None:
    name, value = f"Checksum{algorithm}", checksum(algorithm, data)
    put = s3.put_object(Bucket=bucket, Key="k", Body=data, **{name: value})
    assert (put[name], put["ChecksumType"]) == (value, "FULL_OBJECT")
    head = s3.head_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    assert head[name] == value
    assert name not in s3.head_object(Bucket=bucket, Key="k")
    part = s3.get_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED", Range="bytes=0-3")
    assert (part["Body"].read(), name in part) == (data[:4], False)
    wrong = {name: checksum(algorithm, b"other")}
    with pytest.raises(ClientError) as error:
        s3.put_object(Bucket=bucket, Key="wrong", Body=data, **wrong)
    assert code(error) == ("BadDigest", 400)
    with pytest.raises(ClientError) as error:
        s3.put_object(Bucket=bucket, Key="wrong", Body=data, **{name: "AAA="})
    assert code(error) == ("InvalidRequest", 400)
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 1


def test_a_copy_gets_the_checksum_that_is_asked_for(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"Hello world")
    source = {"Bucket": bucket, "Key": "k"}
    answer = s3.copy_object(Bucket=bucket, Key="c", CopySource=source, ChecksumAlgorithm="SHA1")
    assert answer["CopyObjectResult"]["ChecksumSHA1"] == checksum("SHA1", b"Hello world")


def test_content_md5(s3: Any, bucket: str) -> None:
    good = base64.b64encode(hashlib.md5(b"data").digest()).decode()
    s3.put_object(Bucket=bucket, Key="k", Body=b"data", ContentMD5=good)
    for data in (b"other", BIG):
        with pytest.raises(ClientError) as error:
            s3.put_object(Bucket=bucket, Key="k", Body=data, ContentMD5=good)
        assert code(error) == ("BadDigest", 400)
    with pytest.raises(ClientError) as error:
        s3.put_object(Bucket=bucket, Key="k", Body=b"data", ContentMD5="nonsense")
    assert code(error) == ("InvalidDigest", 400)
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"data"


def put_with_trailer(
    server: Any, bucket: str, chunks: list[bytes], trailer: str, **headers: str
) -> tuple[int, str]:
    """As SDKs do over https: unsigned chunks, the checksum after the body."""
    url = f"{server.url}/{bucket}/trailed"
    data = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in [*chunks, b""])[:-2]
    data += (trailer + "\r\n\r\n").encode()
    given = {
        "x-amz-trailer": trailer.partition(":")[0],
        "x-amz-decoded-content-length": str(sum(map(len, chunks))),
        "Content-Encoding": "aws-chunked",
        **headers,
    }
    request = AWSRequest("PUT", url, headers=given, data=data)
    request.context["checksum"] = {"request_algorithm": {"in": "trailer"}}
    request.context["client_config"] = None
    S3SigV4Auth(Credentials("AKIDME", "secret"), "s3", "us-east-1").add_auth(request)
    connection = http.client.HTTPConnection(urlsplit(url).netloc)
    connection.request("PUT", urlsplit(url).path, data, dict(request.headers.items()))
    response = connection.getresponse()
    answer = response.status, response.read().decode()
    connection.close()
    return answer


@pytest.mark.parametrize("data", [b"Hello world", BIG])
@pytest.mark.parametrize("algorithm", ["CRC32", "CRC32C", "CRC64NVME", "SHA256"])
def test_a_checksum_in_the_trailer(
    s3: Any, server: Any, bucket: str, algorithm: str, data: bytes
) -> None:
    chunks = [data[start : start + 65536] for start in range(0, len(data), 65536)]
    header = f"x-amz-checksum-{algorithm.lower()}"
    good = f"{header}:{checksum(algorithm, data)}"
    assert put_with_trailer(server, bucket, chunks, good) == (200, "")
    stored = s3.get_object(Bucket=bucket, Key="trailed", ChecksumMode="ENABLED")
    assert stored["Body"].read() == data
    assert stored[f"Checksum{algorithm}"] == checksum(algorithm, data)
    assert "ContentEncoding" not in stored
    wrong = f"{header}:{checksum(algorithm, b'other')}"
    status, text = put_with_trailer(server, bucket, chunks, wrong)
    assert (status, "BadDigest" in text) == (400, True)


def test_other_encodings_beside_the_chunks_are_kept(s3: Any, server: Any, bucket: str) -> None:
    trailer = f"x-amz-checksum-crc32:{checksum('CRC32', b'x')}"
    encoding = {"Content-Encoding": "gzip,aws-chunked"}
    assert put_with_trailer(server, bucket, [b"x"], trailer, **encoding)[0] == 200
    assert s3.head_object(Bucket=bucket, Key="trailed")["ContentEncoding"] == "gzip"


@pytest.mark.parametrize("version", ["s3", "s3v4"])
def test_presigned_urls(server: Any, bucket: str, version: str) -> None:
    client = server.client(signature_version=version)
    named = {"Bucket": bucket, "Key": "dir/é & k"}
    put = client.generate_presigned_url("put_object", Params=named, ExpiresIn=60)
    get = client.generate_presigned_url("get_object", Params=named, ExpiresIn=60)
    # Unless told otherwise urllib adds a Content-Type, which signatures of version 2 cover.
    sent = urllib.request.Request(put, BIG, {"Content-Type": ""}, method="PUT")
    with urllib.request.urlopen(sent) as response:
        assert response.status == 200
    with urllib.request.urlopen(get) as response:
        assert response.read() == BIG
    for wrong in (get.replace("dir/", "dur/"), get[:-1] + ("x" if get[-1] != "x" else "y")):
        with pytest.raises(urllib.error.HTTPError) as error:
            urllib.request.urlopen(wrong)
        assert error.value.code == 403
        error.value.close()


def test_a_body_that_breaks_off(s3: Any, server: Any, bucket: str) -> None:
    named = {"Bucket": bucket, "Key": "k"}
    url = server.client(signature_version="s3v4").generate_presigned_url("put_object", named)
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc)
    connection.putrequest("PUT", f"{parts.path}?{parts.query}")
    connection.putheader("Content-Length", str(len(BIG)))
    connection.endheaders(BIG[: len(BIG) // 2])
    connection.close()
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


def test_crc32_of_zlib() -> None:
    value = base64.b64encode(zlib.crc32(b"x").to_bytes(4, "big")).decode()
    assert checksum("CRC32", b"x") == value
