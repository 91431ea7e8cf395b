"""Models over the store: what is kept, what is refused, in AWS's words."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jobs.helpers_endpoints import IMAGE, ROLE, World, archive, world
from wildsage.services.sagemaker import models
from wildsage.wire.errors import ApiError

ARN = "arn:aws:sagemaker:us-east-1:123456789012:model/m"


@pytest.fixture
def house(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path, start=False) as made:
        made.put("m.tar.gz", archive(answer="x"))
        yield made


def container(**rest: Any) -> dict[str, Any]:
    return {"Image": IMAGE, "ModelDataUrl": "s3://models/m.tar.gz", **rest}


def create(house: World, name: str = "m", **request: Any) -> dict[str, Any]:
    request = {"PrimaryContainer": container()} | request
    request |= {"ModelName": name, "ExecutionRoleArn": ROLE}
    return models.create_model(house.ctx(), request)


def refusal(house: World, **request: Any) -> ApiError:
    with pytest.raises(ApiError) as caught:
        create(house, **request)
    assert models.list_models(house.ctx(), {})["Models"] == []
    return caught.value


def test_create_and_describe(house: World) -> None:
    assert create(house, Tags=[{"Key": "k", "Value": "v"}]) == {"ModelArn": ARN}
    found = models.describe_model(house.ctx(), {"ModelName": "m"})
    assert found["PrimaryContainer"] == {
        "Image": IMAGE,
        "ModelDataUrl": "s3://models/m.tar.gz",
        "Mode": "SingleModel",
        "Environment": {},
    }
    assert (found["ModelArn"], found["ExecutionRoleArn"]) == (ARN, ROLE)
    assert found["EnableNetworkIsolation"] is False
    assert "Tags" not in found
    assert house.resources.tags(ARN) == {"k": "v"}


def test_a_pipeline_is_kept(house: World) -> None:
    pipeline = [container(ContainerHostname="a"), container(ContainerHostname="b")]
    request = {"ModelName": "p", "ExecutionRoleArn": ROLE, "Containers": pipeline}
    models.create_model(house.ctx(), request)
    found = models.describe_model(house.ctx(), {"ModelName": "p"})
    assert [one["ContainerHostname"] for one in found["Containers"]] == ["a", "b"]


def test_names_are_unique(house: World) -> None:
    create(house)
    with pytest.raises(ApiError) as caught:
        create(house)
    assert caught.value.code == "ValidationException"
    assert caught.value.message == f'Cannot create already existing model "{ARN}".'


def test_model_data_must_be_there(house: World) -> None:
    error = refusal(house, PrimaryContainer=container(ModelDataUrl="s3://models/none"))
    assert error.message == "Could not find model data at s3://models/none."


@pytest.mark.parametrize(
    ("image", "text"),
    [
        (
            "382416733822.dkr.ecr.us-east-1.amazonaws.com/nothing:1",
            "Requested image 382416733822.dkr.ecr.us-east-1.amazonaws.com/nothing:1 not found.",
        ),
        (
            "docker.io/library/python",
            'Using non-ECR image "docker.io/library/python" without Vpc repository access mode '
            "is not supported.",
        ),
    ],
)
def test_images_must_be_known(house: World, image: str, text: str) -> None:
    assert refusal(house, PrimaryContainer=container(Image=image)).message == text


def test_a_model_needs_a_container_with_an_image(house: World) -> None:
    assert refusal(house, PrimaryContainer={"Environment": {}}).code == "ValidationException"
    assert refusal(house, Containers=[container()]).code == "ValidationException"
    with pytest.raises(ApiError):
        models.create_model(house.ctx(), {"ModelName": "m"})


def test_model_packages_are_501_by_name(house: World) -> None:
    error = refusal(house, PrimaryContainer={"ModelPackageName": "p"})
    assert (error.status, "ModelPackageName" in error.message) == (501, True)


def test_list_and_delete(house: World) -> None:
    for name in ("a", "b", "c"):
        create(house, name)
    page = models.list_models(house.ctx(), {"MaxResults": 2, "SortBy": "Name"})
    assert [model["ModelName"] for model in page["Models"]] == ["c", "b"]
    rest = models.list_models(
        house.ctx(), {"MaxResults": 2, "SortBy": "Name", "NextToken": page["NextToken"]}
    )
    assert [model["ModelName"] for model in rest["Models"]] == ["a"]
    models.delete_model(house.ctx(), {"ModelName": "a"})
    for call in (models.describe_model, models.delete_model):
        with pytest.raises(ApiError) as caught:
            call(house.ctx(), {"ModelName": "a"})
        arn = ARN.replace("/m", "/a")
        assert caught.value.message == f'Could not find model "{arn}".'
