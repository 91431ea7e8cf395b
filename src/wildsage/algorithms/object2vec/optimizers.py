"""Steps along the gradient: PyTorch's for whole tensors, our own for a few rows of a table.

`LazyRows` is what MXNet calls a lazy update: rows that a batch does not touch keep their moments
as they are, so that a step costs what the batch's tokens cost, however large the vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

BETAS = (0.9, 0.999)
EPSILON = 1e-8
USUAL_RATE = 0.0004


def optimizer_of(
    kind: str, parameters: Sequence[Any], rate: float, decay: float
) -> torch.optim.Optimizer:
    """Adadelta's own step is 1; it is multiplied by the rate in units of the documented default."""
    if kind == "adam":
        return torch.optim.Adam(parameters, lr=rate, betas=BETAS, weight_decay=decay, fused=True)
    if kind == "adadelta":
        scaled = rate / USUAL_RATE
        return torch.optim.Adadelta(parameters, lr=scaled, eps=1e-5, weight_decay=decay)
    if kind == "adagrad":
        return torch.optim.Adagrad(parameters, lr=rate, weight_decay=decay)
    if kind == "rmsprop":
        return torch.optim.RMSprop(parameters, lr=rate, alpha=0.9, weight_decay=decay)
    return torch.optim.SGD(parameters, lr=rate, weight_decay=decay)


class LazyRows:
    """Updates some rows of a table by Adam, Adagrad or plain descent."""

    def __init__(self, kind: str, table: torch.Tensor, rate: float, decay: float) -> None:
        self.kind, self.table, self.rate, self.decay = kind, table, rate, decay
        self.steps = 0
        count = {"adam": 2, "adagrad": 1, "sgd": 0}[kind]
        self.moments = [torch.zeros_like(table) for _ in range(count)]

    def step(self, rows: torch.Tensor, gradient: torch.Tensor) -> None:
        """`gradient` is that of the given rows, each of which is named once."""
        self.steps += 1
        if self.decay:
            gradient = gradient + self.decay * self.table[rows]
        change = getattr(self, f"_{self.kind}")(rows, gradient)
        self.table.index_add_(0, rows, change, alpha=-self.rate)

    def _adam(self, rows: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
        mean, square = self.moments
        first, second = BETAS
        means = mean[rows].lerp_(gradient, 1 - first)
        squares = square[rows].mul_(second).addcmul_(gradient, gradient, value=1 - second)
        mean[rows], square[rows] = means, squares
        scale = (1 - second**self.steps) ** 0.5
        change: torch.Tensor = means * (scale / (1 - first**self.steps))
        return change.div_(squares.sqrt_().add_(EPSILON * scale))

    def _adagrad(self, rows: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
        (total,) = self.moments
        totals = total[rows].addcmul_(gradient, gradient)
        total[rows] = totals
        return gradient / totals.sqrt_().add_(1e-10)

    def _sgd(self, rows: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
        return gradient
