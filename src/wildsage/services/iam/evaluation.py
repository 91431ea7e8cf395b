"""Does a set of policies let an action through? Explicit deny, else allowed, else implicit deny."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from wildsage.services.iam import conditions
from wildsage.services.iam.conditions import Values, matches_glob
from wildsage.services.iam.documents import Statement, statements

Verdict: TypeAlias = Literal["allowed", "explicitDeny", "implicitDeny"]


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy to evaluate, and where it comes from, as simulations answer it."""

    source_id: str
    source_type: str
    statements: tuple[Statement, ...]

    @classmethod
    def read(cls, source_id: str, source_type: str, text: str) -> Policy:
        return cls(source_id, source_type, tuple(statements(text)))


@dataclass(frozen=True, slots=True)
class Decision:
    verdict: Verdict
    matched: tuple[Policy, ...]
    """The policies whose statements led to the verdict, once for each statement."""


def evaluate(policies: Sequence[Policy], action: str, resource: str, context: Values) -> Decision:
    allowing: list[Policy] = []
    denying: list[Policy] = []
    for policy in policies:
        for statement in policy.statements:
            if _applies(statement, action, resource, context):
                (allowing if statement.allows else denying).append(policy)
    if denying:
        return Decision("explicitDeny", tuple(denying))
    if allowing:
        return Decision("allowed", tuple(allowing))
    return Decision("implicitDeny", ())


def _applies(statement: Statement, action: str, resource: str, context: Values) -> bool:
    return (
        _covers_action(statement, action)
        and _covers_resource(statement, resource, context)
        and conditions.holds(statement.conditions, context)
    )


def _covers_action(statement: Statement, action: str) -> bool:
    """Actions mind no case."""
    found = any(matches_glob(a.lower(), action.lower(), {}) for a in statement.actions)
    return found != statement.actions_are_excluded


def _covers_resource(statement: Statement, resource: str, context: Values) -> bool:
    found = any(matches_glob(r, resource, context) for r in statement.resources)
    return found != statement.resources_are_excluded


def context_keys(policies: Sequence[Policy]) -> set[str]:
    """The keys that the policies' conditions ask for."""
    return {
        key
        for policy in policies
        for statement in policy.statements
        for keys in statement.conditions.values()
        for key in keys
    }
