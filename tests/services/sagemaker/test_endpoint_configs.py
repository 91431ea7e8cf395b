"""Endpoint configurations over the store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs.helpers_endpoints import World, variant_of, world
from wildsage.services.sagemaker import endpoint_configs
from wildsage.wire.errors import ApiError

ARN = "arn:aws:sagemaker:us-east-1:123456789012:endpoint-config/c"


@pytest.fixture
def house(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path, start=False) as made:
        made.model("m")
        yield made


def test_create_and_describe(house: World) -> None:
    request = {
        "EndpointConfigName": "c",
        "ProductionVariants": [variant_of("m")],
        "KmsKeyId": "key",
        "Tags": [{"Key": "k", "Value": "v"}],
    }
    assert endpoint_configs.create_endpoint_config(house.ctx(), request) == {
        "EndpointConfigArn": ARN
    }
    found = endpoint_configs.describe_endpoint_config(house.ctx(), {"EndpointConfigName": "c"})
    assert found["ProductionVariants"] == [variant_of("m") | {"InitialVariantWeight": 1.0}]
    assert (found["EndpointConfigArn"], found["KmsKeyId"]) == (ARN, "key")
    assert house.resources.tags(ARN) == {"k": "v"}


def refusal(house: World, *variants: dict[str, object]) -> ApiError:
    with pytest.raises(ApiError) as caught:
        house.config("c", *variants)
    return caught.value


def test_models_must_exist(house: World) -> None:
    error = refusal(house, variant_of("none"))
    assert error.message == (
        'Could not find model "arn:aws:sagemaker:us-east-1:123456789012:model/none".'
    )


def test_variants_that_make_no_sense(house: World) -> None:
    assert "unique" in refusal(house, variant_of("m"), variant_of("m")).message
    assert "InstanceType" in refusal(house, {"VariantName": "v", "ModelName": "m"}).message
    components = refusal(house, {"VariantName": "v", "InstanceType": "ml.m5.large"})
    assert (components.status, "inference components" in components.message) == (501, True)


def test_names_are_unique(house: World) -> None:
    house.config("c", variant_of("m"))
    error = refusal(house, variant_of("m"))
    assert error.message == f'Cannot create already existing endpoint configuration "{ARN}".'


def test_list_and_delete(house: World) -> None:
    house.config("c", variant_of("m"))
    listed = endpoint_configs.list_endpoint_configs(house.ctx(), {"NameContains": "C"})
    assert [config["EndpointConfigName"] for config in listed["EndpointConfigs"]] == ["c"]
    endpoint_configs.delete_endpoint_config(house.ctx(), {"EndpointConfigName": "c"})
    for call in (
        endpoint_configs.describe_endpoint_config,
        endpoint_configs.delete_endpoint_config,
    ):
        with pytest.raises(ApiError) as caught:
            call(house.ctx(), {"EndpointConfigName": "c"})
        assert caught.value.message == f'Could not find endpoint configuration "{ARN}".'
