"""docs/reference/settings.md"""

from __future__ import annotations

from wildsage.settings import SETTINGS


def page() -> str:
    rows = [
        f"| `{s.variable}` | {f'`{s.default}`' if s.default else 'see below'} | {s.help} |"
        for s in SETTINGS
    ]
    return "\n".join(
        (
            "# Settings",
            "",
            "A flag of the command line wins over the environment variable, that over the default.",
            "",
            "| variable | default | what it is |",
            "|---|---|---|",
            *rows,
            "",
            "`WILDSAGE_HOME` defaults to the platform's data folder: `$XDG_DATA_HOME/wildsage` or "
            "`~/.local/share/wildsage`, and `~/Library/Application Support/wildsage` on macOS.",
            "",
        )
    )
