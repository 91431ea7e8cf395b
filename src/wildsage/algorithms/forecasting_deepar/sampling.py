"""Compiled draws from the likelihoods, with a stream of random numbers per sample path.

Streams are counters run through a hash (splitmix64), so a path's draws depend on its series and its
number alone: neither on what else is in the request, nor on threads. For the continuous likelihoods
the paths of a series share low-discrepancy points, shifted and shuffled anew in each step: every
path is an exact draw, and quantiles and means of all of them come out less noisy.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit

from wildsage.algorithms.compiling import compiled

GAUSSIAN, STUDENT_T, NEGATIVE_BINOMIAL, BETA, DETERMINISTIC = range(5)

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)
_S30, _S27, _S31, _S11 = (np.uint64(shift) for shift in (30, 27, 31, 11))
_TO_UNIT = 2.0**-53
# The directions of the R2 sequence: powers of the inverse of the plastic number.
_PLASTIC_1, _PLASTIC_2 = 0.7548776662466927, 0.5698402909980532
_SMALLEST = 1e-6


@njit(inline="always")
def _uniform(states, row):  # type: ignore[no-untyped-def]
    """A number strictly between 0 and 1."""
    states[row] += _GOLDEN
    z = states[row]
    z = (z ^ (z >> _S30)) * _MIX_1
    z = (z ^ (z >> _S27)) * _MIX_2
    z = z ^ (z >> _S31)
    return (float(z >> _S11) + 0.5) * _TO_UNIT


@njit(inline="always")
def _softplus(x):  # type: ignore[no-untyped-def]
    return max(x, 0.0) + math.log1p(math.exp(-abs(x)))


@compiled
def _normal_quantile(p: Any) -> Any:
    """Acklam's rational approximation; relative error below 1.2e-9."""
    if p < 0.02425 or p > 0.97575:
        q = math.sqrt(-2 * math.log(min(p, 1 - p)))
        tail = (
            (
                (
                    ((-7.784894002430293e-03 * q - 3.223964580411365e-01) * q - 2.400758277161838)
                    * q
                    - 2.549732539343734
                )
                * q
                + 4.374664141464968
            )
            * q
            + 2.938163982698783
        ) / (
            (
                ((7.784695709041462e-03 * q + 3.224671290700398e-01) * q + 2.445134137142996) * q
                + 3.754408661907416
            )
            * q
            + 1
        )
        return tail if p < 0.5 else -tail
    q = p - 0.5
    r = q * q
    return (
        (
            (
                (
                    ((-3.969683028665376e01 * r + 2.209460984245205e02) * r - 2.759285104469687e02)
                    * r
                    + 1.383577518672690e02
                )
                * r
                - 3.066479806614716e01
            )
            * r
            + 2.506628277459239
        )
        * q
    ) / (
        (
            (
                ((-5.447609879822406e01 * r + 1.615858368580409e02) * r - 1.556989798598866e02) * r
                + 6.680131188771972e01
            )
            * r
            - 1.328068155288572e01
        )
        * r
        + 1
    )


@compiled
def _gamma(shape: Any, states: Any, row: Any) -> Any:
    """Marsaglia and Tsang's rejection; small shapes by a power of a uniform number."""
    boost = 1.0
    if shape < 1.0:
        boost = _uniform(states, row) ** (1.0 / shape)
        shape += 1.0
    d = shape - 1.0 / 3.0
    c = 1.0 / math.sqrt(9.0 * d)
    while True:
        x = _normal_quantile(_uniform(states, row))
        v = 1.0 + c * x
        if v > 0:
            v = v * v * v
            u = _uniform(states, row)
            if math.log(u) < 0.5 * x * x + d - d * v + d * math.log(v):
                return d * v * boost


@compiled
def _poisson(mean: Any, states: Any, row: Any) -> Any:
    """Products of uniform numbers for small means, Hoermann's PTRS for large ones."""
    if mean < 10:
        limit, product, count = math.exp(-mean), _uniform(states, row), 0
        while product > limit:
            product *= _uniform(states, row)
            count += 1
        return float(count)
    root, log_mean = math.sqrt(mean), math.log(mean)
    b = 0.931 + 2.53 * root
    a = -0.059 + 0.02483 * b
    inverse = 1.1239 + 1.1328 / (b - 3.4)
    v_limit = 0.9277 - 3.6224 / (b - 2)
    while True:
        u = _uniform(states, row) - 0.5
        v = _uniform(states, row)
        us = 0.5 - abs(u)
        k = math.floor((2 * a / us + b) * u + mean + 0.43)
        if us >= 0.07 and v <= v_limit:
            return k
        if k < 0 or (us < 0.013 and v > us):
            continue
        bound = -mean + k * log_mean - math.lgamma(k + 1)
        if math.log(v) + math.log(inverse) - math.log(a / (us * us) + b) <= bound:
            return k


@compiled
def draw(
    kind: Any,
    parameters: Any,
    paths_each: Any,
    rows_per: Any,
    scale: Any,
    states: Any,
    order: Any,
    out: Any,
) -> None:
    """One value per path, in units of its series' scale.

    `parameters` (n, columns) are the network's outputs, a column for `rows_per` paths; `paths_each`
    paths belong to a series. `order` is scratch space for one permutation.
    """
    for s in range(len(out) // paths_each):
        first = s * paths_each
        a, b = _shuffled(states, first, order)
        for m in range(paths_each):
            r = first + m
            p = parameters[:, r // rows_per]
            if kind == DETERMINISTIC:
                out[r] = p[0]
            elif kind == GAUSSIAN:
                u = min(max((a + order[m]) / paths_each % 1.0, _SMALLEST), 1 - _SMALLEST)
                out[r] = p[0] + _softplus(p[1]) * _normal_quantile(u)
            elif kind == STUDENT_T:
                u = max((a + _PLASTIC_1 * order[m]) % 1.0, _SMALLEST)
                v = (b + _PLASTIC_2 * order[m]) % 1.0
                degrees = 2.0 + _softplus(p[2])
                # Bailey's polar method: exact for any number of degrees of freedom.
                radius = math.sqrt(degrees * math.expm1(-2.0 / degrees * math.log(u)))
                out[r] = p[0] + _softplus(p[1]) * radius * math.cos(2 * math.pi * v)
            elif kind == NEGATIVE_BINOMIAL:
                alpha = max(_softplus(p[1]), 1e-6)
                mean = scale[s] * _softplus(p[0])
                rate = _gamma(1 / alpha, states, r) * alpha * mean
                out[r] = _poisson(rate, states, r) / scale[s]
            else:
                x = _gamma(_softplus(p[0]) + _SMALLEST, states, r)
                y = _gamma(_softplus(p[1]) + _SMALLEST, states, r)
                out[r] = x / max(x + y, 1e-300)


@njit(inline="always")
def _shuffled(states, first, order):  # type: ignore[no-untyped-def]
    """Two shifts, and `order` as a new permutation, from the stream of a series' first path."""
    count = len(order)
    for m in range(count):
        order[m] = m
    for m in range(count - 1, 0, -1):
        other = int(_uniform(states, first) * (m + 1))
        order[m], order[other] = order[other], order[m]
    return _uniform(states, first), _uniform(states, first)
