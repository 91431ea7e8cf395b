"""Every operation that is served, with requests made from its model: no request is our fault."""

from __future__ import annotations

import http.client
import importlib
import random
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from conformance.helpers_samples import as_sent, sample
from wildsage.services.registry import SERVICES
from wildsage.testing import LocalServer
from wildsage.wire.model import service_model

pytestmark = pytest.mark.acceptance
BUCKET = "a-bucket"
TEXTS = (
    "", "a", "x" * 300, "../../etc/passwd", "s3://b/k", BUCKET, "%00", "null", "1",
    "arn:aws:iam::000000000000:role/SageMakerRole",
    "arn:aws:sagemaker:us-east-1:000000000000:training-job/x",
)  # fmt: skip


@pytest.fixture(scope="module")
def server() -> Iterator[LocalServer]:
    with LocalServer.temporary() as running:
        running.client("s3").create_bucket(Bucket=BUCKET)
        yield running


def changed(value: Any, chance: random.Random) -> Any:
    """The value, with members left out and others that no honest client would send."""
    if isinstance(value, dict):
        return {k: changed(item, chance) for k, item in value.items() if chance.random() > 0.1}
    if isinstance(value, list):
        return [changed(item, chance) for item in value] * chance.choice((0, 1, 1, 2))
    if isinstance(value, str):
        return chance.choice((*TEXTS, *[value] * 6))
    if type(value) is int:
        return chance.choice((value, 0, 1, -1, 2**31 - 1))
    return value


def requests_for(service: str, operation: str) -> Iterator[dict[str, Any]]:
    """Few members, all members, and four times a wild mixture of both."""
    shape, chance = service_model(service).operation(operation).input, random.Random(operation)
    few, full = (sample(shape, full=full) if shape is not None else {} for full in (False, True))
    yield from (few, full)
    for start in (few, full) * 2:
        request = {**few, **changed(start, chance)}
        if service == "s3" and "Bucket" in request:
            request["Bucket"] = BUCKET
            request["Key"] = request.get("Key") or "key"
        yield {k: v for k, v in request.items() if shape is not None and k in shape.members}


def status_of(server: LocalServer, service: str, operation: str, values: dict[str, Any]) -> int:
    model = service_model(service)
    sent, body = as_sent(model, model.operation(operation), values)
    url = f"{server.url}{sent.path}" + (f"?{sent.query}" if sent.query else "")
    headers = {k: v for k, v in sent.headers.items() if k not in ("host", "content-length")}
    request = AWSRequest(sent.method, url, {**headers, "Host": urlsplit(url).netloc}, body)
    names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
    credentials = Credentials(*(server.variables[name] for name in names))
    signer = S3SigV4Auth if service == "s3" else SigV4Auth
    signer(credentials, service, "us-east-1").add_auth(request)
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)
    path = url.removeprefix(server.url)
    connection.request(sent.method, path, body, dict(request.headers.items()))
    response = connection.getresponse()
    response.read()
    connection.close()
    return response.status


@pytest.mark.parametrize("service", sorted(SERVICES))
def test_no_request_is_our_fault(server: LocalServer, service: str) -> None:
    faults = []
    for operation in sorted(importlib.import_module(SERVICES[service]).OPERATIONS):
        for values in requests_for(service, operation):
            status = status_of(server, service, operation, values)
            if status >= 500 and status != 501:
                faults.append((operation, status, values))
    assert faults == []
