"""Aliases: names of keys that can be moved from one key to another."""

from __future__ import annotations

from typing import Any

from wildsage import arns
from wildsage.services.kms import lookup
from wildsage.services.kms.lookup import ALIAS, find_key, page, truncation
from wildsage.services.platform import Ctx
from wildsage.store.errors import AlreadyExists
from wildsage.store.resources import Change, Resource
from wildsage.wire.errors import ApiError


def create_alias(ctx: Ctx, request: dict[str, Any]) -> None:
    name = request["AliasName"]
    _check_name(name)
    key = find_key(ctx, request["TargetKeyId"])
    try:
        lookup.create_alias(ctx, ctx.scope, name, key.name)
    except AlreadyExists as error:
        text = f"An alias with the name {arns.build('kms', ctx.scope, name)} already exists"
        raise ApiError("AlreadyExistsException", text) from error


def update_alias(ctx: Ctx, request: dict[str, Any]) -> None:
    alias = _find(ctx, request["AliasName"])
    key = find_key(ctx, request["TargetKeyId"])
    ctx.platform.resources.modify(
        ALIAS, ctx.scope, alias.name, lambda _: Change(document={"TargetKeyId": key.name})
    )


def delete_alias(ctx: Ctx, request: dict[str, Any]) -> None:
    ctx.platform.resources.delete(_find(ctx, request["AliasName"]))


def list_aliases(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    key_id = request.get("KeyId")
    where = {"TargetKeyId": find_key(ctx, key_id).name} if key_id else {}
    found = page(ctx, ALIAS, request, **where)
    return {"Aliases": [_describe(alias) for alias in found.resources], **truncation(found)}


def _describe(alias: Resource) -> dict[str, Any]:
    return {
        "AliasName": alias.name,
        "AliasArn": alias.arn,
        "TargetKeyId": alias.document["TargetKeyId"],
        "CreationDate": alias.created,
        "LastUpdatedDate": alias.modified,
    }


def _check_name(name: str) -> None:
    if not name.startswith("alias/"):
        raise ApiError("ValidationException", 'Alias must start with the prefix "alias/"')
    if name.startswith("alias/aws/"):
        raise ApiError("NotAuthorizedException", "")


def _find(ctx: Ctx, name: str) -> Resource:
    alias = ctx.platform.resources.find(ALIAS, ctx.scope, name)
    if alias is None:
        arn = arns.build("kms", ctx.scope, name)
        raise ApiError("NotFoundException", f"Alias {arn} is not found.")
    return alias


OPERATIONS = {
    "CreateAlias": create_alias,
    "UpdateAlias": update_alias,
    "DeleteAlias": delete_alias,
    "ListAliases": list_aliases,
}
