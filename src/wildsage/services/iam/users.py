"""Users."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from wildsage import arns, ids
from wildsage.arns import Scope
from wildsage.services.iam.entities import (
    ACCESS_KEY,
    KEYS,
    USER,
    account_scope,
    add_tags,
    already_exists,
    delete_conflict,
    every,
    find,
    page,
    tags_answer,
    under_path,
)
from wildsage.services.platform import Ctx
from wildsage.store.errors import AlreadyExists
from wildsage.store.resources import Resource, Resources, Tag
from wildsage.wire.errors import ApiError


def make_user(
    resources: Resources,
    account: str,
    request: dict[str, Any],
    *,
    tags: Sequence[Tag] = (),
    attached: Sequence[str] = (),
) -> Resource:
    """The row of a new user; AlreadyExists when there is one."""
    name = request["UserName"]
    state = {"Id": ids.access_key_id("AIDA"), "Attached": list(attached), "Inline": {}}
    return resources.create(
        USER,
        Scope(account, ""),
        name,
        arn=arns.build_global("iam", account, f"user{request.get('Path', '/')}{name}"),
        status="Active",
        document={k: v for k, v in request.items() if k != "Tags"} | {"State": state},
        tags=tags,
    )


def create_user(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    try:
        user = make_user(
            ctx.platform.resources, ctx.scope.account, request, tags=request.get("Tags", ())
        )
    except AlreadyExists as error:
        raise already_exists(USER, request["UserName"]) from error
    return {"User": _describe(user) | _tags(ctx, user)}


def get_user(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    name = request.get("UserName") or name_of_caller(ctx)
    if name is None:
        return {"User": _root(ctx)}
    user = find(ctx, USER, name)
    return {"User": _describe(user) | _tags(ctx, user)}


def name_of_caller(ctx: Ctx) -> str | None:
    """The user who asks; None for the root of the account. A role's session is no user."""
    resource = arns.parse(ctx.principal.arn).resource
    if resource == "root":
        return None
    if not resource.startswith("user/"):
        text = "Must specify userName when calling with non-User credentials"
        raise ApiError("ValidationError", text)
    return resource.rsplit("/", 1)[1]


def list_users(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    found = under_path(every(ctx.platform.resources, USER, account_scope(ctx)), request)
    users, truncation = page(request, found, lambda user: user.name)
    return {"Users": [_describe(user) for user in users], **truncation}


def delete_user(ctx: Ctx, request: dict[str, Any]) -> None:
    user = find(ctx, USER, request["UserName"])
    state = user.document["State"]
    if state["Attached"]:
        raise delete_conflict("Cannot delete entity, must detach all policies first.")
    if state["Inline"]:
        raise delete_conflict("Cannot delete entity, must delete policies first.")
    where = {"UserName": user.name, "Account": ctx.scope.account}
    if any(True for _ in every(ctx.platform.resources, ACCESS_KEY, KEYS, where)):
        raise delete_conflict("Cannot delete entity, must delete access keys first.")
    ctx.platform.resources.delete(user)


def tag_user(ctx: Ctx, request: dict[str, Any]) -> None:
    add_tags(ctx, find(ctx, USER, request["UserName"]), request["Tags"])


def untag_user(ctx: Ctx, request: dict[str, Any]) -> None:
    user = find(ctx, USER, request["UserName"])
    ctx.platform.resources.remove_tags(user.arn, request["TagKeys"])


def list_user_tags(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    tags = tags_answer(ctx, find(ctx, USER, request["UserName"]))
    return {"Tags": tags, "IsTruncated": False}


def _describe(user: Resource) -> dict[str, Any]:
    return {
        "Path": user.document.get("Path", "/"),
        "UserName": user.name,
        "UserId": user.document["State"]["Id"],
        "Arn": user.arn,
        "CreateDate": user.created,
    }


def _root(ctx: Ctx) -> dict[str, Any]:
    keys = every(ctx.platform.resources, ACCESS_KEY, KEYS, {"Account": ctx.scope.account})
    created = min((key.created for key in keys), default=0.0)
    return {"UserId": ctx.scope.account, "Arn": ctx.principal.arn, "CreateDate": created}


def _tags(ctx: Ctx, user: Resource) -> dict[str, Any]:
    tags = tags_answer(ctx, user)
    return {"Tags": tags} if tags else {}


OPERATIONS = {
    "CreateUser": create_user,
    "GetUser": get_user,
    "ListUsers": list_users,
    "DeleteUser": delete_user,
    "TagUser": tag_user,
    "UntagUser": untag_user,
    "ListUserTags": list_user_tags,
}
