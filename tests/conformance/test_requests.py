"""Whatever botocore writes, we read back the same: every operation, with all members or few."""

from __future__ import annotations

from typing import Any

import pytest

from conformance.helpers_samples import as_sent, pruned, sample
from wildsage.wire.dispatch import Dispatcher, codec_of
from wildsage.wire.model import service_model, services_signed_as
from wildsage.wire.streams import RequestBody

SERVICES = {
    "sagemaker": "sagemaker",
    "sagemaker-runtime": "sagemaker",
    "sagemaker-featurestore-runtime": "sagemaker",
    "sagemaker-metrics": "sagemaker",
    "sagemaker-a2i-runtime": "sagemaker",
    "s3": "s3",
    "iam": "iam",
    "sts": "sts",
    "logs": "logs",
    "kms": "kms",
    "lambda": "lambda",
    "cloudwatch": "monitoring",
}
# The signer puts it into the host, where no request to us has it.
IN_HOST = {("s3", "WriteGetObjectResponse")}
# Two operations with one URI, told apart by nothing that is on the wire.
SAME_URI = {
    ("s3", "GetBucketLifecycle"): "GetBucketLifecycleConfiguration",
    ("s3", "PutBucketLifecycle"): "PutBucketLifecycleConfiguration",
    ("s3", "GetBucketNotification"): "GetBucketNotificationConfiguration",
    ("s3", "PutBucketNotification"): "PutBucketNotificationConfiguration",
    ("s3", "ListDirectoryBuckets"): "ListBuckets",
}
DISPATCHER = Dispatcher(tuple(SERVICES), ("localhost",))
OPERATIONS = [
    pytest.param(name, operation, id=f"{name}.{operation}")
    for name in SERVICES
    if name != "cloudwatch"
    for operation in sorted(service_model(name).operation_names)
    if (name, operation) not in IN_HOST
]


def round_trip(service_name: str, operation_name: str, *, full: bool) -> tuple[Any, Any]:
    """What was sent, and what a handler would get."""
    service = service_model(service_name)
    operation = service.operation(operation_name)
    given = sample(operation.input, full=full) if operation.input is not None else {}
    request, body = as_sent(service, operation, given)
    address = DISPATCHER.address(request, SERVICES[service_name])
    found, labels = DISPATCHER.operation(address, request, body)
    if (service_name, operation_name) in SAME_URI:
        assert found.name == SAME_URI[service_name, operation_name]
        return {}, {}
    assert found.name == operation_name
    payload = RequestBody.of(body) if found.streaming_member else body
    received = codec_of(operation, address.protocol).read(request, labels, payload)
    received.pop("ContentLength", None)  # the client's library says it for every body
    return given, received


@pytest.mark.parametrize(("service", "operation"), OPERATIONS)
def test_every_member_arrives(service: str, operation: str) -> None:
    given, received = round_trip(service, operation, full=True)
    assert pruned(received) == pruned(given)


@pytest.mark.parametrize(("service", "operation"), OPERATIONS)
def test_a_request_with_required_members_only_arrives(service: str, operation: str) -> None:
    given, received = round_trip(service, operation, full=False)
    assert pruned(received) == pruned(given)


@pytest.mark.parametrize("signing_name", ["monitoring", "states", "mturk-requester", "ses"])
def test_signing_names_lead_to_services_that_have_them(signing_name: str) -> None:
    for name in services_signed_as(signing_name):
        metadata = service_model(name).metadata
        assert metadata.get("signingName", metadata["endpointPrefix"]) == signing_name
