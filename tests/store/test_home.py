from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from wildsage.store.errors import HomeInUse
from wildsage.store.home import HomeLock, holder

HOLD = """
import sys
from pathlib import Path
from wildsage.store.home import HomeLock
lock = HomeLock(Path(sys.argv[1]))
lock.acquire()
print("held", flush=True)
sys.stdin.read()
"""


def test_a_second_server_is_told_who_has_the_home(tmp_path: Path) -> None:
    home = tmp_path / "home"
    command = [sys.executable, "-c", HOLD, str(home)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(HomeInUse, match=rf"process {other.pid}\) already uses .*--home"):
            HomeLock(home).acquire()
        other.kill()
    with HomeLock(home):
        assert holder(home) is not None


def test_a_released_home_can_be_taken(tmp_path: Path) -> None:
    with HomeLock(tmp_path):
        pass
    with HomeLock(tmp_path), pytest.raises(HomeInUse):
        HomeLock(tmp_path).acquire()


def test_the_home_is_private(tmp_path: Path) -> None:
    home = tmp_path / "a" / "home"
    with HomeLock(home):
        assert home.stat().st_mode & 0o777 == 0o700


def test_nobody_ever_held_it(tmp_path: Path) -> None:
    assert holder(tmp_path) is None
