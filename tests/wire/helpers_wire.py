"""Credentials, signed requests and an application with three little services."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import uvicorn
from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from wildsage import clock
from wildsage.wire.app import WireApp
from wildsage.wire.context import Credential, Principal
from wildsage.wire.record import RequestRecord
from wildsage.wire.request import HttpRequest

ACCOUNT = "000000000000"
KEY, SECRET = "AKIAEXAMPLE", "a/secret+key"
SESSION_KEY, SESSION_SECRET, TOKEN = "ASIAEXAMPLE", "another-secret", "token/with+signs=="
SERVICES = {
    "s3": "wire.helpers_toy_s3",
    "sagemaker": "wire.helpers_toy_sagemaker",
    "sts": "wire.helpers_toy_sts",
}


def principal(key: str) -> Principal:
    return Principal(f"arn:aws:iam::{ACCOUNT}:user/tester", "AIDAEXAMPLE", ACCOUNT, key)


CREDENTIALS = {
    KEY: Credential(KEY, SECRET, None, principal(KEY), None),
    SESSION_KEY: Credential(
        SESSION_KEY, SESSION_SECRET, TOKEN, principal(SESSION_KEY), clock.now() + 3600
    ),
}


def lookup(access_key: str) -> Credential | None:
    return CREDENTIALS.get(access_key)


class Signature(NamedTuple):
    """Who signs, and for what."""

    service: str = "sagemaker"
    region: str = "us-east-1"
    key: str = KEY
    secret: str = SECRET
    token: str | None = None


def signed_headers(
    method: str,
    url: str,
    body: bytes = b"",
    headers: dict[str, str] | None = None,
    signature: Signature | None = None,
) -> dict[str, str]:
    """The request's headers with botocore's signature among them, in lower case."""
    signature, host = signature or Signature(), urlsplit(url).netloc
    request = AWSRequest(method, url, data=body, headers={"Host": host, **(headers or {})})
    credentials = Credentials(signature.key, signature.secret, signature.token)
    signer = S3SigV4Auth if signature.service == "s3" else SigV4Auth
    signer(credentials, signature.service, signature.region).add_auth(request)
    return {name.lower(): value for name, value in request.headers.items()}


def request_of(method: str, url: str, headers: dict[str, str]) -> HttpRequest:
    path, _, query = url.split("://", 1)[1].partition("/")[2].partition("?")
    return HttpRequest(method, f"/{path}", query, headers)


@dataclass
class Answer:
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass
class Toy:
    """An application over the little services, and what it recorded."""

    folder: Path
    platform: dict[str, Any] = field(default_factory=dict)
    records: list[RequestRecord] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.platform["folder"] = self.folder
        self.app = WireApp(
            services=SERVICES,
            platform=self.platform,
            credentials=lookup,
            record=self.records.append,
        )

    def call(self, method: str, url: str, headers: dict[str, str], body: bytes = b"") -> Answer:
        """One request, without a socket."""
        return asyncio.run(self._call(method, url, headers, body))

    async def _call(self, method: str, url: str, headers: dict[str, str], body: bytes) -> Answer:
        path, _, query = url.split("://", 1)[1].partition("/")[2].partition("?")
        scope = {
            "type": "http",
            "method": method,
            "path": f"/{path}",
            "raw_path": f"/{path}".encode("latin-1"),
            "query_string": query.encode("latin-1"),
            "headers": [(k.encode(), v.encode("latin-1")) for k, v in headers.items()],
            "client": ("127.0.0.9", 1),
        }
        answer, chunks = Answer(), [body[i : i + 1000] for i in range(0, len(body), 1000)] or [b""]

        async def receive() -> dict[str, Any]:
            if not chunks:
                await asyncio.Event().wait()
            chunk = chunks.pop(0)
            return {"type": "http.request", "body": chunk, "more_body": bool(chunks)}

        async def send(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                answer.status = message["status"]
                answer.headers = {k.decode(): v.decode("latin-1") for k, v in message["headers"]}
            else:
                answer.body += message["body"]

        await self.app(scope, receive, send)
        return answer

    def sagemaker(self, operation: str, body: bytes, **signing: Any) -> Answer:
        headers = {
            "x-amz-target": f"SageMaker.{operation}",
            "content-type": "application/x-amz-json-1.1",
        }
        url = "http://127.0.0.1:4570/"
        signature = Signature(**signing)
        return self.call("POST", url, signed_headers("POST", url, body, headers, signature), body)

    def s3(
        self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> Answer:
        url = f"http://127.0.0.1:4570{path}"
        signature = Signature("s3")
        return self.call(method, url, signed_headers(method, url, body, headers, signature), body)


@contextmanager
def serving(app: Any) -> Iterator[int]:
    """A real server in a thread of this process, on a free port of 127.0.0.1."""
    config = uvicorn.Config(app, "127.0.0.1", 0, lifespan="off", log_config=None, access_log=False)
    server, sockets = uvicorn.Server(config), [config.bind_socket()]
    sockets[0].listen(128)  # clients that come before the server is up wait
    thread = Thread(target=asyncio.run, args=(server.serve(sockets),), daemon=True)
    thread.start()
    try:
        yield sockets[0].getsockname()[1]
    finally:
        server.should_exit = server.force_exit = True
        thread.join(10)
        sockets[0].close()
