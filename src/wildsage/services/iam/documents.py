"""Policy documents: text, checked and taken apart into statements."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from wildsage.wire.errors import ApiError

_VERSIONS = ("2012-10-17", "2008-10-17")
_ONE_OF = (("Action", "NotAction"), ("Resource", "NotResource"), ("Principal", "NotPrincipal"))


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement; `actions_are_excluded` stands for NotAction, and so on."""

    sid: str
    allows: bool
    actions: tuple[str, ...]
    actions_are_excluded: bool
    resources: tuple[str, ...]
    resources_are_excluded: bool
    conditions: dict[str, dict[str, tuple[str, ...]]]


def check_identity_policy(text: str) -> None:
    """MalformedPolicyDocument unless this can be a policy of a user or role."""
    for statement in _statements(_load(text)):
        _check_statement(statement, required=("Action", "Resource"), prohibited="Principal")


def check_trust_policy(text: str) -> None:
    """MalformedPolicyDocument unless this can say who may assume a role."""
    for statement in _statements(_load(text)):
        _check_statement(statement, required=("Action", "Principal"), prohibited="Resource")


def statements(text: str) -> list[Statement]:
    """The statements of a checked identity policy."""
    return [_parse(statement) for statement in _statements(_load(text))]


def _load(text: str) -> dict[str, Any]:
    try:
        document = json.loads(text)
    except ValueError as error:
        raise _malformed("This policy contains invalid Json") from error
    if not isinstance(document, dict) or not document.get("Statement"):
        raise _malformed("Syntax errors in policy.")
    if document.get("Version", _VERSIONS[1]) not in _VERSIONS:
        raise _malformed("The policy must contain a valid version string.")
    return document


def _statements(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    found = document["Statement"]
    listed = found if isinstance(found, list) else [found]
    if not all(isinstance(statement, dict) for statement in listed):
        raise _malformed("Syntax errors in policy.")
    return listed


def _check_statement(
    statement: Mapping[str, Any], required: tuple[str, ...], prohibited: str
) -> None:
    if statement.get("Effect") not in ("Allow", "Deny"):
        raise _malformed("Missing required field Effect cannot be empty!")
    for names in _ONE_OF:
        present = [name for name in names if name in statement]
        if len(present) > 1:
            raise _malformed("Syntax errors in policy.")
        if names[0] in required and not present:
            raise _malformed(f"Missing required field {names[0]}")
        if present and names[0] == prohibited:
            raise _malformed(f"Has prohibited field {present[0]}")
    for action in _texts(statement.get("Action", statement.get("NotAction", []))):
        if action != "*" and ":" not in action:
            raise _malformed("Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2")
    _conditions(statement)
    _texts(statement.get("Resource", statement.get("NotResource", [])))


def _parse(statement: Mapping[str, Any]) -> Statement:
    return Statement(
        sid=str(statement.get("Sid", "")),
        allows=statement["Effect"] == "Allow",
        actions=_texts(statement.get("Action", statement.get("NotAction", []))),
        actions_are_excluded="NotAction" in statement,
        resources=_texts(statement.get("Resource", statement.get("NotResource", []))),
        resources_are_excluded="NotResource" in statement,
        conditions=_conditions(statement),
    )


def _conditions(statement: Mapping[str, Any]) -> dict[str, dict[str, tuple[str, ...]]]:
    block = statement.get("Condition", {})
    if not isinstance(block, dict) or not all(isinstance(v, dict) for v in block.values()):
        raise _malformed("Syntax errors in policy.")
    return {
        operator: {key.lower(): _texts(values) for key, values in keys.items()}
        for operator, keys in block.items()
    }


def _texts(value: Any) -> tuple[str, ...]:
    """One value or a list of them, as text: JSON's true and 5 are "true" and "5" in a policy."""
    listed = value if isinstance(value, list) else [value]
    if not all(isinstance(item, str | int | float) for item in listed):
        raise _malformed("Syntax errors in policy.")
    return tuple(item if isinstance(item, str) else json.dumps(item) for item in listed)


def _malformed(text: str) -> ApiError:
    return ApiError("MalformedPolicyDocument", text)
