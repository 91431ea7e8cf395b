"""How much memory this instance may still take, and whether a forest fits into it."""

from __future__ import annotations

import os
from pathlib import Path

from wildsage.algorithms.randomcutforest.forest import memory_needed
from wildsage.algorithms.reporting import AlgorithmLog
from wildsage.contract.failure import ClientError

_CGROUPS = Path("/sys/fs/cgroup")
_LIMITS = (
    ("memory.max", "memory.current"),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
)


def validate(log: AlgorithmLog, trees: int, rows_per_tree: int, width: int) -> None:
    """Refuse a forest for which there is no room, before any data is read."""
    log.info("Validating memory limits...")
    available = available_bytes()
    sample, needed = memory_needed(trees, rows_per_tree, width)
    if available is not None:
        log.info(f"Available memory in bytes: {available}")
    log.info(f"Estimated sample size in bytes: {sample}")
    log.info(f"Estimated memory needed to build the forest in bytes: {needed}")
    if available is not None and needed > available:
        raise ClientError(
            "Out of Memory. Please use a larger instance type or reduce the values of the "
            "num_trees, num_samples_per_tree or feature_dim hyperparameters. Building the forest "
            f"needs an estimated {needed} bytes of memory, {available} bytes are available."
        )
    log.info("Memory limits validated.")


def available_bytes(cgroups: Path = _CGROUPS) -> int | None:
    """The least of what the machine has free and what the container may still take."""
    bounds = [bound for bound in (_free(), *_container_bounds(cgroups)) if bound is not None]
    return min(bounds, default=None)


def _free() -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        fields = dict(line.split(":", 1) for line in lines)
        return int(fields["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        return _physical()


def _physical() -> int | None:
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return None


def _container_bounds(cgroups: Path) -> list[int | None]:
    return [_number(cgroups / limit, cgroups / usage) for limit, usage in _LIMITS]


def _number(limit: Path, usage: Path) -> int | None:
    """What is left of a limit; None where there is none ("max" in cgroups of version 2)."""
    try:
        return max(0, int(limit.read_text()) - int(usage.read_text()))
    except (OSError, ValueError):
        return None
