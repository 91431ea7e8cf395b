"""kmeans beside scikit-learn's MiniBatchKMeans (and KMeans), in one run.

    python benchmarks/algorithms/kmeans.py [--k 10 100] [--rounds 3] [--full]

Data: 60,000 images of 28 x 28, warped at random out of the digits that scikit-learn ships, and
60,000 points in 150 overlapping clouds of 784 dimensions. The kernel is `fit` on an array in
memory; the job reads RecordIO-protobuf from a file and writes log and model, in this process.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
import numpy as np
from harness import Measurement, add_peak, compare, measure_peaks, print_peak, table

from wildsage.algorithms import registry
from wildsage.algorithms.instances import Instance
from wildsage.algorithms.kmeans import KMeans
from wildsage.formats import recordio

ROWS, SIDE, BATCH = 60_000, 28, 5000


def main() -> None:
    arguments = _arguments()
    if arguments.peak:
        title, k, name = arguments.peak
        return print_peak(_contenders(DATA[title](), int(k), full=True)[name])
    for title, make in DATA.items():
        rows = make()
        for k in arguments.k:
            contenders = _contenders(rows, k, full=arguments.full)
            results = compare(contenders, rounds=arguments.rounds)
            for result in results:
                result.quality["msd"] = msd(rows, result.result)
            measure_peaks(results, title, str(k))
            _say_ratio(results)
            print(table(f"{title}, {ROWS} x {rows.shape[1]}, k={k}", *results), flush=True)
    return _benchmark_job(arguments)


def _contenders(rows: np.ndarray, k: int, *, full: bool) -> dict[str, Any]:
    from sklearn.cluster import KMeans as ExactKMeans
    from sklearn.cluster import MiniBatchKMeans

    contenders: dict[str, Any] = {
        "wildsage": lambda: KMeans(k).fit(rows).cluster_centers_,
        "MiniBatchKMeans": lambda: (
            MiniBatchKMeans(k, batch_size=BATCH, random_state=0).fit(rows).cluster_centers_
        ),
        "MiniBatchKMeans, one epoch": lambda: (
            MiniBatchKMeans(k, batch_size=BATCH, max_iter=1, random_state=0)
            .fit(rows)
            .cluster_centers_
        ),
    }
    if full:
        exact = ExactKMeans(k, n_init=1, max_iter=20, random_state=0)
        contenders["KMeans, 20 iterations"] = lambda: exact.fit(rows).cluster_centers_
    return contenders


def _say_ratio(results: list[Measurement]) -> None:
    ours, peer = results[:2]
    worse = 100 * (ours.quality["msd"] / peer.quality["msd"] - 1)
    print(f"\n{peer.wall / ours.wall:.1f}x {peer.name}, msd {worse:+.2f} %")


def _benchmark_job(arguments: argparse.Namespace) -> None:
    """The whole job on a file of RecordIO-protobuf, beside the same in memory."""
    rows = digits()
    content = recordio.encode(rows)
    for k in arguments.k:
        results = compare(
            {"job": lambda k=k: _job(content, k), "fit in memory": lambda k=k: KMeans(k).fit(rows)},
            rounds=arguments.rounds,
        )
        print(table(f"the whole job, k={k}", *results), flush=True)


def _job(content: bytes, k: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        instance = Instance(Path(folder), {"k": str(k), "feature_dim": str(SIDE * SIDE)})
        instance.add_channel("train", content, None)
        instance.run(registry.spec("kmeans"))


def digits(count: int = ROWS) -> np.ndarray:
    """Images turned, stretched, slanted and moved a little."""
    from scipy.ndimage import affine_transform, zoom
    from sklearn.datasets import load_digits

    rng = np.random.default_rng(0)
    originals = [zoom(image, SIDE / 8, order=1) * 16 for image in load_digits().images]
    images = np.empty((count, SIDE * SIDE), np.float32)
    middle = np.full(2, (SIDE - 1) / 2)
    for number in range(count):
        angle, scale = rng.normal(0, 0.15), 1 + rng.normal(0, 0.1)
        cosine, sine = np.cos(angle) * scale, np.sin(angle) * scale
        matrix = np.array([[cosine, -sine + rng.normal(0, 0.1)], [sine, cosine]])
        offset = middle - matrix @ (middle + rng.normal(0, 1.2, 2))
        image = originals[rng.integers(len(originals))]
        images[number] = affine_transform(image, matrix, offset=offset, order=1).ravel()
    return images


def clouds(count: int = ROWS, dimensions: int = 784, centers: int = 150) -> np.ndarray:
    rng = np.random.default_rng(0)
    middles = rng.normal(size=(centers, dimensions)).astype(np.float32)
    chosen = rng.choice(centers, count, p=rng.dirichlet(np.full(centers, 2)))
    noise = rng.normal(size=(count, dimensions)).astype(np.float32)
    noise *= np.float32(0.577)
    noise += middles[chosen]
    return noise


DATA = {"digits": digits, "clouds": clouds}


def msd(rows: np.ndarray, centers: np.ndarray) -> float:
    """The mean squared distance to the nearest center."""
    centers = np.asarray(centers, np.float32)
    total = 0.0
    for begin in range(0, len(rows), BATCH):
        part = rows[begin : begin + BATCH]
        nearest = ((centers**2).sum(axis=1) - 2 * part @ centers.T).min(axis=1)
        total += float(((part**2).sum(axis=1) + nearest).sum(dtype=np.float64))
    return total / len(rows)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--k", type=int, nargs="+", default=[10, 100])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--full", action="store_true", help="also run scikit-learn's KMeans")
    add_peak(parser)
    return parser.parse_args()


if __name__ == "__main__":
    main()
