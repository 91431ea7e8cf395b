"""The composition root: puts the stores, the engine, the wire, the router and the proxy together.

    socket ─ uvicorn ─ Router (invocations) ─ WireApp (every other AWS request)
    socket ─ Proxy ─ TLS with our own authority ─ the first socket
    threads ─ Engine ─ one reconciler per kind ─ ProcessCompute

`Server` holds the parts of one running server, `serve` runs them until SIGINT or SIGTERM. Stopping
asks running jobs nothing: the next server on the same home adopts them.
"""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from typing import Any

import uvicorn
import uvloop

from wildsage import clock, log, presence
from wildsage.compute.process import ProcessCompute
from wildsage.jobs.endpoints import EndpointReconciler
from wildsage.jobs.engine import Engine
from wildsage.jobs.training import TrainingJobs
from wildsage.presence import Presence
from wildsage.proxy.ca import Authority
from wildsage.proxy.connect import Proxy
from wildsage.router.app import Router
from wildsage.router.http import HttpProtocol
from wildsage.router.table import RouteTable
from wildsage.services.iam.bootstrap import bootstrap
from wildsage.services.iam.credentials import Credentials, session_credentials
from wildsage.services.iam.credentials import sweep as sweep_sessions
from wildsage.services.platform import Platform
from wildsage.services.registry import SERVICES
from wildsage.settings import Settings
from wildsage.store.changes import Changes
from wildsage.store.database import Database
from wildsage.store.events import Events
from wildsage.store.home import HomeLock
from wildsage.store.logs import Logs
from wildsage.store.metrics import Metrics
from wildsage.store.objects import Objects
from wildsage.store.resources import Resources
from wildsage.wire.app import WireApp
from wildsage.wire.record import RequestRecord

BACKLOG = 2048
UPKEEP_SECONDS = 3600.0
# A job may run for days; its credentials must not end before it does.
INSTANCE_SESSION_SECONDS = 30 * 24 * 3600.0


class Server:
    """The parts of one server. The home's lock must be held before one is made."""

    def __init__(self, settings: Settings, presence: Presence) -> None:
        self.presence = presence
        self._settings = settings
        self._closing = threading.Event()
        self._events = Events(settings.events)
        self.database = Database(settings.database_url)
        self.database.migrate()
        changes = Changes()
        self.resources = Resources(self.database, changes)
        self.objects = Objects(self.database, settings.objects)
        self.logs = Logs(self.database, settings.logs)
        self.compute = ProcessCompute(
            settings.instances, cpus=settings.cpus, hidden=(settings.home,)
        )
        self.routes = RouteTable()
        self.endpoints = EndpointReconciler(routes=self.routes, **self._parts())
        training = TrainingJobs(**self._parts())
        self.engine = Engine(self.resources, changes, [training, self.endpoints])
        self.platform = Platform(
            settings=settings,
            database=self.database,
            resources=self.resources,
            changes=changes,
            objects=self.objects,
            logs=self.logs,
            metrics=Metrics(self.database),
            engine=self.engine,
            routes=self.routes,
        )
        bootstrap(self.platform)
        credentials = Credentials(self.resources, changes)
        self.wire = WireApp(
            services=SERVICES, platform=self.platform, credentials=credentials, record=self._record
        )
        self.app = Router(self.wire, self.routes, credentials)

    def _parts(self) -> dict[str, Any]:
        """What every reconciler that runs instances is given."""
        return {
            "resources": self.resources,
            "objects": self.objects,
            "logs": self.logs,
            "compute": self.compute,
            "instances": self._settings.instances,
            "endpoint": self.presence.url,
            "credentials": self._session_variables,
        }

    def _session_variables(self, role: str, session: str) -> Mapping[str, str]:
        """The environment of an instance that acts as `role`."""
        credential = session_credentials(self.platform, role, session, INSTANCE_SESSION_SECONDS)
        return {
            "AWS_ACCESS_KEY_ID": credential.access_key,
            "AWS_SECRET_ACCESS_KEY": credential.secret_key,
            "AWS_SESSION_TOKEN": credential.session_token or "",
        }

    def _record(self, record: RequestRecord) -> None:
        self._events.append(record.time, record)

    def start(self) -> None:
        """Adopt what an earlier server left running, then look for work."""
        self.engine.start()
        threading.Thread(target=self._tidy, name="tidy", daemon=True).start()

    def _tidy(self) -> None:
        """Remove what crashes left behind, and by the hour what is old, beside the requests."""
        self.wire.warm()
        self.objects.sweep()
        while True:
            self.logs.tidy()
            sweep_sessions(self.resources)
            if self._closing.wait(UPKEEP_SECONDS):
                return

    def close(self) -> None:
        self._closing.set()
        self.engine.stop()
        self.wire.close()
        self.compute.close()
        self.objects.close()
        self._events.close()
        self.database.close()


def serve(settings: Settings, on_ready: Callable[[Presence], None]) -> None:
    """Run a server until it is told to stop; HomeInUse when another one has the home."""
    log.configure(settings.log_level)
    with HomeLock(settings.home):
        uvloop.run(_serve(settings, on_ready))


async def _serve(settings: Settings, on_ready: Callable[[Presence], None]) -> None:
    async with AsyncExitStack() as stack:
        listening = stack.enter_context(_listen(settings.host, settings.port))
        port = listening.getsockname()[1]
        proxy = await _start_proxy(settings, port)
        stack.push_async_callback(proxy.close)
        here = Presence(os.getpid(), settings.host, port, proxy.port, started=clock.now())
        server = Server(settings, here)
        stack.callback(server.close)
        stack.callback(server.app.close)
        server.start()
        http = uvicorn.Server(_http_config(server.app))
        running = asyncio.create_task(http.serve(sockets=[listening]))
        while not (http.started or running.done()):
            await asyncio.sleep(0.001)
        presence.write(settings.home, here)
        stack.callback(presence.remove, settings.home)
        on_ready(here)
        await running


def _http_config(app: Any) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=HttpProtocol,
        backlog=BACKLOG,
        lifespan="off",
        access_log=False,
        log_config=None,
        log_level="warning",
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=5,
    )


async def _start_proxy(settings: Settings, main: int) -> Proxy:
    """On the port after the main one; on a free one when the main port was picked freely.

    It listens on loopback whatever the server does: a proxy for a whole network is nobody's wish.
    """
    authority = await asyncio.to_thread(Authority.at, settings.certificates)
    proxy = Proxy(authority, (presence.reachable(settings.host), main))
    await proxy.start("127.0.0.1", settings.port and settings.port + 1)
    return proxy


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except OSError as error:
        listening.close()
        raise ValueError(f"cannot listen on {host}:{port}: {error.strerror}") from error
    listening.listen(BACKLOG)
    listening.setblocking(False)
    return listening
