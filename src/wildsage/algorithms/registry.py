"""The built-in algorithms: one line each. A package is imported when it is first asked for."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, cast

from wildsage.algorithms.spec import AlgorithmSpec

if TYPE_CHECKING:
    from wildsage.algorithms.base import Program

ALGORITHMS: dict[str, str] = {
    "blazingtext": "wildsage.algorithms.blazingtext",
    "factorization-machines": "wildsage.algorithms.factorization_machines",
    "forecasting-deepar": "wildsage.algorithms.forecasting_deepar",
    "ipinsights": "wildsage.algorithms.ipinsights",
    "kmeans": "wildsage.algorithms.kmeans",
    "knn": "wildsage.algorithms.knn",
    "lda": "wildsage.algorithms.lda",
    "linear-learner": "wildsage.algorithms.linear_learner",
    "ntm": "wildsage.algorithms.ntm",
    "object2vec": "wildsage.algorithms.object2vec",
    "pca": "wildsage.algorithms.pca",
    "randomcutforest": "wildsage.algorithms.randomcutforest",
    "xgboost": "wildsage.algorithms.xgboost",
}


class UnknownAlgorithm(LookupError):
    """No built-in algorithm has this name."""


def spec(name: str) -> AlgorithmSpec:
    """The declaration of an algorithm; costs no heavy import."""
    declared = import_module(f"{_package(name)}.spec").SPEC
    assert isinstance(declared, AlgorithmSpec)
    return declared


def program(name: str) -> Program:
    """The module with an algorithm's `train` and `load`."""
    return cast("Program", import_module(f"{_package(name)}.program"))


def find_image(repository: str) -> str | None:
    """The algorithm behind an image's repository name, as in `.../kmeans:1`."""
    return next((name for name in ALGORITHMS if repository in spec(name).image_names), None)


def _package(name: str) -> str:
    try:
        return ALGORITHMS[name]
    except KeyError:
        raise UnknownAlgorithm(name) from None
