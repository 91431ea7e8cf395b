"""A platform in memory, and two ways to call its operations: directly, and as boto3 over HTTP.

`call("iam", "GetRole", RoleName="x")` runs the handler alone. `client("iam")` is a boto3 client of
a server on this machine, for what only shows on the wire.
"""

from __future__ import annotations

import asyncio
import importlib
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest
import uvicorn

from wildsage.arns import Scope
from wildsage.services.iam.bootstrap import bootstrap, first_credential
from wildsage.services.iam.credentials import Credentials
from wildsage.services.platform import Platform
from wildsage.services.registry import SERVICES
from wildsage.settings import Settings
from wildsage.store.changes import Changes
from wildsage.store.database import Database
from wildsage.store.logs import Logs
from wildsage.store.metrics import Metrics
from wildsage.store.resources import Resources
from wildsage.wire.app import WireApp
from wildsage.wire.context import Context, Principal

ACCOUNT = "000000000000"
ROOT = Principal(f"arn:aws:iam::{ACCOUNT}:root", ACCOUNT, ACCOUNT, "AKIAROOT")


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[Platform]:
    """Stores without jobs, objects and the router, which these services do not touch."""
    settings = Settings(home=tmp_path)
    database = Database("sqlite:///:memory:")
    database.migrate()
    changes = Changes()
    nothing = cast(Any, None)
    yield Platform(
        settings=settings,
        database=database,
        resources=Resources(database, changes),
        changes=changes,
        objects=nothing,
        logs=Logs(database, settings.logs),
        metrics=Metrics(database),
        engine=nothing,
        routes=nothing,
    )
    database.close()


@pytest.fixture
def call(platform: Platform) -> Callable[..., dict[str, Any]]:
    def call(
        service: str, operation: str, *, principal: Principal = ROOT, **request: Any
    ) -> dict[str, Any]:
        context = Context(
            platform=platform,
            scope=Scope(principal.account, "us-east-1"),
            principal=principal,
            service=service,
            operation=operation,
            request_id="",
            user_agent="",
            source_ip="127.0.0.1",
            host="localhost",
            headers={},
        )
        handler = importlib.import_module(SERVICES[service]).OPERATIONS[operation]
        return handler(context, request) or {}

    return call


@pytest.fixture
def client(platform: Platform) -> Iterator[Callable[..., Any]]:
    boto3 = pytest.importorskip("boto3")
    bootstrap(platform)
    credentials = Credentials(platform.resources, platform.changes)
    app = WireApp(
        services=SERVICES, platform=platform, credentials=credentials, record=lambda _: None
    )
    key = first_credential(platform)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = uvicorn.Server(uvicorn.Config(app, lifespan="off", log_config=None))
        thread = threading.Thread(
            target=lambda: asyncio.run(server.serve(sockets=[listening])), daemon=True
        )
        thread.start()

        def client(service: str, **other: Any) -> Any:
            defaults = {
                "endpoint_url": f"http://127.0.0.1:{listening.getsockname()[1]}",
                "region_name": "us-east-1",
                "aws_access_key_id": key.access_key,
                "aws_secret_access_key": key.secret_key,
            }
            return boto3.client(service, **(defaults | other))

        yield client
        server.should_exit = True
        thread.join()
        app.close()
