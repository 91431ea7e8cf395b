"""docs/reference/commands.md"""

from __future__ import annotations

import importlib

from wildsage.cli import COMMANDS, parser_of


def page() -> str:
    sections = ["# The command line", ""]
    for name in COMMANDS:
        module = importlib.import_module(f"wildsage.cli.{name}_command")
        sections += [f"## wildsage {name}", "", module.HELP.capitalize() + ".", ""]
        sections += ["```", parser_of(name).format_help().rstrip(), "```", ""]
    return "\n".join(sections)
