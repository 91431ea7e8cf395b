"""randomcutforest beside krcf, rrcf and scikit-learn's IsolationForest, in one run.

    python -m benchmarks.algorithms.randomcutforest [--rounds 3] [--seeds 5]

Kernel: 100 trees of 256 rows of a normal cloud in 10 dimensions; 10,000 rows are scored, 50 of them
far away. rrcf takes minutes for that and scores `RRCF_ROWS` of them; its times are multiplied.
Quality: the internal bleeding series of the UCR archive (in the package aeon), whose first 1200
values are known to be normal, cut into windows; the area under the ROC curve, over seeds. krcf
forgets old rows, and with them the anomaly, where it is trained on the whole series; "even" does
not. rrcf is shown one in ten of the normal windows. The whole job reads RecordIO-protobuf from a
file and writes log and model, in this process. Peers that are not installed are left out; rrcf
needs setuptools<81.
"""

from __future__ import annotations

import argparse
import csv
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
import numpy as np
from harness import Measurement, compare, cpu_seconds, peak_memory, table

from wildsage.algorithms import registry
from wildsage.algorithms.instances import Instance
from wildsage.algorithms.randomcutforest import RandomCutForest
from wildsage.formats import recordio

TREES, SAMPLES, WIDTH, SCORED = 100, 256, 10, 10_000
RRCF_ROWS = 50
WINDOWS = (8, 16, 32, 64)
SERIES = "KDD-TSAD_135/135_UCR_Anomaly_InternalBleeding16_{}.csv"

Scorer = Callable[[np.ndarray], np.ndarray]


def main() -> None:
    arguments = _arguments()
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(60_000, WIDTH)).astype(np.float32)
    queries = rng.normal(size=(SCORED, WIDTH)).astype(np.float32)
    queries[:50] += 5
    _benchmark_kernel(rows, queries, arguments.rounds)
    _benchmark_requests(rows, queries)
    _benchmark_job(arguments.rounds)
    if arguments.seeds:
        _benchmark_quality(arguments.seeds)


# --- the kernel ----------------------------------------------------------------------------------


def _benchmark_kernel(rows: np.ndarray, queries: np.ndarray, rounds: int) -> None:
    labels = np.arange(len(queries)) < 50
    building = {name: (lambda b=b: b(rows, 0)) for name, b in _builders().items()}
    built = compare(building, rounds=rounds)
    for result in built:
        result.peak_mib = _peak(result.name, building[result.name])
    print(table(f"build {TREES} trees of {SAMPLES} x {WIDTH}", *built), flush=True)
    scorers: dict[str, Scorer] = {result.name: result.result for result in built}
    scoring = {name: (lambda s=s: s(queries)) for name, s in scorers.items()}
    scored = compare(scoring, rounds=rounds)
    for result in scored:
        result.quality["auc"] = auc(labels, result.result)
        result.peak_mib = _peak(result.name, scoring[result.name])
    print(table(f"score {len(queries)} rows", *scored))
    for peer in scored[1:]:
        _say_ratio(scored[0], peer)
    _benchmark_rrcf(rows, queries, scored[0])


def _peak(name: str, work: Callable[[], Any]) -> float:
    # krcf's threads do not live on in a forked process, which would wait for them.
    return float("nan") if "parallel" in name else peak_memory(work)


def _say_ratio(ours: Measurement, peer: Measurement) -> None:
    print(f"{peer.wall / ours.wall:.1f}x {peer.name} by wall, {peer.cpu / ours.cpu:.1f}x by CPU")


def _builders() -> dict[str, Callable[[np.ndarray, int], Scorer]]:
    builders: dict[str, Callable[[np.ndarray, int], Scorer]] = {"wildsage": ours}
    if _installed("krcf"):
        builders["krcf"] = krcf
        builders["krcf, parallel"] = krcf_parallel
    builders["IsolationForest"] = isolation_forest
    return builders


def ours(rows: np.ndarray, seed: int, samples: int = SAMPLES) -> Scorer:
    return RandomCutForest(TREES, samples, seed=seed).fit(rows).anomaly_score


def krcf(
    rows: np.ndarray,
    seed: int,
    samples: int = SAMPLES,
    *,
    parallel: bool = False,
    **more: Any,
) -> Scorer:
    """A forest of AWS's algorithm in Rust, over a stream of at most 10,000 rows."""
    options = {
        **more,
        "dimensions": rows.shape[1],
        "shingle_size": 1,
        "num_trees": TREES,
        "sample_size": samples,
        "random_seed": seed + 1,
        "output_after": 1,
        "parallel_execution_enabled": parallel,
        "internal_shingling": False,
        "bounding_box_cache_fraction": 1.0,
    }
    forest = import_module("krcf").RandomCutForest(options)
    for row in rows[:10_000]:
        forest.update(row)
    return lambda queries: np.array([forest.score(row) for row in queries])


def krcf_parallel(rows: np.ndarray, seed: int) -> Scorer:
    return krcf(rows, seed, parallel=True)


def krcf_even(rows: np.ndarray, seed: int, samples: int = SAMPLES) -> Scorer:
    return krcf(rows, seed, samples, **{"lambda": 1e-12})


def isolation_forest(rows: np.ndarray, seed: int, samples: int = SAMPLES) -> Scorer:
    from sklearn.ensemble import IsolationForest

    made = IsolationForest(n_estimators=TREES, max_samples=samples, random_state=seed).fit(rows)
    return lambda queries: -made.score_samples(queries)


def rrcf(rows: np.ndarray, seed: int, samples: int = SAMPLES) -> Scorer:
    """Robust random cut trees in Python: insert, measure the displacement, forget."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trees_module = import_module("rrcf")
    rng = np.random.default_rng(seed)
    np.random.seed(seed)
    chosen = [rng.choice(len(rows), min(samples, len(rows)), replace=False) for _ in range(TREES)]
    trees = [trees_module.RCTree(rows[each].astype(float)) for each in chosen]

    def score(queries: np.ndarray) -> np.ndarray:
        return np.array([sum(_displacement(tree, row) for tree in trees) for row in queries])

    return score


def _displacement(tree: Any, row: np.ndarray) -> float:
    tree.insert_point(row.astype(float), index="query")
    found = float(tree.codisp("query"))
    tree.forget_point("query")
    return found


def _benchmark_rrcf(rows: np.ndarray, queries: np.ndarray, mine: Measurement) -> None:
    if not _installed("rrcf"):
        return
    score = rrcf(rows, 0)
    wall, cpu = time.perf_counter(), cpu_seconds()
    score(queries[:RRCF_ROWS])
    times = len(queries) / RRCF_ROWS
    wall, cpu = (time.perf_counter() - wall) * times, (cpu_seconds() - cpu) * times
    print(f"rrcf would take {wall:.0f} s, {cpu:.0f} CPU s: {cpu / mine.cpu:.0f}x by CPU")


def _benchmark_requests(rows: np.ndarray, queries: np.ndarray, count: int = 1000) -> None:
    """One row a request."""
    for name, build in _builders().items():
        if name == "IsolationForest":
            continue
        score = build(rows, 0)
        wall, cpu = time.perf_counter(), cpu_seconds()
        for number in range(count):
            score(queries[number : number + 1])
        wall, cpu = time.perf_counter() - wall, cpu_seconds() - cpu
        print(f"one row, {name}: {1e6 * wall / count:.0f} us, {1e6 * cpu / count:.0f} CPU us")


# --- quality -------------------------------------------------------------------------------------


def _benchmark_quality(seeds: int) -> None:
    if not _installed("aeon"):
        print("\naeon is not installed: the series is left out")
        return
    peers: dict[str, Callable[[np.ndarray, int, int], Scorer]] = {"wildsage": ours}
    peers |= {"krcf": krcf, "krcf, even": krcf_even} if _installed("krcf") else {}
    peers["IsolationForest"] = isolation_forest
    print("\n### AUC, mean (deviation) over seeds; trained on the normal beginning | on all\n")
    normal, everything = series("TRAIN"), series("TEST")
    for window in WINDOWS:
        train, _ = windows(*normal, window)
        rows, labels = windows(*everything, window)
        for samples in (SAMPLES, 1024):
            found = {
                name: " | ".join(
                    _auc_text(build, t, rows, labels, samples, seeds) for t in (train, rows)
                )
                for name, build in peers.items()
            }
            print(f"window {window}, {samples} rows a tree: {found}", flush=True)
    _rrcf_quality(normal, everything, seeds)


def _auc_text(
    build: Callable[[np.ndarray, int, int], Scorer],
    train: np.ndarray,
    rows: np.ndarray,
    labels: np.ndarray,
    samples: int,
    seeds: int,
) -> str:
    found = [auc(labels, build(train, seed, samples)(rows)) for seed in range(seeds)]
    return f"{np.mean(found):.4f} ({np.std(found):.4f})"


def _rrcf_quality(normal: Any, everything: Any, seeds: int) -> None:
    if not _installed("rrcf"):
        return
    for window in WINDOWS[:2]:
        train, _ = windows(*normal, window)
        rows, labels = windows(*everything, window)
        shown = labels | (np.arange(len(labels)) % 10 == 0)
        for name, build in {"wildsage": ours, "rrcf": rrcf}.items():
            text = _auc_text(build, train, rows[shown], labels[shown], SAMPLES, min(seeds, 3))
            print(f"window {window}, one in ten windows, {name}: {text}", flush=True)


def series(part: str) -> tuple[np.ndarray, np.ndarray]:
    """The values and which of them are anomalous."""
    spec = find_spec("aeon")
    assert spec is not None and spec.origin is not None
    path = Path(spec.origin).parent / "datasets" / "data" / SERIES.format(part)
    with open(path, newline="") as file:
        lines = list(csv.DictReader(file))
    values = np.array([float(line["value"]) for line in lines], np.float32)
    return values, np.array([line["is_anomaly"] == "1" for line in lines])


def windows(values: np.ndarray, labels: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """A row for each window of values; anomalous where one of its values is."""
    view = np.lib.stride_tricks.sliding_window_view
    return np.ascontiguousarray(view(values, size)), view(labels, size).any(axis=1)


def auc(labels: np.ndarray, scores: np.ndarray) -> float:
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(labels, scores))


# --- the whole job -------------------------------------------------------------------------------


def _benchmark_job(rounds: int, count: int = 1_000_000) -> None:
    rows = np.random.default_rng(0).normal(size=(count, WIDTH)).astype(np.float32)
    content = recordio.encode(rows)
    contenders = {
        "job": lambda: _job(content),
        "fit in memory": lambda: RandomCutForest(TREES, SAMPLES).fit(rows),
    }
    results = compare(contenders, rounds=rounds)
    for result in results:
        result.peak_mib = peak_memory(contenders[result.name])
    title = f"the whole job, {count} x {WIDTH}, {len(content) >> 20} MiB"
    print(table(title, *results))


def _job(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        instance = Instance(Path(folder), {"feature_dim": str(WIDTH)})
        instance.add_channel("train", content, None, distribution="ShardedByS3Key")
        instance.run(registry.spec("randomcutforest"))


def _installed(name: str) -> bool:
    return find_spec(name) is not None


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seeds", type=int, default=5, help="0: leave quality out")
    return parser.parse_args()


if __name__ == "__main__":
    main()
