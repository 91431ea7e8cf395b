"""A little STS, with one operation that needs no signature."""

from __future__ import annotations

from typing import Any

from wildsage.wire.context import Context
from wildsage.wire.registry import Handler

Ctx = Context[dict[str, Any]]


def get_caller_identity(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    principal = ctx.principal
    return {"Account": principal.account, "Arn": principal.arn, "UserId": principal.user_id}


def assume_role_with_web_identity(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    return {"SubjectFromWebIdentityToken": f"{ctx.principal.user_id} {request['RoleSessionName']}"}


OPERATIONS: dict[str, Handler] = {
    "AssumeRoleWithWebIdentity": assume_role_with_web_identity,
    "GetCallerIdentity": get_caller_identity,
}
