"""randomcutforest beside krcf, rrcf and scikit-learn's IsolationForest, in one run.

    python -m benchmarks.algorithms.randomcutforest [--only kernel requests job series nab]
        [--rounds 3] [--seeds 1] [--windows 8 16 32 64] [--nab FOLDER]

Kernel: 100 trees of 256 rows of a normal cloud in 10 dimensions; 10,000 rows are scored, 50 of them
far away. rrcf takes minutes for that and scores `RRCF_ROWS` of them; its times are multiplied. The
whole job reads RecordIO-protobuf from a file and writes log and model, in this process.

Quality is the area under the ROC curve of windows of values, over seeds: of the internal bleeding
series of the UCR archive (in the package aeon), whose first 1200 values are known to be normal; and
of the 52 labelled series of Numenta's benchmark, a checkout of which is given by --nab, where 15 %
are the beginning. krcf forgets old rows, and with them the anomaly, where it is trained on the
whole series; "even" does not. rrcf is shown one in ten of the normal windows of UCR's, in
`--only rrcf`. Peers that are not installed are left out; rrcf needs setuptools<81.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
import numpy as np
from harness import (
    Measurement,
    add_peak,
    compare,
    cpu_seconds,
    measure_peaks,
    print_peak,
    table,
)

from wildsage.algorithms import registry
from wildsage.algorithms.instances import Instance
from wildsage.algorithms.randomcutforest import RandomCutForest
from wildsage.formats import recordio

TREES, SAMPLES, WIDTH, SCORED = 100, 256, 10, 10_000
RRCF_ROWS = 50
JOB_ROWS = 1_000_000
STREAMED = 10_000  # rows that krcf sees; more take as long each
WINDOWS = [8, 16, 32, 64]
SERIES = "KDD-TSAD_135/135_UCR_Anomaly_InternalBleeding16_{}.csv"

Scorer = Callable[[np.ndarray], np.ndarray]
Builder = Callable[..., Scorer]
Found = dict[tuple[str, str], list[list[float]]]


def main() -> None:
    arguments = _arguments()
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(60_000, WIDTH)).astype(np.float32)
    queries = rng.normal(size=(SCORED, WIDTH)).astype(np.float32)
    queries[:50] += 5
    if arguments.peak:
        return _print_peak(*arguments.peak, rows, queries)
    parts: dict[str, Callable[[], None]] = {
        "kernel": lambda: _benchmark_kernel(rows, queries, arguments.rounds),
        "requests": lambda: _benchmark_requests(rows, queries),
        "job": lambda: _benchmark_job(arguments.rounds),
        "series": lambda: _benchmark_series(arguments.seeds, arguments.windows),
        "rrcf": lambda: _rrcf_quality(arguments.seeds),
        "nab": lambda: _benchmark_nab(arguments.nab, arguments.seeds, arguments.windows),
    }
    for part in arguments.only:
        parts[part]()
    return None


# --- the kernel ----------------------------------------------------------------------------------


def _benchmark_kernel(rows: np.ndarray, queries: np.ndarray, rounds: int) -> None:
    labels = np.arange(len(queries)) < 50
    built = compare({name: (lambda b=b: b(rows, 0)) for name, b in _builders().items()}, rounds)
    measure_peaks(built, "build")
    print(table(f"build {TREES} trees of {SAMPLES} x {WIDTH}", *built), flush=True)
    scorers: dict[str, Scorer] = {result.name: result.result for result in built}
    scored = compare({name: (lambda s=s: s(queries)) for name, s in scorers.items()}, rounds)
    for result in scored:
        result.quality["auc"] = auc(labels, result.result)
    measure_peaks(scored, "score")
    print(table(f"score {len(queries)} rows", *scored))
    for peer in scored[1:]:
        _say_ratio(scored[0], peer)
    _benchmark_rrcf(rows, queries, scored[0])


def _print_peak(title: str, name: str, rows: np.ndarray, queries: np.ndarray) -> None:
    """What is loaded and compiled by a first, small run does not count."""
    if title == "job":
        for work in _jobs(10_000).values():
            work()
        return print_peak(_jobs(JOB_ROWS)[name])
    build = _builders()[name]
    score = build(rows[:2000], 0)
    score(queries[:100])
    if title == "build":
        return print_peak(lambda: build(rows, 0))
    score = build(rows, 0)
    return print_peak(lambda: score(queries))


def _say_ratio(ours: Measurement, peer: Measurement) -> None:
    print(f"{peer.wall / ours.wall:.1f}x {peer.name} by wall, {peer.cpu / ours.cpu:.1f}x by CPU")


def _builders() -> dict[str, Callable[[np.ndarray, int], Scorer]]:
    builders: dict[str, Callable[[np.ndarray, int], Scorer]] = {"wildsage": ours}
    if _installed("krcf"):
        builders["krcf"] = lambda rows, seed: krcf(rows[:STREAMED], seed)
        builders["krcf, parallel"] = lambda rows, seed: krcf(rows[:STREAMED], seed, parallel=True)
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
    """A forest of AWS's algorithm in Rust, over a stream of rows."""
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
    for row in rows:
        forest.update(row)
    return lambda queries: np.array([forest.score(row) for row in queries])


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


def _contenders() -> dict[str, Builder]:
    peers: dict[str, Builder] = {"wildsage": ours}
    peers |= {"krcf": krcf, "krcf, even": krcf_even} if _installed("krcf") else {}
    return {**peers, "IsolationForest": isolation_forest}


def _benchmark_series(seeds: int, sizes: list[int]) -> None:
    if not _installed("aeon"):
        print("\naeon is not installed: its series is left out")
        return
    normal, everything = series("TRAIN"), series("TEST")
    found: Found = {}
    for size in sizes:
        train, _ = windows(*normal, size)
        rows, labels = windows(*everything, size)
        for samples in (SAMPLES, 1024):
            for name, build in _contenders().items():
                for part, learned in (("the beginning", train), ("all", rows)):
                    areas = _areas(build, learned, rows, labels, samples, seeds)
                    found.setdefault((name, part), []).append(areas)
            _say_areas(f"window {size}, {samples} rows a tree", found, last=True)
    _say_areas(f"the internal bleeding series, windows {sizes}", found)


def _benchmark_nab(folder: Path | None, seeds: int, sizes: list[int]) -> None:
    if folder is None:
        print("\nNumenta's benchmark is left out: give the folder of a checkout by --nab")
        return
    for size in sizes:
        found: Found = {}
        for values, marks in nab_series(folder):
            rows, labels = windows(values, marks, size)
            beginning = rows[: max(300, int(0.15 * len(rows)))]
            for name, build in _contenders().items():
                for part, learned in (("the beginning", beginning), ("all", rows)):
                    areas = _areas(build, learned, rows, labels, SAMPLES, seeds)
                    found.setdefault((name, part), []).append(areas)
        _say_areas(f"Numenta's {len(found['wildsage', 'all'])} series, windows of {size}", found)


def _areas(
    build: Builder,
    train: np.ndarray,
    rows: np.ndarray,
    labels: np.ndarray,
    samples: int,
    seeds: int,
) -> list[float]:
    return [auc(labels, build(train, seed, samples)(rows)) for seed in range(seeds)]


def _say_areas(title: str, found: Found, *, last: bool = False) -> None:
    """The mean over settings, and the deviation of that mean over seeds."""
    print(f"\n{title}: area under the curve by what was trained on")
    for (name, part), areas in found.items():
        by_seed = np.mean(areas[-1:] if last else areas, axis=0)
        print(f"  {name}, {part}: {by_seed.mean():.4f} ({by_seed.std():.4f})", flush=True)


def _rrcf_quality(seeds: int) -> None:
    if not (_installed("rrcf") and _installed("aeon")):
        print("\nrrcf or aeon is not installed: left out")
        return
    normal, everything = series("TRAIN"), series("TEST")
    for size in WINDOWS[:2]:
        train, _ = windows(*normal, size)
        rows, labels = windows(*everything, size)
        shown = labels | (np.arange(len(labels)) % 10 == 0)
        found: Found = {}
        for name, build in {"wildsage": ours, "rrcf": rrcf}.items():
            areas = _areas(build, train, rows[shown], labels[shown], SAMPLES, seeds)
            found[name, "the beginning"] = [areas]
        _say_areas(f"window {size}, one in ten windows", found)


def nab_series(folder: Path) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Numenta's series that have anomalies: values, and which are in a labelled stretch."""
    stretches = json.loads((folder / "labels" / "combined_windows.json").read_text())
    for name, bounds in sorted(stretches.items()):
        with open(folder / "data" / name, newline="") as file:
            lines = list(csv.DictReader(file))
        times = np.array([line["timestamp"] for line in lines])
        marks = np.zeros(len(lines), bool)
        for begin, end in bounds:
            marks |= (times >= begin[:19]) & (times <= end[:19])
        if marks.any():
            yield np.array([float(line["value"]) for line in lines], np.float32), marks


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


def _benchmark_job(rounds: int) -> None:
    results = compare(_jobs(JOB_ROWS), rounds)
    measure_peaks(results, "job")
    print(table(f"the whole job, {JOB_ROWS} x {WIDTH}", *results), flush=True)


def _jobs(count: int) -> dict[str, Callable[[], Any]]:
    rows = np.random.default_rng(0).normal(size=(count, WIDTH)).astype(np.float32)
    content = recordio.encode(rows)
    return {
        "job": lambda: _job(content),
        "fit in memory": lambda: RandomCutForest(TREES, SAMPLES).fit(rows),
    }


def _job(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        instance = Instance(Path(folder), {"feature_dim": str(WIDTH)})
        instance.add_channel("train", content, None, distribution="ShardedByS3Key")
        instance.run(registry.spec("randomcutforest"))


def _installed(name: str) -> bool:
    return find_spec(name) is not None


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parts = ["kernel", "requests", "job", "series", "nab", "rrcf"]
    parser.add_argument("--only", nargs="+", choices=parts, default=parts[:5])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--windows", type=int, nargs="+", default=WINDOWS)
    parser.add_argument("--nab", type=Path, help="a checkout of Numenta's benchmark")
    add_peak(parser)
    return parser.parse_args()


if __name__ == "__main__":
    main()
