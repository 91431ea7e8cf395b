from __future__ import annotations

from pathlib import Path

import pytest

from wildsage import presence
from wildsage.presence import Presence


def test_what_is_written_is_read_and_removed(tmp_path: Path) -> None:
    here = Presence(1, "127.0.0.1", 2, 3, 4.0)
    presence.write(tmp_path, here)
    assert presence.read(tmp_path) == here
    presence.remove(tmp_path)
    presence.remove(tmp_path)
    assert presence.read(tmp_path) is None


@pytest.mark.parametrize("text", ["", "{", '{"pid": 1}'])
def test_half_a_file_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "server.json").write_text(text)
    assert presence.read(tmp_path) is None


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:2"),
        ("0.0.0.0", "http://127.0.0.1:2"),
        ("::", "http://[::1]:2"),
    ],
)
def test_where_clients_reach_it(host: str, url: str) -> None:
    here = Presence(1, host, 2, 3, 4.0)
    assert here.url == url
    assert here.proxy_url == "http://127.0.0.1:3"
