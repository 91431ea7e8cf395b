"""A router under uvicorn in a thread of the test's process, and signed requests to it."""

from __future__ import annotations

import asyncio
import http.client
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, cast

import boto3
import uvicorn
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials

from serving.helpers_serving import Running, in_thread
from wildsage.arns import Scope
from wildsage.router.app import Router
from wildsage.router.http import HttpProtocol
from wildsage.router.table import RouteTable, VariantRoute
from wildsage.wire.context import Credential, Principal

SCOPE = Scope("123456789012", "us-east-1")
ACCESS, SECRET = "AKIDEXAMPLE", "secret"
PRINCIPAL = Principal("arn:aws:iam::123456789012:root", "id", SCOPE.account, ACCESS)
CREDENTIALS = {ACCESS: Credential(ACCESS, SECRET, None, PRINCIPAL, None)}


def lookup(access_key: str) -> Credential | None:
    return CREDENTIALS.get(access_key)


async def inner(scope: Any, receive: Any, send: Any) -> None:
    """The application behind the router."""
    headers = [(b"content-length", b"5")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"inner"})


@dataclass
class Served:
    """A running router. `table` is its own."""

    port: int
    router: Router
    running: Running

    @property
    def table(self) -> RouteTable:
        return self.router.table

    def publish(self, endpoint: str, *variants: VariantRoute, scope: Scope = SCOPE) -> None:
        self.table.publish(scope, endpoint, variants)

    @cached_property
    def runtime(self) -> Any:
        """boto3's client of the data plane, without retries."""
        return boto3.client(
            "sagemaker-runtime",
            endpoint_url=f"http://127.0.0.1:{self.port}",
            region_name=SCOPE.region,
            aws_access_key_id=ACCESS,
            aws_secret_access_key=SECRET,
            config=Config(retries={"total_max_attempts": 1}),
        )


@contextmanager
def serve(**settings: Any) -> Iterator[Served]:
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(128)  # clients that come before the server is up wait
    router = Router(inner, RouteTable(), lookup, **settings)
    config = uvicorn.Config(
        cast(Any, router),
        http=HttpProtocol,
        loop="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        proxy_headers=False,
    )
    server = uvicorn.Server(config)

    async def run(stop: asyncio.Event) -> None:
        serving = asyncio.ensure_future(server.serve([listener]))
        await stop.wait()
        server.should_exit = server.force_exit = True
        await serving
        router.close()
        await asyncio.sleep(0)

    running = in_thread(run)
    served = Served(listener.getsockname()[1], router, running)
    try:
        yield served
    finally:
        if "runtime" in vars(served):
            served.runtime.close()
        running.stop()
        listener.close()


@dataclass
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes
    fields: dict[str, Any] = field(default_factory=dict)


def signed(
    port: int, path: str, body: bytes, service: str = "sagemaker", **headers: str
) -> dict[str, str]:
    """The headers of a signed POST."""
    request = AWSRequest("POST", f"http://127.0.0.1:{port}{path}", data=body)
    for name, value in headers.items():
        request.headers[name.replace("_", "-")] = value
    request.headers["Host"] = f"127.0.0.1:{port}"
    SigV4Auth(Credentials(ACCESS, SECRET), service, SCOPE.region).add_auth(request)
    return dict(request.headers.items())


def post(port: int, path: str, body: bytes, headers: Mapping[str, str]) -> Answer:
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        client.request("POST", path, body, dict(headers))
        response = client.getresponse()
        found = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, found, response.read())
    finally:
        client.close()


def invoke(port: int, endpoint: str, body: bytes, **headers: str) -> Answer:
    path = f"/endpoints/{endpoint}/invocations"
    return post(port, path, body, signed(port, path, body, **headers))
