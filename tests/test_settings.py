from __future__ import annotations

from pathlib import Path

import pytest

from wildsage import settings


def test_defaults(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    loaded = settings.load({}, {})
    assert (loaded.port, loaded.host, loaded.region) == (4570, "127.0.0.1", "us-east-1")
    assert loaded.home.name == "wildsage"


def test_a_flag_beats_the_variable_beats_the_default(tmp_path: Path) -> None:
    environment = {"WILDSAGE_PORT": "1", "WILDSAGE_REGION": "eu-west-1"}
    loaded = settings.load({"port": 2, "home": str(tmp_path), "region": None}, environment)
    assert (loaded.port, loaded.region, loaded.home) == (2, "eu-west-1", tmp_path)


def test_a_bad_value_is_named() -> None:
    with pytest.raises(ValueError, match="WILDSAGE_PORT: 'x' is not a valid value"):
        settings.load({}, {"WILDSAGE_PORT": "x"})


def test_everything_lies_in_the_home(tmp_path: Path) -> None:
    loaded = settings.Settings(home=tmp_path)
    places = (loaded.objects, loaded.logs, loaded.instances, loaded.certificates, loaded.events)
    assert all(place.parent == tmp_path for place in places)
    assert loaded.database_url == f"sqlite:///{tmp_path}/wildsage.db"
    assert settings.Settings(tmp_path, database="postgresql://x").database_url == "postgresql://x"


def test_names_of_flags_and_variables() -> None:
    setting = settings.Setting("log_level", "INFO", "")
    assert (setting.flag, setting.variable) == ("--log-level", "WILDSAGE_LOG_LEVEL")
