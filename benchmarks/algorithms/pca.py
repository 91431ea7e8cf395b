"""pca beside scikit-learn's IncrementalPCA, PCA and randomized_svd, in one run.

    python -m benchmarks.algorithms.pca [--rounds 3] [--scale 1.0]

Regular mode: 60,000 x 784 of images warped out of the digits that scikit-learn ships, to 50
components. Randomized mode: 1,000,000 x 200 with a slowly falling spectrum, to 10. The kernel is
`fit` on an array in memory; the job reads RecordIO-protobuf and writes log and model, in
this process. `captured` is the variance of the rows along the components, taken from the rows.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent))
import numpy as np
from harness import Measurement, compare, peak_memory, table
from kmeans import digits

from wildsage.algorithms import registry
from wildsage.algorithms.instances import Instance
from wildsage.algorithms.pca import PCA
from wildsage.formats import recordio

Contenders = dict[str, Callable[[], np.ndarray]]
PART = 5000


def main() -> None:
    arguments = _arguments()
    images = digits(int(60_000 * arguments.scale))
    _compare("regular", images, regular(images, 50), arguments.rounds)
    _compare_job(images, 50, arguments.rounds)
    del images
    rows = falling(int(1_000_000 * arguments.scale), 200)
    _compare("randomized", rows, randomized(rows, 10), arguments.rounds)


def regular(rows: np.ndarray, k: int) -> Contenders:
    from sklearn.decomposition import PCA as PeerPCA
    from sklearn.decomposition import IncrementalPCA

    return {
        "wildsage": lambda: PCA(k).fit(rows).components_,
        "IncrementalPCA(500)": lambda: IncrementalPCA(k, batch_size=500).fit(rows).components_,
        "PCA, covariance_eigh": lambda: (
            PeerPCA(k, svd_solver="covariance_eigh").fit(rows).components_
        ),
    }


def randomized(rows: np.ndarray, k: int) -> Contenders:
    from sklearn.utils.extmath import randomized_svd

    def peer() -> np.ndarray:
        found: np.ndarray = randomized_svd(rows - rows.mean(axis=0), k, random_state=0)[2]
        return found

    def ours(**settings: int) -> Callable[[], np.ndarray]:
        mode = "randomized"
        return lambda: PCA(k, algorithm_mode=mode, **settings).fit(rows).components_

    return {
        "wildsage": ours(),
        "randomized_svd": peer,
        "wildsage, extra_components=5": ours(extra_components=5),
    }


def _compare(title: str, rows: np.ndarray, contenders: Contenders, rounds: int) -> None:
    results = compare(contenders, rounds=rounds, warmups=0 if rounds == 1 else 1)
    for result in results:
        result.quality["captured"] = captured(rows, result.result)
        result.peak_mib = peak_memory(contenders[result.name])
    size = f"{len(rows)} x {rows.shape[1]} to {len(results[0].result)}"
    print(table(f"{title}, {size}", *results), flush=True)
    _say_ratio(results)


def _say_ratio(results: list[Measurement]) -> None:
    ours, peer = results[:2]
    more = 100 * (ours.quality["captured"] / peer.quality["captured"] - 1)
    print(
        f"\n{peer.wall / ours.wall:.1f}x {peer.name} in wall time, {peer.cpu / ours.cpu:.1f}x in "
        f"CPU seconds, captured variance {more:+.4f} %",
        flush=True,
    )


def _compare_job(rows: np.ndarray, k: int, rounds: int) -> None:
    """The whole job on a file of RecordIO-protobuf, beside the same in memory."""
    content = recordio.encode(rows)
    results = compare(
        {
            "job": lambda: _job(content, rows.shape[1], k),
            "fit in memory": lambda: PCA(k).fit(rows),
        },
        rounds=rounds,
    )
    print(table("the whole job", *results), flush=True)


def _job(content: bytes, width: int, k: int) -> None:
    given = {"feature_dim": str(width), "num_components": str(k), "mini_batch_size": "500"}
    with tempfile.TemporaryDirectory() as folder:
        instance = Instance(Path(folder), given)
        instance.add_channel("train", content, None)
        instance.run(registry.spec("pca"))


def falling(count: int, width: int) -> np.ndarray:
    """Rows whose variance falls as 1/i from direction to direction, away from the origin."""
    rng = np.random.default_rng(0)
    turned = np.linalg.qr(rng.normal(size=(width, width)))[0].astype(np.float32)
    turned *= (1 / np.sqrt(np.arange(1, width + 1))).astype(np.float32)[:, None]
    rows = np.empty((count, width), np.float32)
    for begin in range(0, count, PART):
        part = rows[begin : begin + PART]
        np.matmul(rng.standard_normal(part.shape, dtype=np.float32), turned, out=part)
    rows += 1
    return rows


def captured(rows: np.ndarray, components: np.ndarray) -> float:
    """The variance of the rows along the components."""
    basis = np.linalg.qr(np.asarray(components, np.float64).T)[0].astype(np.float32)
    mean = rows.mean(axis=0, dtype=np.float64).astype(np.float32)
    parts = ((rows[begin : begin + PART] - mean) @ basis for begin in range(0, len(rows), PART))
    return sum(float(np.square(part, dtype=np.float64).sum()) for part in parts) / len(rows)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--scale", type=float, default=1.0, help="share of the rows")
    return parser.parse_args()


if __name__ == "__main__":
    main()
