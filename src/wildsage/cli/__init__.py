"""The command line: one module a command, imported when it is asked for.

Each module has `HELP` (one line), `configure(parser)` for its own flags and
`run(arguments, settings)`, which returns the exit status. `CommandError` ends a command with
one clear line.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence
from typing import Any

import wildsage
from wildsage import settings

COMMANDS = ("up", "down", "status", "env", "exec", "logs", "doctor", "warm")
REACHES_A_SERVER = frozenset(COMMANDS) - {"doctor", "logs", "warm"}


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
    except BrokenPipeError:  # whoever read us, such as `head`, has enough
        sys.stdout = None
        return 0
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
        if chosen in (None, name):
            _configure(name, commands.add_parser(name, help=_module(name).HELP))
        else:
            commands.add_parser(name)
    return parser


def parser_of(command: str) -> argparse.ArgumentParser:
    """The parser of one command, for its page in the documentation."""
    parser = argparse.ArgumentParser(prog=f"wildsage {command}")
    _configure(command, parser)
    return parser


def _configure(name: str, parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--home", metavar="FOLDER", help="folder that holds everything kept")
    if name in REACHES_A_SERVER:
        parser.add_argument("--port", type=int, help="port of the server (default 4570)")
    _module(name).configure(parser)
