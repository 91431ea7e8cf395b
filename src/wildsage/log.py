"""The server's own log: a sentence for people, `extra={"action": ...}` for machines."""

from __future__ import annotations

import logging


class _Formatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        action = getattr(record, "action", None)
        text = super().format(record)
        return f"{text} [{action}]" if action else text


def configure(level: str = "INFO") -> None:
    """Send every log record of this process to standard error."""
    handler = logging.StreamHandler()
    handler.setFormatter(_Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
