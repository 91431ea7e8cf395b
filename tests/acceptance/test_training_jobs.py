"""Training jobs as boto3 meets them: modes, gangs, queueing, stopping, limits, data sources."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from acceptance.helpers_jobs import (
    XGBOOST,
    blobs,
    csv,
    finish,
    image,
    make_bucket,
    train,
    training_request,
)
from wildsage.testing import LocalServer

pytestmark = pytest.mark.acceptance

Request = dict[str, Any]
ENDLESS = {"k": "50", "feature_dim": "4", "epochs": "100000", "mini_batch_size": "100"}


@pytest.fixture(scope="module")
def bucket(server: LocalServer) -> str:
    parts = {f"train__{number}": csv(blobs(200)) for number in range(4)}
    random = np.random.default_rng(0)
    label = random.integers(0, 2, size=(200, 1))
    rows = csv(np.hstack([label, random.normal(size=(200, 4)) + 2 * label]))
    labelled = {f"labelled__{number}": rows for number in range(4)}
    manifest = json.dumps([{"prefix": "s3://jobs/train/"}, "0", "2"]).encode()
    make_bucket(server, "jobs", **parts, **labelled, manifest=manifest)
    return "jobs"


def request(name: str, mode: str = "File", count: int = 1, **changes: Any) -> Request:
    made = training_request(name, "jobs", **changes)
    algorithm = made["AlgorithmSpecification"]
    made["AlgorithmSpecification"] = algorithm | {"TrainingInputMode": mode}
    made["ResourceConfig"]["InstanceCount"] = count
    if count > 1:
        source(made)["S3DataDistributionType"] = "ShardedByS3Key"
    return made


def source(made: Request) -> Request:
    found: Request = made["InputDataConfig"][0]["DataSource"]["S3DataSource"]
    return found


def metric(described: Request, name: str) -> float:
    values = {m["MetricName"]: m["Value"] for m in described["FinalMetricDataList"]}
    return float(values[name])


@pytest.mark.parametrize("mode", ["File", "FastFile", "Pipe"])
@pytest.mark.parametrize("count", [1, 2])
def test_every_mode_on_one_instance_and_on_two(
    server: LocalServer, bucket: str, mode: str, count: int
) -> None:
    described = train(server, request(f"{mode}-{count}", mode, count))
    assert described["TrainingJobStatus"] == "Completed", described
    assert metric(described, "train:msd") == pytest.approx(4.0, abs=0.2)
    streams = server.client("logs").describe_log_streams(
        logGroupName="/aws/sagemaker/TrainingJobs", logStreamNamePrefix=f"{mode}-{count}/"
    )["logStreams"]
    assert [s["logStreamName"].split("/")[1][:6] for s in streams] == ["algo-1", "algo-2"][:count]


@pytest.mark.parametrize(
    ("name", "uri", "parameters"),
    [
        ("linear", image("linear-learner"), {"predictor_type": "binary_classifier"}),
        ("boosted", XGBOOST, {"objective": "binary:logistic", "num_round": "5"}),
    ],
)
def test_two_instances_make_one_model(
    server: LocalServer, bucket: str, name: str, uri: str, parameters: dict[str, str]
) -> None:
    made = request(name, count=2, HyperParameters=parameters)
    made["AlgorithmSpecification"]["TrainingImage"] = uri
    made["InputDataConfig"][0]["ContentType"] = "text/csv"
    source(made)["S3Uri"] = f"s3://{bucket}/labelled/"
    described = train(server, made)
    assert described["TrainingJobStatus"] == "Completed", described
    assert described["BillableTimeInSeconds"] >= 1
    artifact = described["ModelArtifacts"]["S3ModelArtifacts"]
    assert artifact == f"s3://{bucket}/output/{name}/output/model.tar.gz"


def test_a_manifest_names_the_objects(server: LocalServer, bucket: str) -> None:
    made = request("manifest")
    source(made).update(S3DataType="ManifestFile", S3Uri=f"s3://{bucket}/manifest")
    assert train(server, made)["TrainingJobStatus"] == "Completed"


def test_more_work_than_cores_queues_and_stops(server: LocalServer, bucket: str) -> None:
    sagemaker = server.client("sagemaker")
    large = {"InstanceType": "ml.m5.24xlarge", "InstanceCount": 1, "VolumeSizeInGB": 1}
    names = ["queued-0", "queued-1"]
    for name in names:
        made = request(name, HyperParameters=ENDLESS, ResourceConfig=large)
        sagemaker.create_training_job(**made)
    while (first := describe(sagemaker, names[0]))["SecondaryStatus"] != "Training":
        assert first["TrainingJobStatus"] == "InProgress", first
    waiting = describe(sagemaker, names[1])["SecondaryStatusTransitions"][-1]
    assert waiting["Status"] == "Pending"
    assert waiting["StatusMessage"].startswith("Waiting for ")
    for name in names:
        sagemaker.stop_training_job(TrainingJobName=name)
    stopped = [finish(server, name) for name in names]
    assert [s["TrainingJobStatus"] for s in stopped] == ["Stopped", "Stopped"]
    assert "ModelArtifacts" in stopped[0]


def describe(sagemaker: Any, name: str) -> Request:
    described: Request = sagemaker.describe_training_job(TrainingJobName=name)
    return described


def test_a_job_ends_at_its_time_limit(server: LocalServer, bucket: str) -> None:
    limit = {"MaxRuntimeInSeconds": 1}
    described = train(server, request("limited", HyperParameters=ENDLESS, StoppingCondition=limit))
    assert described["TrainingJobStatus"] == "Stopped"
    assert described["SecondaryStatus"] == "MaxRuntimeExceeded"


def test_jobs_are_listed_by_name_status_and_time(server: LocalServer, bucket: str) -> None:
    train(server, request("listed-a"))
    train(server, request("listed-b"))
    sagemaker = server.client("sagemaker")
    listed = sagemaker.list_training_jobs(
        NameContains="listed", StatusEquals="Completed", SortBy="Name", SortOrder="Ascending"
    )
    summaries = listed["TrainingJobSummaries"]
    assert [s["TrainingJobName"] for s in summaries] == ["listed-a", "listed-b"]
    page = sagemaker.list_training_jobs(NameContains="listed", MaxResults=1)
    rest = sagemaker.list_training_jobs(NextToken=page["NextToken"], NameContains="listed")
    names = [s["TrainingJobName"] for p in (page, rest) for s in p["TrainingJobSummaries"]]
    assert names == ["listed-b", "listed-a"]
