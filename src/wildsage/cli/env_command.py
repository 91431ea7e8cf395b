"""`eval "$(wildsage env)"`: point this shell's AWS clients at the server."""

from __future__ import annotations

import argparse
import shlex

from wildsage.cli.environment import client_environment, require_server
from wildsage.settings import Settings

HELP = "print the variables that point AWS clients here, for eval"


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--format", choices=("shell", "dotenv"), default="shell", help="how to print them"
    )


def run(arguments: argparse.Namespace, settings: Settings) -> int:
    prefix = "export " if arguments.format == "shell" else ""
    for name, value in client_environment(settings, require_server(settings)).items():
        print(f"{prefix}{name}={shlex.quote(value)}")
    return 0
