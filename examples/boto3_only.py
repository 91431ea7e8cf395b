"""The whole path with boto3 alone: bucket, CSV, training job, model, endpoint, prediction.

wildsage exec -- python examples/boto3_only.py
"""

import io
import json
import tarfile
import time

import boto3
import numpy as np
from sklearn.datasets import load_iris

s3 = boto3.client("s3")
sagemaker = boto3.client("sagemaker")
runtime = boto3.client("sagemaker-runtime")
account = boto3.client("sts").get_caller_identity()["Account"]

stamp = time.strftime("%Y%m%d-%H%M%S")
bucket, name = f"boto3-example-{account}-{stamp}", f"iris-{stamp}"
role = f"arn:aws:iam::{account}:role/SageMakerRole"
image = "382416733822.dkr.ecr.us-east-1.amazonaws.com/kmeans:1"


def upload() -> None:
    s3.create_bucket(Bucket=bucket)
    rows = io.StringIO()
    np.savetxt(rows, load_iris().data, delimiter=",", fmt="%.2f")
    s3.put_object(
        Bucket=bucket,
        Key="train/iris.csv",
        Body=rows.getvalue().encode(),
        ContentType="text/csv;label_size=0",
    )


def train() -> str:
    """Returns where the model was written."""
    sagemaker.create_training_job(
        TrainingJobName=name,
        AlgorithmSpecification={"TrainingImage": image, "TrainingInputMode": "File"},
        RoleArn=role,
        HyperParameters={"k": "3", "feature_dim": "4"},
        InputDataConfig=[
            {
                "ChannelName": "train",
                "ContentType": "text/csv;label_size=0",
                "DataSource": {
                    "S3DataSource": {
                        "S3DataType": "S3Prefix",
                        "S3Uri": f"s3://{bucket}/train/",
                        "S3DataDistributionType": "ShardedByS3Key",
                    }
                },
            }
        ],
        OutputDataConfig={"S3OutputPath": f"s3://{bucket}/output"},
        ResourceConfig={"InstanceType": "ml.c5.xlarge", "InstanceCount": 1, "VolumeSizeInGB": 10},
        StoppingCondition={"MaxRuntimeInSeconds": 600},
    )
    waiter = sagemaker.get_waiter("training_job_completed_or_stopped")
    waiter.wait(TrainingJobName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 120})
    job = sagemaker.describe_training_job(TrainingJobName=name)
    print(f"{job['TrainingJobStatus']} in {job['TrainingTimeInSeconds']} s")
    return job["ModelArtifacts"]["S3ModelArtifacts"]


def deploy(artifact: str) -> None:
    sagemaker.create_model(
        ModelName=name,
        PrimaryContainer={"Image": image, "ModelDataUrl": artifact},
        ExecutionRoleArn=role,
    )
    sagemaker.create_endpoint_config(
        EndpointConfigName=name,
        ProductionVariants=[
            {
                "VariantName": "AllTraffic",
                "ModelName": name,
                "InitialInstanceCount": 1,
                "InstanceType": "ml.m5.large",
            }
        ],
    )
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
    sagemaker.get_waiter("endpoint_in_service").wait(
        EndpointName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 120}
    )


def ask() -> list[int]:
    """Returns the cluster of every flower."""
    rows = "\n".join(",".join(map(str, row)) for row in load_iris().data)
    answer = runtime.invoke_endpoint(
        EndpointName=name, ContentType="text/csv", Accept="application/json", Body=rows
    )
    predictions = json.loads(answer["Body"].read())["predictions"]
    return [int(p["closest_cluster"]) for p in predictions]


def clean_up() -> None:
    sagemaker.delete_endpoint(EndpointName=name)
    sagemaker.delete_endpoint_config(EndpointConfigName=name)
    sagemaker.delete_model(ModelName=name)
    listed = s3.list_objects_v2(Bucket=bucket).get("Contents", [])
    s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": o["Key"]} for o in listed]})
    s3.delete_bucket(Bucket=bucket)


if __name__ == "__main__":
    upload()
    artifact = train()
    body = s3.get_object(Bucket=bucket, Key=artifact.split("/", 3)[3])["Body"].read()
    with tarfile.open(fileobj=io.BytesIO(body)) as archive:
        print("artifact:", archive.getnames())
    deploy(artifact)
    clusters = np.array(ask())
    species = load_iris().target
    purity = sum(np.bincount(species[clusters == c]).max() for c in set(clusters)) / len(species)
    print(f"purity of three clusters of iris: {purity:.2f}")
    clean_up()
    assert purity > 0.8
