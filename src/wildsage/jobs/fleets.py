"""What an endpoint runs: variants and their instances, as the endpoint's row keeps them.

An endpoint has up to three groups of instances: the fleet that serves, the next one that is being
started for a Create or an Update, and retired instances that finish their requests and are stopped.
A fleet is a snapshot: it keeps all it needs of the endpoint configuration and of the models, which
may be deleted while the endpoint goes on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from wildsage import clock, ids
from wildsage.router.table import VariantRoute

KIND = "endpoint"
LOG_GROUP = "/aws/sagemaker/Endpoints/"
SOCKET = "invocations.sock"
DEFAULT_STARTUP_SECONDS = 240.0

# States of the row.
CREATING, UPDATING, IN_SERVICE = "Creating", "Updating", "InService"
FAILED, DELETING = "Failed", "Deleting"


@dataclass(frozen=True, slots=True)
class Instance:
    """One model server. Its folder is `<instances>/endpoint/<name>/<generation>/<id>`."""

    id: str
    generation: str
    ready: bool = False
    started: float | None = None
    attempt: int = 0
    not_before: float = 0.0
    stopping: bool = False
    retired: float | None = None

    @classmethod
    def new(cls, generation: str, **values: Any) -> Instance:
        return cls("i-" + ids.token(9)[:17], generation, **values)

    def root(self, folder: Path) -> Path:
        return folder / self.generation / self.id

    def address(self, folder: Path) -> str:
        return str(self.root(folder) / "ml" / SOCKET)


@dataclass(frozen=True, slots=True)
class VariantFleet:
    """One production variant and what its instances are started from."""

    name: str
    weight: float
    container: dict[str, Any]
    role: str
    strategy: str
    startup_seconds: float
    instances: tuple[Instance, ...]
    spec: dict[str, Any] = field(default_factory=dict)
    """The ProductionVariant as the endpoint configuration has it."""

    @classmethod
    def load(cls, values: Mapping[str, Any]) -> VariantFleet:
        instances = tuple(Instance(**instance) for instance in values["instances"])
        return cls(**{**values, "instances": instances})

    @classmethod
    def plan(
        cls, variant: Mapping[str, Any], model: Mapping[str, Any], generation: str
    ) -> VariantFleet:
        """The instances that a ProductionVariant asks for; `model` is the model's document."""
        count = variant.get("InitialInstanceCount") or 1
        timeout = variant.get("ContainerStartupHealthCheckTimeoutInSeconds")
        return cls(
            name=variant["VariantName"],
            weight=float(variant.get("InitialVariantWeight", 1.0)),
            container=dict(containers(model)[0]),
            role=model.get("ExecutionRoleArn") or "",
            strategy=(variant.get("RoutingConfig") or {}).get("RoutingStrategy", ""),
            startup_seconds=float(timeout or DEFAULT_STARTUP_SECONDS),
            instances=tuple(Instance.new(generation) for _ in range(count)),
            spec=dict(variant),
        )

    def resized(self, count: int, generation: str) -> VariantFleet:
        """With that many instances: the first ones stay."""
        kept = self.instances[:count]
        added = (Instance.new(generation) for _ in range(count - len(kept)))
        return replace(self, instances=(*kept, *added))

    def route(self, folder: Path) -> VariantRoute:
        ready = tuple(i.address(folder) for i in self.instances if i.ready)
        return VariantRoute(self.name, self.weight, ready, self.strategy)


@dataclass(frozen=True, slots=True)
class Fleet:
    """All variants of one endpoint configuration."""

    config: str
    variants: tuple[VariantFleet, ...]

    @classmethod
    def load(cls, values: Mapping[str, Any] | None) -> Fleet | None:
        if values is None:
            return None
        return cls(values["config"], tuple(map(VariantFleet.load, values["variants"])))

    @classmethod
    def plan(cls, config: Mapping[str, Any], models: Mapping[str, Mapping[str, Any]]) -> Fleet:
        """What an endpoint configuration asks for; `models` has the documents by name."""
        generation = ids.token(6)
        return cls(
            config["EndpointConfigName"],
            tuple(
                VariantFleet.plan(variant, models[variant["ModelName"]], generation)
                for variant in config["ProductionVariants"]
            ),
        )

    @property
    def instances(self) -> Iterator[Instance]:
        for variant in self.variants:
            yield from variant.instances

    @property
    def ready(self) -> bool:
        return all(instance.ready for instance in self.instances)

    def find(self, name: str) -> VariantFleet | None:
        return next((variant for variant in self.variants if variant.name == name), None)

    def routes(self, folder: Path) -> list[VariantRoute]:
        return [variant.route(folder) for variant in self.variants]


@dataclass(slots=True)
class EndpointState:
    """What an endpoint's document keeps under `State`."""

    modified: float
    serving: Fleet | None = None
    next: Fleet | None = None
    retired: tuple[Instance, ...] = ()
    failure: str | None = None
    deployment: dict[str, Any] | None = None
    """The DeploymentConfig of the last update."""

    @classmethod
    def new(cls, fleet: Fleet) -> EndpointState:
        return cls(modified=now(), next=fleet)

    @classmethod
    def load(cls, values: Mapping[str, Any]) -> EndpointState:
        return cls(
            modified=values["modified"],
            serving=Fleet.load(values["serving"]),
            next=Fleet.load(values["next"]),
            retired=tuple(Instance(**instance) for instance in values["retired"]),
            failure=values["failure"],
            deployment=values["deployment"],
        )

    def dump(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def shown(self) -> Fleet | None:
        """The fleet that DescribeEndpoint shows."""
        return self.serving or self.next

    def generations(self) -> set[str]:
        fleets = (fleet for fleet in (self.serving, self.next) if fleet)
        living = {instance.generation for fleet in fleets for instance in fleet.instances}
        return living | {instance.generation for instance in self.retired}

    def retire(self, instances: Sequence[Instance]) -> None:
        """These are to finish their requests and go."""
        since = clock.now()
        gone = tuple(replace(i, ready=False, retired=since) for i in instances)
        self.retired = (*self.retired, *gone)


def containers(model: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The containers of a model's document, in order."""
    primary = model.get("PrimaryContainer")
    return [primary] if primary else list(model.get("Containers") or [])


def now() -> float:
    """The time as answers give it."""
    return round(clock.now(), 3)
