"""A small server without a wire: stores, the process backend and the engine, for jobs' tests."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wildsage import arns, clock
from wildsage.arns import Scope
from wildsage.compute.process import ProcessCompute
from wildsage.contract.failure import ClientError
from wildsage.jobs import states
from wildsage.jobs.engine import Engine
from wildsage.jobs.training import TrainingJobs
from wildsage.jobs.training_job import KIND, LOG_GROUP, TrainingJob, new_state
from wildsage.store.changes import Changes
from wildsage.store.database import Database
from wildsage.store.logs import Logs
from wildsage.store.objects.store import Objects
from wildsage.store.resources import Change, Resource, Resources

SCOPE = Scope()
ROLE = "arn:aws:iam::000000000000:role/SageMakerRole"
BUCKET = "bucket"
PATIENCE = 20.0
LEVEL = ProcessCompute(Path("/nowhere")).level


@dataclass(frozen=True)
class Script:
    """A program that is a line of Python: the image's name is the code."""

    code: str
    builtin: bool = True

    def argv(self, verb: str) -> tuple[str, ...]:
        return (sys.executable, "-I", "-S", "-c", self.code, verb)

    def validate(
        self, hyperparameters: Mapping[str, str], channels: Mapping[str, Mapping[str, str]]
    ) -> None:
        if "bad" in hyperparameters:
            raise ClientError("no 'bad', please", caused_by="ValidationError")

    def metric_definitions(self) -> list[dict[str, str]]:
        return []


@dataclass
class World:
    """One server's worth of jobs in one home folder."""

    home: Path
    cpus: int = 2
    compute: ProcessCompute = field(init=False)

    def __post_init__(self) -> None:
        self.database = Database(f"sqlite:///{self.home / 'wildsage.db'}")
        self.database.migrate()
        self.changes = Changes()
        self.resources = Resources(self.database, self.changes)
        self.objects = Objects(self.database, self.home / "objects")
        self.logs = Logs(self.database, self.home / "logs")
        self.instances = self.home / "instances"
        self.compute = ProcessCompute(
            self.instances, cpus=self.cpus, hidden=(self.home,), level=LEVEL
        )
        if self.objects.find_bucket(BUCKET) is None:
            self.objects.create_bucket(SCOPE, BUCKET)
        self.engine = self.make_engine()

    def make_engine(self) -> Engine:
        jobs = TrainingJobs(
            self.resources,
            self.objects,
            self.logs,
            self.compute,
            self.instances,
            endpoint="http://127.0.0.1:1",
            credentials=lambda role, session: {"AWS_ACCESS_KEY_ID": f"key of {role}"},
            resolve=Script,
        )
        return Engine(self.resources, self.changes, [jobs], workers=4)

    def close(self) -> None:
        self.engine.stop()
        for root in self.compute.running():
            self.compute.kill(root)
        self.compute.close()
        self.objects.close()
        self.database.close()

    def put(self, key: str, content: bytes) -> str:
        self.objects.put(BUCKET, key, content)
        return f"s3://{BUCKET}/{key}"

    def create(self, name: str, code: str, **changes: Any) -> Resource:
        document = request(code) | changes | {"State": new_state()}
        return self.resources.create(
            KIND,
            SCOPE,
            name,
            arn=arns.build("sagemaker", SCOPE, f"{KIND}/{name}"),
            status=states.IN_PROGRESS,
            document=document,
            due=clock.now(),
        )

    def wait(self, name: str, accept: Callable[[Resource], bool] | None = None) -> Resource:
        """Until the job has ended, or `accept` says so."""
        enough = accept or (lambda row: row.status in states.ENDED)
        changed = threading.Event()
        forget = self.changes.subscribe([KIND], lambda *_: changed.set())
        try:
            while True:
                changed.clear()
                row = self.resources.get(KIND, SCOPE, name)
                if enough(row):
                    return row
                assert changed.wait(PATIENCE), f"{name} stays {row.document['State']}"
        finally:
            forget()

    def run(self, name: str, code: str, **changes: Any) -> Resource:
        self.create(name, code, **changes)
        return self.wait(name)

    def stop(self, name: str) -> None:
        def change(row: Resource) -> Change:
            state = states.advance(TrainingJob(row).state, "Stopping")
            return Change(states.STOPPING, row.document | {"State": state}, clock.now())

        self.resources.modify(KIND, SCOPE, name, change)

    def lines(self, name: str, host: str = "algo-1") -> list[str]:
        row = self.resources.get(KIND, SCOPE, name)
        stream = f"{name}/{host}-{int(row.created)}"
        page = self.logs.get_events(SCOPE, LOG_GROUP, stream, start_from_head=True)
        return [event.message for event in page.events]

    def content(self, key: str) -> bytes:
        with self.objects.open(BUCKET, key) as body:
            return body.read()

    def exists(self, key: str) -> bool:
        return any(found.key == key for found in self.objects.list(BUCKET, key))


def request(code: str) -> dict[str, Any]:
    return {
        "AlgorithmSpecification": {"TrainingImage": code, "TrainingInputMode": "File"},
        "RoleArn": ROLE,
        "OutputDataConfig": {"S3OutputPath": f"s3://{BUCKET}/out/"},
        "ResourceConfig": resources(1),
        "StoppingCondition": {"MaxRuntimeInSeconds": 3600},
    }


def resources(count: int, instance: str = "ml.m5.large") -> dict[str, Any]:
    return {"InstanceType": instance, "InstanceCount": count, "VolumeSizeInGB": 1}


def channel(name: str, uri: str, **changes: Any) -> dict[str, Any]:
    source = {"S3DataType": "S3Prefix", "S3Uri": uri}
    source |= changes.pop("source", {})
    return {"ChannelName": name, "DataSource": {"S3DataSource": source}, **changes}


def secondary(row: Resource) -> str:
    return str(row.document["State"]["SecondaryStatus"])


def transitions(row: Resource) -> list[str]:
    return [t["Status"] for t in row.document["State"]["Transitions"]]
