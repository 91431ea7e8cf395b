"""Managed policies and their versions: the account's own, and AWS's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wildsage import arns, clock, ids
from wildsage.arns import Scope
from wildsage.services.iam.documents import check_identity_policy
from wildsage.services.iam.entities import (
    AWS_ACCOUNT,
    POLICY,
    ROLE,
    USER,
    account_scope,
    add_tags,
    already_exists,
    delete_conflict,
    encoded,
    every,
    limit_exceeded,
    modify_state,
    no_such_entity,
    page,
    tags_answer,
    under_path,
)
from wildsage.services.platform import Ctx
from wildsage.store.errors import AlreadyExists, NotFound
from wildsage.store.resources import Resource
from wildsage.wire.errors import ApiError

_MAX_VERSIONS = 5


def find_policy(ctx: Ctx, arn: str) -> Resource:
    try:
        policy = ctx.platform.resources.get_by_arn(arn)
    except NotFound as error:
        raise no_such_entity(f"Policy {arn} was not found.") from error
    if policy.kind != POLICY or policy.scope.account not in (AWS_ACCOUNT, ctx.scope.account):
        raise no_such_entity(f"Policy {arn} was not found.")
    return policy


def default_document(policy: Resource) -> str:
    state = policy.document["State"]
    return str(state["Versions"][state["Default"]]["Document"])


def new_state(document: str) -> dict[str, Any]:
    """The State of a policy with one version."""
    return {
        "Id": ids.access_key_id("ANPA"),
        "Versions": {"v1": {"Document": document, "Created": _now()}},
        "Default": "v1",
        "Last": 1,
    }


def create_policy(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    name, text = request["PolicyName"], request["PolicyDocument"]
    path, scope = request.get("Path", "/"), account_scope(ctx)
    check_identity_policy(text)
    document = {k: request[k] for k in ("PolicyName", "Path", "Description") if k in request}
    try:
        policy = ctx.platform.resources.create(
            POLICY,
            scope,
            name,
            arn=arns.build_global("iam", scope.account, f"policy{path}{name}"),
            status="Active",
            document=document | {"State": new_state(text)},
            tags=request.get("Tags", ()),
        )
    except AlreadyExists as error:
        raise already_exists(POLICY, name) from error
    return {"Policy": _describe(policy, 0) | {"Tags": tags_answer(ctx, policy)}}


def get_policy(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    policy = find_policy(ctx, request["PolicyArn"])
    answer = _describe(policy, _attachments(ctx).get(policy.arn, 0))
    description = {"Description": policy.document.get("Description", "")}
    return {"Policy": answer | description | {"Tags": tags_answer(ctx, policy)}}


def list_policies(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    which = request.get("Scope", "All")
    owners = {"All": (AWS_ACCOUNT, ctx.scope.account), "AWS": (AWS_ACCOUNT,)}
    counts = _attachments(ctx)
    found: list[Resource] = []
    for account in owners.get(which, (ctx.scope.account,)):
        rows = every(ctx.platform.resources, POLICY, Scope(account, ""))
        found += under_path(rows, request)
    if request.get("OnlyAttached"):
        found = [policy for policy in found if policy.arn in counts]
    policies, truncation = page(request, sorted(found, key=_arn), _arn)
    answer = [_describe(policy, counts.get(policy.arn, 0)) for policy in policies]
    return {"Policies": answer, **truncation}


def delete_policy(ctx: Ctx, request: dict[str, Any]) -> None:
    policy = _own_policy(ctx, request["PolicyArn"])
    if policy.arn in _attachments(ctx):
        raise delete_conflict("Cannot delete a policy attached to entities.")
    if len(policy.document["State"]["Versions"]) > 1:
        raise delete_conflict(
            "This policy has more than one version. Before you delete a policy, you must delete "
            "the policy's versions. The default version is deleted with the policy."
        )
    ctx.platform.resources.delete(policy)


def list_entities_for_policy(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    policy = find_policy(ctx, request["PolicyArn"])
    wanted = request.get("EntityFilter")
    found = [
        entity
        for kind, filtered in ((ROLE, "Role"), (USER, "User"))
        if wanted in (None, filtered)
        for entity in every(ctx.platform.resources, kind, account_scope(ctx))
        if policy.arn in entity.document["State"]["Attached"]
    ]
    shown, truncation = page(request, sorted(found, key=_arn), _arn)
    roles = [
        {"RoleName": e.name, "RoleId": e.document["State"]["Id"]} for e in shown if e.kind == ROLE
    ]
    users = [
        {"UserName": e.name, "UserId": e.document["State"]["Id"]} for e in shown if e.kind == USER
    ]
    return {"PolicyGroups": [], "PolicyUsers": users, "PolicyRoles": roles, **truncation}


def create_policy_version(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    policy, text = _own_policy(ctx, request["PolicyArn"]), request["PolicyDocument"]
    check_identity_policy(text)

    def add(state: dict[str, Any]) -> dict[str, Any]:
        if len(state["Versions"]) >= _MAX_VERSIONS:
            raise limit_exceeded(
                f"A managed policy can have up to {_MAX_VERSIONS} versions. Before you create a "
                "new version, you must delete an existing version."
            )
        version = f"v{state['Last'] + 1}"
        default = version if request.get("SetAsDefault") else state["Default"]
        versions = {**state["Versions"], version: {"Document": text, "Created": _now()}}
        return {"Versions": versions, "Default": default, "Last": state["Last"] + 1}

    modify_state(ctx, policy, add)
    state = find_policy(ctx, policy.arn).document["State"]
    return {"PolicyVersion": _describe_version(state, f"v{state['Last']}")}


def get_policy_version(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    state = find_policy(ctx, request["PolicyArn"]).document["State"]
    version = _known_version(state, request)
    text = encoded(state["Versions"][version]["Document"])
    return {"PolicyVersion": {"Document": text, **_describe_version(state, version)}}


def list_policy_versions(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    state = find_policy(ctx, request["PolicyArn"]).document["State"]
    versions, truncation = page(request, sorted(state["Versions"]), str)
    return {"Versions": [_describe_version(state, version) for version in versions], **truncation}


def delete_policy_version(ctx: Ctx, request: dict[str, Any]) -> None:
    def remove(state: dict[str, Any]) -> dict[str, Any]:
        version = _known_version(state, request)
        if version == state["Default"]:
            raise delete_conflict("Cannot delete the default version of a policy.")
        return {"Versions": {k: v for k, v in state["Versions"].items() if k != version}}

    modify_state(ctx, _own_policy(ctx, request["PolicyArn"]), remove)


def set_default_policy_version(ctx: Ctx, request: dict[str, Any]) -> None:
    modify_state(
        ctx,
        _own_policy(ctx, request["PolicyArn"]),
        lambda state: {"Default": _known_version(state, request)},
    )


def tag_policy(ctx: Ctx, request: dict[str, Any]) -> None:
    add_tags(ctx, _own_policy(ctx, request["PolicyArn"]), request["Tags"])


def untag_policy(ctx: Ctx, request: dict[str, Any]) -> None:
    policy = _own_policy(ctx, request["PolicyArn"])
    ctx.platform.resources.remove_tags(policy.arn, request["TagKeys"])


def list_policy_tags(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    tags = tags_answer(ctx, find_policy(ctx, request["PolicyArn"]))
    return {"Tags": tags, "IsTruncated": False}


def _own_policy(ctx: Ctx, arn: str) -> Resource:
    policy = find_policy(ctx, arn)
    if policy.scope.account == AWS_ACCOUNT:
        text = f"Policy {arn} is an AWS managed policy and cannot be changed."
        raise ApiError("AccessDenied", text, 403)
    return policy


def _attachments(ctx: Ctx) -> dict[str, int]:
    """How many users and roles each policy is attached to."""
    counts: dict[str, int] = {}
    for kind in (ROLE, USER):
        for entity in every(ctx.platform.resources, kind, account_scope(ctx)):
            for arn in entity.document["State"]["Attached"]:
                counts[arn] = counts.get(arn, 0) + 1
    return counts


def _describe(policy: Resource, attached: int) -> dict[str, Any]:
    state = policy.document["State"]
    return {
        "PolicyName": policy.name,
        "PolicyId": state["Id"],
        "Arn": policy.arn,
        "Path": policy.document.get("Path", "/"),
        "DefaultVersionId": state["Default"],
        "AttachmentCount": attached,
        "PermissionsBoundaryUsageCount": 0,
        "IsAttachable": True,
        "CreateDate": policy.created,
        "UpdateDate": policy.modified,
    }


def _describe_version(state: Mapping[str, Any], version: str) -> dict[str, Any]:
    return {
        "VersionId": version,
        "IsDefaultVersion": version == state["Default"],
        "CreateDate": state["Versions"][version]["Created"],
    }


def _known_version(state: Mapping[str, Any], request: Mapping[str, Any]) -> str:
    version = str(request["VersionId"])
    if version not in state["Versions"]:
        text = f"Policy {request['PolicyArn']} version {version} does not exist"
        raise no_such_entity(f"{text} or is not attachable.")
    return version


def _arn(resource: Resource) -> str:
    return resource.arn


def _now() -> float:
    return round(clock.now(), 3)


OPERATIONS = {
    "CreatePolicy": create_policy,
    "GetPolicy": get_policy,
    "ListPolicies": list_policies,
    "DeletePolicy": delete_policy,
    "ListEntitiesForPolicy": list_entities_for_policy,
    "CreatePolicyVersion": create_policy_version,
    "GetPolicyVersion": get_policy_version,
    "ListPolicyVersions": list_policy_versions,
    "DeletePolicyVersion": delete_policy_version,
    "SetDefaultPolicyVersion": set_default_policy_version,
    "TagPolicy": tag_policy,
    "UntagPolicy": untag_policy,
    "ListPolicyTags": list_policy_tags,
}
