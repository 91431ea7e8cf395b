"""A training job's row, read: its instances, channels, places and deadlines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from wildsage import ids
from wildsage.contract import layout
from wildsage.jobs import capacity, states
from wildsage.store.resources import Resource

KIND = "training-job"
LOG_GROUP = "/aws/sagemaker/TrainingJobs"
CHECKPOINTS = "/opt/ml/checkpoints"
DEFAULT_MAX_RUNTIME = 86_400
_ML = "/opt/ml/"


def new_state() -> dict[str, Any]:
    """What a created job keeps under `State`."""
    return states.begin() | {"Generation": ids.token(6)}


@dataclass(frozen=True)
class TrainingJob:
    resource: Resource

    @property
    def request(self) -> dict[str, Any]:
        return self.resource.document

    @property
    def state(self) -> dict[str, Any]:
        state: dict[str, Any] = self.resource.document["State"]
        return state

    @property
    def name(self) -> str:
        return self.resource.name

    @property
    def key(self) -> str:
        """Unique among all jobs there ever were."""
        return str(self.state["Generation"])

    @property
    def secondary(self) -> str:
        return str(self.state["SecondaryStatus"])

    @property
    def image(self) -> str:
        return str(self.request["AlgorithmSpecification"]["TrainingImage"])

    @property
    def hyperparameters(self) -> Mapping[str, str]:
        return self.request.get("HyperParameters") or {}

    @cached_property
    def channels(self) -> list[layout.Channel]:
        mode = self.request["AlgorithmSpecification"]["TrainingInputMode"]
        entries = self.request.get("InputDataConfig") or []
        return [layout.Channel.parse(entry, mode) for entry in entries]

    @cached_property
    def hosts(self) -> list[layout.Host]:
        config = self.request["ResourceConfig"]
        groups = config.get("InstanceGroups") or [
            {
                "InstanceGroupName": layout.Host.group,
                "InstanceType": config["InstanceType"],
                "InstanceCount": config["InstanceCount"],
            }
        ]
        members = [g for g in groups for _ in range(g["InstanceCount"])]
        return [
            layout.Host(f"algo-{number}", group["InstanceType"], group["InstanceGroupName"])
            for number, group in enumerate(members, 1)
        ]

    @property
    def cpus(self) -> int:
        return sum(capacity.instance_type(host.instance_type).vcpus for host in self.hosts)

    @property
    def max_runtime(self) -> float:
        condition = self.request.get("StoppingCondition") or {}
        return float(condition.get("MaxRuntimeInSeconds") or DEFAULT_MAX_RUNTIME)

    @property
    def metric_definitions(self) -> list[dict[str, str]]:
        return self.request["AlgorithmSpecification"].get("MetricDefinitions") or []

    def stream(self, host: layout.Host) -> str:
        return f"{self.name}/{host.name}-{int(self.resource.created)}"

    def roots(self, instances: Path) -> list[Path]:
        """The folders of the instances, `<instances>/training-job/<name>/<generation>/algo-N`."""
        folder = instances / KIND / self.name / self.key
        return [folder / host.name for host in self.hosts]

    # Where results go

    def output(self, name: str) -> tuple[str, str]:
        """Bucket and key of `<S3OutputPath>/<job>/output/<name>`."""
        return layout.split_uri(self.output_uri(name))

    def output_uri(self, name: str) -> str:
        path = self.request["OutputDataConfig"]["S3OutputPath"].rstrip("/")
        return f"{path}/{self.name}/output/{name}"

    @property
    def compressed(self) -> bool:
        return bool(self.request["OutputDataConfig"].get("CompressionType", "GZIP") == "GZIP")

    @property
    def model_uri(self) -> str:
        return self.output_uri("model.tar.gz" if self.compressed else "model/")

    @property
    def checkpoint_uri(self) -> str | None:
        return (self.request.get("CheckpointConfig") or {}).get("S3Uri")

    @property
    def checkpoint_folder(self) -> tuple[str, ...]:
        """The folder below `ml`."""
        local = (self.request.get("CheckpointConfig") or {}).get("LocalPath") or CHECKPOINTS
        return tuple(part for part in local.removeprefix(_ML).split("/") if part)
