"""The API of training jobs: what is checked and answered, and AWS's words where it refuses."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from services.sagemaker.helpers_sagemaker import (
    IMAGE,
    POLLER,
    ROLE,
    SCOPE,
    Desk,
    channel,
    settings_with,
    training_request,
)
from wildsage import clock
from wildsage.jobs import states
from wildsage.jobs.training_job import KIND
from wildsage.store.resources import Change, Resource
from wildsage.wire.errors import ApiError

ARN = "arn:aws:sagemaker:us-east-1:000000000000:training-job/job"


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path)
    yield desk
    desk.close()


def refusal(desk: Desk, operation: str, **request: Any) -> ApiError:
    with pytest.raises(ApiError) as caught:
        desk.call(operation, **request)
    return caught.value


def refused_create(desk: Desk, **changes: Any) -> ApiError:
    error = refusal(desk, "CreateTrainingJob", **training_request(**changes))
    assert desk.resources.find(KIND, SCOPE, "job") is None, "something was created"
    return error


def settle(desk: Desk, name: str = "job", secondary: str = "Failed", **result: Any) -> None:
    """What the reconciler would do."""

    def change(row: Resource) -> Change:
        state = states.advance(row.document["State"] | result, secondary)
        return Change(states.status_of(secondary), row.document | {"State": state}, None)

    desk.resources.modify(KIND, SCOPE, name, change)


# -- create and describe -------------------------------------------------------------------------


def test_describe_echoes_the_request_and_tells_the_state(desk: Desk) -> None:
    desk.objects.put("bucket", "data/x", b"1")
    entry = channel("s3://bucket/data")
    request = training_request(
        InputDataConfig=[entry], Tags=[{"Key": "team", "Value": "a"}], Environment={"A": "b"}
    )
    assert desk.call("CreateTrainingJob", **request) == {"TrainingJobArn": ARN}
    answer = desk.call("DescribeTrainingJob", TrainingJobName="job")
    for member in ("RoleArn", "OutputDataConfig", "ResourceConfig", "HyperParameters"):
        assert answer[member] == request[member]
    assert answer["Environment"] == {"A": "b"}
    assert answer["InputDataConfig"] == [
        entry | {"CompressionType": "None", "RecordWrapperType": "None"}
    ]
    assert answer["TrainingJobArn"] == ARN and answer["TrainingJobStatus"] == "InProgress"
    assert answer["SecondaryStatus"] == "Starting"
    assert answer["SecondaryStatusTransitions"][0]["Status"] == "Starting"
    assert answer["EnableNetworkIsolation"] is False
    assert abs(answer["CreationTime"] - clock.now()) < 60
    assert not {"State", "Tags", "FailureReason", "TrainingTimeInSeconds"} & set(answer)


def test_a_built_in_algorithm_brings_its_own_metrics(desk: Desk) -> None:
    desk.call("CreateTrainingJob", **training_request())
    answer = desk.call("DescribeTrainingJob", TrainingJobName="job")
    names = {d["Name"] for d in answer["AlgorithmSpecification"]["MetricDefinitions"]}
    assert "test:msd" in names


def test_an_ended_job_tells_its_times(desk: Desk) -> None:
    desk.call("CreateTrainingJob", **training_request())
    settle(desk, FailureReason="why", TrainingStartTime=100.0, TrainingEndTime=107.4)
    answer = desk.call("DescribeTrainingJob", TrainingJobName="job")
    assert answer["TrainingJobStatus"] == "Failed" and answer["FailureReason"] == "why"
    assert answer["TrainingTimeInSeconds"] == answer["BillableTimeInSeconds"] == 7


def test_names_are_taken_for_good(desk: Desk) -> None:
    desk.call("CreateTrainingJob", **training_request())
    error = refusal(desk, "CreateTrainingJob", **training_request())
    assert error.code == "ResourceInUse"
    assert error.message == (
        "Training job names must be unique within an AWS account and region, and a training job "
        f"with this name already exists ({ARN})"
    )
    other = desk.elsewhere("eu-west-1")
    assert "eu-west-1" in other.call("CreateTrainingJob", **training_request())["TrainingJobArn"]


def test_jobs_are_due_at_once(desk: Desk) -> None:
    desk.call("CreateTrainingJob", **training_request())
    assert desk.resources.claim([KIND], "me", 5) is not None


@pytest.mark.parametrize(
    ("image", "text"),
    [
        (
            "nothing-like-it",
            "Invalid training image. Please provide a valid Amazon Elastic Container Registry path "
            "of the Docker image to run.",
        ),
        (
            IMAGE.replace("kmeans:1", "my-own:latest"),
            "Cannot find repository: my-own in registry ID: 382416733822 Please check if your ECR "
            f"repository exists and role {ROLE} has proper pull permissions for SageMaker: "
            "ecr:BatchCheckLayerAvailability, ecr:BatchGetImage, ecr:GetDownloadUrlForLayer",
        ),
    ],
)
def test_images_that_cannot_run(desk: Desk, image: str, text: str) -> None:
    spec = {"TrainingImage": image, "TrainingInputMode": "File"}
    error = refused_create(desk, AlgorithmSpecification=spec)
    assert (error.code, error.message) == ("ValidationException", text)


@pytest.mark.parametrize("uri", ["s3://nobody/x", "s3://bucket/nothing"])
def test_input_that_is_not_there(desk: Desk, uri: str) -> None:
    error = refused_create(desk, InputDataConfig=[channel(uri)])
    bucket = uri.split("/")[2]
    assert error.message == (
        f'No S3 objects found under S3 URL "{uri}" given in input data source. Please ensure that '
        "the bucket exists in the selected region (us-east-1), that objects exist under that S3 "
        f'prefix, and that the role "{ROLE}" has "s3:ListBucket" permissions on bucket "{bucket}".'
    )


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"OutputDataConfig": {"S3OutputPath": "https://bucket/x"}}, "Invalid S3 URI"),
        ({"InputDataConfig": [channel("https://bucket/x")]}, "Invalid S3 URI"),
        ({"InputDataConfig": [channel("s3://bucket/x")] * 2}, "Channel names must be unique"),
        ({"ResourceConfig": {"VolumeSizeInGB": 1}}, "InstanceType and InstanceCount must be"),
        ({"AlgorithmSpecification": {"TrainingInputMode": "File"}}, "Either TrainingImage"),
        (
            {"CheckpointConfig": {"S3Uri": "s3://bucket/c", "LocalPath": "/opt/ml/../etc"}},
            "must lie under /opt/ml/",
        ),
        (
            {"InputDataConfig": [channel("s3://bucket/m", S3DataType="AugmentedManifestFile")]},
            "AugmentedManifestFile can only be used if the Channel's input mode is Pipe.",
        ),
    ],
)
def test_requests_that_make_no_sense(desk: Desk, changes: dict[str, Any], text: str) -> None:
    error = refused_create(desk, **changes)
    assert error.code == "ValidationException" and text in error.message


def test_bad_metric_definitions(desk: Desk) -> None:
    spec = {
        "TrainingImage": IMAGE,
        "TrainingInputMode": "File",
        "MetricDefinitions": [{"Name": "m", "Regex": "(unclosed"}],
    }
    error = refused_create(desk, AlgorithmSpecification=spec)
    assert "regular expression of metric m is invalid" in error.message


def test_what_is_missing_says_so_by_name(desk: Desk) -> None:
    source = {"FileSystemDataSource": {"FileSystemId": "fs-1"}}
    entry = {"ChannelName": "train", "DataSource": source}
    assert refused_create(desk, InputDataConfig=[entry]).status == 501
    spec = {"AlgorithmName": "mine", "TrainingInputMode": "File"}
    assert refused_create(desk, AlgorithmSpecification=spec).status == 501


# -- patience ------------------------------------------------------------------------------------


def test_a_poller_is_answered_when_the_job_settles(desk: Desk) -> None:
    desk.call("CreateTrainingJob", **training_request())

    async def scene() -> dict[str, Any]:
        request = {"TrainingJobName": "job"}
        waiting = asyncio.create_task(desk.acall("DescribeTrainingJob", POLLER, request))
        impatient = await desk.acall("DescribeTrainingJob", "Boto3", request)
        assert impatient["TrainingJobStatus"] == "InProgress" and not waiting.done()
        await asyncio.to_thread(settle, desk)
        answer: dict[str, Any] = await asyncio.wait_for(waiting, 5)
        return answer

    assert asyncio.run(scene())["TrainingJobStatus"] == "Failed"


def test_patience_has_an_end(desk: Desk) -> None:
    desk.call("CreateTrainingJob", **training_request())
    desk.platform = settings_with(desk.platform, patience=0.01)
    answer = desk.call("DescribeTrainingJob", POLLER, TrainingJobName="job")
    assert answer["TrainingJobStatus"] == "InProgress"


def test_describing_what_is_not_there(desk: Desk) -> None:
    error = refusal(desk, "DescribeTrainingJob", TrainingJobName="none")
    assert (error.code, error.message) == ("ValidationException", "Requested resource not found.")


# -- list ----------------------------------------------------------------------------------------


def test_list(desk: Desk) -> None:
    for name in ("a-1", "b-1", "a-2"):
        desk.call("CreateTrainingJob", **training_request(name))
    settle(desk, "b-1", TrainingStartTime=1.0, TrainingEndTime=2.0)

    def names(**request: Any) -> list[str]:
        answer = desk.call("ListTrainingJobs", **request)
        return [summary["TrainingJobName"] for summary in answer["TrainingJobSummaries"]]

    assert sorted(names()) == ["a-1", "a-2", "b-1"]
    assert names(NameContains="a-", SortBy="Name", SortOrder="Ascending") == ["a-1", "a-2"]
    assert names(StatusEquals="Failed") == ["b-1"]
    assert names(CreationTimeAfter=clock.now() + 9) == []
    page = desk.call("ListTrainingJobs", MaxResults=2, SortBy="Name", SortOrder="Ascending")
    assert len(page["TrainingJobSummaries"]) == 2
    rest = desk.call(
        "ListTrainingJobs",
        MaxResults=2,
        SortBy="Name",
        SortOrder="Ascending",
        NextToken=page["NextToken"],
    )
    [summary] = rest["TrainingJobSummaries"]
    assert summary["TrainingEndTime"] == 2.0 and "NextToken" not in rest
    assert summary["TrainingJobStatus"] == summary["SecondaryStatus"] == "Failed"


def test_bad_tokens_and_orders(desk: Desk) -> None:
    assert refusal(desk, "ListTrainingJobs", NextToken="x").code == "ValidationException"
    error = refusal(desk, "ListTrainingJobs", SortBy="FinalObjectiveMetricValue")
    assert error.code == "ValidationException"
    assert desk.call("ListTrainingJobs", WarmPoolStatusEquals="InUse") == {
        "TrainingJobSummaries": []
    }


# -- stop, update, delete ------------------------------------------------------------------------


def test_stop(desk: Desk) -> None:
    desk.call("CreateTrainingJob", **training_request())
    for _ in range(2):
        assert desk.call("StopTrainingJob", TrainingJobName="job") == {}
        answer = desk.call("DescribeTrainingJob", TrainingJobName="job")
        assert answer["TrainingJobStatus"] == answer["SecondaryStatus"] == "Stopping"
        assert len(answer["SecondaryStatusTransitions"]) == 2


@pytest.mark.parametrize("operation", ["StopTrainingJob", "UpdateTrainingJob"])
def test_what_has_ended_cannot_change(desk: Desk, operation: str) -> None:
    desk.call("CreateTrainingJob", **training_request())
    settle(desk)
    error = refusal(desk, operation, TrainingJobName="job")
    assert error.message == "The request was rejected because the training job is in status Failed."


@pytest.mark.parametrize("operation", ["StopTrainingJob", "UpdateTrainingJob", "DeleteTrainingJob"])
def test_what_is_not_there_cannot_change(desk: Desk, operation: str) -> None:
    error = refusal(desk, operation, TrainingJobName="none")
    assert error.message == "Requested resource not found."


def test_update(desk: Desk) -> None:
    desk.call("CreateTrainingJob", **training_request())
    answer = desk.call(
        "UpdateTrainingJob",
        TrainingJobName="job",
        ResourceConfig={"KeepAlivePeriodInSeconds": 60},
        RemoteDebugConfig={"EnableRemoteDebug": True},
    )
    assert answer == {"TrainingJobArn": ARN}
    answer = desk.call("DescribeTrainingJob", TrainingJobName="job")
    assert answer["ResourceConfig"]["KeepAlivePeriodInSeconds"] == 60
    assert answer["ResourceConfig"]["InstanceCount"] == 1
    assert answer["RemoteDebugConfig"] == {"EnableRemoteDebug": True}


def test_delete(desk: Desk) -> None:
    desk.call("CreateTrainingJob", **training_request())
    assert refusal(desk, "DeleteTrainingJob", TrainingJobName="job").code == "ResourceInUse"
    settle(desk)
    assert desk.call("DeleteTrainingJob", TrainingJobName="job") == {}
    assert desk.resources.find(KIND, SCOPE, "job") is None
