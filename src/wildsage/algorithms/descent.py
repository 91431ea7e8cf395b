"""Steps along the gradient of PyTorch's tensors.

The rules are those of `torch.optim`, whose classes take longer to import (0.8 s: they bring a
compiler) than many a job takes to train. Adam is one fused pass over memory.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

BETAS = (0.9, 0.999)
EPSILON = 1e-8
KINDS = ("adam", "adagrad", "adadelta", "rmsprop", "sgd")


class Descent:
    """Steps of one kind. `rate` is the kind's own: that of adadelta is usually 1."""

    def __init__(
        self, kind: str, parameters: Sequence[torch.Tensor], rate: float, decay: float = 0.0
    ) -> None:
        self.kind, self.parameters, self.rate, self.decay = kind, list(parameters), rate, decay
        count = {"adam": 2, "adadelta": 2, "adagrad": 1, "rmsprop": 1, "sgd": 0}[kind]
        self.moments = [[torch.zeros_like(p) for p in self.parameters] for _ in range(count)]
        self.steps = [torch.zeros((), device=p.device) for p in self.parameters]
        rules: dict[str, Callable[..., None]] = {
            "adam": self._adam,
            "adagrad": self._adagrad,
            "adadelta": self._adadelta,
            "rmsprop": self._rmsprop,
            "sgd": self._sgd,
        }
        self._rule = rules[kind]

    def clear(self) -> None:
        """Forget the gradients."""
        for parameter in self.parameters:
            parameter.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """A step along the gradients, for each parameter that has one."""
        found = [number for number, p in enumerate(self.parameters) if p.grad is not None]
        if not found:
            return
        parameters = [self.parameters[n] for n in found]
        gradients: Any = [p.grad for p in parameters]
        moments = [[moment[n] for n in found] for moment in self.moments]
        if self.kind == "adam":
            moments.append([self.steps[n] for n in found])
        elif self.decay:
            gradients = torch._foreach_add(gradients, parameters, alpha=self.decay)
        self._rule(parameters, gradients, *moments)

    def _adam(self, parameters: Any, gradients: Any, means: Any, squares: Any, steps: Any) -> None:
        torch._foreach_add_(steps, 1)
        torch._fused_adam_(
            parameters,
            gradients,
            means,
            squares,
            [],
            steps,
            amsgrad=False,
            lr=self.rate,
            beta1=BETAS[0],
            beta2=BETAS[1],
            weight_decay=self.decay,
            eps=EPSILON,
            maximize=False,
        )

    def _adagrad(self, parameters: Any, gradients: Any, totals: Any) -> None:
        torch._foreach_addcmul_(totals, gradients, gradients)
        scale = torch._foreach_sqrt(totals)
        torch._foreach_add_(scale, 1e-10)
        torch._foreach_addcdiv_(parameters, gradients, scale, -self.rate)

    def _adadelta(self, parameters: Any, gradients: Any, squares: Any, changes: Any) -> None:
        keep, least = 0.9, 1e-5
        torch._foreach_mul_(squares, keep)
        torch._foreach_addcmul_(squares, gradients, gradients, 1 - keep)
        change = torch._foreach_add(changes, least)
        torch._foreach_div_(change, torch._foreach_add(squares, least))
        torch._foreach_sqrt_(change)
        torch._foreach_mul_(change, gradients)
        torch._foreach_mul_(changes, keep)
        torch._foreach_addcmul_(changes, change, change, 1 - keep)
        torch._foreach_add_(parameters, change, alpha=-self.rate)

    def _rmsprop(self, parameters: Any, gradients: Any, squares: Any) -> None:
        keep = 0.9
        torch._foreach_mul_(squares, keep)
        torch._foreach_addcmul_(squares, gradients, gradients, 1 - keep)
        scale = torch._foreach_sqrt(squares)
        torch._foreach_add_(scale, EPSILON)
        torch._foreach_addcdiv_(parameters, gradients, scale, -self.rate)

    def _sgd(self, parameters: Any, gradients: Any) -> None:
        torch._foreach_add_(parameters, gradients, alpha=-self.rate)
