"""`eval "$(wildsage env)"`: point this shell's AWS clients at the server."""

from __future__ import annotations

import argparse
import shlex

from wildsage.cli.environment import add_as_is_flag, client_environment, require_server
from wildsage.settings import Settings

HELP = "print the variables that point AWS clients here, for eval"


def configure(parser: argparse.ArgumentParser) -> None:
    add_as_is_flag(parser)
    parser.add_argument(
        "--format", choices=("shell", "dotenv"), default="shell", help="how to print them"
    )


def run(arguments: argparse.Namespace, settings: Settings) -> int:
    prefix = "export " if arguments.format == "shell" else ""
    server = require_server(settings)
    variables = client_environment(settings, server, as_is=arguments.as_is)
    for name, value in variables.items():
        print(f"{prefix}{name}={shlex.quote(value)}")
    return 0
