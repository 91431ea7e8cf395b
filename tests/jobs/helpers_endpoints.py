"""Stores, a job engine and a compute backend whose instances are toy model servers in threads."""

from __future__ import annotations

import io
import os
import shutil
import sys
import tarfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from serving.helpers_serving import Running, Toy, start_model
from wildsage.arns import Scope
from wildsage.compute.base import Capability, Capacity, Compute, InstanceSpec, InstanceStatus
from wildsage.jobs.endpoints import EndpointReconciler
from wildsage.jobs.engine import Engine
from wildsage.jobs.fleets import KIND, EndpointState
from wildsage.router.table import RouteTable
from wildsage.services.platform import Ctx, Platform
from wildsage.services.sagemaker import endpoint_configs, endpoints, models
from wildsage.settings import Settings
from wildsage.store.changes import Changes
from wildsage.store.database import Database
from wildsage.store.logs import Logs
from wildsage.store.metrics import Metrics
from wildsage.store.objects import Objects
from wildsage.store.resources import Resource, Resources
from wildsage.wire.context import Context, Principal

SCOPE = Scope("123456789012", "us-east-1")
IMAGE = "382416733822.dkr.ecr.us-east-1.amazonaws.com/kmeans:1"
ROLE = "arn:aws:iam::210987654321:role/SageMakerRole"
WAIT = 20.0

SERVE = """
import os, sys
from wildsage.serving.handler import Reply
from wildsage.serving.server import serve
class Model:
    def __init__(self, paths):
        self.text = (paths.model / "answer").read_bytes() + b" " + os.urandom(4).hex().encode()
    def __call__(self, body, content_type, accept, attributes):
        if body == b"die":
            os._exit(7)
        return Reply(200, "text/plain", self.text)
    def execution_parameters(self):
        return {}
sys.exit(serve(Model))
"""


class PythonProgram:
    """A real model server, for real processes."""

    def argv(self, verb: str) -> tuple[str, ...]:
        return (sys.executable, "-c", SERVE)


def archive(**files: str) -> bytes:
    """A model.tar.gz."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(text)
            tar.addfile(member, io.BytesIO(text.encode()))
    return buffer.getvalue()


@dataclass
class ThreadCompute:
    """A backend that obeys the container's environment: TOY=ok (default), exit or hang."""

    name: str = "threads"
    overlays: bool = False
    specs: dict[Path, InstanceSpec] = field(default_factory=dict)
    toys: dict[Path, Toy] = field(default_factory=dict)
    servers: dict[Path, Running] = field(default_factory=dict)
    ended: set[Path] = field(default_factory=set)
    watchers: dict[Path, Callable[[], None]] = field(default_factory=dict)
    stopped: list[Path] = field(default_factory=list)
    lock: threading.RLock = field(default_factory=threading.RLock)

    def start(self, spec: InstanceSpec) -> None:
        with self.lock:
            if spec.root in self.specs:
                return
            self.specs[spec.root] = spec
        behaviour = spec.env.get("TOY", "ok")
        if behaviour == "exit":
            self.end(spec.root)
        elif behaviour == "ok":
            answer = spec.root / "ml" / "model" / "answer"
            toy = Toy(answer.read_text() if answer.exists() else "no model")
            self.toys[spec.root] = toy
            self.servers[spec.root] = start_model(spec.root / "ml" / "invocations.sock", toy)

    def end(self, root: Path) -> None:
        """The instance is over."""
        running = self.servers.pop(root, None)
        if running:
            self.toys[root].released.set()
            running.stop()
        with self.lock:
            self.ended.add(root)
            watcher = self.watchers.pop(root, None)
        if watcher:
            watcher()

    def status(self, root: Path) -> InstanceStatus:
        if root not in self.specs:
            return InstanceStatus("missing")
        return InstanceStatus("exited" if root in self.ended else "running")

    def watch(self, root: Path, callback: Callable[[], None]) -> None:
        with self.lock:
            self.watchers[root] = callback
            if self.status(root).state == "running":
                return
            del self.watchers[root]
        callback()

    def stop(self, root: Path) -> None:
        self.stopped.append(root)
        threading.Thread(target=self.end, args=(root,)).start()

    def kill(self, root: Path) -> None:
        self.end(root)

    def remove(self, root: Path) -> None:
        shutil.rmtree(root, ignore_errors=True)

    def running(self) -> list[Path]:
        return [root for root in self.specs if root not in self.ended]

    def base(self, root: Path) -> Path:
        return root / "ml"

    def capacity(self) -> Capacity:
        return Capacity(2, 1 << 30)

    def capabilities(self) -> list[Capability]:
        return []


@dataclass
class World:
    """One server's stores and engine. `restart` makes another on the same home."""

    home: Path
    compute: Compute
    resolve: Callable[[str], Any] = lambda image: PythonProgram()

    def __post_init__(self) -> None:
        settings = Settings(home=self.home)
        self.database = Database(f"sqlite:///{self.home / 'wildsage.db'}")
        self.database.migrate()
        self.changes = Changes()
        self.resources = Resources(self.database, self.changes)
        self.objects = Objects(self.database, settings.objects)
        self.logs = Logs(self.database, settings.logs)
        self.routes = RouteTable()
        self.reconciler = EndpointReconciler(
            self.resources,
            self.objects,
            self.logs,
            self.compute,
            self.routes,
            settings.instances,
            resolve=self.resolve,
        )
        self.engine = Engine(self.resources, self.changes, [self.reconciler], workers=4)
        self.platform = Platform(
            settings,
            self.database,
            self.resources,
            self.changes,
            self.objects,
            self.logs,
            Metrics(self.database),
            self.engine,
            self.routes,
        )
        self.news = threading.Condition()
        self.changes.subscribe((KIND,), self._ring)

    def _ring(self, *_: Any) -> None:
        with self.news:
            self.news.notify_all()

    def ctx(self, scope: Scope = SCOPE, user_agent: str = "boto3") -> Ctx:
        principal = Principal(ROLE, "id", scope.account, "AKIDEXAMPLE")
        return Context(self.platform, scope, principal, "sagemaker", "", "", user_agent, "", "", {})

    def close(self) -> None:
        self.engine.stop()
        self.objects.close()
        self.database.close()

    # What tests do

    def put(self, key: str, data: bytes) -> str:
        if self.objects.find_bucket("models") is None:
            self.objects.create_bucket(SCOPE, "models")
        self.objects.put("models", key, data)
        return f"s3://models/{key}"

    def model(self, name: str, answer: str | None = None, **environment: str) -> None:
        """A model whose toy says `answer` (its own name otherwise)."""
        url = self.put(f"{name}.tar.gz", archive(answer=answer or name))
        container = {"Image": IMAGE, "ModelDataUrl": url, "Environment": environment}
        models.create_model(
            self.ctx(),
            {"ModelName": name, "PrimaryContainer": container, "ExecutionRoleArn": ROLE},
        )

    def config(self, name: str, *variants: Mapping[str, Any]) -> None:
        endpoint_configs.create_endpoint_config(
            self.ctx(), {"EndpointConfigName": name, "ProductionVariants": list(variants)}
        )

    def deploy(self, name: str, model: str, count: int = 1, **variant: Any) -> None:
        """Model, configuration and endpoint of one variant, all in one."""
        self.config(f"{name}-{model}", variant_of(model, count=count, **variant))
        request = {"EndpointName": name, "EndpointConfigName": f"{name}-{model}"}
        endpoints.create_endpoint(self.ctx(), request)

    def update(self, name: str, config: str, **request: Any) -> None:
        request |= {"EndpointName": name, "EndpointConfigName": config}
        endpoints.update_endpoint(self.ctx(), request)

    def find(self, name: str) -> Resource | None:
        return self.resources.find(KIND, SCOPE, name)

    def state(self, name: str) -> EndpointState:
        found = self.find(name)
        assert found is not None
        return EndpointState.load(found.document["State"])

    def until(self, wanted: Callable[[], Any]) -> Any:
        """Wait for the endpoints to change until that is so."""
        with self.news:
            assert self.news.wait_for(wanted, WAIT), "it did not come to that in time"
        return wanted()

    def settle(self, name: str, *statuses: str) -> Resource:
        def reached() -> Resource | None:
            found = self.find(name)
            return found if found is not None and found.status in statuses else None

        result: Resource = self.until(reached)
        return result

    def addresses(self, name: str) -> list[str]:
        """Where the route table sends requests."""
        route = self.routes.find(SCOPE, name)
        return [t.address for v in route.variants for t in v.targets] if route else []


def variant_of(model: str, name: str = "AllTraffic", count: int = 1, **rest: Any) -> dict[str, Any]:
    return {
        "VariantName": name,
        "ModelName": model,
        "InitialInstanceCount": count,
        "InstanceType": "ml.m5.large",
        **rest,
    }


@contextmanager
def world(
    home: Path, compute: Compute | None = None, start: bool = True, adopt: bool = False
) -> Iterator[World]:
    made = World(home, compute or ThreadCompute())
    if adopt:
        made.reconciler.adopt()
    if start:
        made.engine.start()
    try:
        yield made
    finally:
        made.close()
        if compute is None:
            assert isinstance(made.compute, ThreadCompute)
            for root in list(made.compute.servers):
                made.compute.end(root)


def alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True
