"""How the figures are taken: ours and the peer's in turn in one run, medians, wall and CPU seconds.

    ours, peer = compare({"wildsage": fit_ours, "scikit-learn": fit_theirs})
    print(table("kmeans, 60k x 784, k=100", ours, peer))

Machines are shared and noisy: a ratio of medians taken in one run is worth quoting, a wall time is
not. `OMP_WAIT_POLICY=PASSIVE` must be set before NumPy is imported; importing this module does it.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


@dataclass
class Measurement:
    """One contender: the medians of its rounds, and what its last round returned."""

    name: str
    walls: list[float] = field(default_factory=list)
    cpus: list[float] = field(default_factory=list)
    result: Any = None
    peak_mib: float = float("nan")
    quality: dict[str, float] = field(default_factory=dict)

    @property
    def wall(self) -> float:
        return statistics.median(self.walls)

    @property
    def cpu(self) -> float:
        return statistics.median(self.cpus)


def compare(
    contenders: Mapping[str, Callable[[], Any]], rounds: int = 3, warmups: int = 1
) -> list[Measurement]:
    """Run the contenders in turn, A B A B ..., so that the machine's drift hits all alike."""
    measurements = [Measurement(name) for name in contenders]
    for number in range(warmups + rounds):
        for measurement in measurements:
            wall, cpu = time.perf_counter(), cpu_seconds()
            measurement.result = contenders[measurement.name]()
            if number >= warmups:
                measurement.walls.append(time.perf_counter() - wall)
                measurement.cpus.append(cpu_seconds() - cpu)
    return measurements


def cpu_seconds() -> float:
    """User and system time of this process and of the children it has waited for."""
    usages = (resource.getrusage(w) for w in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def measure_peaks(measurements: Iterable[Measurement], *table: str) -> None:
    """Tell each measurement how much memory its contender takes beside its data.

    A process of its own does the work again, for OpenMP and PyTorch do not survive a fork, and what
    an earlier contender has loaded must not count: this script, with the same arguments and
    `--peak TABLE NAME`, which it answers by `print_peak`.
    """
    for measurement in measurements:
        command = [sys.executable, *sys.orig_argv[1:], "--peak", *table, measurement.name]
        ended = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        measurement.peak_mib = float(ended.stdout.splitlines()[-1])


def add_peak(parser: argparse.ArgumentParser) -> None:
    """The option behind `measure_peaks`."""
    parser.add_argument("--peak", nargs="+", help=argparse.SUPPRESS)


def print_peak(work: Callable[[], Any]) -> None:
    """Print the MiB by which `work` raises this process's peak."""
    Path("/proc/self/clear_refs").write_text("5")  # begin the peak anew
    before = _peak_so_far()
    work()
    print((_peak_so_far() - before) / 1024)


def _peak_so_far() -> int:
    """KiB."""
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))


def table(title: str, *measurements: Measurement) -> str:
    """Markdown: a row a contender; the ratios are to the first, which is ours."""
    qualities = list(dict.fromkeys(name for m in measurements for name in m.quality))
    head = ["", "wall s", "CPU s", "ratio wall", "ratio CPU", "peak MiB", *qualities]
    ours = measurements[0]
    rows = [
        [
            m.name,
            f"{m.wall:.3f}",
            f"{m.cpu:.3f}",
            f"{m.wall / ours.wall:.2f}",
            f"{m.cpu / ours.cpu:.2f}",
            f"{m.peak_mib:.0f}",
            *(f"{m.quality.get(q, float('nan')):.5g}" for q in qualities),
        ]
        for m in measurements
    ]
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join([f"\n### {title}\n", *("| " + " | ".join(line) + " |" for line in lines)])
