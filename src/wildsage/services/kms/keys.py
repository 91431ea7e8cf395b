"""Keys: create, describe, list, enable, disable, delete, and what clients ask of them besides."""

from __future__ import annotations

import json
from typing import Any

from wildsage import arns, clock
from wildsage.services.kms.lookup import KEY, create_key, find_key, page, truncation
from wildsage.services.platform import Ctx
from wildsage.store.resources import Change, Resource
from wildsage.wire.errors import ApiError, not_implemented

_DAY = 24 * 3600


def create(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    spec = request.get("KeySpec") or request.get("CustomerMasterKeySpec") or "SYMMETRIC_DEFAULT"
    usage = request.get("KeyUsage", "ENCRYPT_DECRYPT")
    origin = request.get("Origin", "AWS_KMS")
    if (spec, usage, origin) != ("SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT", "AWS_KMS"):
        raise not_implemented("kms", f"CreateKey with {spec}, {usage}, {origin}")
    tags = [{"Key": t["TagKey"], "Value": t["TagValue"]} for t in request.get("Tags", ())]
    document = {k: v for k, v in request.items() if k != "Tags"}
    return {"KeyMetadata": metadata(create_key(ctx, ctx.scope, document, tags=tags))}


def describe(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    return {"KeyMetadata": metadata(find_key(ctx, request["KeyId"]))}


def metadata(key: Resource) -> dict[str, Any]:
    state = key.document["State"]
    answer = {
        "AWSAccountId": key.scope.account,
        "KeyId": key.name,
        "Arn": key.arn,
        "CreationDate": key.created,
        "Enabled": key.status == "Enabled",
        "Description": key.document.get("Description", ""),
        "KeyUsage": "ENCRYPT_DECRYPT",
        "KeyState": key.status,
        "Origin": "AWS_KMS",
        "KeyManager": state["Manager"],
        "CustomerMasterKeySpec": "SYMMETRIC_DEFAULT",
        "KeySpec": "SYMMETRIC_DEFAULT",
        "EncryptionAlgorithms": ["SYMMETRIC_DEFAULT"],
        "MultiRegion": key.document.get("MultiRegion", False),
    }
    if key.status == "PendingDeletion":
        answer["DeletionDate"] = state["DeletionDate"]
    return answer


def list_keys(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    found = page(ctx, KEY, request)
    keys = [{"KeyId": key.name, "KeyArn": key.arn} for key in found.resources]
    return {"Keys": keys, **truncation(found)}


def enable(ctx: Ctx, request: dict[str, Any]) -> None:
    _set_status(ctx, request["KeyId"], "Enabled")


def disable(ctx: Ctx, request: dict[str, Any]) -> None:
    _set_status(ctx, request["KeyId"], "Disabled")


def schedule_deletion(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    days = request.get("PendingWindowInDays", 30)
    if not 7 <= days <= 30:
        text = "PendingWindowInDays must be between 7 and 30 (inclusive)"
        raise ApiError("ValidationException", text)
    date = round(clock.now() + days * _DAY, 3)
    key = _set_status(ctx, request["KeyId"], "PendingDeletion", DeletionDate=date)
    return {
        "KeyId": key.arn,
        "DeletionDate": date,
        "KeyState": key.status,
        "PendingWindowInDays": days,
    }


def cancel_deletion(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """The key comes back disabled, as on AWS."""
    key = find_key(ctx, request["KeyId"])
    if key.status != "PendingDeletion":
        raise ApiError("KMSInvalidStateException", f"{key.arn} is not pending deletion.")

    def change(key: Resource) -> Change:
        state = {k: v for k, v in key.document["State"].items() if k != "DeletionDate"}
        return Change(status="Disabled", document={**key.document, "State": state})

    ctx.platform.resources.modify(KEY, key.scope, key.name, change)
    return {"KeyId": key.arn}


def _set_status(ctx: Ctx, key_id: str, status: str, **state: float) -> Resource:
    key = find_key(ctx, key_id)
    if key.document["State"]["Manager"] == "AWS":
        text = "You are not authorized to change an AWS managed key."
        raise ApiError("AccessDeniedException", text)

    def change(key: Resource) -> Change:
        if key.status == "PendingDeletion":
            raise ApiError("KMSInvalidStateException", f"{key.arn} is pending deletion.")
        document = {**key.document, "State": {**key.document["State"], **state}}
        return Change(status=status, document=document)

    return ctx.platform.resources.modify(KEY, key.scope, key.name, change)


def update_description(ctx: Ctx, request: dict[str, Any]) -> None:
    _set_field(ctx, request["KeyId"], "Description", request["Description"])


def get_policy(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    key = find_key(ctx, request["KeyId"])
    policy = key.document.get("Policy") or _default_policy(key.scope.account)
    return {"Policy": policy, "PolicyName": "default"}


def put_policy(ctx: Ctx, request: dict[str, Any]) -> None:
    _set_field(ctx, request["KeyId"], "Policy", request["Policy"])


def get_rotation(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """Keys do not rotate here, and say so."""
    return {"KeyId": find_key(ctx, request["KeyId"]).arn, "KeyRotationEnabled": False}


def _set_field(ctx: Ctx, key_id: str, name: str, value: str) -> None:
    key = find_key(ctx, key_id)
    ctx.platform.resources.modify(
        KEY, key.scope, key.name, lambda key: Change(document={**key.document, name: value})
    )


def _default_policy(account: str) -> str:
    statement = {
        "Sid": "Enable IAM User Permissions",
        "Effect": "Allow",
        "Principal": {"AWS": arns.build_global("iam", account, "root")},
        "Action": "kms:*",
        "Resource": "*",
    }
    policy = {"Version": "2012-10-17", "Id": "key-default-1", "Statement": [statement]}
    return json.dumps(policy, indent=2)


OPERATIONS = {
    "CreateKey": create,
    "DescribeKey": describe,
    "ListKeys": list_keys,
    "EnableKey": enable,
    "DisableKey": disable,
    "ScheduleKeyDeletion": schedule_deletion,
    "CancelKeyDeletion": cancel_deletion,
    "UpdateKeyDescription": update_description,
    "GetKeyPolicy": get_policy,
    "PutKeyPolicy": put_policy,
    "GetKeyRotationStatus": get_rotation,
}
