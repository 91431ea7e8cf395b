"""Find the key that a request means: by id, ARN, alias or the alias's ARN.

Aliases of AWS's own (`alias/aws/s3`) and their keys appear when somebody first asks for them.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

from wildsage import arns, clock, ids
from wildsage.arns import Scope
from wildsage.services.platform import Ctx
from wildsage.store.errors import AlreadyExists, InvalidToken
from wildsage.store.resources import ListQuery, Page, Resource
from wildsage.wire.errors import ApiError

KEY = "kms-key"
ALIAS = "kms-alias"


def find_key(ctx: Ctx, key_id: str) -> Resource:
    """NotFoundException when there is none; a key past its deletion date is none."""
    scope, name = _scope_and_name(ctx.scope, key_id)
    if name.startswith("alias/"):
        name = _target(ctx, scope, name)
    key = ctx.platform.resources.find(KEY, scope, name.removeprefix("key/"))
    if key is None or _is_past_deletion(ctx, key):
        arn = arns.build("kms", scope, f"key/{name.removeprefix('key/')}")
        raise ApiError("NotFoundException", f"Key '{arn}' does not exist")
    return key


def find_usable_key(ctx: Ctx, key_id: str) -> Resource:
    """The key, when it may encrypt and decrypt now."""
    key = find_key(ctx, key_id)
    if key.status == "PendingDeletion":
        raise ApiError("KMSInvalidStateException", f"{key.arn} is pending deletion.")
    if key.status != "Enabled":
        raise ApiError("DisabledException", f"{key.arn} is disabled.")
    return key


def create_key(
    ctx: Ctx,
    scope: Scope,
    document: Mapping[str, Any],
    *,
    manager: str = "CUSTOMER",
    tags: Sequence[Mapping[str, str]] = (),
) -> Resource:
    """A new AES-256 key. Its material lies in the database, whose folder is its user's alone."""
    name = ids.request_id()
    material = base64.b64encode(ids.random_bytes(32)).decode()
    return ctx.platform.resources.create(
        KEY,
        scope,
        name,
        arn=arns.build("kms", scope, f"key/{name}"),
        status="Enabled",
        document={**document, "State": {"Material": material, "Manager": manager}},
        tags=tags,
    )


def page(ctx: Ctx, kind: str, request: Mapping[str, Any], **where: str) -> Page:
    """One page in the order of names, for `Limit` and `Marker`."""
    query = ListQuery(
        sort_by="Name",
        descending=False,
        limit=request.get("Limit", 100),
        token=request.get("Marker"),
        where=where,
    )
    try:
        return ctx.platform.resources.list(kind, ctx.scope, query)
    except InvalidToken as error:
        raise ApiError("InvalidMarkerException", "The marker is not valid.") from error


def truncation(found: Page) -> dict[str, Any]:
    if found.next_token is None:
        return {"Truncated": False}
    return {"Truncated": True, "NextMarker": found.next_token}


def _scope_and_name(scope: Scope, key_id: str) -> tuple[Scope, str]:
    if not key_id.startswith("arn:"):
        return scope, key_id
    try:
        arn = arns.parse(key_id)
    except ValueError as error:
        raise ApiError("InvalidArnException", f"Invalid arn {key_id}") from error
    if arn.service != "kms":
        raise ApiError("InvalidArnException", f"Invalid arn {key_id}")
    return Scope(arn.account, arn.region), arn.resource


def _target(ctx: Ctx, scope: Scope, name: str) -> str:
    alias = ctx.platform.resources.find(ALIAS, scope, name)
    if alias is None and name.startswith("alias/aws/"):
        alias = _create_aws_alias(ctx, scope, name)
    if alias is None:
        arn = arns.build("kms", scope, name)
        raise ApiError("NotFoundException", f"Alias {arn} is not found.")
    return str(alias.document["TargetKeyId"])


def _create_aws_alias(ctx: Ctx, scope: Scope, name: str) -> Resource:
    service = name.removeprefix("alias/aws/")
    text = f"Default key that protects my {service} data when no other key is defined"
    key = create_key(ctx, scope, {"Description": text}, manager="AWS")
    try:
        return create_alias(ctx, scope, name, key.name)
    except AlreadyExists:  # somebody else was faster, and the first one counts
        ctx.platform.resources.delete(key)
        return ctx.platform.resources.get(ALIAS, scope, name)


def create_alias(ctx: Ctx, scope: Scope, name: str, target: str) -> Resource:
    return ctx.platform.resources.create(
        ALIAS,
        scope,
        name,
        arn=arns.build("kms", scope, name),
        status="Enabled",
        document={"TargetKeyId": target},
    )


def aliases_of(ctx: Ctx, key: Resource) -> list[Resource]:
    query = ListQuery(where={"TargetKeyId": key.name}, limit=1000)
    return ctx.platform.resources.list(ALIAS, key.scope, query).resources


def _is_past_deletion(ctx: Ctx, key: Resource) -> bool:
    """Deletes a key whose waiting time is over, with its aliases, the moment anybody looks."""
    deletion = key.document["State"].get("DeletionDate")
    if deletion is None or clock.now() < deletion:
        return False
    for alias in aliases_of(ctx, key):
        ctx.platform.resources.delete(alias)
    ctx.platform.resources.delete(key)
    return True
