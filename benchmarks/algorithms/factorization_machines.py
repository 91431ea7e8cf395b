"""factorization-machines beside torch's Adam (and myFM), in one run.

    python -m benchmarks.algorithms.factorization_machines [--rows 450000] [--rounds 3] [--full]
        [--parts even popular job movielens] [--skip-peaks]

Clicks: rows of ten fields, one of 10,000 values each, drawn evenly or as popularity has it (Zipf);
labels by a machine of rank 4. A tenth is held out for the AUC. The peer is the same model in torch:
two embeddings of the same 16 factors, the same initial spread, the same epochs over the same rows,
the same loss, two threads. The learning rate is the one that gave the best AUC among 0.001, 0.002,
0.005, 0.01 and 0.02, to us and to Adam alike. What differs: our batches are of 1000 rows, our
default, torch's of 5000, where it is fastest (--full adds 1000); and torch's Adam steps every
weight in every batch, ours those that the batch touches, as torch's SparseAdam does, which is there
too. The kernel is `fit` on a matrix in memory; the job reads RecordIO-protobuf from a file, writes
log and model, in this process.

MovieLens-100k: users and items one-hot, 80 % for training; needs the package recbole, or its folder
`dataset_example/ml-100k` given by --movielens. myFM 0.4 imports pkg_resources, which it does not
ask for: it needs `setuptools<81` beside it.
"""

from __future__ import annotations

import argparse
import importlib.util
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.harness import add_peak, compare, measure_peaks, print_peak, table

from wildsage.algorithms import registry
from wildsage.algorithms.factorization_machines import FactorizationMachines
from wildsage.algorithms.instances import Instance
from wildsage.formats import recordio
from wildsage.formats.matrix import SparseMatrix

FIELDS, VALUES, RANK, FACTORS = 10, 10_000, 4, 16
WIDTH = FIELDS * VALUES
POPULARITY = {"even": 0.0, "popular": 1.0}
RATES = {"even": 0.002, "popular": 0.005}
PARTS = [*POPULARITY, "job", "movielens"]
MOVIELENS = {
    "epochs": 15,
    "mini_batch_size": 500,
    "factors_lr": 0.003,
    "linear_lr": 0.005,
    "bias_lr": 0.05,
    "factors_wd": 2e-4,
    "linear_wd": 1e-5,
    "bias_wd": 0.0,
    "factors_init_sigma": 0.02,
}

Data = tuple[np.ndarray, np.ndarray, np.ndarray]


def main() -> None:
    arguments = _arguments()
    if arguments.peak:
        title, name = arguments.peak
        return print_peak(_for_peak(title, arguments)[name])
    for part in arguments.parts:
        if part == "job":
            _benchmark_job(arguments)
        elif part == "movielens":
            _benchmark_movielens(arguments)
        else:
            _benchmark_clicks(part, arguments)
    return None


def _for_peak(title: str, arguments: argparse.Namespace) -> dict[str, Callable[[], Any]]:
    if title == "job":
        return _job_contenders(*_records(arguments.rows), arguments.epochs)
    columns, labels, _ = clicks(arguments.rows, POPULARITY[title])
    held = len(labels) // 10
    return _contenders(title, (columns[held:], labels[held:]), arguments)


# --- clicks --------------------------------------------------------------------------------------


def clicks(rows: int, exponent: float) -> Data:
    """Columns of values (rows, fields), labels, and the true scores."""
    rng = np.random.default_rng(0)
    chances = 1 / np.arange(1, VALUES + 1) ** exponent
    columns = np.empty((rows, FIELDS), np.int32)
    for field in range(FIELDS):
        drawn = rng.choice(VALUES, rows, p=chances / chances.sum())
        columns[:, field] = rng.permutation(VALUES)[drawn] + field * VALUES
    linear, factors = rng.normal(0, 0.7, WIDTH), rng.normal(0, 0.35, (WIDTH, RANK))
    sums, squares, scores = 0.0, 0.0, np.zeros(rows)
    for field in range(FIELDS):
        own = factors[columns[:, field]]
        sums, squares = sums + own, squares + own * own
        scores += linear[columns[:, field]]
    scores += (np.square(sums) - squares).sum(axis=1) / 2
    labels = rng.random(rows) < 1 / (1 + np.exp(-scores))
    return columns, labels.astype(np.float32), scores


def one_hot(columns: np.ndarray) -> SparseMatrix:
    indptr = np.arange(0, columns.size + 1, FIELDS, dtype=np.int64)
    ones = np.ones(columns.size, np.float32)
    return SparseMatrix(ones, columns.ravel(), indptr, (len(columns), WIDTH))


def _benchmark_clicks(title: str, arguments: argparse.Namespace) -> None:
    columns, labels, scores = clicks(arguments.rows, POPULARITY[title])
    held = len(labels) // 10
    train, test = (columns[held:], labels[held:]), (columns[:held], labels[:held])
    contenders = _contenders(title, train, arguments)
    results = compare(contenders, rounds=arguments.rounds)
    for result in results:
        result.quality["AUC"] = auc(test[1], result.result(test[0]))
        result.quality["rows/s"] = len(train[1]) * arguments.epochs / result.wall
        result.quality["rows/CPU-s"] = len(train[1]) * arguments.epochs / result.cpu
    if not arguments.skip_peaks:
        measure_peaks(results, title)
    best = auc(test[1], scores[:held])
    name = f"clicks, {title}: {len(train[1])} x {WIDTH}, {arguments.epochs} epochs"
    print(table(f"{name} (AUC of the true scores: {best:.4f})", *results), flush=True)


def _contenders(
    title: str, train: tuple[np.ndarray, np.ndarray], arguments: argparse.Namespace
) -> dict[str, Callable[[], Any]]:
    columns, labels = train
    rows, rate = one_hot(columns), RATES[title]
    contenders: dict[str, Callable[[], Any]] = {
        "wildsage": lambda: fit_ours(rows, labels, rate, arguments.epochs),
        "wildsage, batches of 5000": lambda: fit_ours(
            rows, labels, rate, arguments.epochs, size=5000
        ),
    }
    if importlib.util.find_spec("torch") is None:
        print("torch is not installed: it is left out")
        return contenders
    for size in (5000, 1000) if arguments.full else (5000,):
        for name in ("Adam", "SparseAdam"):
            contenders[f"torch {name}, batches of {size}"] = lambda name=name, size=size: fit_torch(
                columns, labels, rate, arguments.epochs, size, sparse=name == "SparseAdam"
            )
    return contenders


def fit_ours(
    rows: SparseMatrix, labels: np.ndarray, rate: float, epochs: int, size: int = 1000
) -> Any:
    machine = FactorizationMachines(
        FACTORS,
        epochs=epochs,
        mini_batch_size=size,
        factors_lr=rate,
        linear_lr=rate,
        linear_wd=1e-5,
        factors_init_sigma=0.01,
    )
    machine.fit(rows, labels)
    return lambda columns: machine.decision_function(one_hot(columns))


def fit_torch(
    columns: np.ndarray, labels: np.ndarray, rate: float, epochs: int, size: int, *, sparse: bool
) -> Callable[[np.ndarray], np.ndarray]:
    import torch

    torch.manual_seed(0)
    torch.set_num_threads(2)
    factors = torch.nn.Embedding(WIDTH, FACTORS, sparse=sparse)
    linear = torch.nn.EmbeddingBag(WIDTH, 1, mode="sum", sparse=sparse)
    torch.nn.init.normal_(factors.weight, std=0.01)
    torch.nn.init.normal_(linear.weight, std=0.01)
    bias, weights = torch.nn.Parameter(torch.zeros(1)), [factors.weight, linear.weight]
    optimizers: list[Any] = [torch.optim.Adam([bias, *(() if sparse else weights)], lr=rate)]
    if sparse:
        optimizers.append(torch.optim.SparseAdam(weights, lr=rate))
    loss = torch.nn.BCEWithLogitsLoss()

    def score(rows: Any) -> Any:
        own = factors(rows)
        pairs = (own.sum(1).square() - own.square().sum(1)).sum(1) / 2
        return bias + linear(rows)[:, 0] + pairs

    inputs, targets = torch.from_numpy(columns.astype(np.int64)), torch.from_numpy(labels)
    for _ in range(epochs):
        for part in torch.randperm(len(targets)).split(size):
            for optimizer in optimizers:
                optimizer.zero_grad()
            loss(score(inputs[part]), targets[part]).backward()
            for optimizer in optimizers:
                optimizer.step()

    def answer(rows: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return np.asarray(score(torch.from_numpy(rows.astype(np.int64))).numpy())

    return answer


def auc(labels: np.ndarray, scores: np.ndarray) -> float:
    ranks = np.empty(len(scores))
    ranks[np.argsort(scores, kind="stable")] = np.arange(1, len(scores) + 1)
    positives = int((labels > 0.5).sum())
    above = ranks[labels > 0.5].sum() - positives * (positives + 1) / 2
    return float(above / (positives * (len(labels) - positives)))


# --- the whole job -------------------------------------------------------------------------------


def _benchmark_job(arguments: argparse.Namespace) -> None:
    content, rows, labels = _records(arguments.rows)
    results = compare(
        _job_contenders(content, rows, labels, arguments.epochs), rounds=arguments.rounds
    )
    for result in results:
        result.quality["rows/s"] = len(labels) * arguments.epochs / result.wall
    if not arguments.skip_peaks:
        measure_peaks(results, "job")
    title = f"the whole job: {len(content) >> 20} MiB of records, {arguments.epochs} epochs"
    print(table(title, *results), flush=True)


def _records(count: int) -> tuple[bytes, SparseMatrix, np.ndarray]:
    columns, labels, _ = clicks(count, POPULARITY["popular"])
    rows = one_hot(columns)
    return recordio.encode(rows, labels), rows, labels


def _job_contenders(
    content: bytes, rows: SparseMatrix, labels: np.ndarray, epochs: int
) -> dict[str, Callable[[], Any]]:
    return {
        "job": lambda: _job(content, epochs),
        "fit in memory": lambda: fit_ours(rows, labels, RATES["popular"], epochs),
    }


def _job(content: bytes, epochs: int) -> None:
    given = {
        "feature_dim": str(WIDTH),
        "num_factors": str(FACTORS),
        "predictor_type": "binary_classifier",
        "epochs": str(epochs),
        "factors_lr": str(RATES["popular"]),
        "linear_lr": str(RATES["popular"]),
    }
    with tempfile.TemporaryDirectory() as folder:
        instance = Instance(Path(folder), given)
        instance.add_channel("train", content, None)
        instance.run(registry.spec("factorization-machines"))


# --- MovieLens -----------------------------------------------------------------------------------


def _benchmark_movielens(arguments: argparse.Namespace) -> None:
    folder = arguments.movielens or _packaged_movielens()
    if folder is None:
        print("\nMovieLens-100k is left out: install recbole (--no-deps), or give --movielens")
        return
    ratings = np.loadtxt(Path(folder) / "ml-100k.inter", skiprows=1)
    users = np.unique(ratings[:, 0], return_inverse=True)[1]
    items = np.unique(ratings[:, 1], return_inverse=True)[1] + users.max() + 1
    pairs, width = np.column_stack([users, items]).astype(np.int32), int(items.max()) + 1
    indptr = np.arange(0, pairs.size + 1, 2, dtype=np.int64)
    rows = SparseMatrix(np.ones(pairs.size, np.float32), pairs.ravel(), indptr, (len(pairs), width))
    stars = ratings[:, 2].astype(np.float32)
    order = np.random.default_rng(0).permutation(len(stars))
    test, train = order[: len(order) // 5], order[len(order) // 5 :]
    contenders = _movielens_contenders(rows.take(train), stars[train], rows.take(test))
    results = compare(contenders, rounds=arguments.rounds)
    for result in results:
        answer = np.clip(result.result, 1, 5)
        result.quality["test RMSE"] = float(np.sqrt(np.mean((answer - stars[test]) ** 2)))
    print(table("MovieLens-100k, users and items, 80 % for training", *results), flush=True)


def _movielens_contenders(
    train: SparseMatrix, stars: np.ndarray, test: SparseMatrix
) -> dict[str, Callable[[], Any]]:
    contenders: dict[str, Callable[[], Any]] = {
        "wildsage": lambda: (
            FactorizationMachines(FACTORS, "regressor", **MOVIELENS).fit(train, stars).predict(test)
        )
    }
    try:
        import myfm
    except ImportError as error:  # it needs setuptools < 81
        print(f"\nmyfm is left out: {error}")
        return contenders

    def fit_myfm() -> np.ndarray:
        machine = myfm.MyFMRegressor(rank=FACTORS, random_seed=0)
        machine.fit(train.to_scipy(), stars, n_iter=200)
        return np.asarray(machine.predict(test.to_scipy()))

    contenders["myFM (Gibbs, 200 iterations)"] = fit_myfm
    return contenders


def _packaged_movielens() -> Path | None:
    found = importlib.util.find_spec("recbole")
    if found is None or found.origin is None:
        return None
    return Path(found.origin).parent / "dataset_example" / "ml-100k"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=450_000)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--skip-peaks", action="store_true", help="measure no memory")
    parser.add_argument("--full", action="store_true", help="torch's small batches, too")
    add_peak(parser)
    parser.add_argument("--movielens", help="the folder of ml-100k.inter")
    return parser.parse_args()


if __name__ == "__main__":
    main()
