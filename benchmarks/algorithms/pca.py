"""pca beside scikit-learn's IncrementalPCA, PCA and randomized_svd, in one run.

    python benchmarks/algorithms/pca.py [--parts regular job randomized wide few] [--rounds 3]
        [--scale 1.0]

`regular`: 60,000 x 784 of images warped out of the digits that scikit-learn ships, to 50
components; `job`: the same as a whole job, which reads RecordIO-protobuf and writes log and model,
in this process. `randomized`: 1,000,000 x 200 with a slowly falling spectrum, to 10. `wide`:
6,000 x 3,000 and `few`: 1,000 x 4,000 of the same kind, to 50, in regular mode. The kernel is `fit`
on an array in memory. `captured` is the variance of the rows along the components, taken from the
rows. One BLAS thread each, unless OPENBLAS_NUM_THREADS says otherwise: with several on a busy
machine the peers are slower. Takes about two minutes in all.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent))
# Before NumPy is imported: with more, the peers take up to ten times as many CPU seconds.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
import numpy as np
from harness import Measurement, add_peak, compare, measure_peaks, print_peak, table
from kmeans import digits

from wildsage.algorithms import registry
from wildsage.algorithms.instances import Instance
from wildsage.algorithms.pca import PCA
from wildsage.formats import recordio

Contenders = dict[str, Callable[[], np.ndarray]]
ROWS_AT_ONCE = 5000


def main() -> None:
    arguments = _arguments()
    if arguments.peak:
        part, file, name = arguments.peak
        return print_peak(CONTENDERS[part](np.load(file))[name])
    for part in arguments.parts:
        _compare(part, DATA[part](arguments.scale), arguments.rounds)
    return None


def _compare(part: str, rows: np.ndarray, rounds: int) -> None:
    contenders = CONTENDERS[part](rows)
    results = compare(contenders, rounds, warmups=0)
    for result in results:
        result.quality["captured"] = captured(rows, result.result)
    with tempfile.NamedTemporaryFile(suffix=".npy") as file:
        np.save(file, rows)
        file.flush()
        measure_peaks(results, part, file.name)
    size = f"{len(rows)} x {rows.shape[1]} to {len(results[0].result)}"
    print(table(f"{part}, {size}", *results), flush=True)
    _say_ratio(results)


# --- what is compared ----------------------------------------------------------------------------


def _regular(rows: np.ndarray) -> Contenders:
    from sklearn.decomposition import IncrementalPCA

    return {
        "wildsage": lambda: PCA(50).fit(rows).components_,
        "IncrementalPCA(500)": lambda: IncrementalPCA(50, batch_size=500).fit(rows).components_,
        "PCA, covariance_eigh": _peer(rows, "covariance_eigh"),
    }


def _peer(rows: np.ndarray, solver: str) -> Callable[[], np.ndarray]:
    from sklearn.decomposition import PCA as PeerPCA

    return lambda: PeerPCA(50, svd_solver=solver).fit(rows).components_


def _job(rows: np.ndarray) -> Contenders:
    content = recordio.encode(rows)
    return {
        "job": partial(_run, content),
        "fit in memory": lambda: PCA(50).fit(rows).components_,
    }


def _run(content: bytes) -> np.ndarray:
    given = {"feature_dim": "784", "num_components": "50", "mini_batch_size": "500"}
    with tempfile.TemporaryDirectory() as folder:
        instance = Instance(Path(folder), given)
        instance.add_channel("train", content, None)
        instance.run(registry.spec("pca"))
        with np.load(instance.paths.model / "model_algo-1") as arrays:
            vectors: np.ndarray = arrays["v"]
            return vectors.T


def _randomized(rows: np.ndarray) -> Contenders:
    from sklearn.utils.extmath import randomized_svd

    def peer() -> np.ndarray:
        found: np.ndarray = randomized_svd(rows - rows.mean(axis=0), 10, random_state=0)[2]
        return found

    def ours(extra_components: int = -1) -> np.ndarray:
        model = PCA(10, algorithm_mode="randomized", extra_components=extra_components)
        return model.fit(rows).components_

    sketched = partial(ours, extra_components=5)
    return {
        "wildsage": ours,
        "randomized_svd": peer,
        "wildsage, extra_components=5": sketched,
    }


def _few(rows: np.ndarray) -> Contenders:
    return {
        "wildsage": lambda: PCA(50).fit(rows).components_,
        "PCA, full": _peer(rows, "full"),
    }


def _say_ratio(results: list[Measurement]) -> None:
    ours, peer = results[:2]
    more = 100 * (ours.quality["captured"] / peer.quality["captured"] - 1)
    print(
        f"\n{peer.wall / ours.wall:.1f}x {peer.name} in wall time, {peer.cpu / ours.cpu:.1f}x in "
        f"CPU seconds, captured variance {more:+.4f} %",
        flush=True,
    )


# --- data ----------------------------------------------------------------------------------------


def falling(count: int, width: int) -> np.ndarray:
    """Rows whose variance falls as 1/i from direction to direction, away from the origin."""
    rng = np.random.default_rng(0)
    scales = (1 / np.sqrt(np.arange(1, width + 1))).astype(np.float32)
    mirror = rng.standard_normal(width, dtype=np.float32)
    mirror /= np.linalg.norm(mirror)
    rows = np.empty((count, width), np.float32)
    for begin in range(0, count, ROWS_AT_ONCE):
        part = rows[begin : begin + ROWS_AT_ONCE]
        rng.standard_normal(dtype=np.float32, out=part)
        part *= scales
        part -= 2 * np.outer(part @ mirror, mirror)
        part += 1
    return rows


DATA: dict[str, Callable[[float], np.ndarray]] = {
    "regular": lambda scale: digits(int(60_000 * scale)),
    "job": lambda scale: digits(int(60_000 * scale)),
    "randomized": lambda scale: falling(int(1_000_000 * scale), 200),
    "wide": lambda scale: falling(int(6000 * scale), 3000),
    "few": lambda scale: falling(max(100, int(1000 * scale)), 4000),
}
CONTENDERS: dict[str, Callable[[np.ndarray], Contenders]] = {
    "regular": _regular,
    "job": _job,
    "randomized": _randomized,
    "wide": _regular,
    "few": _few,
}


def captured(rows: np.ndarray, components: np.ndarray) -> float:
    """The variance of the rows along the components."""
    basis = np.linalg.qr(np.asarray(components, np.float64).T)[0].astype(np.float32)
    mean = rows.mean(axis=0, dtype=np.float64).astype(np.float32)
    parts = (
        (rows[begin : begin + ROWS_AT_ONCE] - mean) @ basis
        for begin in range(0, len(rows), ROWS_AT_ONCE)
    )
    return sum(float(np.square(part, dtype=np.float64).sum()) for part in parts) / len(rows)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parts", nargs="+", choices=DATA, default=list(DATA))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--scale", type=float, default=1.0, help="share of the rows")
    add_peak(parser)
    return parser.parse_args()


if __name__ == "__main__":
    main()
