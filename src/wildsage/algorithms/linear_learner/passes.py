"""Going through rows: the summed losses and gradients of all models, of one block or of all
rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wildsage.algorithms.linear_learner.evaluation import rows_at_once
from wildsage.algorithms.linear_learner.preparation import Plan
from wildsage.algorithms.linear_learner.scaling import product, transposed_product
from wildsage.algorithms.linear_learner.sources import Block
from wildsage.algorithms.threads import threaded
from wildsage.contract.cluster import Cluster

Array = NDArray[Any]
ALL = slice(None)


@dataclass(slots=True)
class Sums:
    """Sums over rows; those of other rows and other hosts add up."""

    rows: float
    losses: Array
    product: Array
    total: Array

    @classmethod
    def zero(cls, models: int, width: int, columns: int) -> Sums:
        return cls(0.0, np.zeros(models), np.zeros((width, columns)), np.zeros(columns))

    def add(self, other: Sums) -> None:
        self.rows += other.rows
        self.losses += other.losses
        self.product += other.product
        self.total += other.total

    def over(self, cluster: Cluster) -> Sums:
        """The sums of all hosts."""
        if cluster.size == 1:
            return self
        parts = (self.losses, self.product, self.total)
        flat = np.concatenate([[self.rows], *(part.ravel() for part in parts)])
        flat = cluster.allreduce(flat.astype(np.float64))
        losses, product_, total = np.split(flat[1:], np.cumsum([part.size for part in parts])[:-1])
        return Sums(float(flat[0]), losses, product_.reshape(self.product.shape), total)


def block_sums(
    plan: Plan,
    block: Block,
    raw: Array,
    offset: Array,
    width: float = 0.0,
    models: Array | slice = ALL,
) -> Sums:
    """`raw` and `offset` are float32 weights, of these models, for rows as they are."""
    features, labels = block
    scores = product(features, raw)
    scores += offset
    losses, gradient = plan.loss.evaluate(
        scores, plan.working.label(labels), plan.example_weights(labels, models), width
    )
    total = np.ones(len(labels), np.float32) @ gradient
    return Sums(float(len(labels)), losses, transposed_product(features, gradient), total)


def folded(plan: Plan, weights: Array) -> tuple[Array, Array]:
    raw, offset = plan.working.fold(weights)
    return raw.astype(np.float32), offset.astype(np.float32)


def full_pass(
    plan: Plan, weights: Array, models: Array, cluster: Cluster, width: float = 0.0
) -> Sums:
    """The sums over all rows of all hosts; `weights` are those of the chosen models."""
    raw, offset = folded(plan, weights)
    sums = Sums.zero(len(models), len(raw), raw.shape[1])
    blocks = plan.source.blocks(rows_at_once(raw.shape[1]))
    for part in threaded(lambda b: block_sums(plan, b, raw, offset, width, models), blocks):
        sums.add(part)
    return sums.over(cluster)
