"""Tags of any resource."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from services.sagemaker.helpers_sagemaker import Desk, training_request
from wildsage.wire.errors import ApiError


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path)
    yield desk
    desk.close()


@pytest.fixture
def arn(desk: Desk) -> str:
    request = training_request(Tags=[{"Key": "a", "Value": "1"}])
    return str(desk.call("CreateTrainingJob", **request)["TrainingJobArn"])


def test_tags_come_and_go(desk: Desk, arn: str) -> None:
    added = desk.call(
        "AddTags",
        ResourceArn=arn,
        Tags=[{"Key": "b", "Value": ""}, {"Key": "a", "Value": "2"}],
    )
    expected = [{"Key": "a", "Value": "2"}, {"Key": "b", "Value": ""}]
    assert added == {"Tags": expected}
    assert desk.call("ListTags", ResourceArn=arn) == {"Tags": expected}
    assert desk.call("DeleteTags", ResourceArn=arn, TagKeys=["a", "never"]) == {}
    assert desk.call("ListTags", ResourceArn=arn) == {"Tags": expected[1:]}


def test_pages(desk: Desk, arn: str) -> None:
    desk.call("AddTags", ResourceArn=arn, Tags=[{"Key": k, "Value": k} for k in "bcd"])
    first = desk.call("ListTags", ResourceArn=arn, MaxResults=3)
    second = desk.call("ListTags", ResourceArn=arn, NextToken=first["NextToken"])
    assert [t["Key"] for t in first["Tags"] + second["Tags"]] == list("abcd")
    assert "NextToken" not in second
    with pytest.raises(ApiError, match="NextToken"):
        desk.call("ListTags", ResourceArn=arn, NextToken="%%")


def test_limits(desk: Desk, arn: str) -> None:
    many = [{"Key": str(n), "Value": ""} for n in range(50)]
    with pytest.raises(ApiError, match="at most 50 tags"):
        desk.call("AddTags", ResourceArn=arn, Tags=many)
    with pytest.raises(ApiError, match="aws: prefixed"):
        desk.call("AddTags", ResourceArn=arn, Tags=[{"Key": "AWS:x", "Value": ""}])
    assert len(desk.call("ListTags", ResourceArn=arn)["Tags"]) == 1


def test_unknown_resources(desk: Desk, arn: str) -> None:
    for operation in ("AddTags", "ListTags", "DeleteTags"):
        with pytest.raises(ApiError, match="not found"):
            desk.call(operation, ResourceArn=arn + "x", Tags=[], TagKeys=[])
