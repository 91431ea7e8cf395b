"""What instance types mean on this machine, and who may use its cores.

A job asks for the vCPUs of all its instances, but for no more than there are: each job fits when it
runs alone. When cores are taken, jobs wait in the order of their creation; nobody overtakes.
Endpoints do not ask: an endpoint and a job share the machine, and the job gives way (`nice`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from dataclasses import dataclass

GIB = 1 << 30

_SIZES = {"medium": 2, "large": 2, "xlarge": 4}  # `Nxlarge` has 4·N

# GiB of memory per vCPU; families that are missing here have 4.
_GIB_PER_VCPU = {
    "c4": 1.875,
    "c5": 2.0,
    "c5d": 2.0,
    "c5n": 2.625,
    "c6g": 2.0,
    "c6i": 2.0,
    "c7g": 2.0,
    "c7i": 2.0,
    "p2": 15.25,
    "p3": 7.625,
    "p3dn": 8.0,
    "p4d": 12.0,
    "p4de": 12.0,
    "p5": 10.67,
    "r4": 7.625,
    "r5": 8.0,
    "r5d": 8.0,
    "r6g": 8.0,
    "r6i": 8.0,
    "r7i": 8.0,
    "x1": 15.25,
    "x1e": 30.5,
}

# GPUs of a family's sizes; other sizes of these families have one.
_GPUS = {
    "p2": {"8xlarge": 8, "16xlarge": 16},
    "p3": {"8xlarge": 4, "16xlarge": 8},
    "p3dn": {"24xlarge": 8},
    "p4d": {"24xlarge": 8},
    "p4de": {"24xlarge": 8},
    "p5": {"48xlarge": 8},
    "g4dn": {"12xlarge": 4},
    "g5": {"12xlarge": 4, "24xlarge": 4, "48xlarge": 8},
    "g6": {"12xlarge": 4, "24xlarge": 4, "48xlarge": 8},
}

# vCPUs that do not follow from the size.
_ODD_VCPUS = {"c4.8xlarge": 36, "t2.medium": 2, "t3.medium": 2, "p3dn.24xlarge": 96}


@dataclass(frozen=True)
class InstanceType:
    name: str
    vcpus: int
    memory: int
    """Bytes."""
    gpus: int


def instance_type(name: str) -> InstanceType:
    """`ml.m5.xlarge` and the like; any family AWS may invent counts by its size."""
    family, _, size = name.removeprefix("ml.").partition(".")
    vcpus = _ODD_VCPUS.get(f"{family}.{size}") or _vcpus(size)
    memory = int(vcpus * _GIB_PER_VCPU.get(family, 4.0) * GIB)
    gpus = _GPUS[family].get(size, 1) if family in _GPUS else 0
    return InstanceType(name, vcpus, memory, gpus)


def _vcpus(size: str) -> int:
    digits = size.removesuffix("xlarge")
    return 4 * int(digits) if digits.isdigit() else _SIZES.get(size, 2)


@dataclass
class _Request:
    order: float
    cpus: int
    granted: bool = False
    wake: Callable[[], None] | None = None


class Cores:
    """Who holds how many cores. In memory: after a restart running jobs are entered by `hold`."""

    def __init__(self, total: int) -> None:
        self.total = total
        self._guard = threading.Lock()
        self._requests: dict[Hashable, _Request] = {}

    def ask(self, key: Hashable, order: float, cpus: int) -> bool:
        """Join the queue, or look again; True once the cores are ours."""
        with self._guard:
            request = self._requests.setdefault(key, _Request(order, min(cpus, self.total)))
            if not request.granted:
                ahead = self._ahead(request)
                request.granted = not ahead and self._free() >= request.cpus
            return request.granted

    def hold(self, key: Hashable, order: float, cpus: int) -> None:
        """Enter a job that runs already, even beyond what is free."""
        with self._guard:
            request = self._requests.setdefault(key, _Request(order, min(cpus, self.total)))
            request.granted = True

    def release(self, key: Hashable) -> None:
        """Give the cores back, or leave the queue; those who wait look again."""
        with self._guard:
            gone = self._requests.pop(key, None)
            bells = [r.wake for r in self._requests.values() if gone and r.wake and not r.granted]
        for bell in bells:
            bell()

    def wait(self, key: Hashable, wake: Callable[[], None]) -> None:
        """Call `wake` whenever cores were given back, until `key` has its own."""
        with self._guard:
            request = self._requests.get(key)
            if request is not None:
                request.wake = wake

    def explain(self, key: Hashable) -> str:
        """What a job waits for, in words."""
        with self._guard:
            request = self._requests[key]
            ahead, used = self._ahead(request), self.total - self._free()
        queue = f"; {ahead} job(s) were created before it" if ahead else ""
        return (
            f"Waiting for {request.cpus} of {self.total} core(s): {used} in use by running "
            f"job(s){queue}."
        )

    def _ahead(self, request: _Request) -> int:
        return sum(not r.granted and r.order < request.order for r in self._requests.values())

    def _free(self) -> int:
        return self.total - sum(r.cpus for r in self._requests.values() if r.granted)
