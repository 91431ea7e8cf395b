"""The likelihoods as PyTorch trains them: negative log likelihoods of scaled targets.

Each takes the network's outputs (steps, n, rows), targets in units of the scale, and the scale.
`sampling.draw` turns the same outputs into draws.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import softplus

from wildsage.algorithms.forecasting_deepar import names

_SMALLEST = 1e-6
_EDGE = 1e-5  # a Beta density may be zero or infinite at 0 and 1
_HALF_LOG_TAU = 0.5 * math.log(2 * math.pi)


def _gaussian(outputs: Tensor, targets: Tensor, scale: Tensor) -> Tensor:
    mean, deviation = outputs[:, 0], softplus(outputs[:, 1]) + _SMALLEST
    error = (targets - mean) / deviation
    return 0.5 * error * error + deviation.log() + _HALF_LOG_TAU + scale.log()


def _student_t(outputs: Tensor, targets: Tensor, scale: Tensor) -> Tensor:
    mean, deviation = outputs[:, 0], softplus(outputs[:, 1]) + _SMALLEST
    degrees = 2 + softplus(outputs[:, 2])
    error = (targets - mean) / deviation
    half = 0.5 * (degrees + 1)
    constant = torch.lgamma(half) - torch.lgamma(0.5 * degrees) - 0.5 * (math.pi * degrees).log()
    return half * torch.log1p(error * error / degrees) - constant + deviation.log() + scale.log()


def _negative_binomial(outputs: Tensor, targets: Tensor, scale: Tensor) -> Tensor:
    counts = targets * scale
    mean = scale * softplus(outputs[:, 0]) + _SMALLEST
    alpha = softplus(outputs[:, 1]) + _SMALLEST
    size = 1 / alpha
    ratio = torch.log1p(alpha * mean)
    return (
        torch.lgamma(size)
        + torch.lgamma(counts + 1)
        - torch.lgamma(counts + size)
        + size * ratio
        + counts * (ratio - (alpha * mean).log())
    )


def _beta(outputs: Tensor, targets: Tensor, scale: Tensor) -> Tensor:
    a, b = softplus(outputs[:, 0]) + _SMALLEST, softplus(outputs[:, 1]) + _SMALLEST
    inside = targets.clamp(_EDGE, 1 - _EDGE)
    normaliser = torch.lgamma(a) + torch.lgamma(b) - torch.lgamma(a + b)
    return normaliser - (a - 1) * inside.log() - (b - 1) * torch.log1p(-inside)


def _deterministic(outputs: Tensor, targets: Tensor, scale: Tensor) -> Tensor:
    return (targets - outputs[:, 0]).abs()


LIKELIHOODS: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    names.GAUSSIAN: _gaussian,
    names.STUDENT_T: _student_t,
    names.NEGATIVE_BINOMIAL: _negative_binomial,
    names.BETA: _beta,
    names.DETERMINISTIC: _deterministic,
}
