"""From method, path and query to the operation of a REST service, by the URIs of its model.

Several operations may share a path (S3 has thirty for `GET /{Bucket}`): the one whose literal query
(`?uploads`) and required parameters and headers fit best is meant.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from wildsage.wire.errors import ApiError
from wildsage.wire.model import Service
from wildsage.wire.shapes import wire_name

_LABEL = re.compile(r"\{([^}]+)\}")


@dataclass(frozen=True, slots=True)
class _Route:
    operation: str
    literals: Mapping[str, str | None]
    parameters: frozenset[str]  # required ones
    headers: frozenset[str]
    deprecated: bool

    def fits(self, given: Mapping[str, str]) -> bool:
        return all(
            name in given and (value is None or given[name] == value)
            for name, value in self.literals.items()
        )

    def missing(self, given: Mapping[str, str], headers: Mapping[str, str]) -> int:
        return len(self.parameters - given.keys()) + len(self.headers - headers.keys())

    @property
    def weight(self) -> tuple[int, int, bool]:
        return len(self.literals), len(self.parameters) + len(self.headers), not self.deprecated


@dataclass(frozen=True, slots=True)
class _Template:
    pattern: re.Pattern[str]
    labels: tuple[str, ...]
    methods: dict[str, list[_Route]]


@dataclass(frozen=True, slots=True)
class Found:
    operation: str
    labels: Mapping[str, str]


class Routes:
    """The URIs of one REST service."""

    def __init__(self, service: Service) -> None:
        templates: dict[str, _Template] = {}
        for name in sorted(service.operation_names):
            operation = service.operation(name)
            path, _, query = operation.uri.partition("?")
            template = templates.setdefault(path.rstrip("/") or "/", _template(path))
            required = _required(operation.input)
            route = _Route(name, _literals(query), *required, operation.deprecated)
            template.methods.setdefault(operation.method, []).append(route)
        self._templates = [templates[path] for path in sorted(templates, key=_order)]

    def matches(self, path: str) -> bool:
        return any(template.pattern.fullmatch(path) for template in self._templates)

    def find(
        self,
        method: str,
        path: str,
        parameters: list[tuple[str, str]],
        headers: Mapping[str, str],
    ) -> Found | None:
        """The operation meant, or None when no URI of the service is like this one."""
        given = dict(parameters)
        for template in self._templates:
            match = template.pattern.fullmatch(path)
            fitting = [r for r in template.methods.get(method, ()) if r.fits(given)]
            if match and fitting:
                best = max(fitting, key=lambda r: (-r.missing(given, headers), r.weight))
                values = [decode_label(text) for text in match.groups()]
                return Found(best.operation, dict(zip(template.labels, values, strict=True)))
        return None


def _template(path: str) -> _Template:
    parts = _LABEL.split(path.rstrip("/"))
    pattern, labels = "", []
    for number, part in enumerate(parts):
        if number % 2 == 0:
            pattern += re.escape(part)
        else:
            labels.append(part.removesuffix("+"))
            pattern += "(.+)" if part.endswith("+") else "([^/]+)"
    return _Template(re.compile(pattern + ("" if path.endswith("+}") else "/?")), tuple(labels), {})


def _order(path: str) -> tuple[int, int]:
    """The path with the fewest labels first, and of those the longest."""
    return len(_LABEL.findall(path)) + 10 * ("+}" in path), -path.count("/")


def _literals(query: str) -> dict[str, str | None]:
    pairs = [part.partition("=") for part in query.split("&") if part]
    return {name: value if equals else None for name, equals, value in pairs}


def _required(shape: object) -> tuple[frozenset[str], frozenset[str]]:
    names: dict[str, set[str]] = {"querystring": set(), "header": set()}
    for name in getattr(shape, "required_members", ()):
        member = shape.members[name]  # type: ignore[attr-defined]
        location = member.serialization.get("location")
        if location in names:
            key = wire_name(member, name)
            names[location].add(key.lower() if location == "header" else key)
    return frozenset(names["querystring"]), frozenset(names["header"])


def decode_label(text: str) -> str:
    """Decode a part of a path exactly once; any character is legal, but it must be UTF-8."""
    try:
        return unquote_to_bytes(text.encode("latin-1")).decode()
    except UnicodeDecodeError:
        raise ApiError("InvalidURI", "Couldn't parse the specified URI.") from None
