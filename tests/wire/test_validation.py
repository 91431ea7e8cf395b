"""AWS's texts for what does not meet the model."""

from __future__ import annotations

from typing import Any

import pytest

from wildsage.wire.errors import ApiError
from wildsage.wire.model import service_model, validate

ROLE = "arn:aws:iam::000000000000:role/r"
AT = "failed to satisfy constraint: "


def complaint(operation: str, request: dict[str, Any], service: str = "sagemaker") -> ApiError:
    with pytest.raises(ApiError) as caught:
        validate(service_model(service).operation(operation), request)
    return caught.value


def test_a_good_request_passes() -> None:
    operation = service_model("sagemaker").operation("DescribeTrainingJob")
    validate(operation, {"TrainingJobName": "a-job"})
    assert operation.check is not None


@pytest.mark.parametrize(
    ("operation", "request_", "texts"),
    [
        (
            "DescribeTrainingJob",
            {},
            [f"Value null at 'trainingJobName' {AT}Member must not be null"],
        ),
        (
            "DescribeTrainingJob",
            {"TrainingJobName": "no_good"},
            [
                f"Value 'no_good' at 'trainingJobName' {AT}Member must satisfy regular expression "
                "pattern: [a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}"
            ],
        ),
        (
            "ListTrainingJobs",
            {"MaxResults": 101},
            [f"Value '101' at 'maxResults' {AT}Member must have value less than or equal to 100"],
        ),
        (
            "ListTrainingJobs",
            {"MaxResults": 0},
            [f"Value '0' at 'maxResults' {AT}Member must have value greater than or equal to 1"],
        ),
        (
            "ListTrainingJobs",
            {"SortBy": "Age"},
            [
                f"Value 'Age' at 'sortBy' {AT}Member must satisfy enum value set: "
                "[Name, CreationTime, Status]"
            ],
        ),
        (
            "AddTags",
            {
                "ResourceArn": "arn:aws:sagemaker:us-east-1:000000000000:model/m",
                "Tags": [{"Key": "", "Value": "v"}],
            },
            [
                f"Value '' at 'tags.1.member.key' {AT}"
                "Member must have length greater than or equal to 1"
            ],
        ),
        (
            "CreateModel",
            {
                "ModelName": "m",
                "ExecutionRoleArn": ROLE,
                "VpcConfig": {"SecurityGroupIds": ["sg-1", "no good"], "Subnets": ["s"]},
            },
            [
                f"Value '[sg-1, no good]' at 'vpcConfig.securityGroupIds' {AT}Member must satisfy "
                "constraint: [Member must have length less than or equal to 32, Member must have "
                "length greater than or equal to 0, Member must satisfy regular expression "
                "pattern: [-0-9a-zA-Z]+]"
            ],
        ),
        (
            "CreateModel",
            {"ModelName": "m", "PrimaryContainer": {"Environment": {"1 bad": "x", "b": "y"}}},
            [
                f"Value '{{1 bad=x, b=y}}' at 'primaryContainer.environment' {AT}Map keys must "
                "satisfy constraint: [Member must have length less than or equal to 1024, Member "
                "must have length greater than or equal to 0, Member must satisfy regular "
                "expression pattern: [a-zA-Z_][a-zA-Z0-9_]*]"
            ],
        ),
        (
            "CreateModel",
            {"ModelName": "m", "Containers": [{}] * 16},
            [f"'containers' {AT}Member must have length less than or equal to 15"],
        ),
    ],
)
def test_the_texts(operation: str, request_: dict[str, Any], texts: list[str]) -> None:
    error = complaint(operation, request_)
    assert error.code == "ValidationException"
    assert error.message.startswith("1 validation error detected: ")
    for text in texts:
        assert text in error.message


def test_several_errors_are_counted() -> None:
    error = complaint("CreateTrainingJob", {"TrainingJobName": "", "ResourceConfig": {}})
    assert error.message.startswith("4 validation errors detected: Value null at 'roleArn'")
    assert error.message.count("; Value ") == 3


def test_a_long_list_of_errors_is_cut() -> None:
    error = complaint("CreateModel", {"ModelName": "m", "Containers": [{"Mode": "x"}] * 12})
    assert error.message.startswith("12 validation errors detected: ")
    assert error.message.count("failed to satisfy") == 10


def test_secrets_are_not_repeated() -> None:
    model = service_model("iam").operation("CreateLoginProfile")
    with pytest.raises(ApiError) as caught:
        validate(model, {"UserName": "u", "Password": "x" * 200})
    assert "xxx" not in caught.value.message
    assert f"Value at 'password' {AT}Member must have length" in caught.value.message


@pytest.mark.parametrize(
    ("service", "operation", "code"),
    [
        ("iam", "GetRole", "ValidationError"),
        ("logs", "CreateLogGroup", "InvalidParameterException"),
        ("kms", "DescribeKey", "ValidationException"),
    ],
)
def test_services_have_codes_of_their_own(service: str, operation: str, code: str) -> None:
    assert complaint(operation, {}, service).code == code
