from __future__ import annotations

from collections.abc import Iterator

import pytest

from proxy.helpers_proxy import Echo, Loop, listening
from wildsage.proxy.ca import Authority


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.at(tmp_path_factory.mktemp("certificates"), {})


@pytest.fixture
def loop() -> Iterator[Loop]:
    loop = Loop()
    yield loop
    loop.close()


@pytest.fixture
def echo() -> Echo:
    return Echo()


@pytest.fixture
def main(loop: Loop, echo: Echo) -> Iterator[int]:
    """The port where AWS's requests are answered."""
    with listening(loop, echo) as port:
        yield port
