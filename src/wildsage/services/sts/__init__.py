"""Security Token Service."""

from __future__ import annotations

from wildsage.services.sts import sessions

OPERATIONS = sessions.OPERATIONS
