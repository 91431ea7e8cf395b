"""The reconciler of endpoints: starts model servers, publishes them, replaces and retires them.

    Creating ──▶ InService ◀──▶ Updating
        └──▶ Failed    └───▶ Deleting ──▶ (gone)

Every instance of the next fleet is healthy before the table changes. The old ones answer until
then, finish their requests and are stopped. When the next fleet fails, the old one goes on.

A step starts only instances that the row already knows, so a server killed at any line finds all
it started. Nothing polls: a step ends by naming whom it waits for (an instance to end, a model
server to become healthy), and is called again when that has happened.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Literal, Protocol

from wildsage import clock
from wildsage.compute.base import Compute, InstanceSpec
from wildsage.jobs import fleets, images, model_data
from wildsage.jobs.engine import Outcome
from wildsage.jobs.fleets import (
    DELETING,
    FAILED,
    IN_SERVICE,
    EndpointState,
    Fleet,
    Instance,
    VariantFleet,
)
from wildsage.jobs.images import InvalidImage, UnknownImage
from wildsage.jobs.model_data import ModelDataError
from wildsage.jobs.probe import Prober, ping
from wildsage.router.table import RouteTable
from wildsage.store.logs import Logs
from wildsage.store.objects import Objects
from wildsage.store.resources import Change, Resource, Resources

log = logging.getLogger(__name__)

STOP_GRACE = 30.0
# A request may take a minute; after that nobody waits for its answer any more.
DRAIN_SECONDS = 65.0
_DRAIN_PAUSE = 0.1
_PING_SECONDS = 0.25
_LONGEST_BACKOFF = 60.0
_LONGEST_REASON = 1024

Wake = Callable[[], None]
Progress = Literal["ready", "waiting", "failed"]


class Served(Protocol):
    """The program behind an image."""

    def argv(self, verb: str) -> tuple[str, ...]: ...


@dataclass
class EndpointReconciler:
    """Brings endpoints to what their rows ask for."""

    resources: Resources
    objects: Objects
    logs: Logs
    compute: Compute
    routes: RouteTable
    instances: Path
    endpoint: str = ""
    """Where instances reach this server."""
    credentials: Callable[[str, str], Mapping[str, str]] = lambda role, session: {}
    """(role ARN, session name) -> the environment variables of a session of that role."""
    resolve: Callable[[str], Served] = images.resolve
    prober: Prober = field(default_factory=Prober)
    kind: str = fleets.KIND

    def adopt(self) -> None:
        """Publish what an earlier server left running, and look after it. Before requests come."""
        for resource in self.resources.all(self.kind):
            state = EndpointState.load(resource.document["State"])
            if state.serving is not None and resource.status != DELETING:
                self.publish(resource, state.serving)
            if resource.status != FAILED or state.retired:
                self.resources.modify(
                    resource.kind, resource.scope, resource.name, lambda _: Change(due=clock.now())
                )

    def reconcile(self, resource: Resource) -> Outcome:
        return _Step(self, resource).run()

    def folder(self, resource: Resource) -> Path:
        return self.instances / self.kind / resource.name

    def publish(self, resource: Resource, fleet: Fleet) -> None:
        """Put the fleet's healthy instances into the table, unless it has them already."""
        wanted = fleet.routes(self.folder(resource))
        route = self.routes.find(resource.scope, resource.name)
        if route is None or route.published != tuple(wanted):
            self.routes.publish(resource.scope, resource.name, wanted)


@dataclass
class _Step:
    """One step of one endpoint."""

    owner: EndpointReconciler
    resource: Resource
    state: EndpointState = field(init=False)
    status: str = field(init=False)
    due: float | None = None
    watched: list[Path] = field(default_factory=list)
    probed: list[tuple[Instance, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.state = EndpointState.load(self.resource.document["State"])
        self.status = self.resource.status
        self.retired_before = {instance.id for instance in self.state.retired}
        self.folder = self.owner.folder(self.resource)
        self.compute = self.owner.compute

    def run(self) -> Outcome:
        if self.status == DELETING:
            self._withdraw()
        if self.state.next is not None:
            self._advance(self.state.next)
        if self.state.serving is not None:
            self.state.serving = self._tend(self.state.serving)
            self.owner.publish(self.resource, self.state.serving)
        self._retire()
        self._sweep()
        if self.status == DELETING and not self.state.retired:
            return Outcome(delete=True)
        return self._outcome()

    def _outcome(self) -> Outcome:
        settled = self.status != self.resource.status
        if settled:
            self.state.modified = fleets.now()
            log.info(
                "Endpoint %s is %s", self.resource.name, self.status, extra={"action": "endpoint"}
            )
        state = self.state.dump()
        changed = settled or state != self.resource.document["State"]
        return Outcome(
            status=self.status,
            document={**self.resource.document, "State": state} if changed else None,
            due=self.due,
            until=self._wait if self.watched or self.probed else None,
        )

    def _wait(self, wake: Wake) -> None:
        """Have `wake` called when there is something to do. After the outcome was written."""
        for root in self.watched:
            self.compute.watch(root, wake)
        for instance, seconds in self.probed:
            root = instance.root(self.folder)
            self.owner.prober.wait(
                instance.address(self.folder), partial(self._lives, root), seconds, wake
            )

    def _lives(self, root: Path) -> bool:
        return self.compute.status(root).state in ("starting", "running")

    def _by(self, moment: float) -> None:
        """Look again at that time, or earlier."""
        self.due = moment if self.due is None else min(self.due, moment)

    # -- the next fleet

    def _advance(self, fleet: Fleet) -> None:
        """Bring the next fleet up; swap when all of it is healthy, give up when some fails."""
        variants = []
        for variant in fleet.variants:
            grown = []
            for instance in variant.instances:
                try:
                    instance, progress = self._bring_up(variant, instance)
                except ModelDataError as error:
                    return self._give_up(fleet, str(error))
                if progress == "failed":
                    return self._give_up(fleet, _unhealthy(variant))
                grown.append(instance)
            variants.append(replace(variant, instances=tuple(grown)))
        self.state.next = replace(fleet, variants=tuple(variants))
        if self.state.next.ready:
            self._swap(self.state.next)
        return None

    def _swap(self, fleet: Fleet) -> None:
        """The next fleet serves from now on. The table changes before the old one is retired."""
        self.owner.publish(self.resource, fleet)
        before = list(self.state.serving.instances) if self.state.serving else []
        kept = {instance.id for instance in fleet.instances}
        self.state.retire([instance for instance in before if instance.id not in kept])
        self.state.serving, self.state.next, self.state.failure = fleet, None, None
        self.status = IN_SERVICE

    def _give_up(self, fleet: Fleet, reason: str) -> None:
        """Creating has failed; or the update has, and the old fleet goes on."""
        serving = self.state.serving
        kept = {instance.id for instance in serving.instances} if serving else set()
        self.state.retire([i for i in fleet.instances if i.id not in kept])
        self.state.next, self.state.failure = None, reason[:_LONGEST_REASON]
        self.status = IN_SERVICE if serving else FAILED
        log.warning(
            "Endpoint %s: %s", self.resource.name, reason, extra={"action": "endpoint_failed"}
        )

    def _bring_up(self, variant: VariantFleet, instance: Instance) -> tuple[Instance, Progress]:
        """Start an instance unless it was started, and see how far it is."""
        if instance.ready:
            return instance, "ready"
        root = instance.root(self.folder)
        found = self.compute.status(root).state
        if found == "exited":
            return instance, "failed"
        if found == "missing":
            self._start(variant, instance)
            instance = replace(instance, started=clock.now())
        elif ping(instance.address(self.folder), _PING_SECONDS):
            return replace(instance, ready=True), "ready"
        deadline = (instance.started or clock.now()) + variant.startup_seconds
        left = deadline - clock.now()
        if left <= 0:
            return instance, "failed"
        self._by(deadline)
        self.watched.append(root)
        self.probed.append((instance, left))
        return instance, "waiting"

    def _start(self, variant: VariantFleet, instance: Instance) -> None:
        root = instance.root(self.folder)
        model = self._model(variant, instance.generation)
        overlays = self.compute.overlays
        # Without a view of its own an instance could change the files of the others.
        place = root / "ml" / "model"
        shutil.rmtree(place, ignore_errors=True)
        copy = _link if overlays else shutil.copy2
        shutil.copytree(model, place, symlinks=True, copy_function=copy)
        try:
            argv = self.owner.resolve(variant.container.get("Image", "")).argv("serve")
        except (InvalidImage, UnknownImage) as error:
            raise ModelDataError(f"There is no program for the image {error}.") from error
        self.compute.start(
            InstanceSpec(
                id=f"{self.resource.name}/{instance.id}",
                argv=argv,
                env=self._environment(variant),
                root=root,
                log=self._log(variant, instance),
                hostname="container-0.local",
                hosts={"container-0.local": "127.0.0.1"},
                stop_grace=STOP_GRACE,
                read_only=("model",) if overlays else (),
            )
        )

    def _model(self, variant: VariantFleet, generation: str) -> Path:
        """The unpacked model of a variant, shared by its instances."""
        place = self.folder / generation / f"model-{variant.name}"
        if not place.exists():
            partial_place = place.with_suffix(".partial")
            shutil.rmtree(partial_place, ignore_errors=True)
            model_data.fetch(self.owner.objects, variant.container, partial_place)
            partial_place.rename(place)
        return place

    def _environment(self, variant: VariantFleet) -> dict[str, str]:
        """The user's variables, and those that are not the user's to set."""
        region = self.resource.scope.region
        platform = {
            "AWS_REGION": region,
            "AWS_DEFAULT_REGION": region,
            "WILDSAGE_BIND_UDS": fleets.SOCKET,
        }
        if self.owner.endpoint:
            platform["AWS_ENDPOINT_URL"] = self.owner.endpoint
        session = self.owner.credentials(variant.role, self.resource.name) if variant.role else {}
        user = variant.container.get("Environment") or {}
        return {"OMP_WAIT_POLICY": "PASSIVE"} | user | platform | dict(session)

    def _log(self, variant: VariantFleet, instance: Instance) -> Path:
        group = fleets.LOG_GROUP + self.resource.name
        stream = f"{variant.name}/{instance.id}"
        return self.owner.logs.stream_file(self.resource.scope, group, stream)

    # -- the fleet that serves

    def _tend(self, fleet: Fleet) -> Fleet:
        """Replace what has died; see to what is being replaced."""
        variants = []
        for variant in fleet.variants:
            tended = tuple(self._look_after(variant, one) for one in variant.instances)
            variants.append(replace(variant, instances=tended))
        return replace(fleet, variants=tuple(variants))

    def _look_after(self, variant: VariantFleet, instance: Instance) -> Instance:
        if instance.ready:
            root = instance.root(self.folder)
            if self._lives(root):
                self.watched.append(root)
                return instance
            return self._replace(variant, instance)
        if instance.not_before > clock.now():
            self._by(instance.not_before)
            return instance
        try:
            instance, progress = self._bring_up(variant, instance)
        except ModelDataError as error:
            log.warning("Endpoint %s: %s", self.resource.name, error)
            progress = "failed"
        return self._replace(variant, instance) if progress == "failed" else instance

    def _replace(self, variant: VariantFleet, instance: Instance) -> Instance:
        """A new instance for a dead one; later and later when it dies again and again."""
        log.warning(
            "A model server of endpoint %s has ended and is replaced: %s",
            self.resource.name,
            instance.id,
            extra={"action": "instance_replaced"},
        )
        now = clock.now()
        lasted = instance.ready and now - (instance.started or now) > _LONGEST_BACKOFF
        attempt = 1 if lasted else instance.attempt + 1
        pause = min(2.0 ** (attempt - 2), _LONGEST_BACKOFF) if attempt > 1 else 0.0
        self.state.retire([instance])
        self._by(now + pause)
        return Instance.new(instance.generation, attempt=attempt, not_before=now + pause)

    # -- instances that go

    def _withdraw(self) -> None:
        """The endpoint is deleted: no new requests; those under way are answered."""
        self.owner.routes.withdraw(self.resource.scope, self.resource.name)
        fleets_left = [fleet for fleet in (self.state.serving, self.state.next) if fleet]
        found = {one.id: one for fleet in fleets_left for one in fleet.instances}
        self.state.retire(list(found.values()))
        self.state.serving = self.state.next = None

    def _retire(self) -> None:
        """Stop retired instances that have finished, forget those that have ended.

        Those that this very step retired wait for the next: first the row must say so.
        """
        kept = []
        for instance in self.state.retired:
            if instance.id in self.retired_before:
                kept.append(self._see_off(instance))
            else:
                self._by(clock.now())
                kept.append(instance)
        self.state.retired = tuple(instance for instance in kept if instance is not None)

    def _see_off(self, instance: Instance) -> Instance | None:
        root = instance.root(self.folder)
        if not self._lives(root):
            self.compute.remove(root)
            return None
        if not instance.stopping:
            waited = clock.now() - (instance.retired or 0.0)
            if self._busy(instance, waited):
                self._by(clock.now() + max(_DRAIN_PAUSE, waited / 5))
                return instance
            self.compute.stop(root)
            instance = replace(instance, stopping=True)
        self.watched.append(root)
        return instance

    def _busy(self, instance: Instance, waited: float) -> bool:
        """Whether it still works on requests that somebody waits for."""
        address = instance.address(self.folder)
        return waited < DRAIN_SECONDS and self.owner.routes.busy([address]) > 0

    def _sweep(self) -> None:
        """Remove the shared models of generations that have no instance any more."""
        before = EndpointState.load(self.resource.document["State"]).generations()
        for generation in before - self.state.generations():
            shutil.rmtree(self.folder / generation, ignore_errors=True)
        if self.status == DELETING and not self.state.retired:
            _remove_empty(self.folder)


def _unhealthy(variant: VariantFleet) -> str:
    return (
        f"The primary container for production variant {variant.name} did not pass the ping health "
        "check. Please check CloudWatch logs for this endpoint."
    )


def _link(source: str, destination: str) -> str:
    Path(destination).hardlink_to(source)
    return destination


def _remove_empty(folder: Path) -> None:
    """Endpoints of the same name in other accounts or regions may still use it."""
    try:
        folder.rmdir()
    except OSError:
        return
