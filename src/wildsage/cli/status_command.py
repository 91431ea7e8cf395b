"""`wildsage status`: whether a server runs, and what it is doing."""

from __future__ import annotations

import argparse
from collections import Counter

from wildsage import clock, presence
from wildsage.settings import Settings
from wildsage.store.home import living_holder

HELP = "show whether the server runs and what it does"
KINDS = {"training-job": "training jobs", "endpoint": "endpoints", "model": "models"}


def configure(parser: argparse.ArgumentParser) -> None:
    del parser


def run(arguments: argparse.Namespace, settings: Settings) -> int:
    pid = living_holder(settings.home)
    server = presence.read(settings.home)
    if pid is None or server is None:
        print(f"no server runs on {settings.home}")
        return 3
    print(f"{server.url}  pid {pid}  up {clock.now() - server.started:.0f} s  home {settings.home}")
    for line in resource_lines(settings):
        print(line)
    return 0


def resource_lines(settings: Settings) -> list[str]:
    """One line a kind: how many there are in which status."""
    from wildsage.store.changes import Changes
    from wildsage.store.database import Database
    from wildsage.store.resources import Resources

    database = Database(settings.database_url)
    resources = Resources(database, Changes())
    lines = []
    for kind, title in KINDS.items():
        counts = Counter(resource.status for resource in resources.all(kind))
        found = ", ".join(f"{count} {status}" for status, count in sorted(counts.items()))
        lines.append(f"{title}: {found or 'none'}")
    return lines
