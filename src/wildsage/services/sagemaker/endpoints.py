"""Endpoints: Create, Describe, List, Update, Delete. The work is `jobs.endpoints`."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from wildsage import arns, clock, ids
from wildsage.jobs import fleets
from wildsage.jobs.fleets import (
    CREATING,
    DELETING,
    FAILED,
    IN_SERVICE,
    KIND,
    UPDATING,
    EndpointState,
    Fleet,
    VariantFleet,
)
from wildsage.services.platform import Ctx
from wildsage.services.sagemaker import errors
from wildsage.services.sagemaker.describe import page, settled
from wildsage.services.sagemaker.endpoint_configs import find_endpoint_config
from wildsage.services.sagemaker.models import find_model
from wildsage.store.errors import AlreadyExists, NotFound
from wildsage.store.resources import Change, Resource
from wildsage.wire.errors import ApiError, not_implemented

_SETTLED = frozenset({IN_SERVICE, FAILED})
_WEIGHT, _COUNT = "DesiredWeight", "DesiredInstanceCount"

Request = dict[str, Any]


# -- create and change


def create_endpoint(ctx: Ctx, request: Request) -> Request:
    name = request["EndpointName"]
    arn = endpoint_arn(ctx, name)
    config = find_endpoint_config(ctx, request["EndpointConfigName"])
    state = EndpointState.new(_plan(ctx, config))
    state.deployment = request.get("DeploymentConfig")
    document = {**request, "Config": config.document, "State": state.dump()}
    tags = document.pop("Tags", [])
    try:
        ctx.platform.resources.create(
            KIND,
            ctx.scope,
            name,
            arn=arn,
            status=CREATING,
            document=document,
            tags=tags,
            due=clock.now(),
        )
    except AlreadyExists:
        raise errors.validation(f'Cannot create already existing endpoint "{arn}".') from None
    return {"EndpointArn": arn}


def update_endpoint(ctx: Ctx, request: Request) -> Request:
    config = find_endpoint_config(ctx, request["EndpointConfigName"])
    planned = _plan(ctx, config)

    def change(endpoint: Resource) -> Change:
        state = _changeable(endpoint)
        state.next = _retained(planned, state.serving, request)
        state.modified = fleets.now()
        if not request.get("RetainDeploymentConfig"):
            state.deployment = request.get("DeploymentConfig")
        document = {**endpoint.document, "Config": config.document, "State": state.dump()}
        return Change(UPDATING, document, clock.now())

    return {"EndpointArn": _modify(ctx, request["EndpointName"], change).arn}


def update_endpoint_weights_and_capacities(ctx: Ctx, request: Request) -> Request:
    def change(endpoint: Resource) -> Change:
        state = _changeable(endpoint)
        if state.serving is None:
            raise _in_progress(endpoint.arn)
        state.next = _resized(state.serving, request["DesiredWeightsAndCapacities"])
        state.modified = fleets.now()
        return Change(UPDATING, {**endpoint.document, "State": state.dump()}, clock.now())

    return {"EndpointArn": _modify(ctx, request["EndpointName"], change).arn}


def delete_endpoint(ctx: Ctx, request: Request) -> None:
    def change(endpoint: Resource) -> Change:
        if endpoint.status == DELETING:
            raise _in_progress(endpoint.arn)
        return Change(DELETING, due=clock.now())

    _modify(ctx, request["EndpointName"], change)
    ctx.platform.routes.withdraw(ctx.scope, request["EndpointName"])


def _modify(ctx: Ctx, name: str, change: Any) -> Resource:
    try:
        return ctx.platform.resources.modify(KIND, ctx.scope, name, change)
    except NotFound:
        raise errors.could_not_find("endpoint", endpoint_arn(ctx, name)) from None


def _changeable(endpoint: Resource) -> EndpointState:
    """The state of an endpoint that may be updated now."""
    if endpoint.status not in _SETTLED:
        raise _in_progress(endpoint.arn)
    return EndpointState.load(endpoint.document["State"])


def _in_progress(arn: str) -> ApiError:
    return errors.validation(f'Cannot update in-progress endpoint "{arn}".')


# -- what is to run


def _plan(ctx: Ctx, config: Resource) -> Fleet:
    """The fleet that an endpoint configuration asks for, with what its models say today."""
    names = [variant["ModelName"] for variant in config.document["ProductionVariants"]]
    models = {name: find_model(ctx, name).document for name in names}
    for model in models.values():
        found = fleets.containers(model)
        if len(found) > 1:
            raise not_implemented("sagemaker", "CreateEndpoint of an inference pipeline")
        if found[0].get("Mode") == "MultiModel":
            raise not_implemented("sagemaker", "CreateEndpoint of a multi-model container")
    return Fleet.plan(config.document, models)


def _retained(fleet: Fleet, serving: Fleet | None, request: Mapping[str, Any]) -> Fleet:
    """The new fleet with what UpdateEndpoint's RetainAllVariantProperties keeps of the old one."""
    if not request.get("RetainAllVariantProperties") or serving is None:
        return fleet
    excluded = {
        excluded["VariantPropertyType"]
        for excluded in request.get("ExcludeRetainedVariantProperties", [])
    }
    variants = [_with_properties(v, serving.find(v.name), excluded) for v in fleet.variants]
    return replace(fleet, variants=tuple(variants))


def _with_properties(
    variant: VariantFleet, before: VariantFleet | None, excluded: Collection[str]
) -> VariantFleet:
    if before is None:
        return variant
    if _WEIGHT not in excluded:
        variant = replace(variant, weight=before.weight)
    if _COUNT not in excluded:
        generation = variant.instances[0].generation
        variant = variant.resized(len(before.instances), generation)
    return variant


def _resized(fleet: Fleet, wanted: list[Request]) -> Fleet:
    """The same fleet with other weights and counts; instances that stay are not restarted."""
    generation = ids.token(6)
    variants = {variant.name: variant for variant in fleet.variants}
    for entry in wanted:
        variant = variants.get(entry["VariantName"])
        if variant is None:
            raise errors.validation(f"Could not find variant {entry['VariantName']}.")
        count = entry.get(_COUNT, len(variant.instances))
        if count < 1:
            raise errors.validation("DesiredInstanceCount must be at least 1.")
        variant = variant.resized(count, generation)
        variants[variant.name] = replace(variant, weight=entry.get(_WEIGHT, variant.weight))
    return replace(fleet, variants=tuple(variants.values()))


# -- describe


async def describe_endpoint(ctx: Ctx, request: Request) -> Request:
    name = request["EndpointName"]
    endpoint = await settled(ctx, KIND, name, lambda row: row.status in _SETTLED)
    if endpoint is None:
        raise errors.could_not_find("endpoint", endpoint_arn(ctx, name))
    return _description(endpoint)


def _description(endpoint: Resource) -> Request:
    state = EndpointState.load(endpoint.document["State"])
    fleet = state.shown
    answer = {
        "EndpointName": endpoint.name,
        "EndpointArn": endpoint.arn,
        "EndpointConfigName": fleet.config if fleet else endpoint.document["EndpointConfigName"],
        "EndpointStatus": endpoint.status,
        "CreationTime": endpoint.created,
        "LastModifiedTime": state.modified,
        "FailureReason": state.failure,
        "LastDeploymentConfig": state.deployment,
        "AsyncInferenceConfig": endpoint.document["Config"].get("AsyncInferenceConfig"),
        "DataCaptureConfig": _capture(endpoint.document["Config"].get("DataCaptureConfig")),
    }
    if fleet is not None:
        answer["ProductionVariants"] = [_summary(v, state, endpoint) for v in fleet.variants]
    if endpoint.status == UPDATING and state.next is not None:
        answer["PendingDeploymentSummary"] = _pending(state.next, state, endpoint)
    return {name: value for name, value in answer.items() if value is not None}


def _summary(variant: VariantFleet, state: EndpointState, endpoint: Resource) -> Request:
    wanted = state.next.find(variant.name) if state.next else None
    wanted = wanted or variant
    answer = {
        "VariantName": variant.name,
        "DeployedImages": _images(variant, endpoint),
        "CurrentWeight": variant.weight,
        "DesiredWeight": wanted.weight,
        "CurrentInstanceCount": sum(instance.ready for instance in variant.instances),
        "DesiredInstanceCount": len(wanted.instances),
    }
    if endpoint.status == CREATING:
        answer["VariantStatus"] = [{"Status": "Creating", "StartTime": endpoint.created}]
    spec = variant.spec
    if "ServerlessConfig" in spec:
        answer["CurrentServerlessConfig"] = spec["ServerlessConfig"]
    for name in ("ManagedInstanceScaling", "RoutingConfig"):
        if name in spec:
            answer[name] = spec[name]
    return answer


def _pending(fleet: Fleet, state: EndpointState, endpoint: Resource) -> Request:
    variants = [
        {
            "VariantName": variant.name,
            "DeployedImages": _images(variant, endpoint),
            "CurrentWeight": variant.weight,
            "DesiredWeight": variant.weight,
            "CurrentInstanceCount": sum(instance.ready for instance in variant.instances),
            "DesiredInstanceCount": len(variant.instances),
            **{name: variant.spec[name] for name in ("InstanceType",) if name in variant.spec},
        }
        for variant in fleet.variants
    ]
    return {
        "EndpointConfigName": fleet.config,
        "ProductionVariants": variants,
        "StartTime": state.modified,
    }


def _images(variant: VariantFleet, endpoint: Resource) -> list[Request]:
    image = variant.container.get("Image")
    if not image:
        return []
    times = {"ResolutionTime": endpoint.created}
    return [{"SpecifiedImage": image, "ResolvedImage": image, **times}]


def _capture(config: Mapping[str, Any] | None) -> Request | None:
    """DataCaptureConfig as DescribeEndpoint tells of it. Requests are not captured yet."""
    if config is None:
        return None
    return {
        "EnableCapture": config.get("EnableCapture", False),
        "CaptureStatus": "Stopped",
        "CurrentSamplingPercentage": config["InitialSamplingPercentage"],
        "DestinationS3Uri": config["DestinationS3Uri"],
        "KmsKeyId": config.get("KmsKeyId", ""),
    }


def list_endpoints(ctx: Ctx, request: Request) -> Request:
    return page(ctx, KIND, request, "Endpoints", _listed)


def _listed(endpoint: Resource) -> Request:
    return {
        "EndpointName": endpoint.name,
        "EndpointArn": endpoint.arn,
        "CreationTime": endpoint.created,
        "LastModifiedTime": endpoint.document["State"]["modified"],
        "EndpointStatus": endpoint.status,
    }


def endpoint_arn(ctx: Ctx, name: str) -> str:
    return arns.build("sagemaker", ctx.scope, f"{KIND}/{name}")


OPERATIONS = {
    "CreateEndpoint": create_endpoint,
    "DeleteEndpoint": delete_endpoint,
    "DescribeEndpoint": describe_endpoint,
    "ListEndpoints": list_endpoints,
    "UpdateEndpoint": update_endpoint,
    "UpdateEndpointWeightsAndCapacities": update_endpoint_weights_and_capacities,
}
