"""A live server of S3 in a process of its own, and boto3 clients for it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config


class Server:
    """`client` makes boto3 clients; `pid` is the server's, for who wants to look or kill."""

    def __init__(self, home: Path) -> None:
        command = [sys.executable, str(Path(__file__).with_name("serve.py")), str(home)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.url = f"http://127.0.0.1:{int(self.process.stdout.readline())}"
        self.pid = self.process.pid

    def client(self, access_key: str = "AKIDME", region: str = "us-east-1", **config: Any) -> Any:
        options = {"retries": {"max_attempts": 0}, **config}
        return boto3.client(
            "s3",
            endpoint_url=self.url,
            aws_access_key_id=access_key,
            aws_secret_access_key="secret",
            region_name=region,
            config=Config(**options),
        )

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(10)
        assert self.process.stdout is not None
        self.process.stdout.close()

    def memory(self) -> int:
        """Resident bytes of the server."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        raise AssertionError("no VmRSS")


@contextmanager
def _running(home: Path) -> Iterator[Server]:
    server = Server(home)
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with _running(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture
def start(tmp_path: Path) -> Callable[[], Any]:
    """Starts further servers on a home of the test's own."""
    return lambda: _running(tmp_path)


@pytest.fixture(scope="session")
def s3(server: Server) -> Any:
    return server.client()


@pytest.fixture
def bucket(s3: Any, request: pytest.FixtureRequest) -> str:
    """A bucket of the test's own."""
    name = f"test-{abs(hash(request.node.nodeid)):x}"[:40]
    s3.create_bucket(Bucket=name)
    return name
