"""linear-learner beside scikit-learn: all 32 models with calibration, and one LogisticRegression.

    python benchmarks/algorithms/linear_learner.py [--rows 1000000] [--features 50] [--rounds 5]

Data: normal features of different means and scales, labels by a logistic model. The peer is
StandardScaler and LogisticRegression, one model, no calibration. The kernel is `fit` on an array in
memory; the job reads RecordIO-protobuf from a file, writes log and model, in this process.
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
from wildsage.algorithms.linear_learner import LinearLearner
from wildsage.formats import recordio


def main() -> None:
    arguments = _arguments()
    features, labels = data(arguments.rows, arguments.features)
    contenders = _contenders(features, labels)
    if arguments.peak:
        print_peak(contenders[arguments.peak[0]])
        return
    results = compare(contenders, rounds=arguments.rounds)
    for result in results:
        result.quality |= quality(result.result, features, labels)
    measure_peaks(results)
    _say_ratio(results)
    title = f"logistic, {arguments.rows} x {arguments.features}"
    print(table(title, *results), flush=True)
    if not arguments.skip_job:
        _benchmark_job(features, labels, arguments.rounds)


def _contenders(features: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    from sklearn.linear_model import LogisticRegression, SGDClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return {
        "32 models": lambda: LinearLearner().fit(features, labels),
        "LogisticRegression": lambda: make_pipeline(StandardScaler(), LogisticRegression()).fit(
            features, labels
        ),
        "SGDClassifier, 3 epochs": lambda: make_pipeline(
            StandardScaler(), SGDClassifier("log_loss", max_iter=3, tol=None, random_state=0)
        ).fit(features, labels),
    }


def _say_ratio(results: list[Measurement]) -> None:
    ours, peer = results[:2]
    worse = ours.quality["log loss"] - peer.quality["log loss"]
    print(f"\n{peer.wall / ours.wall:.2f}x one {peer.name}, log loss {worse:+.1e}")


def quality(model: Any, features: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    from sklearn.metrics import log_loss

    chance = np.asarray(model.predict_proba(features), np.float64)
    accuracy = float(np.mean(model.predict(features) == labels))
    return {"log loss": float(log_loss(labels, chance)), "accuracy": accuracy}


def _benchmark_job(features: np.ndarray, labels: np.ndarray, rounds: int) -> None:
    """The whole job on a file of RecordIO-protobuf, beside the same in memory."""
    with tempfile.TemporaryDirectory() as folder:
        instance = Instance(Path(folder), {"predictor_type": "binary_classifier"})
        instance.add_channel("train", recordio.encode(features, labels), None)
        contenders = {
            "job": lambda: instance.run(registry.spec("linear-learner")),
            "fit in memory": lambda: LinearLearner().fit(features, labels),
        }
        print(table("the whole job", *compare(contenders, rounds=rounds)), flush=True)


def data(rows: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    scaled = rng.standard_normal((rows, width), dtype=np.float32)
    scores = scaled @ (rng.standard_normal(width) * 2.7 / np.sqrt(width)).astype(np.float32)
    labels = rng.random(rows) < 1 / (1 + np.exp(-scores))
    scaled *= np.exp(rng.standard_normal(width)).astype(np.float32)
    scaled += rng.standard_normal(width).astype(np.float32)
    return scaled, labels.astype(np.float32)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--features", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--skip-job", action="store_true")
    add_peak(parser)
    return parser.parse_args()


if __name__ == "__main__":
    main()
