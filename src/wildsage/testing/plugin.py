"""The pytest fixture `wildsage_server`: one server for the whole test session."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from wildsage.testing import LocalServer


@pytest.fixture(scope="session")
def wildsage_server() -> Iterator[LocalServer]:
    """A server in a temporary home on a free port; this process's AWS variables point at it."""
    with LocalServer.temporary() as server:
        yield server
