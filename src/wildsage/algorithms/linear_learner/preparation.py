"""What is settled before the first update: scaling, class weights, candidates and initial
weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wildsage.algorithms.linear_learner.candidates import Candidates, make_candidates
from wildsage.algorithms.linear_learner.losses import Loss, make_loss
from wildsage.algorithms.linear_learner.scaling import Features, Moments, Scaler
from wildsage.algorithms.linear_learner.sources import Block, Source
from wildsage.contract.cluster import Cluster
from wildsage.contract.failure import ClientError
from wildsage.formats.matrix import SparseMatrix

Array = NDArray[Any]


@dataclass(slots=True)
class Plan:
    """All that stays as it is during training. `scaler` is the true one; `working` what is left of
    it for the rows of `source` (nothing but the label, if they were shifted and scaled
    already)."""

    source: Source
    validation: Source | None
    scaler: Scaler
    working: Scaler
    moments: Moments
    loss: Loss
    candidates: Candidates
    class_weights: Array | None
    classes: int

    @property
    def models(self) -> int:
        return len(self.candidates)

    def example_weights(self, labels: Array, models: Array | slice) -> Array | None:
        """The weight of each example for these models; None when all are 1."""
        if self.class_weights is not None:
            return np.asarray(self.class_weights[labels.astype(np.intp)][:, None])
        weights = self.candidates.positive_weights[models]
        if (weights == 1).all():
            return None
        return np.where(labels[:, None] > 0, weights.astype(np.float32), np.float32(1))


def switch(hyperparameters: Mapping[str, Any], name: str, automatic: bool) -> bool:
    value = hyperparameters[name]
    return automatic if value == "auto" else bool(value)


def is_solved(hyperparameters: Mapping[str, Any]) -> bool:
    """Whether the way to the optimum is left to us: no optimizer and no learning rate were asked
    for."""
    return bool(hyperparameters["optimizer"] == hyperparameters["learning_rate"] == "auto")


def fit_scaler(
    features: Features, labels: Array, hyperparameters: Mapping[str, Any], cluster: Cluster
) -> tuple[Scaler, Moments, Moments]:
    """The scaler of a sample of rows, and the moments of its features and labels, over all
    hosts."""
    moments = _moments(features, cluster)
    label_moments = _moments(labels[:, None], cluster)
    use_bias = bool(hyperparameters["use_bias"])
    normalize = switch(hyperparameters, "normalize_data", True)
    unbias = switch(hyperparameters, "unbias_data", use_bias)
    regression = hyperparameters["predictor_type"] == "regressor"
    normalize_label = regression and switch(hyperparameters, "normalize_label", True)
    unbias_label = regression and use_bias and switch(hyperparameters, "unbias_label", True)
    width = len(moments.mean)
    scaler = Scaler(
        mean=moments.mean if unbias else np.zeros(width),
        inverse=1 / moments.deviation if normalize else np.ones(width),
        label_mean=float(label_moments.mean[0]) if unbias_label else 0.0,
        label_scale=float(label_moments.deviation[0]) if normalize_label else 1.0,
    )
    return scaler, moments, label_moments


def _moments(values: Features, cluster: Cluster) -> Moments:
    width = values.shape[1]
    sparse = isinstance(values, SparseMatrix)
    first = np.zeros(width) if sparse else np.asarray(values[:100], np.float64).mean(axis=0)
    moments = Moments.of(values, cluster.broadcast(first))
    return moments.unpacked(cluster.allreduce(moments.packed()))


def class_counts(source: Source, head: Block, classes: int, cluster: Cluster) -> Array:
    """Examples per class: of all rows when they are in memory, else of the sample."""
    counts = np.zeros(classes)
    blocks = [head] if source.count is None else source.blocks(1 << 20)
    for _, labels in blocks:
        counts += np.bincount(labels.astype(np.intp), minlength=classes)
    return np.asarray(cluster.allreduce(counts))


def check_feature_dim(width: int, hyperparameters: Mapping[str, Any]) -> None:
    """For callers whose rows no channel has checked."""
    wanted = hyperparameters["feature_dim"]
    if wanted != "auto" and wanted != width:
        raise ClientError(
            "Incorrect configuration or train dataset provided. The value of feature_dim "
            f"hyperparameter '{wanted}' doesn't match train data dimensionality '{width}'. "
            "Please set feature_dim to the number of features in train dataset."
        )


def prepare(
    source: Source,
    validation: Source | None,
    hyperparameters: Mapping[str, Any],
    cluster: Cluster,
) -> Plan:
    head = source.sample(int(hyperparameters["num_point_for_scaler"]))
    features, labels = head
    check_feature_dim(features.shape[1], hyperparameters)
    scaler, moments, _ = fit_scaler(features, labels, hyperparameters, cluster)
    working = scaler
    if not isinstance(features, SparseMatrix) and scaler.needs_copy:
        working = scaler.identity()
        source = source.transformed(scaler.scaled)
        validation = validation and validation.transformed(scaler.scaled)
    kind = hyperparameters["predictor_type"]
    classes = int(hyperparameters["num_classes"]) if kind == "multiclass_classifier" else 1
    balance, class_weights = _class_weights(source, head, hyperparameters, classes, cluster)
    candidates = make_candidates(
        hyperparameters,
        parameters_per_model=(features.shape[1] + 1) * classes,
        balance=balance,
        rates_matter=not is_solved(hyperparameters) or hyperparameters["epochs"] == 1,
    )
    loss = make_loss(hyperparameters)
    return Plan(
        source, validation, scaler, working, moments, loss, candidates, class_weights, classes
    )


def _class_weights(
    source: Source,
    head: Block,
    hyperparameters: Mapping[str, Any],
    classes: int,
    cluster: Cluster,
) -> tuple[float, Array | None]:
    """Negatives per positive, and the weight of each class where classes are balanced."""
    kind = hyperparameters["predictor_type"]
    if kind == "binary_classifier":
        if hyperparameters["positive_example_weight_mult"] in ("auto", "balanced"):
            negatives, positives = class_counts(source, head, 2, cluster)
            return float(max(negatives, 1) / max(positives, 1)), None
        return 1.0, None
    if kind == "multiclass_classifier" and hyperparameters["balance_multiclass_weights"]:
        counts = class_counts(source, head, classes, cluster)
        present = np.maximum(counts, 1)
        return 1.0, (counts.sum() / np.count_nonzero(counts) / present).astype(np.float32)
    return 1.0, None


def initial_weights(plan: Plan, hyperparameters: Mapping[str, Any], seed: int) -> Array:
    """(features + 1, columns) in float32: random weights, `init_bias` in the last row."""
    rng = np.random.default_rng(seed)
    shape = (len(plan.scaler.mean), plan.models * plan.classes)
    if hyperparameters["init_method"] == "uniform":
        scale = float(hyperparameters["init_scale"])
        weights = rng.uniform(-scale, scale, shape)
    else:
        weights = rng.normal(0, float(hyperparameters["init_sigma"]), shape)
    bias = float(hyperparameters["init_bias"]) if hyperparameters["use_bias"] else 0.0
    return np.vstack([weights, np.full((1, shape[1]), bias)]).astype(np.float32)
