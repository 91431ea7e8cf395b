"""The home folder: private to its user, and held by one server at a time."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from wildsage.store.errors import HomeInUse

_NAME = "server.lock"


class HomeLock:
    """Held from `acquire` until `release` or the end of the process, however that ends (flock).

    The descriptor closes on exec. A child that forks without exec would keep the lock: supervisors
    therefore start through exec.
    """

    def __init__(self, home: Path) -> None:
        self._home = home
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Make the folder when it is missing and take it; HomeInUse names the holder."""
        self._home.mkdir(parents=True, exist_ok=True)
        self._home.chmod(0o700)
        descriptor = os.open(self._home / _NAME, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise HomeInUse(self._refusal()) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        self._descriptor = descriptor

    def release(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _refusal(self) -> str:
        pid = holder(self._home)
        who = f"process {pid}" if pid else "another process"
        return (
            f"A wildsage server ({who}) already uses {self._home}. Stop it with `wildsage down`, "
            "or choose another folder with --home."
        )

    def __enter__(self) -> HomeLock:
        self.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


def holder(home: Path) -> int | None:
    """The process id that the holder wrote down; None when nobody ever did."""
    try:
        return int((home / _NAME).read_text())
    except (FileNotFoundError, ValueError):
        return None


def living_holder(home: Path) -> int | None:
    """The process that holds the lock now; None when nobody does."""
    pid = holder(home)
    if pid is None:
        return None
    descriptor = os.open(home / _NAME, os.O_RDWR)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return pid
    finally:
        os.close(descriptor)
    return None
