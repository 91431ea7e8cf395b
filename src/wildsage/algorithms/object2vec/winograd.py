"""Convolutions with filters of three places by four products where there would be six.

Winograd's way, F(2, 3): two neighbouring outputs are sums of four products of sums. Wide layers are
all multiplication, and take two thirds of the time; narrow ones would lose by the sums. Rows must
be even in number.
"""

from __future__ import annotations

from typing import Any

import torch

FILTERS = 3
# From so many inputs and outputs on the products outweigh the sums.
WIDE = 256


def suits(weight: torch.Tensor) -> bool:
    """Whether a filter (places × inputs × outputs) gains by it."""
    return len(weight) == FILTERS and min(weight.shape[1:]) >= WIDE


def _taken(rows: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """The sums of inputs."""
    even, odd = rows[0::2], rows[1::2]
    first, second, third, fourth = even[:-1], odd[:-1], even[1:], odd[1:]
    return first - third, second + third, third - second, second - fourth


def _weighted(weight: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """The sums of weights."""
    outer = (weight[0] + weight[2]) / 2
    return weight[0], outer + weight[1] / 2, outer - weight[1] / 2, weight[2]


def convolve(rows: torch.Tensor, weight: torch.Tensor, result: torch.Tensor) -> None:
    """Fill `result`, which has two rows less than `rows`."""
    taken, weighted = _taken(rows), _weighted(weight)
    both, apart = taken[1] @ weighted[1], taken[2] @ weighted[2]
    torch.add(both, apart, out=result[0::2]).addmm_(taken[0], weighted[0])
    torch.sub(both, apart, out=result[1::2]).addmm_(taken[3], weighted[3], alpha=-1)


def convolve_back(
    rows: torch.Tensor, weight: torch.Tensor, gradient: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """The gradients of the weight and of the rows."""
    even, odd = gradient[0::2], gradient[1::2]
    products: Any = even.contiguous(), even + odd, even - odd, -odd
    taken, weighted = _taken(rows), _weighted(weight)
    one, two, three, four = (t.T @ p for t, p in zip(taken, products, strict=True))
    outer = (two + three).mul_(0.5)
    of_weight = torch.stack((one.add_(outer), (two - three).mul_(0.5), four.add_(outer)))
    one, two, three, four = (p @ w.T for p, w in zip(products, weighted, strict=True))
    of_rows = torch.zeros_like(rows)
    evens, odds = of_rows[0::2], of_rows[1::2]
    evens[:-1] += one
    evens[1:] += two
    evens[1:] += three
    evens[1:] -= one
    odds[:-1] += two
    odds[:-1] -= three
    odds[:-1] += four
    odds[1:] -= four
    return of_weight, of_rows
