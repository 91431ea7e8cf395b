"""The documentation says what the code declares, and its links lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from wildsage.cli import COMMANDS
from wildsage.docs import PAGES, render
from wildsage.settings import SETTINGS

ROOT = Path(__file__).parents[1]
REFERENCE = ROOT / "docs" / "reference"
PROSE = sorted(
    path
    for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("src/**/*.md"))
    if "egg-info" not in str(path)
)


@pytest.mark.parametrize("name", PAGES)
def test_generated_pages_are_fresh(name: str) -> None:
    assert (REFERENCE / name).read_text() == render()[name], "run `make docs`"


@pytest.mark.parametrize("path", PROSE, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path: Path) -> None:
    targets = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", path.read_text())
    local = [target for target in targets if "://" not in target]
    assert [target for target in local if not (path.parent / target).exists()] == []


def test_every_setting_and_command_is_documented() -> None:
    settings_page = (REFERENCE / "settings.md").read_text()
    commands_page = (REFERENCE / "commands.md").read_text()
    assert [s.variable for s in SETTINGS if s.variable not in settings_page] == []
    assert [c for c in COMMANDS if f"wildsage {c}" not in commands_page] == []
