"""What an instance is told: hyperparameters, hosts and channels (`/opt/ml/input/config`)."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wildsage.contract.channels import ChannelConfig
from wildsage.contract.failure import InternalServerError
from wildsage.contract.paths import Paths


@dataclass(frozen=True, slots=True)
class TrainingEnvironment:
    """One training instance's view of its job."""

    hyperparameters: Mapping[str, str] = field(default_factory=dict)
    hosts: tuple[str, ...] = ("algo-1",)
    current_host: str = "algo-1"
    network_interface: str = "eth0"
    channels: Mapping[str, ChannelConfig] = field(default_factory=dict)
    job_name: str = ""
    paths: Paths = field(default_factory=Paths)

    @classmethod
    def load(cls, paths: Paths | None = None) -> TrainingEnvironment:
        """Read the configuration files; absent ones mean no hyperparameters, one host."""
        paths = paths or Paths.from_environment()
        resources = read_json(paths.resource_config, {})
        channels = read_json(paths.input_data_config, {})
        current = resources.get("current_host", "algo-1")
        return cls(
            hyperparameters={k: str(v) for k, v in read_json(paths.hyperparameters, {}).items()},
            hosts=tuple(resources.get("hosts") or (current,)),
            current_host=current,
            network_interface=resources.get("network_interface_name", "eth0"),
            channels={k: ChannelConfig.parse(k, v, paths) for k, v in channels.items()},
            job_name=os.environ.get("TRAINING_JOB_NAME", ""),
            paths=paths,
        )

    @property
    def is_first_host(self) -> bool:
        """Whether this instance writes the model and speaks for the gang."""
        return self.current_host == min(self.hosts, key=host_order)


def host_order(name: str) -> tuple[int, str]:
    """algo-2 before algo-10."""
    digits = name.rpartition("-")[2]
    return (int(digits) if digits.isdigit() else 0, name)


def read_json(path: Path, default: dict[str, Any]) -> dict[str, Any]:
    """A configuration file's object; `default` where there is none."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return default
    except ValueError as error:
        raise InternalServerError(
            f"The content of the configuration file {path.name} is invalid.", caused_by=error
        ) from error
    if not isinstance(content, dict):
        raise InternalServerError(f"The content of the configuration file {path.name} is invalid.")
    return content
