"""SimulatePrincipalPolicy and SimulateCustomPolicy: evaluate policies without doing anything.

Resource policies and exclusions are refused rather than left out of the verdict in silence.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from wildsage import arns, clock
from wildsage.services.iam.attachments import policies_of
from wildsage.services.iam.documents import check_identity_policy
from wildsage.services.iam.entities import ROLE, USER, no_such_entity
from wildsage.services.iam.evaluation import Policy, context_keys, evaluate
from wildsage.services.iam.policies import default_document, find_policy
from wildsage.services.platform import Ctx
from wildsage.store.errors import NotFound
from wildsage.store.resources import Resource
from wildsage.wire.errors import ApiError, not_implemented

_LEFT_OUT = ("ResourcePolicy", "PolicyExclusionList", "OrderedOrganizationPolicyInputList")


def simulate_principal_policy(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    entity = _entity(ctx, request["PolicySourceArn"])
    policies = policies_of(ctx, entity) + _given(request.get("PolicyInputList", ()))
    boundaries = _given(request.get("PermissionsBoundaryPolicyInputList", ()))
    if not boundaries and (boundary := entity.document.get("PermissionsBoundary")):
        text = default_document(find_policy(ctx, boundary))
        boundaries = [Policy.read(boundary, "user-managed", text)]
    return _simulate(ctx, request, policies, boundaries, _context_of(entity))


def simulate_custom_policy(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    policies = _given(request["PolicyInputList"])
    boundaries = _given(request.get("PermissionsBoundaryPolicyInputList", ()))
    return _simulate(ctx, request, policies, boundaries, {})


def _simulate(
    ctx: Ctx,
    request: Mapping[str, Any],
    policies: Sequence[Policy],
    boundaries: Sequence[Policy],
    context: Mapping[str, list[str]],
) -> dict[str, Any]:
    for name in _LEFT_OUT:
        if request.get(name):
            raise not_implemented("iam", f"{ctx.operation} with {name}")
    values = _common_context() | dict(context) | _given_context(request)
    results = [
        _evaluate(policies, boundaries, action, resource, values)
        for action in request["ActionNames"]
        for resource in request.get("ResourceArns") or ["*"]
    ]
    return _page(request, results)


def _evaluate(
    policies: Sequence[Policy],
    boundaries: Sequence[Policy],
    action: str,
    resource: str,
    context: Mapping[str, Sequence[str]],
) -> dict[str, Any]:
    decision = evaluate(policies, action, resource, context)
    verdict, detail = decision.verdict, {}
    if boundaries:
        bounded = evaluate(boundaries, action, resource, context).verdict
        detail = {
            "PermissionsBoundaryDecisionDetail": {
                "AllowedByPermissionsBoundary": bounded == "allowed"
            }
        }
        if verdict == "allowed":
            verdict = bounded
        elif bounded == "explicitDeny":
            verdict = "explicitDeny"
    return {
        "EvalActionName": action,
        "EvalResourceName": resource,
        "EvalDecision": verdict,
        "MatchedStatements": [
            {"SourcePolicyId": policy.source_id, "SourcePolicyType": policy.source_type}
            for policy in decision.matched
        ],
        "MissingContextValues": sorted(context_keys(policies) - context.keys()),
        **detail,
    }


def _page(request: Mapping[str, Any], results: list[dict[str, Any]]) -> dict[str, Any]:
    marker, limit = request.get("Marker", "0"), request.get("MaxItems", 100)
    if not (marker.isascii() and marker.isdigit()):
        raise ApiError("ValidationError", f"Invalid Marker: {marker}")
    start = int(marker)
    shown, end = results[start : start + limit], start + limit
    if end >= len(results):
        return {"EvaluationResults": shown, "IsTruncated": False}
    return {"EvaluationResults": shown, "IsTruncated": True, "Marker": str(end)}


def _given(texts: Sequence[str]) -> list[Policy]:
    for text in texts:
        check_identity_policy(text)
    return [Policy.read(f"PolicyInputList.{n}", "none", t) for n, t in enumerate(texts, start=1)]


def _entity(ctx: Ctx, arn: str) -> Resource:
    try:
        entity = ctx.platform.resources.get_by_arn(arn)
    except NotFound as error:
        raise _no_such_principal(arn) from error
    if entity.kind not in (ROLE, USER) or entity.scope.account != ctx.scope.account:
        raise _no_such_principal(arn)
    return entity


def _no_such_principal(arn: str) -> ApiError:
    """The text that IAM has for a role or user by name, or for what is neither."""
    resource = arns.parse(arn).resource if arn.count(":") >= 5 else ""
    kind, _, name = resource.partition("/")
    if kind not in ("role", "user"):
        return ApiError("InvalidInput", f"Invalid Entity Arn: {arn} does not clearly define entity")
    return no_such_entity(f"The {kind} with name {name.rsplit('/', 1)[-1]} cannot be found.")


def _context_of(entity: Resource) -> dict[str, list[str]]:
    context = {
        "aws:principalarn": [entity.arn],
        "aws:principalaccount": [entity.scope.account],
        "aws:userid": [entity.document["State"]["Id"]],
        "aws:principaltype": ["AssumedRole" if entity.kind == ROLE else "User"],
    }
    return context | ({"aws:username": [entity.name]} if entity.kind == USER else {})


def _common_context() -> dict[str, list[str]]:
    now = clock.now()
    text = datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {"aws:currenttime": [text], "aws:epochtime": [str(int(now))]}


def _given_context(request: Mapping[str, Any]) -> dict[str, list[str]]:
    return {
        entry["ContextKeyName"].lower(): entry.get("ContextKeyValues", [])
        for entry in request.get("ContextEntries", ())
    }


OPERATIONS = {
    "SimulatePrincipalPolicy": simulate_principal_policy,
    "SimulateCustomPolicy": simulate_custom_policy,
}
