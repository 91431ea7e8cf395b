"""The server as a user meets it: start, idle memory, and how soon a small job starts and ends.

python -m benchmarks.server [--rounds 5]
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from acceptance.helpers_jobs import blobs, csv, make_bucket, training_request
from wildsage.testing import LocalServer

MIB = 2**20


def start() -> tuple[float, float]:
    """Seconds from `wildsage up` to its first answer; resident MiB when idle."""
    with tempfile.TemporaryDirectory() as home:
        began = time.perf_counter()
        server = LocalServer.start(Path(home))
        server.client("sts").get_caller_identity()
        elapsed = time.perf_counter() - began
        time.sleep(2)
        resident = psutil.Process(server.presence.pid).memory_info().rss / MIB
        server.stop()
    return elapsed, resident


def small_job(server: LocalServer, name: str) -> tuple[float, float]:
    """Seconds from CreateTrainingJob to the first log line and to Completed."""
    sagemaker, logs = server.client("sagemaker"), server.client("logs")
    began = time.perf_counter()
    sagemaker.create_training_job(**training_request(name, "bench"))
    while not _log_lines(logs, name):
        time.sleep(0.01)
    first_line = time.perf_counter() - began
    while sagemaker.describe_training_job(TrainingJobName=name)["TrainingJobStatus"] != "Completed":
        time.sleep(0.01)
    return first_line, time.perf_counter() - began


def _log_lines(logs: Any, name: str) -> list[Any]:
    try:
        found: list[Any] = logs.filter_log_events(
            logGroupName="/aws/sagemaker/TrainingJobs", logStreamNamePrefix=f"{name}/"
        )["events"]
    except logs.exceptions.ResourceNotFoundException:
        return []
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    starts = [start() for _ in range(rounds)]
    with LocalServer.temporary() as server:
        make_bucket(server, "bench", train__a=csv(blobs()))
        jobs = [small_job(server, f"small-{number}") for number in range(rounds)]
    figures = {
        "wildsage up -> first answer, s": [s for s, _ in starts],
        "idle memory, MiB": [m for _, m in starts],
        "CreateTrainingJob -> first log line, s": [f for f, _ in jobs],
        "CreateTrainingJob -> Completed, s": [c for _, c in jobs],
    }
    for name, values in figures.items():
        print(
            f"{name}: median {statistics.median(values):.2f}, {min(values):.2f}-{max(values):.2f}"
        )


if __name__ == "__main__":
    main()
