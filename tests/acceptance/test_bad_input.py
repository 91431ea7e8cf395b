"""What bad input gets: AWS's code and text, and nothing half-created."""

from __future__ import annotations

import io
import tarfile
from typing import Any

import pytest
from botocore.exceptions import ClientError, WaiterError

from acceptance.helpers_jobs import (
    ROLE,
    XGBOOST,
    ask,
    blobs,
    csv,
    deploy,
    image,
    make_bucket,
    train,
    training_request,
)
from wildsage.testing import LocalServer

pytestmark = pytest.mark.acceptance

Request = dict[str, Any]


@pytest.fixture(scope="module")
def bucket(server: LocalServer) -> str:
    make_bucket(
        server,
        "bad-input",
        train__a=csv(blobs()),
        nan__a=b"1,2,3,nan\n1,2,3,4\n1,2,3,5\n",
        words__a=b"a,b,c,d\n",
        empty__a=b"",
        dots__a=b"1,2,3,4\n",
    )
    server.client("s3").put_object(Bucket="bad-input", Key="dots/../../b", Body=b"1,2,3,4\n")
    return "bad-input"


def algorithm(uri: str) -> Request:
    return {"AlgorithmSpecification": {"TrainingImage": uri, "TrainingInputMode": "File"}}


def channel(uri: str, content_type: str = "text/csv;label_size=0") -> Request:
    (entry,) = training_request("x", "x")["InputDataConfig"]
    entry["ContentType"] = content_type
    entry["DataSource"]["S3DataSource"]["S3Uri"] = uri
    return {"InputDataConfig": [entry]}


def parameters(**values: str) -> Request:
    return {"HyperParameters": values}


BINARY = algorithm(image("linear-learner")) | parameters(predictor_type="binary_classifier")
BOOST = algorithm(XGBOOST) | parameters(objective="binary:logistic", num_round="2")
NOT_READ = "Unable to read data channel 'train'. "
REQUIRED = "which are required hyperparameter(s) (caused by ValidationError)"


@pytest.mark.parametrize(
    ("name", "changes", "text"),
    [
        (
            "unknown-image",
            algorithm(image("nosuch")),
            "Cannot find repository: nosuch in registry ID: 382416733822",
        ),
        ("malformed-image", algorithm("not an image"), "Invalid training image."),
        (
            "missing-bucket",
            channel("s3://no-such-bucket/train/"),
            'No S3 objects found under S3 URL "s3://no-such-bucket/train/"',
        ),
        (
            "missing-key",
            channel("s3://bad-input/nothing/"),
            'No S3 objects found under S3 URL "s3://bad-input/nothing/"',
        ),
        ("malformed-uri", channel("s3:/x"), "failed to satisfy constraint"),
        ("bad..name", {}, "failed to satisfy constraint"),
        (
            "missing-role",
            {"RoleArn": "arn:aws:iam::000000000000:role/NoSuchRole"},
            "Could not assume role arn:aws:iam::000000000000:role/NoSuchRole.",
        ),
    ],
)
def test_refused_at_once(
    server: LocalServer, bucket: str, name: str, changes: Request, text: str
) -> None:
    sagemaker = server.client("sagemaker")
    request = training_request(name, bucket, **changes)
    with pytest.raises(ClientError) as refused:
        sagemaker.create_training_job(**request)
    assert refused.value.response["Error"]["Code"] == "ValidationException"
    assert text in refused.value.response["Error"]["Message"]
    listed = sagemaker.list_training_jobs(NameContains=name.replace("..", "--"))
    assert listed["TrainingJobSummaries"] == []


@pytest.mark.parametrize(
    ("name", "changes", "text"),
    [
        (
            "content-type",
            channel("s3://bad-input/train/", "csv"),
            "No iterator has been registered for ContentType ('csv', '1.0')",
        ),
        (
            "not-recordio",
            channel("s3://bad-input/train/", "application/x-recordio-protobuf"),
            NOT_READ + "Requested content-type is 'application/x-recordio-protobuf'.",
        ),
        (
            "missing",
            parameters(),
            f"No value(s) were specified for 'feature_dim', 'k' {REQUIRED}",
        ),
        (
            "misspelt",
            parameters(k="3", feature_dim="4", mini_batch_siz="9"),
            "Additional hyperparameters are not allowed ('mini_batch_siz' was unexpected)",
        ),
        (
            "out-of-range",
            parameters(k="3", feature_dim="-4"),
            "The value '-4' is not valid for the 'feature_dim' hyperparameter which expects",
        ),
        (
            "not-json",
            parameters(k="3", feature_dim="4", eval_metrics="[msd"),
            "Hyperparameter must be valid json, but found eval_metrics: [msd",
        ),
        (
            "dimension",
            parameters(k="3", feature_dim="5"),
            "The value of feature_dim hyperparameter '5' doesn't match train data "
            "dimensionality '4'.",
        ),
        (
            "nan",
            channel("s3://bad-input/nan/"),
            NOT_READ + "Found missing (NaN) values. Please remove any missing (NaN) values",
        ),
        ("empty", channel("s3://bad-input/empty/"), NOT_READ),
        (
            "words",
            channel("s3://bad-input/words/"),
            NOT_READ + "Requested content-type is 'text/csv;label_size=0'.",
        ),
        ("dots", channel("s3://bad-input/dots/"), "Data download failed:"),
        (
            "no-output",
            {"OutputDataConfig": {"S3OutputPath": "s3://no-such-bucket/x"}},
            "Artifact upload failed:",
        ),
        ("unlabelled", BINARY, "Label size on train dataset found to be 0."),
        (
            "label-range",
            BOOST | channel("s3://bad-input/train/", "text/csv"),
            "label must be in [0,1] for logistic regression",
        ),
        (
            "label-size",
            BOOST | channel("s3://bad-input/train/"),
            "text/csv;label_size=0 is not an accepted csv ContentType.",
        ),
        (
            "num-round",
            BOOST | parameters(objective="binary:logistic"),
            "Missing required hyperparameter: num_round",
        ),
    ],
)
def test_the_job_fails_for_the_customer_s_reason(
    server: LocalServer, bucket: str, name: str, changes: Request, text: str
) -> None:
    described = train(server, training_request(f"fails-{name}", bucket, **changes))
    assert described["TrainingJobStatus"] == "Failed"
    assert described["FailureReason"].startswith("ClientError: ")
    assert text in described["FailureReason"]
    assert "Traceback" not in described["FailureReason"]
    objects = server.client("s3").list_objects_v2(Bucket=bucket, Prefix="output/")
    assert [o for o in objects.get("Contents", []) if f"fails-{name}/" in o["Key"]] == []


def test_a_name_is_used_once(server: LocalServer, bucket: str) -> None:
    request = training_request("twice", bucket)
    assert train(server, request)["TrainingJobStatus"] == "Completed"
    with pytest.raises(ClientError, match="must be unique within an AWS account and region"):
        server.client("sagemaker").create_training_job(**request)


@pytest.mark.parametrize(
    ("call", "arguments", "text"),
    [
        ("describe_training_job", {"TrainingJobName": "no"}, "Requested resource not found."),
        ("describe_endpoint", {"EndpointName": "no"}, "Could not find endpoint"),
        ("describe_model", {"ModelName": "no"}, "Could not find model"),
        ("delete_endpoint", {"EndpointName": "no"}, "Could not find endpoint"),
        (
            "create_endpoint",
            {"EndpointName": "no", "EndpointConfigName": "no"},
            "Could not find endpoint configuration",
        ),
        (
            "create_model",
            {
                "ModelName": "no",
                "PrimaryContainer": {
                    "Image": image("kmeans"),
                    "ModelDataUrl": "s3://bad-input/no/model.tar.gz",
                },
                "ExecutionRoleArn": ROLE,
            },
            "Could not find model data at s3://bad-input/no/model.tar.gz",
        ),
    ],
)
def test_what_is_not_there_is_said(
    server: LocalServer, bucket: str, call: str, arguments: Request, text: str
) -> None:
    with pytest.raises(ClientError, match="ValidationException") as refused:
        getattr(server.client("sagemaker"), call)(**arguments)
    assert text in str(refused.value)


def test_passing_a_role_is_recorded(server: LocalServer, bucket: str) -> None:
    server.client("sagemaker").create_training_job(**training_request("passes-role", bucket))
    used = server.client("iam").get_role(RoleName="SageMakerRole")["Role"]["RoleLastUsed"]
    assert used["Region"] == "us-east-1"


def test_an_operation_that_is_missing_answers_501_by_name(server: LocalServer) -> None:
    with pytest.raises(ClientError) as refused:
        server.client("sagemaker").create_domain(
            DomainName="d", AuthMode="IAM", DefaultUserSettings={}, SubnetIds=["s"], VpcId="v"
        )
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 501
    assert "CreateDomain" in str(refused.value)


@pytest.mark.parametrize("member", ["../escape", "/tmp/wildsage-escape"])
def test_a_hostile_archive_is_refused(server: LocalServer, bucket: str, member: str) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        entry = tarfile.TarInfo(member)
        entry.size = 1
        archive.addfile(entry, io.BytesIO(b"x"))
    server.client("s3").put_object(Bucket=bucket, Key="evil.tar.gz", Body=packed.getvalue())
    name = f"evil-{len(member)}"
    with pytest.raises(WaiterError):
        deploy(server, name, f"s3://{bucket}/evil.tar.gz", image("kmeans"))
    described = server.client("sagemaker").describe_endpoint(EndpointName=name)
    assert described["EndpointStatus"] == "Failed"
    assert described["FailureReason"]


def test_model_errors_carry_the_container_s_status_and_words(
    server: LocalServer, bucket: str
) -> None:
    done = train(server, training_request("answers", bucket))
    deploy(server, "answers", done["ModelArtifacts"]["S3ModelArtifacts"], image("kmeans"))
    with pytest.raises(ClientError) as refused:
        ask(server, "answers", b"1,2,3")
    assert refused.value.response["Error"]["Code"] == "ModelError"
    assert refused.value.response["OriginalStatusCode"] == 400
    assert refused.value.response["OriginalMessage"]
    assert "Received client error (400) from primary" in str(refused.value)


def test_an_invocation_of_nothing(server: LocalServer) -> None:
    with pytest.raises(ClientError, match="Endpoint nosuch of account 000000000000 not found."):
        ask(server, "nosuch", b"1")


@pytest.mark.parametrize(
    ("service", "call", "unknown", "mismatch"),
    [
        ("sts", "get_caller_identity", "InvalidClientTokenId", "SignatureDoesNotMatch"),
        ("sagemaker", "list_models", "UnrecognizedClientException", "InvalidSignatureException"),
        ("s3", "list_buckets", "InvalidAccessKeyId", "SignatureDoesNotMatch"),
    ],
)
def test_a_wrong_key_is_refused(
    server: LocalServer, service: str, call: str, unknown: str, mismatch: str
) -> None:
    stranger = {"aws_access_key_id": "AKIAWRONGWRONGWRONG0", "aws_session_token": None}
    with pytest.raises(ClientError, match=unknown):
        getattr(server.client(service, **stranger), call)()
    with pytest.raises(ClientError, match=mismatch):
        getattr(server.client(service, aws_secret_access_key="wrong"), call)()
