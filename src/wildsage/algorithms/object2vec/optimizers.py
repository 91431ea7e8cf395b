"""Steps along the gradient: of the weights, and of a few rows of a table.

`LazyRows` is what MXNet calls a lazy update: rows that a batch does not touch keep their moments
as they are, so that a step costs what the batch's tokens cost, however large the vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from wildsage.algorithms.descent import BETAS, EPSILON, Descent
from wildsage.algorithms.object2vec import kernels

USUAL_RATE = 0.0004


def descent_of(kind: str, parameters: Sequence[torch.Tensor], rate: float, decay: float) -> Descent:
    """Adadelta's own step is 1; it is multiplied by the rate in units of the documented default."""
    return Descent(kind, parameters, rate / USUAL_RATE if kind == "adadelta" else rate, decay)


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
        if self.kind == "adam" and not self.table.is_cuda:
            self._adam_on_processor(rows, gradient)
            return
        if self.decay:
            gradient = gradient + self.decay * self.table[rows]
        change = getattr(self, f"_{self.kind}")(rows, gradient)
        self.table.index_add_(0, rows, change, alpha=-self.rate)

    def _adam_on_processor(self, rows: torch.Tensor, gradient: torch.Tensor) -> None:
        """The same as `_adam` in one pass."""
        (first, second), count = BETAS, self.steps
        grown, grown_square = 1 / (1 - first**count), (1 - second**count) ** -0.5
        scales = self.rate, first, second, grown, grown_square, EPSILON, self.decay
        table, mean, square = (tensor.numpy() for tensor in (self.table, *self.moments))
        found = gradient.contiguous().numpy()
        kernels.lazy_adam(table, mean, square, rows.numpy(), found, np.array(scales, np.float32))

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


class WholeTable:
    """A dense table: all rows take part in a step, most of them with a gradient of zero."""

    def __init__(self, table: torch.Tensor) -> None:
        self.table, self.gradient = table, torch.zeros_like(table)

    def begin(self, rows: torch.Tensor, gradient: torch.Tensor) -> None:
        """Give the table its gradient, that of the named rows."""
        self.gradient.index_copy_(0, rows, gradient)
        self.table.grad = self.gradient

    def end(self, rows: torch.Tensor) -> None:
        self.gradient.index_fill_(0, rows, 0.0)
