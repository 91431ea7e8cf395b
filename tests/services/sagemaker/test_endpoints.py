"""The operations on endpoints, with a real engine and toy model servers behind them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jobs.helpers_endpoints import IMAGE, World, variant_of, world
from wildsage.services.sagemaker import endpoint_configs, endpoints, models
from wildsage.wire.errors import ApiError

ARN = "arn:aws:sagemaker:us-east-1:123456789012:endpoint/e"


@pytest.fixture
def house(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path) as made:
        made.model("m")
        yield made


def describe(house: World, name: str = "e", user_agent: str = "boto3") -> dict[str, Any]:
    ctx = house.ctx(user_agent=user_agent)
    return asyncio.run(endpoints.describe_endpoint(ctx, {"EndpointName": name}))


def message(call: Any, house: World, **request: Any) -> str:
    with pytest.raises(ApiError) as caught:
        call(house.ctx(), request)
    assert caught.value.code == "ValidationException"
    return caught.value.message


def test_create_and_describe(house: World) -> None:
    house.config("c", variant_of("m", count=2, InitialVariantWeight=2.0))
    request = {"EndpointName": "e", "EndpointConfigName": "c", "Tags": [{"Key": "k", "Value": "v"}]}
    assert endpoints.create_endpoint(house.ctx(), request) == {"EndpointArn": ARN}
    house.settle("e", "InService")
    found = describe(house)
    created, modified = found.pop("CreationTime"), found.pop("LastModifiedTime")
    assert created <= modified
    (variant,) = found.pop("ProductionVariants")
    assert found == {
        "EndpointName": "e",
        "EndpointArn": ARN,
        "EndpointConfigName": "c",
        "EndpointStatus": "InService",
    }
    (image,) = variant.pop("DeployedImages")
    assert (image["SpecifiedImage"], image["ResolvedImage"]) == (IMAGE, IMAGE)
    assert variant == {
        "VariantName": "AllTraffic",
        "CurrentWeight": 2.0,
        "DesiredWeight": 2.0,
        "CurrentInstanceCount": 2,
        "DesiredInstanceCount": 2,
    }
    assert house.resources.tags(ARN) == {"k": "v"}


def test_describe_waits_for_a_client_that_polls(house: World) -> None:
    house.deploy("e", "m")
    found = describe(house, user_agent="boto3 lib/AWS-SageMaker-Python-SDK#2.257.7")
    assert found["EndpointStatus"] == "InService"


def test_while_it_is_created(tmp_path: Path) -> None:
    with world(tmp_path, start=False) as house:
        house.model("m")
        house.deploy("e", "m")
        found = describe(house)
        assert found["EndpointStatus"] == "Creating"
        (variant,) = found["ProductionVariants"]
        assert (variant["CurrentInstanceCount"], variant["DesiredInstanceCount"]) == (0, 1)
        assert variant["VariantStatus"][0]["Status"] == "Creating"
        update = {"EndpointName": "e", "EndpointConfigName": "e-m"}
        text = f'Cannot update in-progress endpoint "{ARN}".'
        assert message(endpoints.update_endpoint, house, **update) == text
        wanted = [{"VariantName": "AllTraffic", "DesiredInstanceCount": 2}]
        capacities = {"EndpointName": "e", "DesiredWeightsAndCapacities": wanted}
        call = endpoints.update_endpoint_weights_and_capacities
        assert message(call, house, **capacities) == text
        endpoints.delete_endpoint(house.ctx(), {"EndpointName": "e"})
        assert message(endpoints.delete_endpoint, house, EndpointName="e") == text
        house.engine.start()
        house.until(lambda: house.find("e") is None)


def test_a_failed_endpoint_says_why(house: World) -> None:
    house.model("bad", TOY="exit")
    house.deploy("e", "bad")
    house.settle("e", "Failed")
    found = describe(house)
    assert found["EndpointStatus"] == "Failed"
    assert "did not pass the ping health check" in found["FailureReason"]
    assert found["EndpointConfigName"] == "e-bad"
    assert "ProductionVariants" not in found


def test_an_update_shows_what_is_pending(house: World) -> None:
    house.deploy("e", "m")
    house.settle("e", "InService")
    house.model("slow", TOY="hang")
    house.config("c2", variant_of("slow", count=3))
    policy: dict[str, Any] = {"BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": {}}}
    house.update("e", "c2", DeploymentConfig=policy)
    found = describe(house)
    assert found["EndpointStatus"] == "Updating"
    assert found["EndpointConfigName"] == "e-m"
    (variant,) = found["ProductionVariants"]
    assert (variant["CurrentInstanceCount"], variant["DesiredInstanceCount"]) == (1, 3)
    pending = found["PendingDeploymentSummary"]
    assert pending["EndpointConfigName"] == "c2"
    assert pending["ProductionVariants"][0]["DesiredInstanceCount"] == 3
    assert found["LastDeploymentConfig"] == policy
    endpoints.delete_endpoint(house.ctx(), {"EndpointName": "e"})
    house.until(lambda: house.find("e") is None)


def test_an_update_may_keep_weights_and_counts(house: World) -> None:
    house.deploy("e", "m", count=1)
    house.settle("e", "InService")
    wanted = [{"VariantName": "AllTraffic", "DesiredInstanceCount": 2, "DesiredWeight": 0.5}]
    endpoints.update_endpoint_weights_and_capacities(
        house.ctx(), {"EndpointName": "e", "DesiredWeightsAndCapacities": wanted}
    )
    house.settle("e", "InService")
    house.config("c2", variant_of("m", count=1))
    excluded = [{"VariantPropertyType": "DesiredWeight"}]
    house.update(
        "e",
        "c2",
        RetainAllVariantProperties=True,
        ExcludeRetainedVariantProperties=excluded,
    )
    house.settle("e", "InService")
    (variant,) = describe(house)["ProductionVariants"]
    assert (variant["CurrentWeight"], variant["CurrentInstanceCount"]) == (1.0, 2)


def test_capacities_that_make_no_sense(house: World) -> None:
    house.deploy("e", "m")
    house.settle("e", "InService")
    call = endpoints.update_endpoint_weights_and_capacities
    for entry in (
        {"VariantName": "none", "DesiredWeight": 1.0},
        {"VariantName": "AllTraffic", "DesiredInstanceCount": 0},
    ):
        assert message(call, house, EndpointName="e", DesiredWeightsAndCapacities=[entry])
    assert describe(house)["EndpointStatus"] == "InService"


def test_an_endpoint_outlives_its_model_and_configuration(house: World) -> None:
    house.deploy("e", "m")
    models.delete_model(house.ctx(), {"ModelName": "m"})
    endpoint_configs.delete_endpoint_config(house.ctx(), {"EndpointConfigName": "e-m"})
    house.settle("e", "InService")
    assert describe(house)["EndpointConfigName"] == "e-m"


def test_names_that_are_taken_or_missing(house: World) -> None:
    house.deploy("e", "m")
    request = {"EndpointName": "e", "EndpointConfigName": "e-m"}
    text = f'Cannot create already existing endpoint "{ARN}".'
    assert message(endpoints.create_endpoint, house, **request) == text
    config = "arn:aws:sagemaker:us-east-1:123456789012:endpoint-config/none"
    request = {"EndpointName": "f", "EndpointConfigName": "none"}
    text = f'Could not find endpoint configuration "{config}".'
    assert message(endpoints.create_endpoint, house, **request) == text
    missing = f'Could not find endpoint "{ARN[:-1]}f".'
    assert message(endpoints.delete_endpoint, house, EndpointName="f") == missing
    request = {"EndpointName": "f", "EndpointConfigName": "e-m"}
    assert message(endpoints.update_endpoint, house, **request) == missing
    with pytest.raises(ApiError, match="Could not find endpoint"):
        describe(house, "f")


@pytest.mark.parametrize("kind", ["pipeline", "multi-model"])
def test_what_cannot_be_deployed_yet_is_501_by_name(house: World, kind: str) -> None:
    container = {"Image": IMAGE, "ModelDataUrl": "s3://models/m.tar.gz"}
    if kind == "pipeline":
        model: dict[str, Any] = {"Containers": [container, container]}
    else:
        model = {"PrimaryContainer": container | {"Mode": "MultiModel"}}
    models.create_model(house.ctx(), {"ModelName": "p", **model})
    house.config("c", variant_of("p"))
    with pytest.raises(ApiError) as caught:
        endpoints.create_endpoint(house.ctx(), {"EndpointName": "e", "EndpointConfigName": "c"})
    assert caught.value.status == 501
    assert kind in caught.value.message


def test_list(house: World) -> None:
    for name in ("a", "b"):
        house.deploy(name, "m")
        house.settle(name, "InService")
    listed = endpoints.list_endpoints(house.ctx(), {"StatusEquals": "InService", "SortBy": "Name"})
    assert [endpoint["EndpointName"] for endpoint in listed["Endpoints"]] == ["b", "a"]
    assert listed["Endpoints"][0]["EndpointArn"] == ARN[:-1] + "b"
    assert endpoints.list_endpoints(house.ctx(), {"StatusEquals": "Failed"})["Endpoints"] == []


def test_data_capture_is_told_as_it_is(house: World) -> None:
    capture = {
        "EnableCapture": True,
        "InitialSamplingPercentage": 50,
        "DestinationS3Uri": "s3://models/capture",
        "CaptureOptions": [{"CaptureMode": "Input"}],
    }
    endpoint_configs.create_endpoint_config(
        house.ctx(),
        {
            "EndpointConfigName": "c",
            "ProductionVariants": [variant_of("m")],
            "DataCaptureConfig": capture,
        },
    )
    endpoints.create_endpoint(house.ctx(), {"EndpointName": "e", "EndpointConfigName": "c"})
    found = describe(house)["DataCaptureConfig"]
    assert (found["CurrentSamplingPercentage"], found["CaptureStatus"]) == (50, "Stopped")
