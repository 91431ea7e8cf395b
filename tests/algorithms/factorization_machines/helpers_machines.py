"""Data with known answers, the model written out in plain NumPy, and jobs in this process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wildsage.algorithms import registry
from wildsage.algorithms.factorization_machines.model import FactorizationModel
from wildsage.algorithms.instances import Instance
from wildsage.formats import recordio
from wildsage.formats.matrix import SparseMatrix

Array = NDArray[Any]
SPEC = registry.spec("factorization-machines")
FIELDS, VALUES = 3, 6
WIDTH = FIELDS * VALUES


def defaults(**changes: Any) -> dict[str, Any]:
    """Typed hyperparameters."""
    raw: dict[str, Any] = {
        "feature_dim": WIDTH,
        "num_factors": 4,
        "predictor_type": "regressor",
        "mini_batch_size": 20,
    }
    return SPEC.validate({name: str(value) for name, value in (raw | changes).items()})


def interacting(rows: int = 400, seed: int = 0) -> tuple[Array, Array]:
    """One value of each field per row; the label is a factorization machine's score."""
    rng = np.random.default_rng(seed)
    chosen = rng.integers(0, VALUES, (rows, FIELDS)) + np.arange(FIELDS) * VALUES
    table = np.zeros((rows, WIDTH), np.float32)
    table[np.arange(rows)[:, None], chosen] = 1 + 0.1 * rng.random((rows, FIELDS))
    truth = np.random.default_rng(7)
    factors, linear = truth.normal(size=(WIDTH, 2)), truth.normal(size=WIDTH)
    return table, score(table, 0.5, linear, factors).astype(np.float32)


def score(table: Array, bias: float, linear: Array, factors: Array) -> Array:
    """The definition: every pair of features."""
    products = factors @ factors.T
    np.fill_diagonal(products, 0)
    pairs = np.einsum("ni,ij,nj->n", table, products, table) / 2
    return np.asarray(bias + table @ linear + pairs)


def job(
    folder: Path,
    table: Array,
    labels: Array,
    *,
    test: tuple[Array, Array] | None = None,
    mode: str = "File",
    host: str = "algo-1",
    sparse: bool = True,
    **changes: Any,
) -> Instance:
    """An instance with its channels; `run` is still to come."""
    raw: dict[str, Any] = {
        "feature_dim": WIDTH,
        "num_factors": 4,
        "predictor_type": "regressor",
        "mini_batch_size": 20,
        "factors_lr": 0.05,
        "linear_lr": 0.05,
        "factors_init_sigma": 0.1,
    }
    given = {name: str(value) for name, value in (raw | changes).items()}
    instance = Instance(folder, given, host=host)
    channels = {"train": (table, labels)} | ({} if test is None else {"test": test})
    for name, (rows, truth) in channels.items():
        features = SparseMatrix.from_dense(rows) if sparse else rows
        instance.add_channel(name, recordio.encode(features, truth), None, mode=mode)
    return instance


def ran(instance: Instance) -> Instance:
    instance.run(SPEC)
    return instance


def model_of(instance: Instance) -> FactorizationModel:
    return FactorizationModel.load(instance.paths.model / "model_algo-1")


def differ(one: FactorizationModel, other: FactorizationModel) -> float:
    """The largest difference of any weight."""
    return max(
        abs(one.bias - other.bias),
        float(np.abs(one.linear - other.linear).max()),
        float(np.abs(one.factors - other.factors).max()),
    )
