from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from wire.helpers_wire import Toy, serving


@pytest.fixture
def toy(tmp_path: Path) -> Iterator[Toy]:
    toy = Toy(tmp_path)
    yield toy
    toy.app.close()


@pytest.fixture
def port(toy: Toy) -> Iterator[int]:
    """The toy behind a real server."""
    with serving(toy.app) as port:
        yield port
