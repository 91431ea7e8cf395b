from __future__ import annotations

import hashlib
import os
from typing import Any

import pytest
from botocore.exceptions import ClientError

PART = 5 << 20
DATA = os.urandom(64) * ((2 * PART + 100) // 64)


def code(error: pytest.ExceptionInfo[ClientError]) -> tuple[str, int]:
    response = error.value.response
    return response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]


def pieces() -> list[bytes]:
    return [DATA[start : start + PART] for start in range(0, len(DATA), PART)]


def upload(s3: Any, bucket: str, key: str, **options: Any) -> tuple[str, list[dict[str, Any]]]:
    """All parts of DATA, ready to be completed."""
    made = s3.create_multipart_upload(Bucket=bucket, Key=key, **options)["UploadId"]
    named = {"Bucket": bucket, "Key": key, "UploadId": made}
    parts = []
    for number, piece in enumerate(pieces(), 1):
        algorithm = {n: options[n] for n in ("ChecksumAlgorithm",) if n in options}
        answer = s3.upload_part(**named, PartNumber=number, Body=piece, **algorithm)
        checksums = {n: v for n, v in answer.items() if n.startswith("Checksum")}
        parts.append({"PartNumber": number, "ETag": answer["ETag"], **checksums})
    return made, parts


def complete(s3: Any, bucket: str, key: str, made: str, parts: Any, **options: Any) -> Any:
    return s3.complete_multipart_upload(
        Bucket=bucket, Key=key, UploadId=made, MultipartUpload={"Parts": parts}, **options
    )


def test_from_create_to_complete(s3: Any, bucket: str) -> None:
    made, parts = upload(s3, bucket, "k", ContentType="a/b", Metadata={"x": "y"}, Tagging="t=1")
    answer = complete(s3, bucket, "k", made, parts)
    digests = b"".join(hashlib.md5(piece).digest() for piece in pieces())
    etag = f'"{hashlib.md5(digests).hexdigest()}-3"'
    assert (answer["ETag"], answer["Bucket"], answer["Key"]) == (etag, bucket, "k")
    stored = s3.get_object(Bucket=bucket, Key="k")
    assert stored["Body"].read() == DATA
    assert (stored["ETag"], stored["ContentType"], stored["TagCount"]) == (etag, "a/b", 1)
    assert stored["Metadata"] == {"x": "y"}
    assert complete(s3, bucket, "k", made, parts)["ETag"] == etag  # as if the answer got lost


def test_one_part_of_a_finished_object(s3: Any, bucket: str) -> None:
    made, parts = upload(s3, bucket, "k")
    complete(s3, bucket, "k", made, parts)
    for number, piece in enumerate(pieces(), 1):
        answer = s3.get_object(Bucket=bucket, Key="k", PartNumber=number)
        assert (answer["Body"].read(), answer["PartsCount"]) == (piece, 3)
        assert answer["ResponseMetadata"]["HTTPStatusCode"] == 206
    assert s3.head_object(Bucket=bucket, Key="k", PartNumber=1)["ContentLength"] == PART
    with pytest.raises(ClientError) as error:
        s3.get_object(Bucket=bucket, Key="k", PartNumber=4)
    assert code(error) == ("InvalidPartNumber", 416)


def test_listing_parts_and_uploads(s3: Any, bucket: str) -> None:
    made, parts = upload(s3, bucket, "dir/k")
    other = s3.create_multipart_upload(Bucket=bucket, Key="other")["UploadId"]
    pages = s3.get_paginator("list_parts").paginate(
        Bucket=bucket, Key="dir/k", UploadId=made, PaginationConfig={"PageSize": 2}
    )
    listed = [part for page in pages for part in page["Parts"]]
    assert [part["Size"] for part in listed] == [len(piece) for piece in pieces()]
    assert [part["ETag"] for part in listed] == [part["ETag"] for part in parts]
    answer = s3.list_multipart_uploads(Bucket=bucket)
    assert [(u["Key"], u["UploadId"]) for u in answer["Uploads"]] == [
        ("dir/k", made),
        ("other", other),
    ]
    answer = s3.list_multipart_uploads(Bucket=bucket, Delimiter="/", MaxUploads=1)
    assert answer["CommonPrefixes"] == [{"Prefix": "dir/"}]
    assert (answer["IsTruncated"], answer["NextKeyMarker"]) == (True, "dir/")
    answer = s3.list_multipart_uploads(Bucket=bucket, Delimiter="/", KeyMarker="dir/")
    assert [u["UploadId"] for u in answer["Uploads"]] == [other]
    answer = s3.list_multipart_uploads(Bucket=bucket, Prefix="dir/")
    assert [u["UploadId"] for u in answer["Uploads"]] == [made]


def test_aborting(s3: Any, bucket: str) -> None:
    made, parts = upload(s3, bucket, "k")
    s3.abort_multipart_upload(Bucket=bucket, Key="k", UploadId=made)
    named = {"Bucket": bucket, "Key": "k", "UploadId": made}
    for call, options in (
        (s3.abort_multipart_upload, {}),
        (s3.upload_part, {"PartNumber": 1, "Body": b""}),
        (s3.list_parts, {}),
        (s3.complete_multipart_upload, {"MultipartUpload": {"Parts": parts}}),
    ):
        with pytest.raises(ClientError) as error:
            call(**named, **options)
        assert code(error) == ("NoSuchUpload", 404)
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=bucket)


def test_what_a_complete_may_not_say(s3: Any, bucket: str) -> None:
    made, parts = upload(s3, bucket, "k")
    wrong = {**parts[0], "ETag": '"0"'}
    for chosen, expected in (
        ([], "MalformedXML"),
        ([wrong], "InvalidPart"),
        ([parts[1], parts[0]], "InvalidPartOrder"),
        ([parts[0], {**parts[1], "PartNumber": 9}], "InvalidPart"),
    ):
        with pytest.raises(ClientError) as error:
            complete(s3, bucket, "k", made, chosen)
        assert code(error) == (expected, 400)
    s3.upload_part(Bucket=bucket, Key="k", UploadId=made, PartNumber=1, Body=b"small")
    small = s3.list_parts(Bucket=bucket, Key="k", UploadId=made)["Parts"][0]
    chosen = [{"PartNumber": 1, "ETag": small["ETag"]}, parts[1]]
    with pytest.raises(ClientError) as error:
        complete(s3, bucket, "k", made, chosen)
    assert code(error) == ("EntityTooSmall", 400)
    with pytest.raises(ClientError) as error:
        s3.upload_part(Bucket=bucket, Key="k", UploadId=made, PartNumber=10001, Body=b"")
    assert code(error) == ("InvalidArgument", 400)


def test_completing_only_when_nothing_is_there(s3: Any, bucket: str) -> None:
    made, parts = upload(s3, bucket, "k")
    s3.put_object(Bucket=bucket, Key="k", Body=b"first")
    with pytest.raises(ClientError) as error:
        complete(s3, bucket, "k", made, parts, IfNoneMatch="*")
    assert code(error) == ("PreconditionFailed", 412)
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"first"


def test_parts_that_are_copies(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="source", Body=DATA)
    made = s3.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]
    named = {"Bucket": bucket, "Key": "k", "UploadId": made}
    source = {"Bucket": bucket, "Key": "source"}
    parts = []
    for number, span in ((1, f"bytes=0-{PART - 1}"), (2, "bytes=100-199")):
        answer = s3.upload_part_copy(
            **named, PartNumber=number, CopySource=source, CopySourceRange=span
        )
        parts.append({"PartNumber": number, "ETag": answer["CopyPartResult"]["ETag"]})
    complete(s3, bucket, "k", made, parts)
    expected = DATA[:PART] + DATA[100:200]
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == expected
    made = s3.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]
    for span, expected_code in (
        ("bytes=1-", "InvalidArgument"),
        ("bytes=0-99999999", "InvalidRequest"),
    ):
        with pytest.raises(ClientError) as error:
            s3.upload_part_copy(
                Bucket=bucket,
                Key="k",
                UploadId=made,
                PartNumber=1,
                CopySource=source,
                CopySourceRange=span,
            )
        assert code(error) == (expected_code, 400)


@pytest.mark.parametrize(
    ("algorithm", "kind"), [("CRC32", "COMPOSITE"), ("CRC32", "FULL_OBJECT"), ("SHA256", None)]
)
def test_checksums_of_parts_and_whole(
    s3: Any, bucket: str, algorithm: str, kind: str | None
) -> None:
    options = {"ChecksumType": kind} if kind else {}
    made, parts = upload(s3, bucket, "k", ChecksumAlgorithm=algorithm, **options)
    answer = complete(s3, bucket, "k", made, parts)
    assert answer["ChecksumType"] == (kind or "COMPOSITE")
    stored = s3.get_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    assert stored["Body"].read() == DATA  # boto3 verifies the checksum of a full object itself
    name = f"Checksum{algorithm}"
    assert stored[name] == answer[name]
    assert answer[name].endswith("-3") == (answer["ChecksumType"] == "COMPOSITE")
    told = s3.get_object_attributes(
        Bucket=bucket,
        Key="k",
        ObjectAttributes=["ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize"],
        MaxParts=2,
    )
    assert (told["ObjectSize"], told["StorageClass"]) == (len(DATA), "STANDARD")
    assert told["Checksum"][name] == answer[name]
    assert told["ETag"] == answer["ETag"].strip('"')
    assert (told["ObjectParts"]["TotalPartsCount"], told["ObjectParts"]["IsTruncated"]) == (3, True)
    assert [part["Size"] for part in told["ObjectParts"]["Parts"]] == [PART, PART]
    assert told["ObjectParts"]["Parts"][0][name] == parts[0][name]


def test_checksums_that_do_not_go_together(s3: Any, bucket: str) -> None:
    for options in (
        {"ChecksumAlgorithm": "SHA256", "ChecksumType": "FULL_OBJECT"},
        {"ChecksumAlgorithm": "CRC64NVME", "ChecksumType": "COMPOSITE"},
    ):
        with pytest.raises(ClientError) as error:
            s3.create_multipart_upload(Bucket=bucket, Key="k", **options)
        assert code(error) == ("InvalidRequest", 400)
    made = s3.create_multipart_upload(Bucket=bucket, Key="k", ChecksumAlgorithm="SHA256")
    with pytest.raises(ClientError) as error:
        s3.upload_part(
            Bucket=bucket,
            Key="k",
            UploadId=made["UploadId"],
            PartNumber=1,
            Body=b"x",
            ChecksumAlgorithm="CRC32",
        )
    assert code(error) == ("InvalidRequest", 400)
