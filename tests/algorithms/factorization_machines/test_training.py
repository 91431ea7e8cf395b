"""The kernels against the formulas, dense against sparse, one host against several."""

from __future__ import annotations

import socket
import threading
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from algorithms.factorization_machines.helpers_machines import (
    WIDTH,
    defaults,
    differ,
    interacting,
    score,
)
from wildsage.algorithms.background import ahead
from wildsage.algorithms.factorization_machines import kernels
from wildsage.algorithms.factorization_machines.batches import Assembler, DenseRun, Run
from wildsage.algorithms.factorization_machines.model import FactorizationModel
from wildsage.algorithms.factorization_machines.training import Trainer, fast_scores
from wildsage.contract.cluster import Cluster
from wildsage.contract.failure import ClientError
from wildsage.formats.matrix import SparseMatrix

Array = NDArray[Any]
TABLE, LABELS = interacting()


def runs_of(
    rows: slice = slice(None), size: int = 20, *, sparse: bool = True, labels: Array = LABELS
) -> list[Run]:
    """The rows as they stand, as one run."""
    return [_run(np.arange(len(TABLE))[rows], size, sparse, labels)]


def _run(rows: Array, size: int, sparse: bool, labels: Array = LABELS) -> Run:
    if not sparse:
        return DenseRun(size, labels[rows], TABLE[rows])
    assembler = Assembler(size, np.random.default_rng(0))
    return assembler.run(SparseMatrix.from_dense(TABLE), labels, rows)


def trained(runs: list[Run], **changes: Any) -> Trainer:
    trainer = Trainer(defaults(factors_init_sigma=0.3, **changes))
    list(trainer.learn(iter(runs)))
    return trainer


def by_the_book(epochs_of_batches: int, **changes: Any) -> FactorizationModel:
    """Adam with a count of updates per feature, in float64, a batch at a time."""
    given = defaults(factors_init_sigma=0.3, **changes)
    start = Trainer(given).model()
    weights = np.hstack([start.factors, start.linear[:, None]]).astype(np.float64)
    bias = np.array([[start.bias]])
    moments, steps = [np.zeros((2, *w.shape)) for w in (weights, bias)], np.zeros(WIDTH)
    rates = np.array([given["factors_lr"]] * 4 + [given["linear_lr"]])
    decays = np.array([given["factors_wd"]] * 4 + [given["linear_wd"]])
    clip = np.inf if given["clip_gradient"] is None else given["clip_gradient"]
    for batch in range(epochs_of_batches):
        rows, labels = (a[batch * 20 : (batch + 1) * 20] for a in (TABLE, LABELS))
        factors, linear = weights[:, :-1], weights[:, -1]
        slopes = score(rows, float(bias[0, 0]), linear, factors) - labels
        sums = rows @ factors
        gradient = np.hstack([rows.T @ (sums * slopes[:, None]), (rows.T @ slopes)[:, None]])
        gradient[:, :-1] -= (np.square(rows).T @ slopes)[:, None] * factors
        used = rows.any(axis=0)
        steps[used] += 1
        slope = np.clip(gradient / len(rows) + decays * weights, -clip, clip)
        weights[used] -= (rates * adam(moments[0], slope, steps[:, None], used))[used]
        slope = np.clip(slopes.mean() + given["bias_wd"] * bias, -clip, clip)
        bias -= given["bias_lr"] * adam(moments[1], slope, batch + 1, np.array([True]))
    return FactorizationModel("regressor", float(bias[0, 0]), weights[:, -1], weights[:, :-1])


def adam(moments: Array, slope: Array, steps: Any, used: Any) -> Array:
    moments[0, used] = 0.9 * moments[0, used] + 0.1 * slope[used]
    moments[1, used] = 0.999 * moments[1, used] + 0.001 * slope[used] ** 2
    with np.errstate(divide="ignore", invalid="ignore"):
        correction = np.sqrt(1 - 0.999**steps) / (1 - 0.9**steps)
    return np.asarray(correction * moments[0] / (np.sqrt(moments[1]) + 1e-8))


@pytest.mark.parametrize("changes", [{}, {"clip_gradient": 0.05}, {"factors_wd": 0.1}])
@pytest.mark.parametrize("sparse", [True, False])
def test_steps_are_those_of_adam(sparse: bool, changes: dict[str, Any]) -> None:
    changes = {"factors_lr": 0.01, "linear_lr": 0.02, **changes}
    made = trained(runs_of(slice(0, 200), sparse=sparse), **changes).model()
    assert differ(made, by_the_book(10, **changes)) < 2e-4


@pytest.mark.parametrize("optimizer", ["adam", "adagrad", "sgd"])
@pytest.mark.parametrize("kind", ["regressor", "binary_classifier"])
def test_dense_equals_sparse(optimizer: str, kind: str) -> None:
    changes = {"_optimizer": optimizer, "predictor_type": kind, "factors_lr": 0.05}
    labels = LABELS if kind == "regressor" else (LABELS > 0.5).astype(np.float32)
    one = trained(runs_of(labels=labels), **changes).model()
    other = trained(runs_of(labels=labels, sparse=False), **changes).model()
    assert differ(one, other) < 1e-4


def test_scores_agree_with_the_definition() -> None:
    model = trained(runs_of(), factors_lr=0.05).model()
    sparse = SparseMatrix.from_dense(TABLE)
    wanted = score(TABLE, model.bias, model.linear, model.factors)
    for found in (model.scores(TABLE), model.scores(sparse), fast_scores(model, sparse)):
        assert found == pytest.approx(wanted, abs=1e-4)


def test_rows_without_values_score_the_bias() -> None:
    model = trained(runs_of()).model()
    empty = SparseMatrix.from_dense(np.zeros((3, WIDTH), np.float32))
    assert model.scores(empty) == pytest.approx([model.bias] * 3)
    assert fast_scores(model, empty) == pytest.approx([model.bias] * 3)


@pytest.mark.parametrize("sparse", [True, False])
def test_two_hosts_do_what_one_does_with_batches_twice_as_large(sparse: bool) -> None:
    """Also when one of them has fewer rows: 120 and 180 here."""
    pieces, rest = np.arange(240).reshape(12, 20), np.arange(240, 300)
    first, second = pieces[::2].ravel(), np.concatenate([pieces[1::2].ravel(), rest])
    found = together([first, second], sparse)
    alone = trained([_run(np.arange(240), 40, sparse), _run(rest, 20, sparse)])
    assert differ(found[0], found[1]) == 0
    assert differ(found[0], alone.model()) < 1e-4


def together(parts: list[Array], sparse: bool) -> list[FactorizationModel]:
    hosts = ("algo-1", "algo-2")
    with socket.create_server(("127.0.0.1", 0)) as free:
        addresses = {"algo-1": f"127.0.0.1:{free.getsockname()[1]}"}
    models: dict[int, FactorizationModel] = {}

    def work(rank: int) -> None:
        cluster = Cluster(hosts, hosts[rank], addresses, connect_seconds=20)
        trainer = Trainer(defaults(factors_init_sigma=0.3), cluster=cluster)
        list(trainer.learn(iter([_run(parts[rank], 20, sparse)])))
        models[rank] = trainer.model()
        cluster.close()

    threads = [threading.Thread(target=work, args=(rank,)) for rank in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [models[0], models[1]]


def test_figures_count_what_they_say() -> None:
    scores = np.array([-2, 3, 1, -1], np.float32)
    labels = np.array([0, 1, 0, 1], np.float32)
    chances = 1 / (1 + np.exp(-scores.astype(np.float64)))
    loss = -np.log(np.where(labels == 1, chances, 1 - chances)).sum()
    figures = np.zeros(kernels.FIGURES)
    kernels.judge(kernels.LOGISTIC, scores, labels, figures)
    assert figures[[0, 3, 4, 5, 6]].tolist() == [4, 2, 1, 1, 1]
    assert figures[1] == pytest.approx(loss)
    assert scores == pytest.approx(chances - labels, abs=1e-6)


def test_a_loss_that_explodes_ends_the_training() -> None:
    with pytest.raises(ClientError, match="Training diverged"):
        trained(runs_of() * 60, _optimizer="sgd", factors_lr=100, linear_lr=100)


def test_chains_keep_every_entry() -> None:
    """Every feature's chain leads through its entries; afterwards there are no chains."""
    run: Any = runs_of(slice(0, 50), size=50)[0]
    state, linear = np.ones((WIDTH, 1, 4), np.float32), np.zeros((WIDTH, 4), np.float32)
    heads, chains = np.full(WIDTH, -1, np.int32), kernels.room(kernels.largest(run.rows, 50))
    sums, scores = np.empty((50, 4), np.float32), np.empty(50, np.float32)
    count = kernels.walk(state, linear, run.rows, 0, 50, heads, chains, sums, scores)
    links, values, touched = chains
    rebuilt = np.zeros((50, WIDTH), np.float32)
    for feature in touched[:count]:
        entry = heads[feature]
        while entry >= 0:
            rebuilt[links[entry, 1], feature] += values[entry]
            entry = links[entry, 0]
    assert (rebuilt == TABLE[:50]).all()
    kernels.gradients(state, count, heads, chains, sums, scores, np.empty((count, 5), np.float32))
    assert (heads == -1).all()


@pytest.mark.parametrize("factors", [1, 5, 16, 20, 32])
@pytest.mark.parametrize("optimizer", ["adam", "adagrad", "sgd"])
def test_any_number_of_factors_learns_alike(optimizer: str, factors: int) -> None:
    """Rows that fill the lanes, do not, and fill some: beside matrix products."""
    changes = {"num_factors": factors, "_optimizer": optimizer, "factors_lr": 0.05}
    one, other = (trained(runs_of(sparse=sparse), **changes) for sparse in (True, False))
    assert one.model().factors.shape == (WIDTH, factors)
    assert differ(one.model(), other.model()) < 1e-4
    rows = SparseMatrix.from_dense(TABLE)
    assert fast_scores(one.model(), rows) == pytest.approx(one.model().scores(TABLE), abs=1e-4)


def test_what_is_made_ahead_comes_in_order_and_errors_come_through() -> None:
    assert list(ahead(iter(range(5)))) == [0, 1, 2, 3, 4]

    def broken() -> Any:
        yield 1
        raise ValueError("no more")

    with pytest.raises(ValueError, match="no more"):
        list(ahead(broken()))
