"""What a compute backend is: it starts one instance, says how it does, and ends it.

An instance is a program under the container contract (`docs/container-contract.md`). It lives in
a folder, its root: `root/ml` is what the program sees as `/opt/ml`. A backend knows nothing but
roots, so whatever was started by one server is found, watched and ended by the next. Every
backend passes `wildsage.compute.checks`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

State = Literal["missing", "starting", "running", "exited"]
Reason = Literal["stopped", "timeout", "killed", "lost", "unstartable"]


@dataclass(frozen=True)
class Feed:
    """One Pipe-mode channel: `plan` says what to write into its FIFOs (see `contract.feeder`)."""

    channel: str
    plan: dict[str, Any]


@dataclass(frozen=True)
class InstanceSpec:
    """Everything a backend must know to start one instance."""

    id: str
    argv: tuple[str, ...]
    env: dict[str, str]
    root: Path
    log: Path
    """Appended to in the format of `wildsage.logfile`."""
    hostname: str = "algo-1"
    hosts: dict[str, str] = field(default_factory=dict)
    """Names that resolve inside the instance, and their addresses."""
    stop_grace: float = 120.0
    """Seconds between SIGTERM and SIGKILL."""
    max_runtime: float | None = None
    cpus: float | None = None
    memory: int | None = None
    """Bytes."""
    nice: int = 0
    """How far it gives way to others; 0 for what answers requests."""
    feeds: tuple[Feed, ...] = ()
    copy_on_write: tuple[str, ...] = ()
    """Folders below `ml` with links to files it must not change: it gets a writable view."""
    read_only: tuple[str, ...] = ()
    """Folders below `ml` that it may only read."""
    visible: tuple[Path, ...] = ()
    """Folders of the host that stay visible although they lie in a hidden place such as /tmp."""


@dataclass(frozen=True)
class InstanceStatus:
    state: State
    exit_code: int | None = None
    signal: int | None = None
    started: float | None = None
    ended: float | None = None
    reason: Reason | None = None
    """Why it ended, when the program did not end by itself."""
    out_of_memory: bool = False
    message: str = ""
    """Why it could not be started."""

    @property
    def succeeded(self) -> bool:
        return self.state == "exited" and self.exit_code == 0


@dataclass(frozen=True)
class Capacity:
    cpus: int
    memory: int
    """Bytes."""
    gpus: int = 0


@dataclass(frozen=True)
class Capability:
    """Something a backend can do here, or cannot, and what follows from it (`wildsage doctor`)."""

    name: str
    available: bool
    detail: str


class Compute(Protocol):
    """Where instances run. Every call may come from any thread and returns at once."""

    @property
    def name(self) -> str: ...

    def start(self, spec: InstanceSpec) -> None:
        """Start the instance; when its root was started before, do nothing."""

    def status(self, root: Path) -> InstanceStatus:
        """How the instance does, from what lies on disk: after a restart of the server too."""

    def watch(self, root: Path, callback: Callable[[], None]) -> None:
        """Call `callback` once, from any thread, when it has ended (at once if it has)."""

    def stop(self, root: Path) -> None:
        """Ask it to end: SIGTERM, then SIGKILL after its grace; goes on without the server."""

    def kill(self, root: Path) -> None:
        """End it and everything it started, now; returns when all of it is gone."""

    def remove(self, root: Path) -> None:
        """Kill it if it runs, and delete its folder."""

    def running(self) -> list[Path]:
        """The roots of all instances that live."""

    def base(self, root: Path) -> Path:
        """Where the program sees `root/ml`: `/opt/ml`, or `root/ml` without a mount namespace."""

    @property
    def overlays(self) -> bool:
        """Whether `copy_on_write` and `read_only` are kept: then input may be linked."""

    def capacity(self) -> Capacity: ...

    def capabilities(self) -> list[Capability]: ...
