"""Encrypt, Decrypt and data keys: AES-256-GCM under the key's material.

A ciphertext blob is MAGIC, the length and text of the key's ARN, a 12-byte nonce, then the sealed
text with its tag. The encryption context is authenticated, in the canonical order of its names.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from wildsage import ids
from wildsage.services.kms.lookup import find_usable_key
from wildsage.services.platform import Ctx
from wildsage.store.resources import Resource
from wildsage.wire.errors import ApiError

_MAGIC = b"WSK1"
_NONCE_BYTES = 12
_ALGORITHM = "SYMMETRIC_DEFAULT"
_SPEC_BYTES = {"AES_128": 16, "AES_256": 32}


def encrypt(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    key = find_usable_key(ctx, request["KeyId"])
    blob = _seal(key, request["Plaintext"], request.get("EncryptionContext"))
    return {"CiphertextBlob": blob, "KeyId": key.arn, "EncryptionAlgorithm": _ALGORITHM}


def decrypt(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    blob, context = request.get("CiphertextBlob", b""), request.get("EncryptionContext")
    key, plaintext = _open(ctx, blob, context, request.get("KeyId"))
    return {"KeyId": key.arn, "Plaintext": plaintext, "EncryptionAlgorithm": _ALGORITHM}


def re_encrypt(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    source, plaintext = _open(
        ctx,
        request.get("CiphertextBlob", b""),
        request.get("SourceEncryptionContext"),
        request.get("SourceKeyId"),
    )
    key = find_usable_key(ctx, request["DestinationKeyId"])
    return {
        "CiphertextBlob": _seal(key, plaintext, request.get("DestinationEncryptionContext")),
        "SourceKeyId": source.arn,
        "KeyId": key.arn,
        "SourceEncryptionAlgorithm": _ALGORITHM,
        "DestinationEncryptionAlgorithm": _ALGORITHM,
    }


def generate_data_key(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    key = find_usable_key(ctx, request["KeyId"])
    plaintext = ids.random_bytes(_data_key_bytes(request))
    blob = _seal(key, plaintext, request.get("EncryptionContext"))
    return {"CiphertextBlob": blob, "Plaintext": plaintext, "KeyId": key.arn}


def generate_data_key_without_plaintext(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    answer = generate_data_key(ctx, request)
    del answer["Plaintext"]
    return answer


def generate_random(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    return {"Plaintext": ids.random_bytes(request.get("NumberOfBytes", 32))}


def _data_key_bytes(request: Mapping[str, Any]) -> int:
    spec, count = request.get("KeySpec"), request.get("NumberOfBytes")
    if (spec is None) == (count is None):
        text = "Please specify either number of bytes or key spec."
        raise ApiError("ValidationException", text)
    return _SPEC_BYTES[spec] if spec is not None else int(count or 0)


def _seal(key: Resource, plaintext: bytes, context: Mapping[str, str] | None) -> bytes:
    nonce = ids.random_bytes(_NONCE_BYTES)
    sealed = _cipher(key).encrypt(nonce, plaintext, _authenticated(context))
    arn = key.arn.encode()
    return _MAGIC + len(arn).to_bytes(2, "big") + arn + nonce + sealed


def _open(
    ctx: Ctx, blob: bytes, context: Mapping[str, str] | None, key_id: str | None
) -> tuple[Resource, bytes]:
    arn, nonce, sealed = _take_apart(blob)
    key = find_usable_key(ctx, arn)
    if key_id is not None and find_usable_key(ctx, key_id).arn != key.arn:
        text = "The key ID in the request does not identify a CMK that can perform this operation."
        raise ApiError("IncorrectKeyException", text)
    try:
        return key, _cipher(key).decrypt(nonce, sealed, _authenticated(context))
    except InvalidTag as error:
        raise _invalid_ciphertext() from error


def _take_apart(blob: bytes) -> tuple[str, bytes, bytes]:
    start = len(_MAGIC) + 2
    end = start + int.from_bytes(blob[len(_MAGIC) : start], "big")
    if not blob.startswith(_MAGIC) or len(blob) <= end + _NONCE_BYTES:
        raise _invalid_ciphertext()
    arn = blob[start:end].decode("ascii", "replace")
    return arn, blob[end : end + _NONCE_BYTES], blob[end + _NONCE_BYTES :]


def _invalid_ciphertext() -> ApiError:
    return ApiError("InvalidCiphertextException", "")


def _cipher(key: Resource) -> AESGCM:
    return AESGCM(base64.b64decode(key.document["State"]["Material"]))


def _authenticated(context: Mapping[str, str] | None) -> bytes:
    return json.dumps(sorted((context or {}).items())).encode()


OPERATIONS = {
    "Encrypt": encrypt,
    "Decrypt": decrypt,
    "ReEncrypt": re_encrypt,
    "GenerateDataKey": generate_data_key,
    "GenerateDataKeyWithoutPlaintext": generate_data_key_without_plaintext,
    "GenerateRandom": generate_random,
}
