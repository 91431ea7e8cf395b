"""A real wildsage server for other people's tests.

    # conftest.py
    pytest_plugins = ["wildsage.testing.plugin"]

    # test_pipeline.py
    def test_training(wildsage_server):
        sagemaker = wildsage_server.client("sagemaker")
        ...

Without pytest: `with LocalServer.temporary() as server: ...`. While the block is open, the
variables of `wildsage env` are set in this process: code under test needs no endpoint.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from wildsage.cli.down_command import end_instances, stop_server
from wildsage.cli.environment import client_environment
from wildsage.cli.hooks import sitecustomize
from wildsage.cli.up_command import start_detached
from wildsage.presence import Presence
from wildsage.settings import Settings


class LocalServer:
    """One server process with a home of its own."""

    def __init__(self, settings: Settings, presence: Presence) -> None:
        self.settings = settings
        self.presence = presence
        self.variables = client_environment(settings, presence, as_is=True)

    @classmethod
    def start(cls, home: Path, *, port: int = 0) -> LocalServer:
        """Start a server on `home`; port 0 takes a free one."""
        settings = Settings(home=home.resolve(), port=port)
        return cls(settings, start_detached(settings))

    @classmethod
    @contextmanager
    def temporary(cls) -> Iterator[LocalServer]:
        """A server in a temporary home; it and all it started end with the block."""
        with tempfile.TemporaryDirectory(prefix="wildsage-") as home:
            server = cls.start(Path(home))
            try:
                with server.environment():
                    yield server
            finally:
                server.stop()

    @property
    def url(self) -> str:
        return self.presence.url

    @contextmanager
    def environment(self) -> Iterator[None]:
        """Set the variables of `wildsage env` in this process until the block ends.

        SDK v2's sleeps are shortened for good, as under `wildsage exec`.
        """
        sitecustomize.install()
        before = {name: os.environ.get(name) for name in self.variables}
        os.environ.update(self.variables)
        try:
            yield
        finally:
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value

    def boto3_session(self, region: str | None = None) -> Any:
        """A `boto3.Session`; its clients find the server through the environment."""
        import boto3

        return boto3.Session(region_name=region or self.settings.region)

    def client(self, service: str, **options: Any) -> Any:
        """A boto3 client that talks to this server whatever the environment says."""
        import boto3

        return boto3.client(
            service,
            **{
                "endpoint_url": self.url,
                "region_name": self.settings.region,
                "aws_access_key_id": self.variables["AWS_ACCESS_KEY_ID"],
                "aws_secret_access_key": self.variables["AWS_SECRET_ACCESS_KEY"],
                "aws_session_token": self.variables["AWS_SESSION_TOKEN"],
                **options,
            },
        )

    def sagemaker_session(self) -> Any:
        """A `sagemaker.Session` of SDK v2; needs `environment()` to be open."""
        from sagemaker.session import Session

        return Session(boto_session=self.boto3_session())

    def stop(self, *, everything: bool = True) -> None:
        """Stop the server and, unless told otherwise, every instance it started."""
        stop_server(self.settings)
        if everything:
            end_instances(self.settings)
