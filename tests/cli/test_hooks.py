"""The hook that shortens SDK v2's sleeps, in interpreters of its own against a stand-in SDK."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from wildsage.cli.environment import HOOKS, hooked_path

SESSION = """
import time

def wait_for_endpoint():
    time.sleep(30)

def _logs_for_job(timeout=None):
    before = time.time()
    time.sleep(10)
    return time.time() - before
"""


@pytest.fixture
def sdk(tmp_path: Path) -> Path:
    package = tmp_path / "sagemaker"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "session.py").write_text(SESSION)
    return tmp_path


def run(code: str, *folders: Path) -> str:
    path = os.pathsep.join(map(str, (HOOKS, *folders)))
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=20,
    )
    assert done.stderr == ""
    return done.stdout


def test_a_sleep_of_the_sdk_is_short(sdk: Path) -> None:
    code = (
        "import time; start = time.monotonic(); from sagemaker import session; "
        "session.wait_for_endpoint(); print(time.monotonic() - start < 10)"
    )
    assert run(code, sdk) == "True\n"


def test_slept_time_counts_where_the_sdk_counts_it(sdk: Path) -> None:
    code = (
        "from sagemaker import session; print(round(session._logs_for_job()), "
        "round(session._logs_for_job(timeout=60)))"
    )
    assert run(code, sdk) == "10 0\n"


def test_nobody_else_s_time_is_touched(sdk: Path) -> None:
    code = "import time; from sagemaker import session; print(type(time).__name__, time.sleep)"
    assert run(code, sdk) == "module <built-in function sleep>\n"


def test_the_user_s_own_sitecustomize_still_runs(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("print('mine')")
    assert run("print('program')", tmp_path) == "mine\nprogram\n"


def test_the_path_is_put_in_front_once() -> None:
    once = hooked_path({"PYTHONPATH": "/a"})
    assert once == f"{HOOKS}{os.pathsep}/a"
    assert hooked_path({"PYTHONPATH": once}) == once
