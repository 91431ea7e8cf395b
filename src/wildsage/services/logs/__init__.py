"""CloudWatch Logs, over store/logs."""

from __future__ import annotations

from wildsage.services.logs import events, groups, streams, tags

OPERATIONS = {**groups.OPERATIONS, **streams.OPERATIONS, **events.OPERATIONS, **tags.OPERATIONS}
