"""The command line: one module a command, imported when it is asked for.

Each module has `HELP` (one line), `configure(parser)` for its own flags and `run(arguments, settings)`,
which returns the exit status. `CommandError` ends a command with one clear line.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence
from typing import Any

import wildsage
from wildsage import settings

COMMANDS = ("up", "down", "status", "env", "exec", "logs", "doctor")
REACHES_A_SERVER = frozenset(COMMANDS) - {"doctor", "logs"}


class CommandError(Exception):
    """What stops a command, in one line for the person at the terminal."""


def main(argv: Sequence[str] | None = None) -> int:
    given = list(sys.argv[1:] if argv is None else argv)
    chosen = next((word for word in given if word in COMMANDS), None)
    parser = _parser(chosen)
    arguments = parser.parse_args(given)
    if arguments.command is None:
        parser.print_help()
        return 2
    try:
        flags = {s.name: getattr(arguments, s.name, None) for s in settings.SETTINGS}
        status: int = _module(arguments.command).run(arguments, settings.load(flags))
        return status
    except (CommandError, ValueError) as error:
        print(f"wildsage: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _module(command: str) -> Any:
    return importlib.import_module(f"wildsage.cli.{command}_command")


def _parser(chosen: str | None) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="wildsage", description="An open, self-hosted Amazon SageMaker."
    )
    parser.add_argument("--version", action="version", version=f"wildsage {wildsage.__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    for name in COMMANDS:
        module = _module(name) if chosen in (None, name) else None
        command = commands.add_parser(name, help=getattr(module, "HELP", ""))
        if module is not None:
            _add_common_flags(name, command)
            module.configure(command)
    return parser


def _add_common_flags(name: str, parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--home", metavar="FOLDER", help="folder that holds everything kept")
    if name in REACHES_A_SERVER:
        parser.add_argument("--port", type=int, help="port of the server (default 4570)")
