"""Amazon resource names, and the account and region that own a resource."""

from __future__ import annotations

from typing import NamedTuple

DEFAULT_ACCOUNT = "000000000000"
DEFAULT_REGION = "us-east-1"


class Scope(NamedTuple):
    """Whose resources: every row is kept per account and region."""

    account: str = DEFAULT_ACCOUNT
    region: str = DEFAULT_REGION


class Arn(NamedTuple):
    partition: str
    service: str
    region: str
    account: str
    resource: str

    def __str__(self) -> str:
        return ":".join(("arn", *self))


def build(service: str, scope: Scope, resource: str) -> str:
    """`build("sagemaker", scope, "training-job/x")`: the ARN of a regional resource."""
    return str(Arn("aws", service, scope.region, scope.account, resource))


def build_global(service: str, account: str, resource: str) -> str:
    """The ARN of a resource that has no region, such as an IAM role."""
    return str(Arn("aws", service, "", account, resource))


def parse(text: str) -> Arn:
    """Take an ARN apart; ValueError when it is none."""
    parts = text.split(":", 5)
    if len(parts) != 6 or parts[0] != "arn":
        raise ValueError(f"not an ARN: {text!r}")
    return Arn(*parts[1:])
