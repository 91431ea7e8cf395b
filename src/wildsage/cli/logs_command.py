"""`wildsage logs JOB`: the log of a training job or an endpoint, straight from its files.

It needs no server: the files are there while the server is down, and go on growing.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from datetime import datetime

from wildsage import clock
from wildsage.arns import Scope
from wildsage.cli import CommandError
from wildsage.settings import Settings
from wildsage.store.database import Database
from wildsage.store.errors import NotFound
from wildsage.store.logs import Logs

HELP = "print the log of a job or an endpoint"
TRAINING_GROUP = "/aws/sagemaker/TrainingJobs"
ENDPOINT_GROUP = "/aws/sagemaker/Endpoints/"
FOLLOW_SECONDS = 0.2
Stream = tuple[str, str]


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("job", metavar="JOB", help="name of a training job or an endpoint")
    parser.add_argument("--follow", action="store_true", help="go on as lines come")
    parser.add_argument("--region", help="region of the job")


def run(arguments: argparse.Namespace, settings: Settings) -> int:
    if not settings.home.exists():
        raise CommandError(f"nothing was ever kept in {settings.home}")
    scope = Scope(settings.account, arguments.region or settings.region)
    reader = LogFollower(Logs(Database(settings.database_url), settings.logs), scope, arguments.job)
    if not reader.print_new() and not arguments.follow and not reader.streams():
        raise CommandError(f"no log of {arguments.job!r} in {scope.region}")
    while arguments.follow:
        clock.sleep(FOLLOW_SECONDS)
        reader.print_new()
    return 0


class LogFollower:
    """Prints what has been added to a job's streams since it was last asked."""

    def __init__(self, logs: Logs, scope: Scope, job: str) -> None:
        self._logs, self._scope, self._job = logs, scope, job
        self._tokens: dict[Stream, str | None] = {}

    def streams(self) -> list[Stream]:
        places = [(TRAINING_GROUP, f"{self._job}/"), (ENDPOINT_GROUP + self._job, "")]
        return [stream for group, prefix in places for stream in self._in_group(group, prefix)]

    def _in_group(self, group: str, prefix: str) -> list[Stream]:
        try:
            found, _ = self._logs.describe_streams(self._scope, group, prefix=prefix)
        except NotFound:
            return []
        return [(group, summary.stream.name) for summary in found]

    def print_new(self) -> int:
        """Returns how many lines it printed."""
        streams = self.streams()
        printed = 0
        for group, name in streams:
            label = f"{name.rsplit('/', 1)[-1]} " if len(streams) > 1 else ""
            for line in self._new_lines(group, name):
                print(label + line, flush=True)
                printed += 1
        return printed

    def _new_lines(self, group: str, name: str) -> Iterator[str]:
        while True:
            token = self._tokens.get((group, name))
            page = self._logs.get_events(
                self._scope, group, name, token=token, start_from_head=True
            )
            self._tokens[group, name] = page.forward
            if not page.events:
                return
            for event in page.events:
                moment = datetime.fromtimestamp(event.timestamp / 1000)
                yield f"{moment:%H:%M:%S.%f}"[:-3] + f" {event.message}"
