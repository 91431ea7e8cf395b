"""Who am I, and temporary credentials: of a role, or of the user who asks.

A role's trust policy is kept and checked for form; whether it lets the caller in is not evaluated
yet, as no policy is at requests.
"""

from __future__ import annotations

from typing import Any

from wildsage import arns
from wildsage.services.iam.credentials import assume, create_session
from wildsage.services.iam.entities import ACCESS_KEY, KEYS, ROLE, SESSION
from wildsage.services.platform import Ctx
from wildsage.store.errors import NotFound
from wildsage.store.resources import Resource
from wildsage.wire.context import Credential
from wildsage.wire.errors import ApiError

_HOUR = 3600
_KEPT = ("Policy", "PolicyArns", "Tags", "TransitiveTagKeys", "SourceIdentity", "ExternalId")


def get_caller_identity(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    principal = ctx.principal
    return {"UserId": principal.user_id, "Account": principal.account, "Arn": principal.arn}


def assume_role(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    role = _assumable(ctx, request["RoleArn"])
    name, seconds = request["RoleSessionName"], request.get("DurationSeconds", _HOUR)
    if seconds > role.document.get("MaxSessionDuration", _HOUR):
        text = "The requested DurationSeconds exceeds the MaxSessionDuration set for this role."
        raise ApiError("ValidationError", text)
    if seconds > _HOUR and ":assumed-role/" in ctx.principal.arn:
        text = (
            "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by "
            "role chaining"
        )
        raise ApiError("ValidationError", text)
    given = {key: request[key] for key in _KEPT if key in request}
    credential = assume(ctx.platform.resources, role, name, seconds, **given)
    principal = credential.principal
    answer = {
        "Credentials": _describe(credential),
        "AssumedRoleUser": {"AssumedRoleId": principal.user_id, "Arn": principal.arn},
    }
    source = request.get("SourceIdentity")
    return answer | ({"SourceIdentity": source} if source else {})


def get_session_token(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    principal = ctx.principal
    if principal.access_key.startswith("ASIA"):
        text = "Cannot call GetSessionToken with session credentials"
        raise ApiError("AccessDenied", text, 403)
    credential = create_session(
        ctx.platform.resources,
        account=principal.account,
        arn=principal.arn,
        user_id=principal.user_id,
        seconds=request.get("DurationSeconds", 12 * _HOUR),
    )
    return {"Credentials": _describe(credential)}


def get_access_key_info(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    name = request["AccessKeyId"]
    kind = SESSION if name.startswith("ASIA") else ACCESS_KEY
    key = ctx.platform.resources.find(kind, KEYS, name)
    if key is None:
        raise ApiError("ValidationError", f"Invalid type for parameter AccessKeyId, value: {name}")
    return {"Account": key.document["Account"]}


def _assumable(ctx: Ctx, arn: str) -> Resource:
    """AWS answers the same for a role that is not there and one that may not be assumed."""
    try:
        role = ctx.platform.resources.get_by_arn(arn)
    except NotFound:
        role = None
    if role is None or role.kind != ROLE:
        _check_arn(arn)
        text = (
            f"User: {ctx.principal.arn} is not authorized to perform: sts:AssumeRole on resource: "
            f"{arn}"
        )
        raise ApiError("AccessDenied", text, 403)
    return role


def _check_arn(arn: str) -> None:
    try:
        arns.parse(arn)
    except ValueError as error:
        raise ApiError("ValidationError", f"{arn} is invalid") from error


def _describe(credential: Credential) -> dict[str, Any]:
    return {
        "AccessKeyId": credential.access_key,
        "SecretAccessKey": credential.secret_key,
        "SessionToken": credential.session_token,
        "Expiration": credential.expires,
    }


OPERATIONS = {
    "GetCallerIdentity": get_caller_identity,
    "AssumeRole": assume_role,
    "GetSessionToken": get_session_token,
    "GetAccessKeyInfo": get_access_key_info,
}
