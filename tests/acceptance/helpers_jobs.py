"""Short ways to start what the acceptance tests look at, with boto3 alone."""

from __future__ import annotations

import io
from typing import Any

import numpy as np

from wildsage.testing import LocalServer

REGISTRY = "382416733822.dkr.ecr.us-east-1.amazonaws.com"
XGBOOST = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-xgboost:1.7-1"
ROLE = "arn:aws:iam::000000000000:role/SageMakerRole"
QUICK = {"Delay": 1, "MaxAttempts": 180}


def image(algorithm: str) -> str:
    return f"{REGISTRY}/{algorithm}:1"


def csv(rows: np.ndarray) -> bytes:
    text = io.StringIO()
    np.savetxt(text, rows, delimiter=",", fmt="%.4f")
    return text.getvalue().encode()


def blobs(rows: int = 300, columns: int = 4) -> np.ndarray:
    random = np.random.default_rng(0)
    return random.normal(size=(rows, columns)) + 8 * random.integers(0, 3, size=(rows, 1))


def make_bucket(server: LocalServer, name: str, **objects: bytes) -> None:
    s3 = server.client("s3")
    s3.create_bucket(Bucket=name)
    for key, body in objects.items():
        s3.put_object(Bucket=name, Key=key.replace("__", "/"), Body=body)


def training_request(name: str, bucket: str, **changes: Any) -> dict[str, Any]:
    """A kmeans job on s3://bucket/train/; `changes` replace whole members."""
    channel = {
        "ChannelName": "train",
        "ContentType": "text/csv;label_size=0",
        "DataSource": {
            "S3DataSource": {
                "S3DataType": "S3Prefix",
                "S3Uri": f"s3://{bucket}/train/",
                "S3DataDistributionType": "FullyReplicated",
            }
        },
    }
    request: dict[str, Any] = {
        "TrainingJobName": name,
        "AlgorithmSpecification": {"TrainingImage": image("kmeans"), "TrainingInputMode": "File"},
        "RoleArn": ROLE,
        "HyperParameters": {"k": "3", "feature_dim": "4"},
        "InputDataConfig": [channel],
        "OutputDataConfig": {"S3OutputPath": f"s3://{bucket}/output"},
        "ResourceConfig": {
            "InstanceType": "ml.m5.large",
            "InstanceCount": 1,
            "VolumeSizeInGB": 5,
        },
        "StoppingCondition": {"MaxRuntimeInSeconds": 600},
    }
    return request | changes


def finish(server: LocalServer, name: str) -> dict[str, Any]:
    """Wait for a job's end, whichever it is; its description."""
    sagemaker = server.client("sagemaker")
    waiter = sagemaker.get_waiter("training_job_completed_or_stopped")
    try:
        waiter.wait(TrainingJobName=name, WaiterConfig=QUICK)
    except Exception as error:
        assert "terminal failure state" in str(error), error
    described: dict[str, Any] = sagemaker.describe_training_job(TrainingJobName=name)
    return described


def train(server: LocalServer, request: dict[str, Any]) -> dict[str, Any]:
    server.client("sagemaker").create_training_job(**request)
    return finish(server, request["TrainingJobName"])


def deploy(server: LocalServer, name: str, artifact: str, image_uri: str) -> None:
    """A model, a configuration and an endpoint of that name, in service."""
    sagemaker = server.client("sagemaker")
    sagemaker.create_model(
        ModelName=name,
        PrimaryContainer={"Image": image_uri, "ModelDataUrl": artifact},
        ExecutionRoleArn=ROLE,
    )
    variant = {
        "VariantName": "AllTraffic",
        "ModelName": name,
        "InitialInstanceCount": 1,
        "InstanceType": "ml.m5.large",
    }
    sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant])
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
    sagemaker.get_waiter("endpoint_in_service").wait(EndpointName=name, WaiterConfig=QUICK)


def ask(server: LocalServer, endpoint: str, body: bytes) -> bytes:
    answer = server.client("sagemaker-runtime").invoke_endpoint(
        EndpointName=endpoint, ContentType="text/csv", Accept="text/csv", Body=body
    )
    read: bytes = answer["Body"].read()
    return read
