"""Policies of users and roles: managed ones attached by ARN, inline ones kept with the entity."""

from __future__ import annotations

from typing import Any

from wildsage.services.iam.documents import check_identity_policy
from wildsage.services.iam.entities import (
    ROLE,
    USER,
    encoded,
    find,
    limit_exceeded,
    modify_state,
    no_such_entity,
    page,
)
from wildsage.services.iam.evaluation import Policy
from wildsage.services.iam.policies import default_document, find_policy
from wildsage.services.platform import Ctx
from wildsage.store.resources import Resource
from wildsage.wire.errors import ApiError
from wildsage.wire.registry import Handler

_MAX_ATTACHED = 20


def policies_of(ctx: Ctx, entity: Resource) -> list[Policy]:
    """Everything that grants the entity anything, ready to evaluate."""
    kind = "role" if entity.kind == ROLE else "user"
    found = [
        Policy.read(f"{kind}_{entity.name}_{name}", kind, text)
        for name, text in entity.document["State"]["Inline"].items()
    ]
    for arn in entity.document["State"]["Attached"]:
        policy = find_policy(ctx, arn)
        source = "aws-managed" if arn.startswith("arn:aws:iam::aws:") else "user-managed"
        found.append(Policy.read(policy.name, source, default_document(policy)))
    return found


class _Family:
    """The same seven operations, once for users and once for roles."""

    def __init__(self, kind: str, title: str) -> None:
        self._kind = kind
        self._noun = title.lower()
        self._name = f"{title}Name"

    def attach(self, ctx: Ctx, request: dict[str, Any]) -> None:
        entity, policy = self._entity(ctx, request), _attachable(ctx, request["PolicyArn"])

        def add(state: dict[str, Any]) -> dict[str, Any]:
            attached = [arn for arn in state["Attached"] if arn != policy.arn]
            if len(attached) >= _MAX_ATTACHED:
                raise limit_exceeded(
                    f"Cannot exceed quota for PoliciesPer{self._noun.title()}: {_MAX_ATTACHED}"
                )
            return {"Attached": [*attached, policy.arn]}

        modify_state(ctx, entity, add)

    def detach(self, ctx: Ctx, request: dict[str, Any]) -> None:
        entity, arn = self._entity(ctx, request), request["PolicyArn"]

        def remove(state: dict[str, Any]) -> dict[str, Any]:
            if arn not in state["Attached"]:
                raise no_such_entity(f"Policy {arn} was not found.")
            return {"Attached": [a for a in state["Attached"] if a != arn]}

        modify_state(ctx, entity, remove)

    def list_attached(self, ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
        attached = sorted(self._entity(ctx, request).document["State"]["Attached"])
        arns, truncation = page(request, attached, str)
        policies = [{"PolicyName": arn.rsplit("/", 1)[1], "PolicyArn": arn} for arn in arns]
        return {"AttachedPolicies": policies, **truncation}

    def put(self, ctx: Ctx, request: dict[str, Any]) -> None:
        name, text = request["PolicyName"], request["PolicyDocument"]
        check_identity_policy(text)
        modify_state(
            ctx,
            self._entity(ctx, request),
            lambda state: {"Inline": {**state["Inline"], name: text}},
        )

    def get(self, ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
        entity, name = self._entity(ctx, request), request["PolicyName"]
        inline = entity.document["State"]["Inline"]
        if name not in inline:
            raise self._no_such_policy(name)
        return {
            self._name: entity.name,
            "PolicyName": name,
            "PolicyDocument": encoded(inline[name]),
        }

    def delete(self, ctx: Ctx, request: dict[str, Any]) -> None:
        name = request["PolicyName"]

        def remove(state: dict[str, Any]) -> dict[str, Any]:
            if name not in state["Inline"]:
                raise self._no_such_policy(name)
            return {"Inline": {k: v for k, v in state["Inline"].items() if k != name}}

        modify_state(ctx, self._entity(ctx, request), remove)

    def list_inline(self, ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
        inline = sorted(self._entity(ctx, request).document["State"]["Inline"])
        names, truncation = page(request, inline, str)
        return {"PolicyNames": list(names), **truncation}

    def _entity(self, ctx: Ctx, request: dict[str, Any]) -> Resource:
        return find(ctx, self._kind, request[self._name])

    def _no_such_policy(self, name: str) -> ApiError:
        return no_such_entity(f"The {self._noun} policy with name {name} cannot be found.")


def _attachable(ctx: Ctx, arn: str) -> Resource:
    try:
        return find_policy(ctx, arn)
    except ApiError as error:
        text = f"Policy {arn} does not exist or is not attachable."
        raise no_such_entity(text) from error


def _operations(title: str, kind: str) -> dict[str, Handler]:
    family = _Family(kind, title)
    return {
        f"Attach{title}Policy": family.attach,
        f"Detach{title}Policy": family.detach,
        f"ListAttached{title}Policies": family.list_attached,
        f"Put{title}Policy": family.put,
        f"Get{title}Policy": family.get,
        f"Delete{title}Policy": family.delete,
        f"List{title}Policies": family.list_inline,
    }


OPERATIONS = _operations("Role", ROLE) | _operations("User", USER)
