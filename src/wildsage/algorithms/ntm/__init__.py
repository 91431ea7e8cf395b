"""Neural topic model: documents as mixtures of topics, inferred by a network. See README.md."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wildsage.algorithms.ntm.estimator import NTM as NTM

__all__ = ["NTM"]


def __getattr__(name: str) -> Any:
    if name == "NTM":
        from wildsage.algorithms.ntm.estimator import NTM

        return NTM
    raise AttributeError(name)
