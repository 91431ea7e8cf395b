from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError


def code(error: pytest.ExceptionInfo[ClientError]) -> tuple[str, int]:
    response = error.value.response
    return response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]


def create(client: Any, name: str, constraint: str | None = None) -> Any:
    options = (
        {"CreateBucketConfiguration": {"LocationConstraint": constraint}} if constraint else {}
    )
    return client.create_bucket(Bucket=name, **options)


def test_a_buckets_life(s3: Any) -> None:
    assert create(s3, "life-of-a-bucket")["Location"] == "/life-of-a-bucket"
    head = s3.head_bucket(Bucket="life-of-a-bucket")
    assert head["BucketRegion"] == "us-east-1"
    assert head["ResponseMetadata"]["HTTPHeaders"]["x-amz-bucket-region"] == "us-east-1"
    assert s3.get_bucket_location(Bucket="life-of-a-bucket")["LocationConstraint"] is None
    assert s3.get_bucket_versioning(Bucket="life-of-a-bucket").get("Status") is None
    listed = {b["Name"]: b for b in s3.list_buckets()["Buckets"]}
    assert listed["life-of-a-bucket"]["CreationDate"].year > 2020
    s3.put_object(Bucket="life-of-a-bucket", Key="k", Body=b"")
    with pytest.raises(ClientError) as error:
        s3.delete_bucket(Bucket="life-of-a-bucket")
    assert code(error) == ("BucketNotEmpty", 409)
    s3.delete_object(Bucket="life-of-a-bucket", Key="k")
    s3.delete_bucket(Bucket="life-of-a-bucket")
    with pytest.raises(ClientError) as error:
        s3.head_bucket(Bucket="life-of-a-bucket")
    assert code(error) == ("404", 404)
    assert error.value.response["Error"]["Message"] == "Not Found"


def test_regions(s3: Any, server: Any) -> None:
    ireland = server.client(region="eu-west-1")
    create(ireland, "in-ireland", "eu-west-1")
    assert s3.get_bucket_location(Bucket="in-ireland")["LocationConstraint"] == "eu-west-1"
    assert s3.head_bucket(Bucket="in-ireland")["BucketRegion"] == "eu-west-1"
    create(s3, "in-frankfurt", "eu-central-1")
    assert s3.head_bucket(Bucket="in-frankfurt")["BucketRegion"] == "eu-central-1"
    for constraint in (None, "eu-central-1"):
        with pytest.raises(ClientError) as error:
            create(ireland, "nowhere", constraint)
        assert code(error) == ("IllegalLocationConstraintException", 400)
    with pytest.raises(ClientError) as error:
        create(s3, "nowhere", "us-east-1")
    assert code(error) == ("InvalidLocationConstraint", 400)


def test_creating_again(s3: Any, server: Any) -> None:
    create(s3, "mine-already")
    create(s3, "mine-already")
    with pytest.raises(ClientError) as error:
        create(server.client(region="eu-west-1"), "mine-already", "eu-west-1")
    assert code(error) == ("BucketAlreadyOwnedByYou", 409)
    with pytest.raises(ClientError) as error:
        create(server.client("AKIDOTHER"), "mine-already")
    assert code(error) == ("BucketAlreadyExists", 409)


@pytest.mark.parametrize(
    "name", ["Upper", "under_score", "a..b", "192.168.1.1", "-a-b", "abc-", "xn--abc", "a-s3alias"]
)
def test_illegal_names(s3: Any, name: str) -> None:
    with pytest.raises(ClientError) as error:
        create(s3, name)
    assert code(error) == ("InvalidBucketName", 400)


def test_the_expected_owner(s3: Any, bucket: str) -> None:
    s3.head_bucket(Bucket=bucket, ExpectedBucketOwner="0" * 12)
    with pytest.raises(ClientError) as error:
        s3.head_bucket(Bucket=bucket, ExpectedBucketOwner="1" * 12)
    assert code(error) == ("403", 403)


def test_listing_in_pages(server: Any) -> None:
    client = server.client("AKIDOTHER")
    names = [f"paged-{i}" for i in range(5)]
    for name in names:
        create(client, name)
    pages = list(client.get_paginator("list_buckets").paginate(PaginationConfig={"PageSize": 2}))
    assert [len(page["Buckets"]) for page in pages] == [2, 2, 1]
    assert [b["Name"] for page in pages for b in page["Buckets"]] == names
    assert client.list_buckets(Prefix="paged-3")["Buckets"][0]["Name"] == "paged-3"
    assert client.list_buckets(BucketRegion="eu-west-1")["Buckets"] == []


def test_tags(s3: Any, bucket: str) -> None:
    with pytest.raises(ClientError) as error:
        s3.get_bucket_tagging(Bucket=bucket)
    assert code(error) == ("NoSuchTagSet", 404)
    tags = [{"Key": "team", "Value": "a"}, {"Key": "cost", "Value": ""}]
    s3.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": tags})
    assert s3.get_bucket_tagging(Bucket=bucket)["TagSet"] == tags
    s3.delete_bucket_tagging(Bucket=bucket)
    with pytest.raises(ClientError):
        s3.get_bucket_tagging(Bucket=bucket)


def test_what_is_not_there_yet_says_so(s3: Any, bucket: str) -> None:
    with pytest.raises(ClientError) as error:
        s3.get_bucket_policy(Bucket=bucket)
    assert code(error) == ("NotImplemented", 501)
    with pytest.raises(ClientError) as error:
        s3.create_bucket(Bucket="locked-bucket", ObjectLockEnabledForBucket=True)
    assert code(error) == ("NotImplemented", 501)
