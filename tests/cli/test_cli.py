"""Flags, refusals and what is printed. Commands that need a server are tried in acceptance."""

from __future__ import annotations

from pathlib import Path

import pytest

from wildsage.cli import COMMANDS, main, parser_of
from wildsage.cli.environment import merged_no_proxy


def test_without_a_command_it_shows_all(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    printed = capsys.readouterr().out
    assert [name for name in COMMANDS if name not in printed] == []


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_takes_a_home(name: str) -> None:
    assert "--home FOLDER" in parser_of(name).format_help()


@pytest.mark.parametrize("command", [["env"], ["exec", "--", "true"]])
def test_clients_need_a_server(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name, *words = command
    assert main([name, "--home", str(tmp_path), *words]) == 1
    assert "start one with `wildsage up`" in capsys.readouterr().err


def test_status_and_down_of_an_empty_home(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["status", "--home", str(tmp_path)]) == 3
    assert main(["down", "--home", str(tmp_path)]) == 0
    assert capsys.readouterr().out.count(f"no server runs on {tmp_path}") == 2


def test_warm_trains_and_asks_each_algorithm(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["warm", "kmeans"]) == 0
    assert capsys.readouterr().out.startswith("kmeans: ready (")


def test_warm_says_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "faiss.py").write_text("raise ImportError('none here')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert main(["warm", "knn"]) == 1
    assert "wildsage[algorithms]" in capsys.readouterr().out


def test_warm_knows_the_algorithms(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["warm", "kmeens"]) == 1
    assert "no such algorithm: kmeens" in capsys.readouterr().err


def test_a_bad_setting_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WILDSAGE_PORT", "many")
    assert main(["status"]) == 1
    assert "WILDSAGE_PORT: 'many' is not a valid value" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("theirs", "merged"),
    [
        ({}, "127.0.0.1,localhost,::1"),
        ({"NO_PROXY": "corp.example,localhost"}, "127.0.0.1,localhost,::1,corp.example"),
        ({"no_proxy": ".amazonaws.com,*"}, "127.0.0.1,localhost,::1"),
    ],
)
def test_no_proxy_keeps_what_does_not_bypass_us(theirs: dict[str, str], merged: str) -> None:
    assert merged_no_proxy(theirs) == merged
