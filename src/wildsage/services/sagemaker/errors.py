"""SageMaker's own errors, in AWS's words, shared by all resource families."""

from __future__ import annotations

from wildsage.wire.errors import ApiError

_ECR_ACTIONS = "ecr:BatchCheckLayerAvailability, ecr:BatchGetImage, ecr:GetDownloadUrlForLayer"


def validation(message: str) -> ApiError:
    return ApiError("ValidationException", message)


def in_use(message: str) -> ApiError:
    return ApiError("ResourceInUse", message)


def not_found(message: str = "Requested resource not found.") -> ApiError:
    return validation(message)


def could_not_find(noun: str, arn: str) -> ApiError:
    """`Could not find endpoint "arn:…".`: what Describe and Delete of hosting resources say."""
    return validation(f'Could not find {noun} "{arn}".')


def invalid_token() -> ApiError:
    return validation("Invalid NextToken. Please start over without one.")


def invalid_image() -> ApiError:
    return validation(
        "Invalid training image. Please provide a valid Amazon Elastic Container Registry path "
        "of the Docker image to run."
    )


def unknown_repository(repository: str, registry: str, role: str) -> ApiError:
    return validation(
        f"Cannot find repository: {repository} in registry ID: {registry} Please check if your "
        f"ECR repository exists and role {role} has proper pull permissions for SageMaker: "
        f"{_ECR_ACTIONS}"
    )


def no_objects(uri: str, bucket: str, region: str, role: str) -> ApiError:
    return validation(
        f'No S3 objects found under S3 URL "{uri}" given in input data source. Please ensure that '
        f"the bucket exists in the selected region ({region}), that objects exist under that S3 "
        f'prefix, and that the role "{role}" has "s3:ListBucket" permissions on bucket "{bucket}".'
    )
