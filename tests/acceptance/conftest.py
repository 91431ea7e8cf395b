"""One server process for the acceptance tests, and a way to run scripts against it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from wildsage.testing import LocalServer

ROOT = Path(__file__).parents[2]
AUDIT = Path(__file__).with_name("audit")
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def server() -> Iterator[LocalServer]:
    with LocalServer.temporary() as running:
        yield running


@pytest.fixture
def run_script(server: LocalServer) -> Run:
    """`run_script(path, python=..., **variables)`: `wildsage exec -- python path`."""

    def run(
        script: Path, python: str = sys.executable, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        command = ["exec", "--home", str(server.settings.home), "--", python, str(script)]
        return subprocess.run(
            [sys.executable, "-m", "wildsage", *command],
            env={**os.environ, **variables},
            capture_output=True,
            text=True,
            timeout=900,
        )

    return run
