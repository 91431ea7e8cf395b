"""`wildsage up`: run the server in this terminal, or behind it with `--detach`."""

from __future__ import annotations

import argparse
import subprocess
import sys
import threading
from pathlib import Path

from wildsage import clock, presence
from wildsage.cli import CommandError
from wildsage.cli.progress import Progress
from wildsage.presence import Presence
from wildsage.settings import Settings
from wildsage.store.home import living_holder

HELP = "start the server"
START_SECONDS = 60.0


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--host", help="address to listen on (default 127.0.0.1)")
    parser.add_argument("--detach", action="store_true", help="leave it running in the background")


def run(arguments: argparse.Namespace, settings: Settings) -> int:
    if arguments.detach:
        print(announcement(settings, start_detached(settings)))
        return 0
    from wildsage.server import serve

    serve(settings, on_ready=lambda server: print(announcement(settings, server), flush=True))
    return 0


def start_detached(settings: Settings, log: Path | None = None) -> Presence:
    """Start a server that outlives this process; returns once it answers."""
    log = log or settings.home / "server.log"
    if living_holder(settings.home) is not None:
        raise CommandError(f"a server already runs on {settings.home}")
    presence.remove(settings.home)
    log.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with log.open("ab") as output:
        process = subprocess.Popen(
            _command(settings), stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            start_new_session=True,
        )  # fmt: skip
    return _wait_until_ready(settings, process, log)


def _command(settings: Settings) -> list[str]:
    flags = ["--home", str(settings.home), "--port", str(settings.port), "--host", settings.host]
    return [sys.executable, "-m", "wildsage", "up", *flags]


def _wait_until_ready(settings: Settings, process: subprocess.Popen[bytes], log: Path) -> Presence:
    deadline = clock.monotonic() + START_SECONDS
    with Progress("starting the server") as progress:
        while clock.monotonic() < deadline:
            found = presence.read(settings.home)
            if found is not None and found.pid == process.pid:
                # Whoever lives on after this reaps the server when it ends.
                threading.Thread(target=process.wait, daemon=True).start()
                return found
            if process.poll() is not None:
                raise CommandError(f"the server did not start:\n{_tail(log)}")
            progress.tick()
            clock.sleep(0.02)
    raise CommandError(f"the server did not answer within {START_SECONDS:.0f} s; see {log}")


def _tail(log: Path, lines: int = 5) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])


def announcement(settings: Settings, server: Presence) -> str:
    """What `up` prints once the server answers."""
    home = f" --home {settings.home}" if settings.home != type(settings.home)() else ""
    return "\n".join(
        (
            f"wildsage answers at {server.url} (home {settings.home})",
            f"console: {server.url}/console/ (to come)",
            f'point a shell at it:   eval "$(wildsage env{home})"',
            f"or run one command:    wildsage exec{home} -- python my_sagemaker_script.py",
        )
    )
