"""The reconciler of training jobs.

    Starting ─▶ (Pending) ─▶ Downloading ─▶ Training ─▶ Uploading ─▶ Completed | Failed
                    │             │             │            ▲        Stopped | MaxRuntimeExceeded
                    └─────────────┴──▶ Stopping ┴────────────┘

Each method named after a secondary status does the work of that status and returns what comes next.
All instances of a job are a gang: they start together, and one that fails ends the others. What has
to outlive the server is in the row (`State`) or in the instances' folders; cores, addresses and the
marks of saved checkpoints are in memory and found again from the rows.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wildsage import clock
from wildsage.compute.base import Compute, Feed, InstanceSpec
from wildsage.contract import layout
from wildsage.contract.failure import ClientError
from wildsage.jobs import artifacts, capacity, images, states, verdicts
from wildsage.jobs.addresses import Addresses
from wildsage.jobs.capacity import Cores
from wildsage.jobs.engine import Outcome, Wake
from wildsage.jobs.metrics import final_metrics
from wildsage.jobs.training_job import KIND, LOG_GROUP, TrainingJob
from wildsage.jobs.verdicts import Verdict
from wildsage.store.errors import NotFound
from wildsage.store.logs import Logs
from wildsage.store.objects.store import Objects
from wildsage.store.resources import Change, Resource, Resources

log = logging.getLogger(__name__)

_NICE = 5
_LOOK_AGAIN = 5.0  # seconds until a running job is looked at, though its end wakes us
_STOP_GRACE = 120.0

Credentials = Callable[[str, str], Mapping[str, str]]
"""(role ARN, session name) -> the environment variables of a session of that role."""


def no_credentials(_role: str, _session: str) -> Mapping[str, str]:
    return {}


@dataclass
class TrainingJobs:
    """Everything it needs is given; `resolve` finds the program behind an image."""

    resources: Resources
    objects: Objects
    logs: Logs
    compute: Compute
    instances: Path
    endpoint: str = ""
    credentials: Credentials = no_credentials
    resolve: Callable[[str], images.Program] = images.resolve
    kind: str = KIND
    _cores: Cores = field(init=False)
    _addresses: Addresses = field(default_factory=Addresses, init=False)
    _saved: dict[str, artifacts.Seen] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self._cores = Cores(self.compute.capacity().cpus)

    def reconcile(self, resource: Resource) -> Outcome:
        job = TrainingJob(resource)
        steps = {
            "Starting": self._starting,
            "Pending": self._starting,
            "Downloading": self._downloading,
            "Training": self._training,
            "Stopping": self._stopping,
            "Uploading": self._uploading,
        }
        step = steps.get(job.secondary)
        if step is None:
            return Outcome(until=lambda _: self._clean(job))
        try:
            return step(job)
        except (layout.DataError, ClientError) as error:
            return self._fail(job, f"ClientError: {error}")

    # -- after a restart -------------------------------------------------------------------------

    def adopt(self) -> None:
        """Enter the jobs that run, and remove folders that no job claims any more."""
        alive: set[Path] = set()
        for resource in self.resources.all(KIND):
            if resource.status in states.ENDED:
                continue
            job = TrainingJob(resource)
            alive.add(job.roots(self.instances)[0].parent)
            if job.secondary not in ("Starting", "Pending"):
                self._cores.hold(job.key, resource.created, job.cpus)
            self._addresses.hold(job.key, job.state.get("Addresses", []))
            self.resources.modify(
                KIND, resource.scope, resource.name, lambda _: Change(due=clock.now())
            )
        for folder in self.instances.glob(f"{KIND}/*/*"):
            if folder not in alive:
                self._remove(list(folder.iterdir()), folder)

    # -- the steps -------------------------------------------------------------------------------

    def _starting(self, job: TrainingJob) -> Outcome:
        program = self.resolve(job.image)
        channels = {channel.name: channel.config for channel in job.channels}
        program.validate(job.hyperparameters, channels)
        try:
            self._find_destinations(job)
        except NotFound as error:  # now, not after hours of training
            return self._fail(job, _upload_failed(error))
        if not self._cores.ask(job.key, job.resource.created, job.cpus):
            return self._wait_for_cores(job)
        addresses = self._addresses.take(job.key, len(job.hosts))
        started = {"Addresses": addresses, "TrainingStartTime": round(clock.now(), 3)}
        return self._advance(job, "Downloading", **started)

    def _find_destinations(self, job: TrainingJob) -> None:
        for uri in filter(None, (job.model_uri, job.checkpoint_uri)):
            self.objects.bucket(layout.split_uri(uri)[0])

    def _wait_for_cores(self, job: TrainingJob) -> Outcome:
        def wait(wake: Wake) -> None:
            self._cores.wait(job.key, wake)

        message = self._cores.explain(job.key)
        later = clock.now() + _LOOK_AGAIN
        if job.secondary == "Pending" and job.state["Transitions"][-1]["StatusMessage"] == message:
            return Outcome(due=later, until=wait)
        state = states.advance(job.state, "Pending", message)
        return Outcome(document=job.request | {"State": state}, due=later, until=wait)

    def _downloading(self, job: TrainingJob) -> Outcome:
        """Lay all instances out, then start them; what was started before a restart stays."""
        source = artifacts.ObjectSource(self.objects)
        roots = job.roots(self.instances)
        inputs = [layout.resolve(channel, source) for channel in job.channels]
        plan = layout.Job(job.hyperparameters, job.hosts, inputs)
        specs = [
            self._lay_out(job, plan, index, source)
            for index, root in enumerate(roots)
            if self.compute.status(root).state == "missing"
        ]
        for spec in specs:
            self.compute.start(spec)
        outcome = self._advance(job, "Training")
        return Outcome(
            outcome.status, outcome.document, clock.now() + _LOOK_AGAIN, self._watch(job)
        )

    def _lay_out(
        self, job: TrainingJob, plan: layout.Job, index: int, source: layout.Source
    ) -> InstanceSpec:
        root = job.roots(self.instances)[index]
        shutil.rmtree(root, ignore_errors=True)  # half done before a restart
        ml = root / "ml"
        laid_out = layout.lay_out(ml, plan, index, source, share_files=self.compute.overlays)
        if job.checkpoint_uri:
            folder = ml.joinpath(*job.checkpoint_folder)
            folder.mkdir(parents=True, exist_ok=True)
            artifacts.restore(self.objects, job.checkpoint_uri, folder)
        return self._spec(job, index, root, laid_out)

    def _spec(
        self, job: TrainingJob, index: int, root: Path, laid_out: layout.LaidOut
    ) -> InstanceSpec:
        host = job.hosts[index]
        kind = capacity.instance_type(host.instance_type)
        whole = self.compute.capacity()
        cpus = min(kind.vcpus, whole.cpus)
        return InstanceSpec(
            id=f"{KIND}/{job.key}/{host.name}",
            argv=self.resolve(job.image).argv("train"),
            env=self._environment(job, cpus),
            root=root,
            log=self.logs.stream_file(job.resource.scope, LOG_GROUP, job.stream(host)),
            hostname=host.name,
            hosts=dict(zip((h.name for h in job.hosts), job.state["Addresses"], strict=True)),
            stop_grace=_STOP_GRACE,
            max_runtime=job.max_runtime,
            cpus=cpus if cpus < whole.cpus else None,
            memory=kind.memory if kind.memory < whole.memory else None,
            nice=_NICE,
            feeds=tuple(Feed(name, plan) for name, plan in laid_out.feeds.items()),
            copy_on_write=laid_out.copy_on_write,
            read_only=laid_out.read_only,
        )

    def _environment(self, job: TrainingJob, cpus: int) -> dict[str, str]:
        region = job.resource.scope.region
        pairs = zip((host.name for host in job.hosts), job.state["Addresses"], strict=True)
        defaults = {"OMP_NUM_THREADS": str(cpus), "OMP_WAIT_POLICY": "PASSIVE"}
        platform = {
            "TRAINING_JOB_NAME": job.name,
            "TRAINING_JOB_ARN": job.resource.arn,
            "AWS_REGION": region,
            "AWS_DEFAULT_REGION": region,
            "WILDSAGE_HOST_ADDRESSES": ",".join(f"{name}={address}" for name, address in pairs),
        }
        if self.endpoint:
            platform["AWS_ENDPOINT_URL"] = self.endpoint
        session = self.credentials(job.request["RoleArn"], job.name)
        return defaults | (job.request.get("Environment") or {}) | platform | dict(session)

    def _training(self, job: TrainingJob) -> Outcome:
        roots = job.roots(self.instances)
        statuses = [self.compute.status(root) for root in roots]
        if any(status.state in ("starting", "running") for status in statuses):
            if any(status.state == "exited" and not status.succeeded for status in statuses):
                self._kill(roots)  # a gang ends with the first that fails
                return Outcome(due=clock.now())
            self._save_checkpoints(job)
            return Outcome(due=clock.now() + _LOOK_AGAIN, until=self._watch(job))
        verdict = verdicts.judge(roots, statuses, self.resolve(job.image).builtin)
        return self._advance(job, "Uploading", Verdict=verdict.document)

    def _stopping(self, job: TrainingJob) -> Outcome:
        roots = job.roots(self.instances)
        statuses = [self.compute.status(root) for root in roots]
        if any(status.state in ("starting", "running") for status in statuses):
            for root in roots:
                self.compute.stop(root)
            return Outcome(due=clock.now() + _LOOK_AGAIN, until=self._watch(job))
        if all(status.state == "missing" for status in statuses):
            return self._end(job, "Stopped")
        return self._advance(job, "Uploading", Verdict=Verdict("Stopped").document)

    def _uploading(self, job: TrainingJob) -> Outcome:
        verdict = Verdict(**job.state["Verdict"])
        try:
            self._save_artifacts(job, with_model=verdict.secondary != "Failed")
            self._save_checkpoints(job)
        except NotFound as error:
            return self._fail(job, _upload_failed(error))
        if verdict.secondary == "Failed":
            return self._fail(job, verdict.reason)
        model = {"S3ModelArtifacts": job.model_uri}
        return self._end(job, verdict.secondary, ModelArtifacts=model)

    # -- artifacts -------------------------------------------------------------------------------

    def _save_artifacts(self, job: TrainingJob, *, with_model: bool) -> None:
        parts = {"output": ("output", "data")} | ({"model": ("model",)} if with_model else {})
        for name, folder in parts.items():
            mls = [root / "ml" for root in job.roots(self.instances)]
            folders = [path for ml in mls if (path := artifacts.inside(ml, *folder))]
            entries = artifacts.collect(folders)
            if not entries:
                continue
            if job.compressed:
                artifacts.save_archive(self.objects, job.output(f"{name}.tar.gz"), entries)
            else:
                artifacts.save_files(self.objects, job.output(f"{name}/"), entries)

    def _save_checkpoints(self, job: TrainingJob) -> None:
        if not job.checkpoint_uri:
            return
        seen = self._saved.setdefault(job.key, {})
        for root in job.roots(self.instances):
            folder = artifacts.inside(root / "ml", *job.checkpoint_folder)
            if folder:
                artifacts.save_changes(self.objects, job.checkpoint_uri, folder, seen)

    # -- endings ---------------------------------------------------------------------------------

    def _fail(self, job: TrainingJob, reason: str) -> Outcome:
        log.info("Training job %s failed", job.name, extra={"action": "job_failed"})
        return self._end(job, "Failed", FailureReason=reason[:1024])

    def _end(self, job: TrainingJob, secondary: str, **result: Any) -> Outcome:
        self._kill(job.roots(self.instances))
        if job.state.get("TrainingStartTime"):
            result["TrainingEndTime"] = round(clock.now(), 3)
        if metrics := self._metrics(job):
            result["FinalMetricDataList"] = metrics
        outcome = self._advance(job, secondary, **result)
        return Outcome(outcome.status, outcome.document, until=lambda _: self._clean(job))

    def _metrics(self, job: TrainingJob) -> list[dict[str, Any]]:
        scope = job.resource.scope
        if not job.metric_definitions or not job.state.get("Addresses"):
            return []
        streams = [self.logs.stream_file(scope, LOG_GROUP, job.stream(h)) for h in job.hosts]
        return final_metrics(job.metric_definitions, streams)

    def _kill(self, roots: list[Path]) -> None:
        for root in roots:
            self.compute.kill(root)

    def _clean(self, job: TrainingJob) -> None:
        """Everything worth keeping is in the store by now: give back what the job held."""
        self._cores.release(job.key)
        self._addresses.release(job.key)
        self._saved.pop(job.key, None)
        roots = job.roots(self.instances)
        self._remove(roots, roots[0].parent)

    def _remove(self, roots: list[Path], folder: Path) -> None:
        for root in roots:
            self.compute.remove(root)
        shutil.rmtree(folder, ignore_errors=True)
        if folder.parent.exists() and not any(folder.parent.iterdir()):
            folder.parent.rmdir()

    # -- small things ----------------------------------------------------------------------------

    def _advance(self, job: TrainingJob, secondary: str, **values: Any) -> Outcome:
        state = states.advance(job.state | values, secondary)
        document = job.request | {"State": state}
        return Outcome(states.status_of(secondary), document, due=clock.now())

    def _watch(self, job: TrainingJob) -> Callable[[Wake], None]:
        def watch(wake: Wake) -> None:
            for root in job.roots(self.instances):
                self.compute.watch(root, wake)

        return watch


def _upload_failed(error: NotFound) -> str:
    return f"ClientError: Artifact upload failed:{error}"
