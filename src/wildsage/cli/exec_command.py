"""`wildsage exec -- CMD`: run one command whose AWS clients talk to the server."""

from __future__ import annotations

import argparse
import os

from wildsage.cli import CommandError
from wildsage.cli.environment import add_as_is_flag, client_environment, require_server
from wildsage.settings import Settings

HELP = "run a command with AWS clients pointed here"


def configure(parser: argparse.ArgumentParser) -> None:
    add_as_is_flag(parser)
    parser.add_argument("words", nargs=argparse.REMAINDER, metavar="-- CMD", help="the command")


def run(arguments: argparse.Namespace, settings: Settings) -> int:
    words = arguments.words[1:] if arguments.words[:1] == ["--"] else arguments.words
    if not words:
        raise CommandError("exec needs a command: wildsage exec -- python my_script.py")
    server = require_server(settings)
    variables = client_environment(settings, server, as_is=arguments.as_is)
    try:
        os.execvpe(words[0], words, {**os.environ, **variables})
    except OSError as error:
        raise CommandError(f"cannot run {words[0]}: {error.strerror}") from error
