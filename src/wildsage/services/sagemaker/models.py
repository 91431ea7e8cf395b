"""Models: Create, Describe, List, Delete. A model is a row; what it names is checked at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wildsage import arns
from wildsage.jobs import images, model_data
from wildsage.jobs.fleets import containers
from wildsage.services.iam.roles import pass_role
from wildsage.services.platform import Ctx
from wildsage.services.sagemaker import errors
from wildsage.services.sagemaker.describe import echo, page
from wildsage.store.errors import AlreadyExists, NotFound
from wildsage.store.resources import Resource
from wildsage.wire.errors import not_implemented

KIND = "model"
_ECHOED = (
    "PrimaryContainer",
    "Containers",
    "InferenceExecutionConfig",
    "ExecutionRoleArn",
    "VpcConfig",
)

Request = dict[str, Any]


def create_model(ctx: Ctx, request: Request) -> Request:
    name = request["ModelName"]
    arn = model_arn(ctx, name)
    _check_containers(ctx, request)
    if "ExecutionRoleArn" in request:
        pass_role(ctx, request["ExecutionRoleArn"])
    document = dict(request)
    tags = document.pop("Tags", [])
    try:
        ctx.platform.resources.create(
            KIND, ctx.scope, name, arn=arn, status="", document=document, tags=tags
        )
    except AlreadyExists:
        raise errors.validation(f'Cannot create already existing model "{arn}".') from None
    return {"ModelArn": arn}


def _check_containers(ctx: Ctx, request: Request) -> None:
    if ("PrimaryContainer" in request) == bool(request.get("Containers")):
        raise errors.validation("Exactly one of PrimaryContainer and Containers is required.")
    for container in containers(request):
        if "ModelPackageName" in container:
            raise not_implemented("sagemaker", "CreateModel with ModelPackageName")
        _check_image(container)
        if container.get("Mode") != "MultiModel" and not model_data.exists(
            ctx.platform.objects, container
        ):
            uri, _ = model_data.source(container) or ("", False)
            raise errors.validation(f"Could not find model data at {uri}.")


def _check_image(container: Mapping[str, Any]) -> None:
    image = container.get("Image")
    if not image:
        raise errors.validation("Each container needs either an Image or a ModelPackageName.")
    try:
        images.resolve(image)
    except images.InvalidImage:
        raise errors.validation(
            f'Using non-ECR image "{image}" without Vpc repository access mode is not supported.'
        ) from None
    except images.UnknownImage:
        raise errors.validation(f"Requested image {image} not found.") from None


def describe_model(ctx: Ctx, request: Request) -> Request:
    model = find_model(ctx, request["ModelName"])
    answer = echo(model.document, _ECHOED)
    if "PrimaryContainer" in answer:
        answer["PrimaryContainer"] = _completed(answer["PrimaryContainer"])
    if "Containers" in answer:
        answer["Containers"] = [_completed(container) for container in answer["Containers"]]
    return {
        "ModelName": model.name,
        "ModelArn": model.arn,
        "CreationTime": model.created,
        "EnableNetworkIsolation": model.document.get("EnableNetworkIsolation", False),
        **answer,
    }


def _completed(container: Mapping[str, Any]) -> Request:
    return {"Mode": "SingleModel", "Environment": {}, **container}


def list_models(ctx: Ctx, request: Request) -> Request:
    return page(ctx, KIND, request, "Models", _summary)


def _summary(model: Resource) -> Request:
    return {"ModelName": model.name, "ModelArn": model.arn, "CreationTime": model.created}


def delete_model(ctx: Ctx, request: Request) -> None:
    model = find_model(ctx, request["ModelName"])
    try:
        ctx.platform.resources.delete(model)
    except NotFound:
        raise errors.could_not_find("model", model.arn) from None


def find_model(ctx: Ctx, name: str) -> Resource:
    model = ctx.platform.resources.find(KIND, ctx.scope, name)
    if model is None:
        raise errors.could_not_find("model", model_arn(ctx, name))
    return model


def model_arn(ctx: Ctx, name: str) -> str:
    return arns.build("sagemaker", ctx.scope, f"{KIND}/{name}")


OPERATIONS = {
    "CreateModel": create_model,
    "DeleteModel": delete_model,
    "DescribeModel": describe_model,
    "ListModels": list_models,
}
