"""`wildsage down`: stop the server; its jobs and endpoints go on, for the next one to adopt.

`wildsage down --all` also ends every instance that was started from this home, and nothing else.
"""

from __future__ import annotations

import argparse
import os
import signal

from wildsage import clock
from wildsage.cli import CommandError
from wildsage.cli.progress import Progress
from wildsage.settings import Settings
from wildsage.store.home import living_holder

HELP = "stop the server; with --all, its jobs and endpoints too"
STOP_SECONDS = 30.0


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--all", action="store_true", help="also end all it started")


def run(arguments: argparse.Namespace, settings: Settings) -> int:
    stopped = stop_server(settings)
    ended = end_instances(settings) if arguments.all else 0
    print("server stopped" if stopped else f"no server runs on {settings.home}")
    if arguments.all:
        print(f"{ended} instance(s) ended")
    return 0


def stop_server(settings: Settings) -> bool:
    """Ask the server of this home to stop and wait until it has; False when none runs."""
    pid = living_holder(settings.home)
    if pid is None:
        return False
    os.kill(pid, signal.SIGTERM)
    deadline = clock.monotonic() + STOP_SECONDS
    with Progress("stopping the server") as progress:
        while living_holder(settings.home) is not None:
            if clock.monotonic() > deadline:
                raise CommandError(
                    f"the server (pid {pid}) did not stop within {STOP_SECONDS:.0f} s"
                )
            progress.tick()
            clock.sleep(0.02)
    return True


def end_instances(settings: Settings) -> int:
    """End every instance that was started from this home; returns how many there were."""
    from wildsage.compute.process import ProcessCompute

    compute = ProcessCompute(settings.instances)
    try:
        roots = compute.running()
        for root in roots:
            compute.kill(root)
    finally:
        compute.close()
    return len(roots)
