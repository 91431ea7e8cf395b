"""Training by mini-batches: what a factorization machine learns, and how hosts learn together.

An update is made from the rows of all hosts: each adds up the gradients of its own batch, they are
merged on the first host, and every host takes the same step. n hosts with batches of b rows do what
one does with batches of n * b.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wildsage.algorithms.background import ahead
from wildsage.algorithms.factorization_machines import kernels
from wildsage.algorithms.factorization_machines.batches import DenseRun, Run, SparseRun
from wildsage.algorithms.factorization_machines.metrics import CLASSIFIER
from wildsage.algorithms.factorization_machines.model import FactorizationModel
from wildsage.algorithms.lanes import aligned_zeros
from wildsage.algorithms.rows import Batch, Features
from wildsage.algorithms.tables import merge
from wildsage.contract.cluster import Cluster
from wildsage.contract.failure import ClientError
from wildsage.formats.matrix import SparseMatrix

Array = NDArray[Any]

OPTIMIZERS = {"adam": kernels.ADAM, "adagrad": kernels.ADAGRAD, "sgd": kernels.SGD}
REMEMBERED = {"adam": 2, "adagrad": 1, "sgd": 0}
DEFAULT_SCALE, DEFAULT_EPS, SMALLEST_EPS = 0.07, 1e-8, 1e-30
GROUPS = ("factors", "linear", "bias")


@dataclass(slots=True)
class Gradient:
    """What one host's batch says: of the features it touches, of the bias, and its figures."""

    touched: Array
    found: Array
    bias: float
    figures: Array


class Trainer:
    """A factorization machine while it learns."""

    def __init__(
        self, hyperparameters: Mapping[str, Any], seed: int = 0, cluster: Cluster | None = None
    ) -> None:
        self.hyperparameters = hyperparameters
        self.predictor_type: str = hyperparameters["predictor_type"]
        self.size: int = hyperparameters["mini_batch_size"]
        self.cluster = cluster or Cluster()
        self.rng = np.random.default_rng(seed)
        self.feature_dim: int = hyperparameters["feature_dim"]
        self._kind = kernels.LOGISTIC if self._is_classifier else kernels.SQUARED
        self._optimizer = OPTIMIZERS[hyperparameters["_optimizer"]]
        self._rates = self._make_rates()
        self._state, self._linear = self._make_state()
        self._heads = np.full(self.feature_dim, -1, np.int32)
        self._bias = np.zeros(4)
        if hyperparameters["use_bias"]:
            self._bias[0] = float(self._initial("bias", 1)[0])

    @property
    def _is_classifier(self) -> bool:
        return self.predictor_type == CLASSIFIER

    def _make_state(self) -> tuple[Array, Array]:
        """Weights by the initial distributions; what the optimizer remembers begins as zeros."""
        factors: int = self.hyperparameters["num_factors"]
        planes = 1 + REMEMBERED[self.hyperparameters["_optimizer"]]
        state = aligned_zeros(self.feature_dim, planes, factors)
        linear = aligned_zeros(self.feature_dim, kernels.LINEAR_COLUMNS)
        if self.hyperparameters["use_linear"]:
            linear[:, kernels.LINEAR] = self._initial("linear", self.feature_dim)
        drawn = self._initial("factors", self.feature_dim * factors)
        state[:, 0] = drawn.reshape(-1, factors)
        return state, linear

    def _initial(self, group: str, count: int) -> Array:
        given = self.hyperparameters
        method = given[f"{group}_init_method"]
        if method == "constant":
            return np.full(count, given[f"{group}_init_value"] or 0.0, np.float32)
        drawn: Array
        if method == "uniform":
            scale = given[f"{group}_init_scale"]
            scale = DEFAULT_SCALE if scale is None else scale
            drawn = (2 * self.rng.random(count, np.float32) - 1) * np.float32(scale)
        else:
            drawn = self.rng.standard_normal(count, np.float32)
            drawn *= np.float32(given[f"{group}_init_sigma"])
        return drawn

    def _make_rates(self) -> Array:
        given = self.hyperparameters
        rates = np.zeros(kernels.RATES, np.float32)
        for number, group in enumerate(GROUPS):
            rates[kernels.FACTORS_LR + number] = given[f"{group}_lr"] * given["_learning_rate"]
            rates[kernels.FACTORS_WD + number] = given[f"{group}_wd"] * given["_wd"]
        for group, place in (("linear", kernels.LINEAR_LR), ("bias", kernels.BIAS_LR)):
            if not given[f"use_{group}"]:
                rates[place] = 0
        clip, eps, rescale = given["clip_gradient"], given["eps"], given["rescale_grad"]
        rates[kernels.CLIP] = math.inf if clip is None or clip < 0 else clip
        rates[kernels.EPS] = DEFAULT_EPS if eps is None else max(eps, SMALLEST_EPS)
        rates[kernels.RESCALE] = -1 if rescale is None else rescale
        return rates

    # --- learning --------------------------------------------------------------------------------

    def learn(self, runs: Iterator[Run]) -> Iterator[Array]:
        """An update per mini-batch; yields the figures of this host's batches, a row each."""
        learned = self._alone(runs) if self.cluster.size == 1 else self._together(runs)
        for figures in learned:
            if not np.isfinite(figures[:, 1]).all():
                raise ClientError(
                    "Training diverged: the loss is no longer a finite number. Please lower the "
                    "learning rates (factors_lr, linear_lr, bias_lr), set clip_gradient, or scale "
                    "the features."
                )
            yield figures

    def _alone(self, runs: Iterator[Run]) -> Iterator[Array]:
        for run in ahead(runs):
            figures = np.zeros((len(run), kernels.FIGURES))
            if isinstance(run, SparseRun):
                self._train_sparse(run, figures)
            else:
                for batch in range(len(run)):
                    gradient = self._gradient(run, batch)
                    self._apply(gradient, len(run.labels_of(batch)))
                    figures[batch] = gradient.figures
            yield figures

    def _train_sparse(self, run: SparseRun, figures: Array) -> None:
        kernels.train(
            self._kind,
            self._optimizer,
            self._state,
            self._linear,
            self._bias,
            self._rates,
            run.size,
            run.rows,
            self._heads,
            run.labels,
            figures,
        )

    def _together(self, runs: Iterator[Run]) -> Iterator[Array]:
        """All hosts step together; one that has run out goes on with nothing until all have."""
        batches = ((run, batch) for run in runs for batch in range(len(run)))
        while True:
            here = next(batches, None)
            gradient = self._nothing() if here is None else self._gradient(*here)
            tail = np.array([gradient.figures[0], gradient.bias])
            rows, slopes = self.cluster.allreduce(tail).tolist()
            if not rows:
                return
            touched, found = self._merged(gradient)
            self._apply(Gradient(touched, found, slopes, gradient.figures), rows)
            if here is not None:
                yield gradient.figures[None]

    def _nothing(self) -> Gradient:
        empty = np.zeros((0, self._state.shape[2] + 1), np.float32)
        return Gradient(np.zeros(0, np.int32), empty, 0.0, np.zeros(kernels.FIGURES))

    def _merged(self, gradient: Gradient) -> tuple[Array, Array]:
        """The gradients of all hosts: each feature once."""
        packed = np.empty((len(gradient.touched), self._state.shape[2] + 2), np.int32)
        packed[:, 0] = gradient.touched
        packed[:, 1:] = gradient.found.view(np.int32)
        parts = self.cluster.gather(packed)
        if parts is not None:
            packed = np.concatenate(parts)
            touched, found = _unpacked(packed)
            count = merge(touched, found, self._heads)
            packed = packed[:count]
            packed[:, 0], packed[:, 1:] = touched[:count], found[:count].view(np.int32)
        return _unpacked(self.cluster.broadcast(packed))

    def _apply(self, gradient: Gradient, rows: float) -> None:
        rescale = self._rates[kernels.RESCALE]
        scale = np.float32(rescale if rescale >= 0 else 1 / rows)
        rates, kind, weights = self._rates, self._optimizer, (self._state, self._linear)
        kernels.apply(kind, *weights, gradient.touched, gradient.found, scale, rates)
        kernels.step_bias(kind, self._bias, gradient.bias, scale, rates)

    # --- gradients -------------------------------------------------------------------------------

    def _gradient(self, run: Run, batch: int) -> Gradient:
        if isinstance(run, SparseRun):
            return self._sparse_gradient(run, batch)
        assert isinstance(run, DenseRun)
        return self._dense_gradient(run.features_of(batch), run.labels_of(batch))

    def _sparse_gradient(self, run: SparseRun, batch: int) -> Gradient:
        labels, rows, factors = run.labels_of(batch), run.rows, self._state.shape[2]
        own = run.order[batch * run.size : (batch + 1) * run.size]
        chains = kernels.room(int(np.diff(run.matrix.indptr)[own].sum()))
        sums, scores = np.empty((len(labels), factors), np.float32), np.empty_like(labels)
        begin = batch * run.size
        place = (rows, begin, begin + len(labels), self._heads, chains, sums, scores)
        features = kernels.walk(self._state, self._linear, *place)
        scores += np.float32(self._bias[0])
        figures = np.zeros(kernels.FIGURES)
        slopes = kernels.judge(self._kind, scores, labels, figures)
        found = np.empty((features, factors + 1), np.float32)
        kernels.gradients(self._state, features, self._heads, chains, sums, scores, found)
        return Gradient(chains[2][:features], found, slopes, figures)

    def _dense_gradient(self, rows: Array, labels: Array) -> Gradient:
        """The same by matrix products; features without a value in the batch are left alone."""
        factors, linear = self._weights()
        squares, figures = np.square(rows), np.zeros(kernels.FIGURES)
        sums = rows @ factors
        scores = rows @ linear - squares @ np.square(factors).sum(axis=1) / 2
        kernels.finish_scores(self._bias[0], sums, scores)
        slopes = kernels.judge(self._kind, scores, labels, figures)
        found = np.empty((len(factors), factors.shape[1] + 1), np.float32)
        found[:, :-1] = rows.T @ (sums * scores[:, None])
        found[:, :-1] -= (squares.T @ scores)[:, None] * factors
        found[:, -1] = rows.T @ scores
        touched = np.flatnonzero(rows.any(axis=0)).astype(np.int32)
        if len(touched) < len(found):
            found = found[touched]
        return Gradient(touched, found, slopes, figures)

    # --- judging and the result ------------------------------------------------------------------

    def figures(self, model: FactorizationModel, rows: Batch) -> Array:
        """The sums that metrics are made of, over other rows."""
        found = np.zeros(kernels.FIGURES)
        assert rows.labels is not None
        kernels.judge(self._kind, fast_scores(model, rows.features), rows.labels, found)
        return found

    def model(self) -> FactorizationModel:
        factors, linear = self._weights()
        return FactorizationModel(self.predictor_type, float(self._bias[0]), linear, factors)

    def _weights(self) -> tuple[Array, Array]:
        """Copies of the factors and of the linear weights."""
        return self._state[:, 0].copy(), self._linear[:, kernels.LINEAR].copy()


def _unpacked(packed: Array) -> tuple[Array, Array]:
    found = np.ascontiguousarray(packed[:, 1:]).view(np.float32)
    return np.ascontiguousarray(packed[:, 0]), found


def fast_scores(model: FactorizationModel, features: Features) -> Array:
    """`model.scores`, sparse rows by a kernel."""
    if not isinstance(features, SparseMatrix):
        return model.scores(features)
    scores = np.empty(len(features), np.float32)
    arrays = (
        np.ascontiguousarray(features.indices, np.int32),
        np.ascontiguousarray(features.data, np.float32),
        np.ascontiguousarray(features.indptr, np.int64),
    )
    kernels.score(model.factors, model.linear, model.bias, *arrays, scores)
    return scores
