from __future__ import annotations

import hashlib
import io
import os
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

AWKWARD = ["a", "a/b", "dir/", "..", "../x", "x/../y", "//", "a//b", "/lead", "a/./b", "./", "."]
AWKWARD += ["é/ü ☃", "a+b c&d=e?f#g%20h", "x" * 1024, "'\"<>", "~-_.!*()", "日本語", "😀"]


def code(error: pytest.ExceptionInfo[ClientError]) -> tuple[str, int]:
    response = error.value.response
    return response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]


@pytest.mark.parametrize("key", AWKWARD)
def test_any_key(s3: Any, bucket: str, key: str) -> None:
    s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
    assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == key.encode()
    assert [item["Key"] for item in s3.list_objects_v2(Bucket=bucket)["Contents"]] == [key]
    assert s3.delete_object(Bucket=bucket, Key=key)["ResponseMetadata"]["HTTPStatusCode"] == 204
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)


def test_keys_that_look_like_folders_live_side_by_side(s3: Any, bucket: str) -> None:
    for key in AWKWARD:
        s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
    for key in AWKWARD:
        assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == key.encode()
    listed = [item["Key"] for item in s3.list_objects_v2(Bucket=bucket)["Contents"]]
    assert listed == sorted(AWKWARD, key=str.encode)


def test_keys_too_long_or_missing(s3: Any, bucket: str) -> None:
    with pytest.raises(ClientError) as error:
        s3.put_object(Bucket=bucket, Key="é" * 513, Body=b"")
    assert code(error) == ("KeyTooLongError", 400)
    with pytest.raises(ClientError) as error:
        s3.get_object(Bucket=bucket, Key="nope")
    assert code(error) == ("NoSuchKey", 404)
    assert error.value.response["Error"]["Key"] == "nope"
    with pytest.raises(ClientError) as error:
        s3.head_object(Bucket=bucket, Key="nope")
    assert code(error) == ("404", 404)
    for call in (s3.put_object, s3.get_object):
        with pytest.raises(ClientError) as error:
            call(Bucket="no-such-bucket", Key="k")
        assert code(error) == ("NoSuchBucket", 404)
        assert error.value.response["Error"]["BucketName"] == "no-such-bucket"


def test_headers_and_metadata_are_kept_exactly(s3: Any, bucket: str) -> None:
    given = {
        "ContentType": "text/csv;label_size=0",
        "CacheControl": "max-age=3,  public",
        "ContentDisposition": "attachment; filename=\"a b.csv\"; filename*=UTF-8''%C3%BC.csv",
        "ContentEncoding": "gzip",
        "ContentLanguage": "de-AT, en",
        "WebsiteRedirectLocation": "/elsewhere",
        "Metadata": {"label": "a b ; c", "empty": "", "x-y": "1"},
    }
    expires = datetime(2031, 2, 3, 4, 5, 6, tzinfo=UTC)
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", Expires=expires, **given)
    for call in (s3.head_object, s3.get_object):
        answer = call(Bucket=bucket, Key="k")
        assert {name: answer[name] for name in given} == given
        assert answer["ExpiresString"] == "Mon, 03 Feb 2031 04:05:06 GMT"
        assert answer["ETag"] == f'"{hashlib.md5(b"x").hexdigest()}"'
        assert (answer["ContentLength"], answer["AcceptRanges"]) == (1, "bytes")
        assert answer["LastModified"].microsecond == 0


def test_without_headers(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k")
    answer = s3.get_object(Bucket=bucket, Key="k")
    assert answer["ContentType"] == "binary/octet-stream"
    assert answer["Body"].read() == b""
    assert answer["Metadata"] == {}
    assert "ContentEncoding" not in answer


def test_too_much_metadata(s3: Any, bucket: str) -> None:
    with pytest.raises(ClientError) as error:
        s3.put_object(Bucket=bucket, Key="k", Metadata={"a": "x" * 2048})
    assert code(error) == ("MetadataTooLarge", 400)


@pytest.mark.parametrize(
    ("header", "expected", "content_range"),
    [
        ("bytes=0-3", b"0123", "bytes 0-3/10"),
        ("bytes=7-", b"789", "bytes 7-9/10"),
        ("bytes=-3", b"789", "bytes 7-9/10"),
        ("bytes=8-100", b"89", "bytes 8-9/10"),
        ("bytes=-100", b"0123456789", "bytes 0-9/10"),
        ("bytes=5-2", b"0123456789", None),
        ("lines=1-2", b"0123456789", None),
        ("bytes=0-1,3-4", b"0123456789", None),
    ],
)
def test_ranges(s3: Any, bucket: str, header: str, expected: bytes, content_range: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"0123456789")
    answer = s3.get_object(Bucket=bucket, Key="k", Range=header)
    assert answer["Body"].read() == expected
    assert answer.get("ContentRange") == content_range
    status = answer["ResponseMetadata"]["HTTPStatusCode"]
    assert status == (206 if content_range else 200)
    head = s3.head_object(Bucket=bucket, Key="k", Range=header)
    assert head["ContentLength"] == len(expected)


@pytest.mark.parametrize("header", ["bytes=10-", "bytes=10-12", "bytes=-0"])
def test_ranges_beyond_the_end(s3: Any, bucket: str, header: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"0123456789")
    with pytest.raises(ClientError) as error:
        s3.get_object(Bucket=bucket, Key="k", Range=header)
    assert code(error) == ("InvalidRange", 416)
    assert error.value.response["Error"]["ActualObjectSize"] == "10"


def test_ranges_of_a_big_object(s3: Any, bucket: str) -> None:
    data = os.urandom(3_000_000)
    s3.put_object(Bucket=bucket, Key="k", Body=data)
    answer = s3.get_object(Bucket=bucket, Key="k", Range="bytes=1000-2500000")
    assert answer["Body"].read() == data[1000:2500001]
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == data


def test_conditional_reads(s3: Any, bucket: str) -> None:
    etag = s3.put_object(Bucket=bucket, Key="k", Body=b"x")["ETag"]
    now = datetime.now(UTC)
    past, future = now - timedelta(hours=1), now + timedelta(hours=1)
    for condition in (
        {"IfMatch": etag},
        {"IfMatch": "*"},
        {"IfNoneMatch": '"other"'},
        {"IfModifiedSince": past},
        {"IfUnmodifiedSince": future},
        {"IfMatch": etag, "IfUnmodifiedSince": past},
        {"IfNoneMatch": '"other"', "IfModifiedSince": future},
    ):
        assert s3.get_object(Bucket=bucket, Key="k", **condition)["Body"].read() == b"x"
    for condition in ({"IfMatch": '"other"'}, {"IfUnmodifiedSince": past}):
        with pytest.raises(ClientError) as error:
            s3.get_object(Bucket=bucket, Key="k", **condition)
        assert code(error) == ("PreconditionFailed", 412)
    for condition in (
        {"IfNoneMatch": etag},
        {"IfNoneMatch": f'"a", {etag}'},
        {"IfModifiedSince": future},
    ):
        with pytest.raises(ClientError) as error:
            s3.get_object(Bucket=bucket, Key="k", **condition)
        assert code(error) == ("304", 304)


def test_conditional_writes(s3: Any, bucket: str) -> None:
    with pytest.raises(ClientError) as error:
        s3.put_object(Bucket=bucket, Key="k", Body=b"x", IfMatch='"a"')
    assert code(error) == ("NoSuchKey", 404)
    etag = s3.put_object(Bucket=bucket, Key="k", Body=b"one", IfNoneMatch="*")["ETag"]
    for condition in ({"IfNoneMatch": "*"}, {"IfMatch": '"a"'}):
        with pytest.raises(ClientError) as error:
            s3.put_object(Bucket=bucket, Key="k", Body=b"two", **condition)
        assert code(error) == ("PreconditionFailed", 412)
    s3.put_object(Bucket=bucket, Key="k", Body=b"two", IfMatch=etag)
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"two"


def test_response_overrides(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", ContentType="text/plain")
    answer = s3.get_object(
        Bucket=bucket,
        Key="k",
        ResponseContentType="a/b",
        ResponseContentDisposition="inline",
        ResponseCacheControl="no-cache",
        ResponseContentLanguage="fr",
        ResponseContentEncoding="identity",
        ResponseExpires=datetime(2031, 2, 3, tzinfo=UTC),
    )
    assert (answer["ContentType"], answer["ContentDisposition"]) == ("a/b", "inline")
    assert (answer["CacheControl"], answer["ContentLanguage"]) == ("no-cache", "fr")
    assert answer["ContentEncoding"] == "identity"
    assert answer["ExpiresString"] == "Mon, 03 Feb 2031 00:00:00 GMT"


def test_encryption_and_storage_class_are_echoed(s3: Any, bucket: str) -> None:
    kms = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "arn:aws:kms:us-east-1:0:key/k"}
    put = s3.put_object(Bucket=bucket, Key="k", Body=b"", StorageClass="STANDARD_IA", **kms)
    head = s3.head_object(Bucket=bucket, Key="k")
    assert {name: put[name] for name in kms} == {name: head[name] for name in kms} == kms
    assert head["StorageClass"] == "STANDARD_IA"
    assert s3.list_objects_v2(Bucket=bucket)["Contents"][0]["StorageClass"] == "STANDARD_IA"
    put = s3.put_object(Bucket=bucket, Key="k", ServerSideEncryption="AES256", ACL="private")
    assert put["ServerSideEncryption"] == "AES256"
    assert "StorageClass" not in s3.head_object(Bucket=bucket, Key="k")


def test_what_would_be_a_lie_is_refused(s3: Any, bucket: str) -> None:
    with pytest.raises(ClientError) as error:
        s3.put_object(Bucket=bucket, Key="k", ObjectLockLegalHoldStatus="ON", Body=b"")
    assert code(error) == ("NotImplemented", 501)
    with pytest.raises(ClientError) as error:
        s3.get_object(Bucket=bucket, Key="k", VersionId="abc")
    assert code(error) == ("NoSuchVersion", 404)


def test_expected_owner(s3: Any, server: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", ExpectedBucketOwner="0" * 12)
    with pytest.raises(ClientError) as error:
        s3.get_object(Bucket=bucket, Key="k", ExpectedBucketOwner="1" * 12)
    assert code(error) == ("AccessDenied", 403)
    with pytest.raises(ClientError) as error:
        server.client("AKIDOTHER").get_object(Bucket=bucket, Key="k")
    assert code(error) == ("AccessDenied", 403)


def test_delete_many(s3: Any, bucket: str) -> None:
    keys = ["a", "b", "é&<", "c" * 1024]
    for key in keys:
        s3.put_object(Bucket=bucket, Key=key, Body=b"x")
    wanted = [{"Key": key} for key in [*keys, "never there"]]
    answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": wanted})
    assert [item["Key"] for item in answer["Deleted"]] == [*keys, "never there"]
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    wanted = [{"Key": "k", "ETag": '"other"'}, {"Key": "k", "VersionId": "v"}]
    answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": wanted, "Quiet": True})
    assert [item["Code"] for item in answer["Errors"]] == ["PreconditionFailed", "NoSuchVersion"]
    assert "Deleted" not in answer
    with pytest.raises(ClientError) as error:
        s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "k"}] * 1001})
    assert code(error) == ("MalformedXML", 400)


def test_copies(s3: Any, bucket: str) -> None:
    s3.put_object(
        Bucket=bucket,
        Key="é & ?",
        Body=b"data",
        ContentType="text/plain",
        Metadata={"a": "b"},
        Tagging="x=y",
        CacheControl="no-cache",
    )
    source = {"Bucket": bucket, "Key": "é & ?"}
    copied = s3.copy_object(Bucket=bucket, Key="copy", CopySource=source)
    assert copied["CopyObjectResult"]["ETag"] == f'"{hashlib.md5(b"data").hexdigest()}"'
    copy = s3.get_object(Bucket=bucket, Key="copy")
    assert (copy["Body"].read(), copy["ContentType"]) == (b"data", "text/plain")
    assert (copy["Metadata"], copy["TagCount"], copy["CacheControl"]) == ({"a": "b"}, 1, "no-cache")
    s3.copy_object(
        Bucket=bucket,
        Key="copy",
        CopySource=source,
        MetadataDirective="REPLACE",
        Metadata={"c": "d"},
        ContentType="a/b",
        TaggingDirective="REPLACE",
        Tagging="p=q&r=s",
    )
    copy = s3.head_object(Bucket=bucket, Key="copy")
    assert (copy["Metadata"], copy["ContentType"], copy["TagCount"]) == ({"c": "d"}, "a/b", 2)
    assert "CacheControl" not in copy


def test_copies_that_cannot_be(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"data")
    source = {"Bucket": bucket, "Key": "k"}
    for options, expected in (
        ({"Key": "k"}, ("InvalidRequest", 400)),
        ({"Key": "c", "CopySourceIfMatch": '"x"'}, ("PreconditionFailed", 412)),
        ({"Key": "c", "MetadataDirective": "BOTH"}, ("InvalidArgument", 400)),
    ):
        with pytest.raises(ClientError) as error:
            s3.copy_object(Bucket=bucket, CopySource=source, **options)
        assert code(error) == expected
    for text, expected in (
        (f"{bucket}/none", ("NoSuchKey", 404)),
        ("no-such-bucket/k", ("NoSuchBucket", 404)),
        ("nonsense", ("InvalidArgument", 400)),
        (f"{bucket}/k?versionId=abc", ("NoSuchVersion", 404)),
    ):
        with pytest.raises(ClientError) as error:
            s3.copy_object(Bucket=bucket, Key="c", CopySource=text)
        assert code(error) == expected
    s3.copy_object(Bucket=bucket, Key="k", CopySource=source, StorageClass="GLACIER_IR")
    assert s3.head_object(Bucket=bucket, Key="k")["StorageClass"] == "GLACIER_IR"


def test_tagging(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"", Tagging="a=1&b=")
    tags = s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"]
    assert tags == [{"Key": "a", "Value": "1"}, {"Key": "b", "Value": ""}]
    s3.put_object_tagging(Bucket=bucket, Key="k", Tagging={"TagSet": [{"Key": "c", "Value": "2"}]})
    assert s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"] == [{"Key": "c", "Value": "2"}]
    s3.delete_object_tagging(Bucket=bucket, Key="k")
    assert s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"] == []
    with pytest.raises(ClientError) as error:
        s3.put_object(Bucket=bucket, Key="k", Tagging="a=1&a=2")
    assert code(error) == ("InvalidTag", 400)


def test_streams(s3: Any, bucket: str) -> None:
    data = os.urandom(2_500_000)
    s3.put_object(Bucket=bucket, Key="k", Body=io.BytesIO(data))
    body = s3.get_object(Bucket=bucket, Key="k")["Body"]
    assert b"".join(body.iter_chunks(100_000)) == data
