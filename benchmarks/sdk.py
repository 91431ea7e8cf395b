"""KMeans through the SageMaker SDK v2 as its user sees it: fit, deploy, predict; 10k x 64.

    python -m benchmarks.sdk [--rounds 3] [--as-is]

`--as-is` leaves the SDK's own sleeps as they are (5 s in fit, 30 s in deploy).
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time

import numpy as np

from wildsage.testing import LocalServer


def once() -> dict[str, float]:
    """Seconds of one round; runs under `wildsage exec`."""
    import sagemaker

    session = sagemaker.Session()
    kmeans = sagemaker.KMeans(
        role=sagemaker.get_execution_role(),
        instance_count=1,
        instance_type="ml.c5.xlarge",
        k=10,
        sagemaker_session=session,
    )
    rows = np.random.default_rng(0).normal(size=(10_000, 64)).astype(np.float32)
    records = kmeans.record_set(rows)
    times = [time.perf_counter()]
    kmeans.fit(records)
    times.append(time.perf_counter())
    predictor = kmeans.deploy(initial_instance_count=1, instance_type="ml.m5.large")
    times.append(time.perf_counter())
    predictions = []
    for _ in range(200):
        began = time.perf_counter()
        predictor.predict(rows[:1])
        predictions.append(time.perf_counter() - began)
    predictor.delete_endpoint()
    return {
        "fit, s": times[1] - times[0],
        "deploy, s": times[2] - times[1],
        "predict p50, ms": 1000 * statistics.median(predictions),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--as-is", action="store_true")
    arguments = parser.parse_args()
    flags = ["--as-is"] if arguments.as_is else []
    rounds = []
    with LocalServer.temporary() as server:
        home = str(server.settings.home)
        command = [sys.executable, "-m", "wildsage", "exec", "--home", home, *flags, "--"]
        for _ in range(arguments.rounds):
            done = subprocess.run(
                [*command, sys.executable, "-W", "ignore", "-m", "benchmarks.sdk"],
                env={**os.environ, "WILDSAGE_BENCH_CHILD": "1"},
                capture_output=True,
                text=True,
                check=True,
            )
            rounds.append(json.loads(done.stdout.strip().splitlines()[-1].lstrip("!-")))
    for name in rounds[0]:
        values = [r[name] for r in rounds]
        print(
            f"{name}: median {statistics.median(values):.2f}, {min(values):.2f}-{max(values):.2f}"
        )


if __name__ == "__main__":
    if os.environ.get("WILDSAGE_BENCH_CHILD"):
        print(json.dumps(once()))
    else:
        main()
