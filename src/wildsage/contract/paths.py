"""Where things lie under `/opt/ml`, for who lays an instance out and for who runs inside it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Paths:
    """The folders and files of one instance, from its base folder (`/opt/ml`)."""

    base: Path = Path("/opt/ml")

    @classmethod
    def from_environment(cls) -> Paths:
        """`SAGEMAKER_BASE_DIR` where the instance has no mount namespace, else `/opt/ml`."""
        return cls(Path(os.environ.get("SAGEMAKER_BASE_DIR", "/opt/ml")))

    @property
    def config(self) -> Path:
        return self.base / "input" / "config"

    @property
    def hyperparameters(self) -> Path:
        return self.config / "hyperparameters.json"

    @property
    def resource_config(self) -> Path:
        return self.config / "resourceconfig.json"

    @property
    def input_data_config(self) -> Path:
        return self.config / "inputdataconfig.json"

    def channel(self, name: str) -> Path:
        return self.base / "input" / "data" / name

    def pipe(self, channel: str, epoch: int) -> Path:
        """The FIFO of one epoch of a Pipe-mode channel: `<channel>_<epoch>`, from 0."""
        return self.base / "input" / "data" / f"{channel}_{epoch}"

    @property
    def model(self) -> Path:
        return self.base / "model"

    @property
    def checkpoints(self) -> Path:
        return self.base / "checkpoints"

    @property
    def output(self) -> Path:
        return self.base / "output"

    @property
    def output_data(self) -> Path:
        return self.base / "output" / "data"

    @property
    def failure(self) -> Path:
        return self.base / "output" / "failure"

    @property
    def code(self) -> Path:
        return self.base / "code"
