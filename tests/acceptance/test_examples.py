"""Every file in examples/ runs with the clients as installed, and asks nobody else."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from acceptance.conftest import AUDIT, ROOT, Run

EXAMPLES = ROOT / "examples"
V3 = ROOT / ".venv-v3" / "bin" / "python"
PYTHON = {"sdk_v3.py": str(V3)}
# `make demo` is quickstart.py with a server of its own around it.
SCRIPTS = sorted(path.name for path in EXAMPLES.glob("*.py") if path.name != "demo.py")

pytestmark = pytest.mark.acceptance


@pytest.mark.parametrize("name", SCRIPTS)
def test_example_runs_and_asks_nobody_else(name: str, run_script: Run, tmp_path: Path) -> None:
    audit, home = tmp_path / "hosts", tmp_path / "home"
    home.mkdir()
    done = run_script(
        EXAMPLES / name,
        python=PYTHON.get(name, sys.executable),
        PYTHONPATH=str(AUDIT),
        WILDSAGE_AUDIT_LOG=str(audit),
        HOME=str(home),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert set(audit.read_text().split()) <= {"127.0.0.1", "localhost"}


def test_the_examples_write_no_configuration(run_script: Run, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    done = run_script(EXAMPLES / "boto3_only.py", HOME=str(home))
    assert done.returncode == 0, done.stdout + done.stderr
    assert not (home / ".aws").exists()
