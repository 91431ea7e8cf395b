"""FinalMetricDataList: the last value of each metric that its expression finds in a job's logs."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from wildsage import logfile


def final_metrics(
    definitions: Sequence[Mapping[str, str]], streams: Sequence[Path]
) -> list[dict[str, Any]]:
    """One entry per metric that was seen; over several streams the latest wins."""
    latest: dict[str, dict[str, Any]] = {}
    for stream in streams:
        for name, found in _last_values(_compile(definitions), stream).items():
            if name not in latest or found["Timestamp"] >= latest[name]["Timestamp"]:
                latest[name] = found
    return [latest[d["Name"]] for d in definitions if d["Name"] in latest]


def _compile(definitions: Sequence[Mapping[str, str]]) -> dict[str, re.Pattern[str]]:
    return {d["Name"]: re.compile(d["Regex"]) for d in definitions}


def _last_values(patterns: dict[str, re.Pattern[str]], stream: Path) -> dict[str, dict[str, Any]]:
    """Read the stream from its end, until every metric was found."""
    values: dict[str, dict[str, Any]] = {}
    lines = _lines(stream)
    while lines and patterns:
        event = logfile.decode(lines.pop())
        for name, pattern in list(patterns.items()):
            value = _value(pattern, event.message)
            if value is not None:
                values[name] = {
                    "MetricName": name,
                    "Value": value,
                    "Timestamp": event.timestamp / 1000,
                }
                del patterns[name]
    return values


def _lines(stream: Path) -> list[bytes]:
    try:
        lines = stream.read_bytes().split(b"\n")
    except FileNotFoundError:
        return []
    return lines[:-1]  # after the last newline: nothing, or a line that was cut


def _value(pattern: re.Pattern[str], message: str) -> float | None:
    """The last match's first group (or all of it) as a number."""
    result = None
    for match in pattern.finditer(message):
        try:
            number = float(match[1] if pattern.groups else match[0])
        except (TypeError, ValueError):
            continue
        result = number if math.isfinite(number) else result
    return result
