"""Put on a child's PYTHONPATH: writes down every host the process looks up or connects to.

Proof that nothing reaches AWS is that nothing but loopback is ever asked for.
"""

from __future__ import annotations

import os
import sys
from typing import Any

_LOG = os.environ.get("WILDSAGE_AUDIT_LOG")


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "socket.getaddrinfo":
        _write(str(arguments[0]))
    elif event == "socket.connect" and isinstance(arguments[1], tuple):
        _write(str(arguments[1][0]))


def _write(host: str) -> None:
    assert _LOG is not None
    descriptor = os.open(_LOG, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(descriptor, f"{host}\n".encode())
    os.close(descriptor)


if _LOG:
    sys.addaudithook(_hook)
