from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

KEYS = ["a", "a b", "a+b", "b/1", "b/2", "b/c/3", "d/", "d/e", "é/f", "z\x01z"]


@pytest.fixture
def full(s3: Any, bucket: str) -> str:
    for key in KEYS:
        s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
    return bucket


def test_all_keys(s3: Any, full: str) -> None:
    answer = s3.list_objects_v2(Bucket=full)
    assert [item["Key"] for item in answer["Contents"]] == sorted(KEYS, key=str.encode)
    assert (answer["KeyCount"], answer["MaxKeys"]) == (len(KEYS), 1000)
    assert (answer["IsTruncated"], answer["Name"], answer["Prefix"]) == (False, full, "")
    first = answer["Contents"][0]
    assert (first["Size"], first["StorageClass"]) == (1, "STANDARD")
    assert first["ETag"] == '"0cc175b9c0f1b6a831c399e269772661"'
    assert first["ChecksumAlgorithm"] == ["CRC32"]
    assert "Owner" not in first
    owned = s3.list_objects_v2(Bucket=full, FetchOwner=True)["Contents"][0]
    assert len(owned["Owner"]["ID"]) == 64


@pytest.mark.parametrize("operation", ["list_objects", "list_objects_v2", "list_object_versions"])
@pytest.mark.parametrize("delimiter", ["", "/"])
@pytest.mark.parametrize("size", [1, 2, 3, 1000])
def test_pages(s3: Any, full: str, operation: str, delimiter: str, size: int) -> None:
    paginator = s3.get_paginator(operation)
    pages = paginator.paginate(
        Bucket=full, Delimiter=delimiter, PaginationConfig={"PageSize": size}
    )
    keys, prefixes = [], []
    for page in pages:
        keys += [item["Key"] for item in page.get("Contents", page.get("Versions", []))]
        prefixes += [item["Prefix"] for item in page.get("CommonPrefixes", [])]
    folded = {"b/", "d/", "é/"} if delimiter else set()
    assert keys == [k for k in sorted(KEYS, key=str.encode) if not k.startswith(tuple(folded))]
    assert prefixes == sorted(folded, key=str.encode)


def test_prefix_and_start(s3: Any, full: str) -> None:
    answer = s3.list_objects_v2(Bucket=full, Prefix="b/", Delimiter="/", StartAfter="b/1")
    assert [item["Key"] for item in answer["Contents"]] == ["b/2"]
    assert [item["Prefix"] for item in answer["CommonPrefixes"]] == ["b/c/"]
    assert (answer["StartAfter"], answer["Delimiter"]) == ("b/1", "/")
    answer = s3.list_objects(Bucket=full, Marker="d/", MaxKeys=1)
    assert [item["Key"] for item in answer["Contents"]] == ["d/e"]
    assert (answer["IsTruncated"], "NextMarker" in answer) == (True, False)
    answer = s3.list_objects_v2(Bucket=full, MaxKeys=0)
    assert (answer["KeyCount"], answer["IsTruncated"]) == (0, False)


def test_keys_are_url_encoded_when_asked_for(s3: Any, full: str) -> None:
    raw = s3.list_objects_v2(Bucket=full, Prefix="a", EncodingType="url")
    assert raw["EncodingType"] == "url"
    assert [item["Key"] for item in raw["Contents"]] == ["a", "a%20b", "a%2Bb"]


def test_bad_arguments(s3: Any, full: str) -> None:
    for options in ({"ContinuationToken": "nonsense"}, {"ContinuationToken": "===="}):
        with pytest.raises(ClientError) as error:
            s3.list_objects_v2(Bucket=full, **options)
        assert error.value.response["Error"]["Code"] == "InvalidArgument"
    with pytest.raises(ClientError) as error:
        s3.list_objects_v2(Bucket=full, MaxKeys=-1)
    assert error.value.response["Error"]["Code"] == "InvalidArgument"


def test_clearing_a_bucket_by_its_versions(s3: Any, full: str) -> None:
    s3.delete_object(Bucket=full, Key="z\x01z")  # XML has no way to write this key
    versions = s3.list_object_versions(Bucket=full)["Versions"]
    assert {(v["VersionId"], v["IsLatest"]) for v in versions} == {("null", True)}
    wanted = [{"Key": v["Key"], "VersionId": v["VersionId"]} for v in versions]
    answer = s3.delete_objects(Bucket=full, Delete={"Objects": wanted})
    assert len(answer["Deleted"]) == len(KEYS) - 1
    s3.delete_bucket(Bucket=full)
