"""PyTorch, which comes with the extra `neural`. Only jobs that train a network ask for it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from typing import Any

from wildsage.contract.failure import ClientError

# Below so many multiplications in a step, threads cost more by meeting than they give.
WORTH_A_THREAD = 1_000_000


def require_torch() -> None:
    """Say what to install where PyTorch is absent; call it before importing what needs it."""
    try:
        import_module("torch")
    except ImportError as error:
        raise ClientError(
            "This algorithm needs PyTorch. Install it by `pip install wildsage[neural]`.",
            caused_by=error,
        ) from error


@contextmanager
def threads_for(multiplications: float) -> Iterator[None]:
    """PyTorch's threads while a network trains whose steps do so much; restored at the end."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(max(1, min(before, int(multiplications / WORTH_A_THREAD))))
    try:
        with wide_products():
            yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def wide_products() -> Iterator[None]:
    """Products of float32 matrices by oneDNN, which uses AVX-512 on every processor that has it.

    MKL, which PyTorch asks otherwise, uses half of its width on those of other makers than Intel:
    100 instead of 220 GFLOP/s a core on AMD's Zen 5. The switch says that bfloat16 will do, which
    oneDNN makes use of where there are units for products of it (AMX) and nowhere else; so it is
    tried out once, and left alone where it would cost precision.
    """
    switch = _switch()
    if switch is None or not _is_exact():
        yield
        return
    before, switch.fp32_precision = switch.fp32_precision, "bf16"
    try:
        yield
    finally:
        switch.fp32_precision = before


def _switch() -> Any:
    """None where this PyTorch has no such switch."""
    from torch.backends import mkldnn

    matmul = getattr(mkldnn, "matmul", None)
    return matmul if hasattr(matmul, "fp32_precision") else None


@cache
def _is_exact() -> bool:
    """Whether float32 stays float32 when the switch is on: these numbers need more of its bits
    than bfloat16 has."""
    import torch

    numbers = torch.full((128, 128), 1 + 2**-12)
    switch = _switch()
    before, switch.fp32_precision = switch.fp32_precision, "bf16"
    try:
        return bool((numbers @ torch.eye(128) == numbers).all())
    finally:
        switch.fp32_precision = before
