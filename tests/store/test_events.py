from __future__ import annotations

import json
from pathlib import Path

from wildsage.store.events import Events

NOON = 1_700_049_600.0  # 2023-11-15 12:00 UTC


def test_a_day_is_a_file(tmp_path: Path) -> None:
    events = Events(tmp_path / "events")
    events.append(NOON, {"operation": "A"})
    events.append(NOON + 1, {"operation": "B"})
    events.append(NOON + 86400, {"operation": "C"})
    events.close()
    days = {
        path.stem: [json.loads(line)["operation"] for line in path.read_text().splitlines()]
        for path in (tmp_path / "events").iterdir()
    }
    assert days == {"2023-11-15": ["A", "B"], "2023-11-16": ["C"]}


def test_the_files_are_private_and_appended_to(tmp_path: Path) -> None:
    for name in ("first", "second"):
        events = Events(tmp_path)
        events.append(NOON, {"operation": name})
        events.close()
    (path,) = tmp_path.iterdir()
    assert path.stat().st_mode & 0o777 == 0o600
    assert len(path.read_text().splitlines()) == 2
