"""Every setting, declared once: variable, command-line flag and documentation follow."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wildsage import arns


@dataclass(frozen=True)
class Setting:
    name: str
    default: str
    help: str
    kind: type = str

    @property
    def variable(self) -> str:
        return "WILDSAGE_" + self.name.upper()

    @property
    def flag(self) -> str:
        return "--" + self.name.replace("_", "-")


SETTINGS = (
    Setting("home", "", "Folder that holds everything the server keeps."),
    Setting("host", "127.0.0.1", "Address the server listens on."),
    Setting("port", "4570", "Port of the server; the proxy listens on the next one.", int),
    Setting("account", arns.DEFAULT_ACCOUNT, "Twelve-digit account of the first user."),
    Setting("region", arns.DEFAULT_REGION, "Region that `wildsage env` hands to clients."),
    Setting("database", "", "SQLAlchemy URL; empty means SQLite in the home folder."),
    Setting("compute", "process", "Where instances run: process."),
    Setting("cpus", "0", "Cores that jobs may use at once; 0 means all of this machine.", int),
    Setting("patience", "10", "Seconds a polling client's Describe is held, at most.", float),
    Setting("log_level", "INFO", "How much the server logs: DEBUG, INFO, WARNING."),
)


@dataclass(frozen=True)
class Settings:
    """The settings of one server. Paths below `home` are properties, so that they follow it."""

    home: Path
    host: str = "127.0.0.1"
    port: int = 4570
    account: str = arns.DEFAULT_ACCOUNT
    region: str = arns.DEFAULT_REGION
    database: str = ""
    compute: str = "process"
    cpus: int = 0
    patience: float = 10.0
    log_level: str = "INFO"

    @property
    def database_url(self) -> str:
        return self.database or f"sqlite:///{self.home / 'wildsage.db'}"

    @property
    def objects(self) -> Path:
        return self.home / "objects"

    @property
    def logs(self) -> Path:
        return self.home / "logs"

    @property
    def instances(self) -> Path:
        """`instances/<kind>/<name>/<generation>/algo-N` is the root of one instance."""
        return self.home / "instances"

    @property
    def certificates(self) -> Path:
        return self.home / "certificates"

    @property
    def events(self) -> Path:
        """The record of every request, one file a day."""
        return self.home / "events"


def default_home() -> Path:
    """The platform's data folder."""
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "wildsage"
    data = os.environ.get("XDG_DATA_HOME")
    return (Path(data) if data else Path.home() / ".local" / "share") / "wildsage"


def load(
    overrides: Mapping[str, Any] | None = None, environment: Mapping[str, str] | None = None
) -> Settings:
    """Flags before environment variables before defaults; ValueError names a bad one."""
    given = {k: v for k, v in (overrides or {}).items() if v is not None}
    environment = os.environ if environment is None else environment
    values: dict[str, Any] = {}
    for setting in SETTINGS:
        raw = given.get(setting.name, environment.get(setting.variable, setting.default))
        values[setting.name] = _convert(setting, raw)
    home = values.pop("home")
    return Settings(home=Path(home).expanduser().resolve() if home else default_home(), **values)


def _convert(setting: Setting, raw: Any) -> Any:
    try:
        return setting.kind(raw)
    except ValueError as error:
        raise ValueError(f"{setting.variable}: {raw!r} is not a valid value") from error
