"""Put on PYTHONPATH by `wildsage exec` and `wildsage env`: gives a waiting SDK v2 its time back.

The SDK sleeps 5 s before it first asks how a job does, and 30 s before it first asks after an
endpoint, whatever the server says. A Describe of something that still moves is held by wildsage
until it settles, so those sleeps are not needed. Here the module `sagemaker.session` is given a
`time` of its own, in which sleeping is short; no file is changed, no other module sees it, and
`--as-is` leaves it out. Runs in the user's interpreter: the standard library only, Python from
3.8 on.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import os
import sys
import time
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

_MODULE = "sagemaker.session"
_POLL_SECONDS = 0.2


class PatientTime:
    """The module `time`, but a sleep lasts `_POLL_SECONDS` at most."""

    def __init__(self) -> None:
        self._skipped = 0.0

    def __getattr__(self, name: str) -> Any:
        return getattr(time, name)

    def sleep(self, seconds: float) -> None:
        time.sleep(min(seconds, _POLL_SECONDS))
        self._skipped += max(seconds - _POLL_SECONDS, 0)

    def time(self) -> float:
        """The log loop asks for a job's status every 30 s of slept time; a time-out stays real."""
        caller = sys._getframe(1)
        counts_sleep = caller.f_code.co_name == "_logs_for_job"
        if counts_sleep and caller.f_locals.get("timeout") is None:
            return time.time() + self._skipped
        return time.time()


class _Finder:
    """Finds the one module as usual, and changes its `time` once it has run."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if name != _MODULE:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.loader is not None:
            _wrap(spec.loader)
        return spec


def _wrap(loader: Any) -> None:
    run = loader.exec_module

    def exec_module(module: ModuleType) -> None:
        run(module)
        _give_time(module)

    loader.exec_module = exec_module


def _give_time(module: Any) -> None:
    if getattr(module, "time", None) is time:
        module.time = PatientTime()


def install() -> None:
    """Change the module now if it is there, else when it is imported. Once is enough."""
    if _MODULE in sys.modules:
        _give_time(sys.modules[_MODULE])
    elif not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


def _run_shadowed() -> None:
    """Run the sitecustomize that this one stands in front of, if there is one."""
    here = os.path.dirname(os.path.abspath(__file__))
    rest = [folder for folder in sys.path if os.path.abspath(folder) != here]
    spec = importlib.machinery.PathFinder.find_spec("sitecustomize", rest)
    if spec is not None and spec.loader is not None:
        spec.loader.exec_module(importlib.util.module_from_spec(spec))


install()
if __name__ == "sitecustomize":
    _run_shadowed()
