"""The router: what it adds to a call of the model server, and how many calls it carries a second.

    python benchmarks/router.py [--seconds 3] [--rounds 5]

Three processes: this one makes the load, one is the model server with a trivial model, one is the
router under uvicorn as the server runs it. Requests are signed, SigV4 is verified every time. Every
round measures direct and routed calls one after the other; medians of the rounds are printed.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import os
import signal
import socket
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, cast

import uvicorn
import uvloop
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from wildsage.arns import Scope
from wildsage.contract.paths import Paths
from wildsage.router.app import Router
from wildsage.router.http import HttpProtocol
from wildsage.router.table import RouteTable, VariantRoute
from wildsage.serving.handler import Reply
from wildsage.serving.server import serve
from wildsage.wire.context import Credential, Principal

WARMUP = 0.3
BODY = b",".join([b"1.5"] * 16)
ACCOUNT = "000000000000"
CREDENTIAL = Credential(
    "AKIDEXAMPLE", "secret", None, Principal("arn", "id", ACCOUNT, "AKIDEXAMPLE"), None
)


class Trivial:
    """A model that answers at once."""

    def __call__(
        self, body: bytes, content_type: str, accept: str, attributes: str | None
    ) -> Reply:
        return Reply(200, "text/csv", b"1.0\n")

    def execution_parameters(self) -> dict[str, Any]:
        return {}


def run_model(environment: dict[str, str]) -> None:
    os.environ.update(environment)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)

    def load(paths: Paths) -> Trivial:
        return Trivial()

    serve(load)


def run_router(port: int, model: str) -> None:
    async def nothing(scope: Any, receive: Any, send: Any) -> None:
        raise NotImplementedError

    table = RouteTable()
    table.publish(Scope(ACCOUNT, "us-east-1"), "toy", [VariantRoute("AllTraffic", 1.0, (model,))])

    def lookup(access_key: str) -> Credential | None:
        return CREDENTIAL if access_key == CREDENTIAL.access_key else None

    router = Router(nothing, table, lookup)
    config = uvicorn.Config(
        cast(Any, router),
        http=HttpProtocol,
        port=port,
        log_level="warning",
        access_log=False,
        lifespan="off",
        proxy_headers=False,
    )
    uvicorn.Server(config).run()


@contextmanager
def process(port: int, target: Any, *arguments: Any) -> Iterator[int]:
    """A process of its own that answers on `port` while the block runs."""
    child = multiprocessing.get_context("spawn").Process(target=target, args=arguments)
    child.start()
    try:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if not port or probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        assert child.pid is not None
        yield child.pid
    finally:
        os.kill(child.pid or 0, signal.SIGTERM)
        child.join()


def cpu_seconds(pid: int) -> float:
    """User and system time of another process (0 where there is no /proc)."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except FileNotFoundError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@dataclass(eq=False)
class Client(asyncio.Protocol):
    """Sends the same request again and again; every answer has the same length."""

    request: bytes
    length: int = 0
    latencies: list[float] = field(default_factory=list)
    stopping: bool = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.received = 0
        self._send()

    def _send(self) -> None:
        self.sent = time.perf_counter()
        self.transport.write(self.request)

    def data_received(self, data: bytes) -> None:
        if not self.length:
            if not data.startswith(b"HTTP/1.1 200"):
                raise SystemExit(data.decode())
            self.length = len(data)
        self.received += len(data)
        if self.received < self.length:
            return
        self.received = 0
        self.latencies.append(time.perf_counter() - self.sent)
        if not self.stopping:
            self._send()


async def load(port: int, request: bytes, connections: int, seconds: float) -> tuple[float, float]:
    """Requests a second, and the median latency in microseconds."""
    loop = asyncio.get_running_loop()
    clients = []
    for _ in range(connections):
        _, client = await loop.create_connection(partial(Client, request), "127.0.0.1", port)
        clients.append(client)
    await asyncio.sleep(WARMUP)
    for client in clients:
        client.latencies.clear()
    await asyncio.sleep(seconds)
    latencies = [value for client in clients for value in client.latencies]
    for client in clients:
        client.transport.close()
    return len(latencies) / seconds, statistics.median(latencies) * 1e6


def direct_request() -> bytes:
    head = "POST /invocations HTTP/1.1\r\nhost: x\r\ncontent-type: text/csv\r\n"
    return f"{head}content-length: {len(BODY)}\r\n\r\n".encode() + BODY


def signed_request(port: int) -> bytes:
    """As boto3 sends it, with the headers it sends."""
    path = "/endpoints/toy/invocations"
    request = AWSRequest("POST", f"http://127.0.0.1:{port}{path}", data=BODY)
    request.headers["Content-Type"] = "text/csv"
    request.headers["Host"] = f"127.0.0.1:{port}"
    request.headers["amz-sdk-invocation-id"] = "4c7a5b1e-3a34-4c1f-9a71-0b5a1f5f6d11"
    request.headers["amz-sdk-request"] = "attempt=1"
    SigV4Auth(
        Credentials(CREDENTIAL.access_key, CREDENTIAL.secret_key), "sagemaker", "us-east-1"
    ).add_auth(request)
    lines = [f"{name}: {value}" for name, value in request.headers.items()]
    lines += ["User-Agent: Boto3/1.44.5 md/Botocore#1.44.5 ua/2.1", f"Content-Length: {len(BODY)}"]
    head = "\r\n".join([f"POST {path} HTTP/1.1", *lines])
    return head.encode() + b"\r\n\r\n" + BODY


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return cast(int, probe.getsockname()[1])


def measure(rounds: int, seconds: float) -> None:
    direct_port, router_port = free_port(), free_port()
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        unix = str(Path(folder) / "model.sock")
        tcp = {"WILDSAGE_BIND_HOST": "127.0.0.1", "SAGEMAKER_BIND_TO_PORT": str(direct_port)}
        stack.enter_context(process(direct_port, run_model, tcp))
        stack.enter_context(process(0, run_model, {"WILDSAGE_BIND_UDS": unix}))
        router = stack.enter_context(process(router_port, run_router, router_port, unix))
        cases = {
            "direct": (direct_port, direct_request()),
            "routed": (router_port, signed_request(router_port)),
        }
        figures: dict[tuple[str, int], list[tuple[float, float]]] = {}
        for _ in range(rounds):
            for connections in (1, 16):
                for name, (port, request) in cases.items():
                    result = uvloop.run(load(port, request, connections, seconds))
                    figures.setdefault((name, connections), []).append(result)
        report(figures)
        before = cpu_seconds(router)
        rate, _ = uvloop.run(load(*cases["routed"], 16, seconds))
        spent = (cpu_seconds(router) - before) / (rate * (seconds + WARMUP))
        print(f"CPU of the router: {spent * 1e6:.0f} µs a request, of one core")


def report(figures: dict[tuple[str, int], list[tuple[float, float]]]) -> None:
    medians = {}
    for (name, connections), results in figures.items():
        rate = statistics.median(result[0] for result in results)
        p50 = statistics.median(result[1] for result in results)
        medians[name, connections] = p50
        print(f"{name:7} {connections:3} connections: {rate:8.0f} r/s, p50 {p50:6.0f} µs")
    print(f"added p50, 1 connection: {medians['routed', 1] - medians['direct', 1]:.0f} µs")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    measure(arguments.rounds, arguments.seconds)
