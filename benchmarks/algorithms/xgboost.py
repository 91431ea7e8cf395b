"""XGBoost jobs beside a script that calls the library on the same files, in one run.

    python benchmarks/algorithms/xgboost.py [--rows 1000000] [--rounds 100] [--repeats 3]

The whole job is a process that reads text, boosts and saves the model: ours under the contract,
the library's with its own reader (`DMatrix("file?format=csv")`). The kernel is boosting alone, on
arrays in memory. Latency is one row of CSV in, an answer out, with a loaded model.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

# This file has the library's name: its own folder must not be where imports look first.
sys.path.pop(0)
sys.path.insert(0, str(Path(__file__).parents[1]))
import numpy as np
from harness import Measurement, compare, table

from wildsage.algorithms.instances import Instance
from wildsage.formats import libsvm
from wildsage.formats.matrix import SparseMatrix

COLUMNS = 28
CSV, LIBSVM = "text/csv", "text/libsvm"
NATIVE = """
import sys
import xgboost

source, model, rounds = sys.argv[1:]
matrix = xgboost.DMatrix(source)
parameters = {"objective": "binary:logistic", "max_depth": 6, "eta": 0.3}
booster = xgboost.train(
    parameters, matrix, int(rounds), evals=[(matrix, "train")], verbose_eval=True
)
booster.save_model(model)
"""


def main() -> None:
    arguments = _arguments()
    features, labels = higgs_like(arguments.rows)
    with tempfile.TemporaryDirectory() as folder:
        for content_type, encode in ((CSV, as_csv), (LIBSVM, as_libsvm)):
            source = Path(folder) / content_type.replace("/", ".")
            source.write_bytes(encode(features, labels))
            _job(source, content_type, arguments)
    _kernel(features, labels, arguments)
    _latency(features[:20_000], labels[:20_000])


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=100, help="of boosting")
    parser.add_argument("--repeats", type=int, default=3)
    return parser.parse_args()


def higgs_like(rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Two noisy classes in 28 features, six decimals each."""
    rng = np.random.default_rng(0)
    features = rng.normal(size=(rows, COLUMNS)).astype(np.float32)
    score = features[:, 0] * features[:, 1] + features[:, 2] - features[:, 3] ** 2 / 2
    labels = score + rng.normal(size=rows) > 0
    return np.round(features, 6), labels.astype(np.float32)


def as_csv(features: np.ndarray, labels: np.ndarray) -> bytes:
    table = np.column_stack((labels, features))
    return b"".join(_rows(table[i : i + 10_000]) for i in range(0, len(table), 10_000))


def _rows(table: np.ndarray) -> bytes:
    line = "%d," + ",".join(["%.6g"] * COLUMNS) + "\n"
    return ((line * len(table)) % tuple(table.ravel().tolist())).encode()


def as_libsvm(features: np.ndarray, labels: np.ndarray) -> bytes:
    return b"".join(
        _libsvm_rows(features[i : i + 10_000], labels[i : i + 10_000])
        for i in range(0, len(features), 10_000)
    )


def _libsvm_rows(features: np.ndarray, labels: np.ndarray) -> bytes:
    line = "%d " + " ".join(f"{i}:%.6g" for i in range(COLUMNS)) + "\n"
    table = np.column_stack((labels, features))
    return ((line * len(table)) % tuple(table.ravel().tolist())).encode()


# --- the whole job -------------------------------------------------------------------------------


def _job(source: Path, content_type: str, arguments: argparse.Namespace) -> None:
    results = compare(
        {
            "wildsage": lambda: _ours(source, content_type, arguments.rounds),
            "xgboost": lambda: _native(source, content_type, arguments.rounds),
        },
        rounds=arguments.repeats,
        warmups=0,
    )
    size = source.stat().st_size / 2**20
    print(table(f"whole job, {content_type}, {size:.0f} MiB, {arguments.rounds} rounds", *results))
    _say_ratio(results)


def _ours(source: Path, content_type: str, rounds: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        instance = Instance(Path(folder))
        data = instance.paths.channel("train")
        data.mkdir(parents=True)
        (data / source.name).hardlink_to(source)
        instance.paths.config.mkdir(parents=True)
        instance.paths.hyperparameters.write_text(
            f'{{"num_round": "{rounds}", "objective": "binary:logistic", "max_depth": "6"}}'
        )
        instance.paths.input_data_config.write_text(
            f'{{"train": {{"ContentType": "{content_type}", "TrainingInputMode": "File"}}}}'
        )
        environment = {**os.environ, "SAGEMAKER_BASE_DIR": folder}
        _run([sys.executable, "-m", "wildsage.algorithms", "train", "xgboost"], environment)


def _native(source: Path, content_type: str, rounds: int) -> None:
    uri = f"{source}?format=" + ("csv&label_column=0" if content_type == CSV else "libsvm")
    with tempfile.TemporaryDirectory() as folder:
        model = str(Path(folder) / "model.ubj")
        _run([sys.executable, "-W", "ignore", "-c", NATIVE, uri, model, str(rounds)], os.environ)


def _run(command: list[str], environment: Any) -> None:
    subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)


# --- boosting alone ------------------------------------------------------------------------------


def _kernel(features: np.ndarray, labels: np.ndarray, arguments: argparse.Namespace) -> None:
    import xgboost

    from wildsage.algorithms.xgboost import XGBoost

    parameters = {"objective": "binary:logistic", "max_depth": 6, "eta": 0.3, "verbosity": 0}
    results = compare(
        {
            "wildsage": lambda: (
                XGBoost(arguments.rounds, "binary:logistic").fit(features, labels).booster_
            ),
            "xgboost": lambda: xgboost.train(
                parameters,
                matrix := xgboost.DMatrix(features, label=labels),
                arguments.rounds,
                evals=[(matrix, "train")],
                verbose_eval=False,
            ),
        },
        rounds=arguments.repeats,
        warmups=0,
    )
    print(table(f"kernel, {arguments.rows} x {COLUMNS}, {arguments.rounds} rounds", *results))
    _say_ratio(results)


def _say_ratio(results: list[Measurement]) -> None:
    ours, native = results
    print(
        f"\nwildsage / xgboost: wall {ours.wall / native.wall:.3f}, CPU {ours.cpu / native.cpu:.3f}"
    )


# --- latency -------------------------------------------------------------------------------------


def _latency(features: np.ndarray, labels: np.ndarray) -> None:
    import xgboost

    from wildsage.algorithms.xgboost import XGBoost
    from wildsage.algorithms.xgboost.predicting import Ensemble, Predictor
    from wildsage.algorithms.xgboost.serving import XGBoostHandler

    booster = XGBoost(100, "binary:logistic").fit(features, labels).booster_
    handler = XGBoostHandler(Ensemble([Predictor(booster)]))
    row = features[:1].copy()
    line = ",".join(map(str, row[0].tolist())).encode() + b"\n"
    pairs = libsvm.encode(SparseMatrix.from_dense(row))
    calls: dict[str, Callable[[], Any]] = {
        "handler, CSV to CSV": lambda: handler(line, CSV, CSV, None),
        "handler, LIBSVM to JSON": lambda: handler(pairs, LIBSVM, "application/json", None),
        "xgboost inplace_predict, array to array": lambda: booster.inplace_predict(row),
        "xgboost DMatrix and predict": lambda: booster.predict(xgboost.DMatrix(row)),
    }
    print("\n### one row, 100 trees\n\n| | p50 µs | p99 µs |\n| --- | --- | --- |")
    for name, call in calls.items():
        times = sorted(_timed(call) for _ in range(2000))
        middle, high = statistics.median(times), times[int(len(times) * 0.99)]
        print(f"| {name} | {middle * 1e6:.0f} | {high * 1e6:.0f} |")


def _timed(call: Callable[[], Any]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
