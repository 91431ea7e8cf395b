"""Training jobs: Create, Describe, List, Stop, Update, Delete. The work is `jobs.training`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import islice
from typing import Any

from wildsage import arns, clock
from wildsage.contract import layout
from wildsage.jobs import images, states
from wildsage.jobs.training_job import DEFAULT_MAX_RUNTIME, KIND, TrainingJob, new_state
from wildsage.services.iam.roles import pass_role
from wildsage.services.platform import Ctx
from wildsage.services.sagemaker import errors
from wildsage.services.sagemaker.describe import page, settled
from wildsage.store.errors import AlreadyExists, NotFound
from wildsage.store.resources import Change, Resource
from wildsage.wire.errors import not_implemented

_NOT_ECHOED = frozenset({"State", "Tags", "SessionChainingConfig", "TrainingJobName"})
_STATE_MEMBERS = (
    "SecondaryStatus",
    "TrainingStartTime",
    "TrainingEndTime",
    "ModelArtifacts",
    "FailureReason",
    "FinalMetricDataList",
)
_UPDATABLE = ("ProfilerConfig", "ProfilerRuleConfigurations", "RemoteDebugConfig")
_FLAGS = (
    "EnableNetworkIsolation",
    "EnableInterContainerTrafficEncryption",
    "EnableManagedSpotTraining",
)
_ML = "/opt/ml/"

Request = dict[str, Any]


# -- create --------------------------------------------------------------------------------------


def create_training_job(ctx: Ctx, request: Request) -> Request:
    name = request["TrainingJobName"]
    arn = arns.build("sagemaker", ctx.scope, f"{KIND}/{name}")
    program = _program(request)
    _check_resources(request["ResourceConfig"])
    _check_channels(ctx, request)
    _check_places(request)
    pass_role(ctx, request["RoleArn"])
    document = _completed(request, program) | {"State": new_state()}
    tags = document.pop("Tags", [])
    try:
        ctx.platform.resources.create(
            KIND,
            ctx.scope,
            name,
            arn=arn,
            status=states.IN_PROGRESS,
            document=document,
            tags=tags,
            due=clock.now(),
        )
    except AlreadyExists:
        raise errors.in_use(
            "Training job names must be unique within an AWS account and region, and a training "
            f"job with this name already exists ({arn})"
        ) from None
    return {"TrainingJobArn": arn}


def _program(request: Request) -> images.Program:
    algorithm = request["AlgorithmSpecification"]
    if "AlgorithmName" in algorithm:
        raise not_implemented("sagemaker", "CreateTrainingJob with AlgorithmName")
    if "TrainingImage" not in algorithm:
        raise errors.validation("Either TrainingImage or AlgorithmName must be specified.")
    try:
        return images.resolve(algorithm["TrainingImage"])
    except images.InvalidImage:
        raise errors.invalid_image() from None
    except images.UnknownImage as unknown:
        raise errors.unknown_repository(
            unknown.repository, unknown.registry_id, request["RoleArn"]
        ) from None


def _check_resources(config: Request) -> None:
    if not config.get("InstanceGroups") and not {"InstanceType", "InstanceCount"} <= set(config):
        raise errors.validation(
            "InstanceType and InstanceCount must be specified in ResourceConfig unless "
            "InstanceGroups is."
        )


def _check_channels(ctx: Ctx, request: Request) -> None:
    entries = request.get("InputDataConfig") or []
    names = [entry["ChannelName"] for entry in entries]
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise errors.validation(f"Channel names must be unique; repeated: {', '.join(repeated)}")
    for entry in entries:
        if "S3DataSource" not in entry["DataSource"]:
            kinds = ", ".join(entry["DataSource"])
            raise not_implemented("sagemaker", f"CreateTrainingJob with {kinds}")
        mode = request["AlgorithmSpecification"]["TrainingInputMode"]
        _check_channel(ctx, request, layout.Channel.parse(entry, mode))


def _check_channel(ctx: Ctx, request: Request, channel: layout.Channel) -> None:
    if channel.data_type == "AugmentedManifestFile":
        if channel.mode != "Pipe":
            raise errors.validation(
                "AugmentedManifestFile can only be used if the Channel's input mode is Pipe."
            )
        if not channel.attributes:
            raise errors.validation("AttributeNames must be given with AugmentedManifestFile.")
    bucket, prefix = _location(channel.uri)
    try:
        found = any(islice(ctx.platform.objects.list(bucket, prefix, limit=1), 1))
    except NotFound:
        found = False
    if not found:
        raise errors.no_objects(channel.uri, bucket, ctx.scope.region, request["RoleArn"])


def _check_places(request: Request) -> None:
    _location(request["OutputDataConfig"]["S3OutputPath"])
    checkpoints = request.get("CheckpointConfig") or {}
    if checkpoints:
        _location(checkpoints["S3Uri"])
    local = checkpoints.get("LocalPath") or _ML + "checkpoints"
    if not local.startswith(_ML) or ".." in local.split("/"):
        raise errors.validation(f"CheckpointConfig.LocalPath must lie under {_ML}, not {local}")
    for definition in request["AlgorithmSpecification"].get("MetricDefinitions") or []:
        try:
            re.compile(definition["Regex"])
        except re.error as error:
            raise errors.validation(
                f"The regular expression of metric {definition['Name']} is invalid: {error}"
            ) from None


def _location(uri: str) -> tuple[str, str]:
    try:
        return layout.split_uri(uri)
    except ValueError:
        raise errors.validation(
            f"Invalid S3 URI: {uri}. It must have the form s3://bucket/key."
        ) from None


def _completed(request: Request, program: images.Program) -> Request:
    """The request with the members that AWS fills in."""
    algorithm = {"EnableSageMakerMetricsTimeSeries": False} | request["AlgorithmSpecification"]
    if definitions := program.metric_definitions():
        algorithm["MetricDefinitions"] = definitions
    defaults = dict.fromkeys(_FLAGS, False)
    stopping = {"MaxRuntimeInSeconds": DEFAULT_MAX_RUNTIME} | (
        request.get("StoppingCondition") or {}
    )
    filled = {"AlgorithmSpecification": algorithm, "StoppingCondition": stopping}
    if "InputDataConfig" in request:
        extra = {"CompressionType": "None", "RecordWrapperType": "None"}
        filled["InputDataConfig"] = [extra | entry for entry in request["InputDataConfig"]]
    return defaults | request | filled


# -- read ----------------------------------------------------------------------------------------


async def describe_training_job(ctx: Ctx, request: Request) -> Request:
    resource = await settled(
        ctx, KIND, request["TrainingJobName"], lambda row: row.status in states.ENDED
    )
    if resource is None:
        raise errors.not_found()
    return describe(resource)


def describe(resource: Resource) -> Request:
    """A training job as clients see it."""
    document = resource.document
    state = document["State"]
    answer = {name: value for name, value in document.items() if name not in _NOT_ECHOED}
    answer |= {name: state[name] for name in _STATE_MEMBERS if name in state}
    return (
        answer
        | _times(state)
        | {
            "TrainingJobName": resource.name,
            "TrainingJobArn": resource.arn,
            "TrainingJobStatus": resource.status,
            "CreationTime": resource.created,
            "LastModifiedTime": resource.modified,
            "SecondaryStatusTransitions": state["Transitions"],
        }
    )


def _times(state: Mapping[str, Any]) -> Request:
    if "TrainingEndTime" not in state:
        return {}
    seconds = max(1, round(state["TrainingEndTime"] - state["TrainingStartTime"]))
    return {"TrainingTimeInSeconds": seconds, "BillableTimeInSeconds": seconds}


def list_training_jobs(ctx: Ctx, request: Request) -> Request:
    if request.get("SortBy") == "FinalObjectiveMetricValue":
        raise errors.validation("FinalObjectiveMetricValue sorts the jobs of a tuning job only.")
    if "TrainingPlanArnEquals" in request or "WarmPoolStatusEquals" in request:
        return {"TrainingJobSummaries": []}  # nothing here has a plan or a warm pool
    return page(ctx, KIND, request, "TrainingJobSummaries", _summary)


def _summary(resource: Resource) -> Request:
    state = resource.document["State"]
    ended = {k: state[k] for k in ("TrainingEndTime",) if k in state}
    return ended | {
        "TrainingJobName": resource.name,
        "TrainingJobArn": resource.arn,
        "CreationTime": resource.created,
        "LastModifiedTime": resource.modified,
        "TrainingJobStatus": resource.status,
        "SecondaryStatus": state["SecondaryStatus"],
    }


# -- change --------------------------------------------------------------------------------------


def stop_training_job(ctx: Ctx, request: Request) -> None:
    def change(resource: Resource) -> Change | None:
        _refuse_ended(resource)
        if resource.status == states.STOPPING:
            return None
        state = states.advance(TrainingJob(resource).state, "Stopping")
        document = resource.document | {"State": state}
        return Change(states.STOPPING, document, clock.now())

    _modify(ctx, request, change)


def update_training_job(ctx: Ctx, request: Request) -> Request:
    def change(resource: Resource) -> Change:
        _refuse_ended(resource)
        updates = {name: request[name] for name in _UPDATABLE if name in request}
        resources = resource.document["ResourceConfig"] | request.get("ResourceConfig", {})
        return Change(document=resource.document | updates | {"ResourceConfig": resources})

    return {"TrainingJobArn": _modify(ctx, request, change).arn}


def delete_training_job(ctx: Ctx, request: Request) -> None:
    resource = ctx.platform.resources.find(KIND, ctx.scope, request["TrainingJobName"])
    if resource is None:
        raise errors.not_found()
    if resource.status not in states.ENDED:
        raise errors.in_use(
            f"The request was rejected because the training job is in status {resource.status}."
        )
    ctx.platform.resources.delete(resource)


def _modify(ctx: Ctx, request: Request, change: Any) -> Resource:
    try:
        return ctx.platform.resources.modify(KIND, ctx.scope, request["TrainingJobName"], change)
    except NotFound:
        raise errors.not_found() from None


def _refuse_ended(resource: Resource) -> None:
    if resource.status in states.ENDED:
        raise errors.validation(
            f"The request was rejected because the training job is in status {resource.status}."
        )


OPERATIONS = {
    "CreateTrainingJob": create_training_job,
    "DeleteTrainingJob": delete_training_job,
    "DescribeTrainingJob": describe_training_job,
    "ListTrainingJobs": list_training_jobs,
    "StopTrainingJob": stop_training_job,
    "UpdateTrainingJob": update_training_job,
}
