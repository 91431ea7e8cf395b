"""Endpoint configurations: Create, Describe, List, Delete. A row; endpoints take a copy of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wildsage import arns
from wildsage.services.platform import Ctx
from wildsage.services.sagemaker import errors
from wildsage.services.sagemaker.describe import echo, page
from wildsage.services.sagemaker.models import find_model
from wildsage.store.errors import AlreadyExists, NotFound
from wildsage.store.resources import Resource
from wildsage.wire.errors import not_implemented

KIND = "endpoint-config"
_ECHOED = (
    "ShadowProductionVariants",
    "DataCaptureConfig",
    "KmsKeyId",
    "AsyncInferenceConfig",
    "ExplainerConfig",
    "ExecutionRoleArn",
    "VpcConfig",
    "MetricsConfig",
    "CrossRegionTrafficConfig",
)

Request = dict[str, Any]


def create_endpoint_config(ctx: Ctx, request: Request) -> Request:
    name = request["EndpointConfigName"]
    arn = endpoint_config_arn(ctx, name)
    _check_variants(ctx, request)
    document = dict(request)
    tags = document.pop("Tags", [])
    try:
        ctx.platform.resources.create(
            KIND, ctx.scope, name, arn=arn, status="", document=document, tags=tags
        )
    except AlreadyExists:
        text = f'Cannot create already existing endpoint configuration "{arn}".'
        raise errors.validation(text) from None
    return {"EndpointConfigArn": arn}


def _check_variants(ctx: Ctx, request: Request) -> None:
    variants = request["ProductionVariants"]
    for variant in variants + request.get("ShadowProductionVariants", []):
        if "ModelName" not in variant:
            raise not_implemented("sagemaker", "CreateEndpointConfig for inference components")
        find_model(ctx, variant["ModelName"])
        if not {"InstanceType", "ServerlessConfig", "InstancePools"} & variant.keys():
            raise errors.validation(
                f"Production variant {variant['VariantName']} needs an InstanceType or a "
                "ServerlessConfig."
            )
    names = [variant["VariantName"] for variant in variants]
    if len(set(names)) < len(names):
        raise errors.validation("Production variant names must be unique.")


def describe_endpoint_config(ctx: Ctx, request: Request) -> Request:
    config = find_endpoint_config(ctx, request["EndpointConfigName"])
    variants = config.document["ProductionVariants"]
    return {
        "EndpointConfigName": config.name,
        "EndpointConfigArn": config.arn,
        "CreationTime": config.created,
        "ProductionVariants": [_completed(variant) for variant in variants],
        "EnableNetworkIsolation": config.document.get("EnableNetworkIsolation", False),
        **echo(config.document, _ECHOED),
    }


def _completed(variant: Mapping[str, Any]) -> Request:
    return {"InitialVariantWeight": 1.0, **variant}


def list_endpoint_configs(ctx: Ctx, request: Request) -> Request:
    return page(ctx, KIND, request, "EndpointConfigs", _summary)


def _summary(config: Resource) -> Request:
    return {
        "EndpointConfigName": config.name,
        "EndpointConfigArn": config.arn,
        "CreationTime": config.created,
    }


def delete_endpoint_config(ctx: Ctx, request: Request) -> None:
    config = find_endpoint_config(ctx, request["EndpointConfigName"])
    try:
        ctx.platform.resources.delete(config)
    except NotFound:
        raise errors.could_not_find("endpoint configuration", config.arn) from None


def find_endpoint_config(ctx: Ctx, name: str) -> Resource:
    config = ctx.platform.resources.find(KIND, ctx.scope, name)
    if config is None:
        raise errors.could_not_find("endpoint configuration", endpoint_config_arn(ctx, name))
    return config


def endpoint_config_arn(ctx: Ctx, name: str) -> str:
    return arns.build("sagemaker", ctx.scope, f"{KIND}/{name}")


OPERATIONS = {
    "CreateEndpointConfig": create_endpoint_config,
    "DeleteEndpointConfig": delete_endpoint_config,
    "DescribeEndpointConfig": describe_endpoint_config,
    "ListEndpointConfigs": list_endpoint_configs,
}
