"""What a running server says of itself in its home (`server.json`), for commands and tests."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Presence:
    pid: int
    host: str
    port: int
    proxy_port: int
    started: float

    @property
    def url(self) -> str:
        return f"http://{reachable(self.host)}:{self.port}"

    @property
    def proxy_url(self) -> str:
        return f"http://127.0.0.1:{self.proxy_port}"


def write(home: Path, presence: Presence) -> None:
    """Replace the file in one step, so that a reader never sees half of it."""
    temporary = home / f"server.json.{os.getpid()}"
    temporary.write_text(json.dumps(asdict(presence)))
    temporary.replace(home / "server.json")


def read(home: Path) -> Presence | None:
    """What the last server wrote; whether it still lives, the home's lock tells."""
    try:
        return Presence(**json.loads((home / "server.json").read_text()))
    except (FileNotFoundError, ValueError, TypeError):
        return None


def remove(home: Path) -> None:
    (home / "server.json").unlink(missing_ok=True)


def reachable(host: str) -> str:
    """A server on every address is reached here by the loopback one."""
    return {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, host)
