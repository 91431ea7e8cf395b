"""PyTorch, which comes with the extra `neural`. Only jobs that train a network ask for it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module

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
        yield
    finally:
        torch.set_num_threads(before)
