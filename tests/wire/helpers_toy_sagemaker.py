"""A little SageMaker: enough operations to see a request through."""

from __future__ import annotations

from typing import Any

from wildsage.wire.context import Context
from wildsage.wire.errors import ApiError
from wildsage.wire.registry import Handler

Ctx = Context[dict[str, Any]]


def create_training_job(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    name = request["TrainingJobName"]
    if name in ctx.platform:
        raise ApiError("ResourceInUse", "Training job names must be unique")
    ctx.platform[name] = request
    return {"TrainingJobArn": f"arn:aws:sagemaker:{ctx.scope.region}:{ctx.scope.account}:x/{name}"}


async def describe_training_job(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    try:
        found = ctx.platform[request["TrainingJobName"]]
    except KeyError:
        raise ApiError("ValidationException", "Requested resource not found.") from None
    return {**found, "CreationTime": 1_700_000_000.5, "State": "ours alone", "RoleArn": None}


def list_training_jobs(ctx: Ctx, request: dict[str, Any]) -> None:
    raise RuntimeError("a secret of the server's")


def delete_training_job(ctx: Ctx, request: dict[str, Any]) -> None:
    ctx.platform.pop(request["TrainingJobName"], None)


OPERATIONS: dict[str, Handler] = {
    "CreateTrainingJob": create_training_job,
    "DeleteTrainingJob": delete_training_job,
    "DescribeTrainingJob": describe_training_job,
    "ListTrainingJobs": list_training_jobs,
}
