"""How a gang ended: from exit codes, signals and failure files to AWS's status and reason."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from wildsage.compute.base import InstanceStatus
from wildsage.contract.failure import (
    INTERNAL_ERROR,
    REASON_LIMIT,
    ClientError,
    failure_reason,
)
from wildsage.contract.feeder import ERROR_FILE
from wildsage.jobs.artifacts import inside

_OUT_OF_MEMORY = (
    "ClientError: Please use an instance type with more memory, or reduce the size of training "
    "data processed on an instance."
)
_SIGNAL_BASE = 128  # the exit code that a shell or a container runtime makes of a signal


@dataclass(frozen=True)
class Verdict:
    """The secondary status to come, and the reason when it is Failed."""

    secondary: str
    reason: str = ""

    @property
    def document(self) -> dict[str, Any]:
        return asdict(self)


def judge(roots: Sequence[Path], statuses: Sequence[InstanceStatus], builtin: bool) -> Verdict:
    """What a gang whose instances have all ended came to. The first failure speaks for it."""
    reasons = {status.reason for status in statuses}
    if "timeout" in reasons:
        return Verdict("MaxRuntimeExceeded")
    if "stopped" in reasons:
        return Verdict("Stopped")
    if feed_errors := [text for root in roots if (text := _read(root, ERROR_FILE))]:
        return Verdict("Failed", f"ClientError: Data download failed:{feed_errors[0].strip()}")
    failed = [pair for pair in zip(statuses, roots, strict=True) if not pair[0].succeeded]
    if not failed:
        return Verdict("Completed")
    status, root = min(failed, key=lambda pair: _order(pair[0], builtin))
    if status.reason == "killed":
        return Verdict("Stopped")  # somebody ended everything on this machine
    return Verdict("Failed", _reason(status, root, builtin))


def _order(status: InstanceStatus, builtin: bool) -> tuple[bool, bool, float]:
    """Those that ended by themselves before those that were killed because of them.

    A built-in algorithm that names the customer's mistake goes before its peers that lost it.
    """
    names_a_mistake = builtin and status.exit_code == ClientError.exit_code
    return status.reason == "killed", not names_a_mistake, status.ended or 0.0


def _reason(status: InstanceStatus, root: Path, builtin: bool) -> str:
    if status.out_of_memory:
        return _OUT_OF_MEMORY
    if status.reason == "unstartable":
        return f"InternalServerError: The instance could not be started: {status.message}"
    if status.exit_code is None and status.signal is None:
        return f"InternalServerError: {INTERNAL_ERROR}"
    code = status.exit_code
    if code is None:
        code = _SIGNAL_BASE + (status.signal or 0)
    return failure_reason(code, _read(root / "ml", "output", "failure"), builtin=builtin)


def _read(root: Path, *parts: str) -> str:
    """The beginning of a file that an instance may have left."""
    path = inside(root, *parts)
    if path is None or not path.is_file():
        return ""
    with path.open("rb") as file:
        return file.read(4 * REASON_LIMIT).decode("utf-8", "replace")[:REASON_LIMIT]
