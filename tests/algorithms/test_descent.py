"""Steps are those of PyTorch's own optimizers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from wildsage.algorithms import neural  # noqa: E402
from wildsage.algorithms.descent import BETAS, KINDS, Descent  # noqa: E402

RATE, DECAY = 0.01, 0.1
PEERS: dict[str, Callable[[Sequence[Any]], Any]] = {
    "adam": lambda p: torch.optim.Adam(p, lr=RATE, betas=BETAS, weight_decay=DECAY),
    "adagrad": lambda p: torch.optim.Adagrad(p, lr=RATE, weight_decay=DECAY),
    "adadelta": lambda p: torch.optim.Adadelta(p, lr=RATE, eps=1e-5, weight_decay=DECAY),
    "rmsprop": lambda p: torch.optim.RMSprop(p, lr=RATE, alpha=0.9, weight_decay=DECAY),
    "sgd": lambda p: torch.optim.SGD(p, lr=RATE, weight_decay=DECAY),
}


@pytest.mark.parametrize("kind", KINDS)
def test_steps_are_those_of_pytorch(kind: str) -> None:
    torch.manual_seed(0)
    ours = [torch.randn(3, 4), torch.randn(5)]
    theirs = [parameter.clone() for parameter in ours]
    descent, peer = Descent(kind, ours, RATE, DECAY), PEERS[kind](theirs)
    for _ in range(5):
        for one, other in zip(ours, theirs, strict=True):
            one.grad = torch.randn_like(one)
            other.grad = one.grad.clone()
        descent.step()
        peer.step()
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other)


def test_what_has_no_gradient_stays() -> None:
    parameter = torch.ones(3)
    parameter.grad = torch.ones(3)
    descent = Descent("adam", [parameter], RATE)
    descent.clear()
    descent.step()
    assert parameter.tolist() == [1, 1, 1]


def test_wide_products_keep_float32() -> None:
    torch.manual_seed(0)
    one, other = torch.randn(64, 200), torch.randn(200, 64)
    exact = one.double() @ other.double()
    with neural.wide_products():
        found = one @ other
    torch.testing.assert_close(found.double(), exact, rtol=1e-5, atol=1e-4)


def test_the_switch_is_put_back() -> None:
    matmul = getattr(torch.backends.mkldnn, "matmul", None)
    precision = getattr(matmul, "fp32_precision", None)
    with neural.wide_products():
        pass
    assert getattr(matmul, "fp32_precision", None) == precision
