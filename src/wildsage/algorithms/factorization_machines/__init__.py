"""Factorization machines: pairwise interactions of sparse features in linear time. See README.md.

Importing the package costs nothing; the estimator is imported when it is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wildsage.algorithms.factorization_machines.estimator import (
        FactorizationMachines as FactorizationMachines,
    )

__all__ = ["FactorizationMachines"]


def __getattr__(name: str) -> Any:
    if name == "FactorizationMachines":
        from wildsage.algorithms.factorization_machines.estimator import FactorizationMachines

        return FactorizationMachines
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
