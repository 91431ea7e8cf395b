"""The model server's process: bind, load the model, answer, drain on SIGTERM.

The socket is bound before the model is loaded and served after it: whoever asks /ping meanwhile is
held by the kernel and answered the moment the model is ready, so nobody has to poll for that.
A quick handler is called on the loop's thread (a hand-over would cost more than a small
prediction); large bodies, and every call after a slow one, go to worker threads, so that /ping
stays crisp.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
import traceback
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from wildsage import clock
from wildsage.contract.paths import Paths
from wildsage.serving.accesslog import AccessLog
from wildsage.serving.handler import Handler, InvocationError, Load, Reply
from wildsage.serving.protocol import Connection, Request, refusal

# AWS lets a batch transform send up to 100 MB in one request (MaxPayloadInMB).
MAX_BODY = 100 * 1024 * 1024
SLOW_SECONDS = 0.005
LARGE_BODY = 64 * 1024
BACKLOG = 2048
MAX_WORKERS = 64
_ATTRIBUTES = b"x-amzn-sagemaker-custom-attributes"
_LONGEST_SOCKET_PATH = 100


@dataclass
class Invoker:
    """Calls the handler where it disturbs least. At most `workers` calls run at once."""

    handler: Handler
    workers: int = 1
    _running: int = 0
    _slow: bool = False
    _pool: ThreadPoolExecutor | None = None

    def __call__(self, request: Request, reply: Callable[[Reply], None]) -> None:
        small = len(request.body) <= LARGE_BODY
        if small and not self._slow and self._running < self.workers:
            self._called(*self._timed(request), reply)
        else:
            self._hand_over(request, reply)

    def _timed(self, request: Request) -> tuple[Reply, float]:
        started = clock.monotonic()
        reply = call(self.handler, request)
        return reply, clock.monotonic() - started

    def _called(self, result: Reply, seconds: float, reply: Callable[[Reply], None]) -> None:
        self._slow = seconds > SLOW_SECONDS
        reply(result)

    def _hand_over(self, request: Request, reply: Callable[[Reply], None]) -> None:
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self.workers, thread_name_prefix="invocation")
        self._running += 1
        loop = asyncio.get_running_loop()
        future = self._pool.submit(self._timed, request)

        def finish() -> None:
            self._running -= 1
            self._called(*future.result(), reply)

        def wake(_: Future[tuple[Reply, float]]) -> None:
            loop.call_soon_threadsafe(finish)

        future.add_done_callback(wake)

    @property
    def idle(self) -> bool:
        return self._running == 0


def call(handler: Handler, request: Request) -> Reply:
    """One prediction. The client gets the text of what went wrong, the log its traceback."""
    content_type, accept = request.header(b"content-type"), request.header(b"accept")
    attributes = request.header(_ATTRIBUTES) if _ATTRIBUTES in request.headers else None
    try:
        return handler(request.body, content_type, accept, attributes)
    except InvocationError as error:
        return refusal(error.status, error.message)
    except Exception as error:
        traceback.print_exc()
        return refusal(500, str(error) or type(error).__name__)


@dataclass
class ModelServer:
    """The routes of a model server and the connections it has open."""

    handler: Handler
    workers: int = 1
    max_body: int = MAX_BODY
    log: AccessLog = field(default_factory=AccessLog)
    connections: set[Connection] = field(default_factory=set)
    _draining: bool = False

    def __post_init__(self) -> None:
        self._invoke = Invoker(self.handler, self.workers)

    def connection(self) -> Connection:
        return Connection(self.answer, self.max_body, self.connections, self._draining)

    def answer(self, request: Request, reply: Callable[[Reply], None]) -> None:
        started = clock.monotonic()

        def logged(result: Reply) -> None:
            self.log.write(request, result, clock.monotonic() - started)
            reply(result)

        known = self._at_once(request)
        if known is None:
            self._invoke(request, logged)
        else:
            logged(known)

    def _at_once(self, request: Request) -> Reply | None:
        """The reply to everything but an invocation."""
        route = (request.method, request.path)
        if route == ("POST", "/invocations"):
            return None if request.body else Reply(204)
        if route == ("GET", "/ping"):
            return Reply()
        if route == ("GET", "/execution-parameters"):
            parameters = json.dumps(self.handler.execution_parameters())
            return Reply(200, "application/json", parameters.encode())
        if request.path in ("/ping", "/invocations", "/execution-parameters"):
            return refusal(405, f"{request.method} is not supported for {request.path}.")
        return refusal(404, f"There is no {request.path} here.")

    async def drain(self) -> None:
        """Return when every request that arrived has been answered and every client is gone."""
        self._draining = True
        while self.connections:
            for connection in tuple(self.connections):
                connection.drain()
            await asyncio.sleep(0.01)


def bind(environment: Mapping[str, str], paths: Paths) -> socket.socket:
    """The listening socket: `WILDSAGE_BIND_UDS`, relative to /opt/ml, or the contract's port."""
    unix = environment.get("WILDSAGE_BIND_UDS")
    if unix:
        return bind_unix(paths.base / unix)
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    # The contract of a container: reachable from outside, on 8080 unless told otherwise.
    host = environment.get("WILDSAGE_BIND_HOST", "0.0.0.0")
    listener.bind((host, int(environment.get("SAGEMAKER_BIND_TO_PORT", "8080"))))
    listener.listen(BACKLOG)
    return listener


def bind_unix(path: Path) -> socket.socket:
    """Listen at `path`, however long it is: a socket's address holds about 100 characters only."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    if len(os.fsencode(path)) <= _LONGEST_SOCKET_PATH:
        listener.bind(str(path))
    else:
        before = os.getcwd()
        os.chdir(path.parent)
        listener.bind(path.name)
        os.chdir(before)
    listener.listen(BACKLOG)
    return listener


async def run(
    handler: Handler, listener: socket.socket, workers: int, stop: asyncio.Event | None = None
) -> None:
    """Answer on `listener` until `stop` is set (SIGTERM and SIGINT when none is given)."""
    server = ModelServer(handler, workers)
    loop = asyncio.get_running_loop()
    if stop is None:
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
    if listener.family == socket.AF_UNIX:
        acceptor = await loop.create_unix_server(server.connection, sock=listener, backlog=BACKLOG)
    else:
        acceptor = await loop.create_server(server.connection, sock=listener, backlog=BACKLOG)
    await stop.wait()
    acceptor.close()
    await server.drain()
    server.log.flush()


def serve(load: Load) -> int:
    """Run the model server of this instance to its end; the exit code."""
    # Imported here so that the caller's first log line comes before it.
    import uvloop

    environment = os.environ
    paths = Paths.from_environment()
    listener = bind(environment, paths)
    try:
        handler = load(paths)
    except Exception as error:
        traceback.print_exc()
        print(f"Unable to load model: {error}", file=sys.stderr, flush=True)
        return 1
    print("The model is loaded; the server answers.", flush=True)
    uvloop.run(run(handler, listener, worker_count(environment)))
    return 0


def worker_count(environment: Mapping[str, str]) -> int:
    """How many calls of the handler may run at once; one unless the user says more."""
    for name in ("SAGEMAKER_MODEL_SERVER_WORKERS", "MODEL_SERVER_WORKERS"):
        value = environment.get(name, "")
        if value.isdigit() and int(value) > 0:
            return min(int(value), MAX_WORKERS)
    return 1
