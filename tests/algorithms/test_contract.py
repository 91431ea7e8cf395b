"""Every built-in algorithm keeps the contract of `wildsage.algorithms.checks`."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from wildsage.algorithms import checks, registry


@pytest.mark.parametrize("check", checks.CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", registry.ALGORITHMS)
def test_contract(name: str, check: Callable[[str], None]) -> None:
    check(name)


@pytest.mark.parametrize("name", ["ipinsights", "object2vec"])
def test_what_the_sdk_always_sends_is_taken(name: str) -> None:
    spec, given = registry.spec(name), dict(checks.example_of(name).hyperparameters)
    assert "feature_dim" not in spec.validate({**given, "feature_dim": "2"})
