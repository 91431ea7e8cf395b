"""Roles, and passing them to services."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from typing import Any

from wildsage import arns, clock, ids
from wildsage.arns import Scope
from wildsage.services.iam.documents import check_trust_policy
from wildsage.services.iam.entities import (
    ROLE,
    account_scope,
    add_tags,
    already_exists,
    delete_conflict,
    encoded,
    every,
    find,
    modify,
    modify_state,
    page,
    tags_answer,
    under_path,
)
from wildsage.services.platform import Ctx
from wildsage.store.errors import AlreadyExists, NotFound
from wildsage.store.resources import Resource, Resources, Tag
from wildsage.wire.errors import ApiError

log = logging.getLogger(__name__)

_HOUR = 3600
_ROLE_ARN = re.compile(r"arn:aws[a-z-]*:iam::\d{12}:role/([\w+=,.@-]+/)*[\w+=,.@-]+", re.ASCII)


def make_role(
    resources: Resources,
    account: str,
    request: dict[str, Any],
    *,
    tags: Sequence[Tag] = (),
    attached: Sequence[str] = (),
) -> Resource:
    """The row of a new role; AlreadyExists when there is one."""
    name = request["RoleName"]
    state = {"Id": ids.access_key_id("AROA"), "Attached": list(attached), "Inline": {}}
    return resources.create(
        ROLE,
        Scope(account, ""),
        name,
        arn=arns.build_global("iam", account, f"role{request.get('Path', '/')}{name}"),
        status="Active",
        document={k: v for k, v in request.items() if k != "Tags"} | {"State": state},
        tags=tags,
    )


def role_exists_or_foreign(resources: Resources, account: str, role_arn: str) -> bool:
    """Whether a job may be given this role: one of ours that exists, or any of another account.

    Old scripts carry the ARN of a role in their AWS account; they go on.
    """
    if not _ROLE_ARN.fullmatch(role_arn):
        return False
    if arns.parse(role_arn).account != account:
        return True
    try:
        return resources.get_by_arn(role_arn).kind == ROLE
    except NotFound:
        return False


def pass_role(ctx: Ctx, role_arn: str, service: str = "sagemaker.amazonaws.com") -> None:
    """Check and record that the caller hands a role to a service (iam:PassRole)."""
    resources = ctx.platform.resources
    if not role_exists_or_foreign(resources, ctx.scope.account, role_arn):
        text = (
            f"Could not assume role {role_arn}. Please ensure that the role exists and allows "
            f"principal '{service}' to assume the role."
        )
        raise ApiError("ValidationException", text)
    log.info(
        "%s passed %s to %s", ctx.principal.arn, role_arn, service, extra={"action": "role_passed"}
    )
    if arns.parse(role_arn).account == ctx.scope.account:
        used = {"LastUsedDate": round(clock.now(), 3), "Region": ctx.scope.region}
        passed = {"By": ctx.principal.arn, "To": service}
        role = resources.get_by_arn(role_arn)
        modify_state(ctx, role, lambda _: {"LastUsed": used, "LastPassed": passed})


def create_role(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    check_trust_policy(request["AssumeRolePolicyDocument"])
    try:
        role = make_role(
            ctx.platform.resources, ctx.scope.account, request, tags=request.get("Tags", ())
        )
    except AlreadyExists as error:
        raise already_exists(ROLE, request["RoleName"]) from error
    return {"Role": describe(role) | _tags(ctx, role)}


def get_role(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    role = find(ctx, ROLE, request["RoleName"])
    used = {"RoleLastUsed": role.document["State"].get("LastUsed", {})}
    return {"Role": describe(role) | _tags(ctx, role) | used}


def list_roles(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    found = under_path(every(ctx.platform.resources, ROLE, account_scope(ctx)), request)
    roles, truncation = page(request, found, lambda role: role.name)
    return {"Roles": [describe(role) for role in roles], **truncation}


def delete_role(ctx: Ctx, request: dict[str, Any]) -> None:
    role = find(ctx, ROLE, request["RoleName"])
    state = role.document["State"]
    if state["Attached"]:
        raise delete_conflict("Cannot delete entity, must detach all policies first.")
    if state["Inline"]:
        raise delete_conflict("Cannot delete entity, must delete policies first.")
    if state.get("Profiles"):
        text = "Cannot delete entity, must remove roles from instance profile first."
        raise delete_conflict(text)
    ctx.platform.resources.delete(role)


def update_role(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    role = find(ctx, ROLE, request["RoleName"])
    changed = {k: request[k] for k in ("Description", "MaxSessionDuration") if k in request}
    modify(ctx, role, **changed)
    return {}


def update_role_description(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    update_role(ctx, request)
    return {"Role": describe(find(ctx, ROLE, request["RoleName"]))}


def update_assume_role_policy(ctx: Ctx, request: dict[str, Any]) -> None:
    role, text = find(ctx, ROLE, request["RoleName"]), request["PolicyDocument"]
    check_trust_policy(text)
    modify(ctx, role, AssumeRolePolicyDocument=text)


def tag_role(ctx: Ctx, request: dict[str, Any]) -> None:
    add_tags(ctx, find(ctx, ROLE, request["RoleName"]), request["Tags"])


def untag_role(ctx: Ctx, request: dict[str, Any]) -> None:
    role = find(ctx, ROLE, request["RoleName"])
    ctx.platform.resources.remove_tags(role.arn, request["TagKeys"])


def list_role_tags(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    tags = tags_answer(ctx, find(ctx, ROLE, request["RoleName"]))
    return {"Tags": tags, "IsTruncated": False}


def describe(role: Resource) -> dict[str, Any]:
    answer = {
        "Path": role.document.get("Path", "/"),
        "RoleName": role.name,
        "RoleId": role.document["State"]["Id"],
        "Arn": role.arn,
        "CreateDate": role.created,
        "AssumeRolePolicyDocument": encoded(role.document["AssumeRolePolicyDocument"]),
        "MaxSessionDuration": role.document.get("MaxSessionDuration", _HOUR),
    }
    if description := role.document.get("Description"):
        answer["Description"] = description
    if boundary := role.document.get("PermissionsBoundary"):
        answer["PermissionsBoundary"] = {
            "PermissionsBoundaryType": "Policy",
            "PermissionsBoundaryArn": boundary,
        }
    return answer


def _tags(ctx: Ctx, role: Resource) -> dict[str, Any]:
    tags = tags_answer(ctx, role)
    return {"Tags": tags} if tags else {}


OPERATIONS = {
    "CreateRole": create_role,
    "GetRole": get_role,
    "ListRoles": list_roles,
    "DeleteRole": delete_role,
    "UpdateRole": update_role,
    "UpdateRoleDescription": update_role_description,
    "UpdateAssumeRolePolicy": update_assume_role_policy,
    "TagRole": tag_role,
    "UntagRole": untag_role,
    "ListRoleTags": list_role_tags,
}
