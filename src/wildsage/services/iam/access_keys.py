"""Access keys: long-term credentials of users and of the account's root."""

from __future__ import annotations

from typing import Any

from wildsage import ids
from wildsage.services.iam.entities import (
    ACCESS_KEY,
    KEYS,
    USER,
    every,
    find,
    limit_exceeded,
    no_such_entity,
    page,
)
from wildsage.services.iam.users import name_of_caller
from wildsage.services.platform import Ctx
from wildsage.store.resources import Resource, Resources

_MAX_KEYS = 2
ROOT = ""
"""The user name of the account's root, which has none."""


def make_key(resources: Resources, account: str, user_name: str) -> Resource:
    """A new active key of a user, or of ROOT."""
    name = ids.access_key_id()
    return resources.create(
        ACCESS_KEY,
        KEYS,
        name,
        arn=f"{ACCESS_KEY}/{name}",
        status="Active",
        document={"Account": account, "UserName": user_name, "SecretAccessKey": ids.secret_key()},
    )


def keys_of(resources: Resources, account: str, user_name: str) -> list[Resource]:
    where = {"Account": account, "UserName": user_name}
    return list(every(resources, ACCESS_KEY, KEYS, where))


def create_access_key(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    name = _user_name(ctx, request)
    if len(keys_of(ctx.platform.resources, ctx.scope.account, name)) >= _MAX_KEYS:
        raise limit_exceeded(f"Cannot exceed quota for AccessKeysPerUser: {_MAX_KEYS}")
    key = make_key(ctx.platform.resources, ctx.scope.account, name)
    secret = {"SecretAccessKey": key.document["SecretAccessKey"]}
    return {"AccessKey": _describe(key) | secret}


def list_access_keys(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    found = keys_of(ctx.platform.resources, ctx.scope.account, _user_name(ctx, request))
    keys, truncation = page(request, found, lambda key: key.name)
    return {"AccessKeyMetadata": [_describe(key) for key in keys], **truncation}


def update_access_key(ctx: Ctx, request: dict[str, Any]) -> None:
    ctx.platform.resources.update(_find_key(ctx, request), status=request["Status"])


def delete_access_key(ctx: Ctx, request: dict[str, Any]) -> None:
    ctx.platform.resources.delete(_find_key(ctx, request))


def get_access_key_last_used(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """Uses are not recorded per key, and the answer says so in AWS's way."""
    name = request["AccessKeyId"]
    key = ctx.platform.resources.find(ACCESS_KEY, KEYS, name)
    if key is None or key.document["Account"] != ctx.scope.account:
        raise no_such_entity(f"The Access Key with id {name} cannot be found.")
    used = {"ServiceName": "N/A", "Region": "N/A"}
    return {"UserName": key.document["UserName"], "AccessKeyLastUsed": used}


def _user_name(ctx: Ctx, request: dict[str, Any]) -> str:
    name = request.get("UserName")
    if name is None:
        return name_of_caller(ctx) or ROOT
    return find(ctx, USER, name).name


def _find_key(ctx: Ctx, request: dict[str, Any]) -> Resource:
    name, user_name = request["AccessKeyId"], _user_name(ctx, request)
    key = ctx.platform.resources.find(ACCESS_KEY, KEYS, name)
    owner = (ctx.scope.account, user_name)
    if key is None or (key.document["Account"], key.document["UserName"]) != owner:
        raise no_such_entity(f"The Access Key with id {name} cannot be found.")
    return key


def _describe(key: Resource) -> dict[str, Any]:
    return {
        "UserName": key.document["UserName"],
        "AccessKeyId": key.name,
        "Status": key.status,
        "CreateDate": key.created,
    }


OPERATIONS = {
    "CreateAccessKey": create_access_key,
    "ListAccessKeys": list_access_keys,
    "UpdateAccessKey": update_access_key,
    "DeleteAccessKey": delete_access_key,
    "GetAccessKeyLastUsed": get_access_key_last_used,
}
