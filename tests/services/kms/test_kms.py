from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import pytest

from wildsage import clock
from wildsage.clock import ManualClock
from wildsage.wire.errors import ApiError

Call: TypeAlias = Callable[..., dict[str, Any]]


@pytest.fixture
def key(call: Call) -> str:
    answer = call("kms", "CreateKey", Description="mine", Tags=[{"TagKey": "k", "TagValue": "v"}])
    return str(answer["KeyMetadata"]["KeyId"])


def code_of(call: Call, operation: str, **request: Any) -> str:
    with pytest.raises(ApiError) as error:
        call("kms", operation, **request)
    return error.value.code


def test_a_key_is_found_by_every_name(call: Call, key: str) -> None:
    call("kms", "CreateAlias", AliasName="alias/mine", TargetKeyId=key)
    found = call("kms", "DescribeKey", KeyId=key)["KeyMetadata"]
    assert found["Arn"] == f"arn:aws:kms:us-east-1:000000000000:key/{key}"
    state = found["KeyState"], found["Enabled"], found["KeyManager"], found["Description"]
    assert state == ("Enabled", True, "CUSTOMER", "mine")
    alias = "arn:aws:kms:us-east-1:000000000000:alias/mine"
    for name in (found["Arn"], "alias/mine", alias):
        assert call("kms", "DescribeKey", KeyId=name)["KeyMetadata"] == found


def test_what_is_not_there(call: Call) -> None:
    for name in ("1234", "alias/x", "arn:aws:kms:us-east-1:000000000000:key/x"):
        assert code_of(call, "DescribeKey", KeyId=name) == "NotFoundException"
    for name in ("arn:nonsense", "arn:aws:s3:::bucket"):
        assert code_of(call, "DescribeKey", KeyId=name) == "InvalidArnException"


def test_aws_keys_appear_when_asked_for(call: Call) -> None:
    first = call("kms", "DescribeKey", KeyId="alias/aws/s3")["KeyMetadata"]
    assert first["KeyManager"] == "AWS"
    assert call("kms", "DescribeKey", KeyId="alias/aws/s3")["KeyMetadata"] == first
    assert code_of(call, "DisableKey", KeyId=first["KeyId"]) == "AccessDeniedException"
    [alias] = call("kms", "ListAliases")["Aliases"]
    assert (alias["AliasName"], alias["TargetKeyId"]) == ("alias/aws/s3", first["KeyId"])


def test_what_was_encrypted_is_decrypted(call: Call, key: str) -> None:
    sealed = call("kms", "Encrypt", KeyId=key, Plaintext=b"secret", EncryptionContext={"a": "1"})
    assert b"secret" not in sealed["CiphertextBlob"]
    opened = call(
        "kms",
        "Decrypt",
        CiphertextBlob=sealed["CiphertextBlob"],
        EncryptionContext={"a": "1"},
        KeyId=key,
    )
    assert (opened["Plaintext"], opened["KeyId"]) == (b"secret", sealed["KeyId"])


@pytest.mark.parametrize("change", ["context", "last byte", "cut", "nothing"])
def test_what_was_tampered_with_is_refused(call: Call, key: str, change: str) -> None:
    blob = call("kms", "Encrypt", KeyId=key, Plaintext=b"secret")["CiphertextBlob"]
    blobs = {
        "context": blob,
        "last byte": blob[:-1] + bytes([blob[-1] ^ 1]),
        "cut": blob[:60],
        "nothing": b"x",
    }
    context = {"a": "1"} if change == "context" else {}
    code = code_of(call, "Decrypt", CiphertextBlob=blobs[change], EncryptionContext=context)
    assert code == "InvalidCiphertextException"


def test_another_key_than_the_named_one(call: Call, key: str) -> None:
    other = call("kms", "CreateKey")["KeyMetadata"]["KeyId"]
    blob = call("kms", "Encrypt", KeyId=key, Plaintext=b"secret")["CiphertextBlob"]
    code = code_of(call, "Decrypt", CiphertextBlob=blob, KeyId=other)
    assert code == "IncorrectKeyException"
    again = call("kms", "ReEncrypt", CiphertextBlob=blob, DestinationKeyId=other)["CiphertextBlob"]
    assert call("kms", "Decrypt", CiphertextBlob=again, KeyId=other)["Plaintext"] == b"secret"


def test_data_keys(call: Call, key: str) -> None:
    made = call("kms", "GenerateDataKey", KeyId=key, KeySpec="AES_256")
    assert len(made["Plaintext"]) == 32
    opened = call("kms", "Decrypt", CiphertextBlob=made["CiphertextBlob"])
    assert opened["Plaintext"] == made["Plaintext"]
    bare = call("kms", "GenerateDataKeyWithoutPlaintext", KeyId=key, NumberOfBytes=7)
    assert "Plaintext" not in bare
    assert len(call("kms", "Decrypt", CiphertextBlob=bare["CiphertextBlob"])["Plaintext"]) == 7
    assert code_of(call, "GenerateDataKey", KeyId=key) == "ValidationException"
    assert len(call("kms", "GenerateRandom", NumberOfBytes=5)["Plaintext"]) == 5


def test_a_disabled_key_does_nothing(call: Call, key: str) -> None:
    call("kms", "DisableKey", KeyId=key)
    assert call("kms", "DescribeKey", KeyId=key)["KeyMetadata"]["KeyState"] == "Disabled"
    assert code_of(call, "Encrypt", KeyId=key, Plaintext=b"x") == "DisabledException"
    call("kms", "EnableKey", KeyId=key)
    assert call("kms", "Encrypt", KeyId=key, Plaintext=b"x")["CiphertextBlob"]


def test_deletion_waits_and_can_be_cancelled(call: Call, key: str) -> None:
    manual = ManualClock(1000.0)
    with clock.using(manual):
        call("kms", "CreateAlias", AliasName="alias/mine", TargetKeyId=key)
        answer = call("kms", "ScheduleKeyDeletion", KeyId=key, PendingWindowInDays=7)
        assert answer["DeletionDate"] == 1000.0 + 7 * 86400
        assert code_of(call, "Encrypt", KeyId=key, Plaintext=b"x") == "KMSInvalidStateException"
        assert code_of(call, "EnableKey", KeyId=key) == "KMSInvalidStateException"
        call("kms", "CancelKeyDeletion", KeyId=key)
        assert call("kms", "DescribeKey", KeyId=key)["KeyMetadata"]["KeyState"] == "Disabled"
        assert code_of(call, "CancelKeyDeletion", KeyId=key) == "KMSInvalidStateException"
        call("kms", "ScheduleKeyDeletion", KeyId=key)
        manual.advance(31 * 86400)
        assert code_of(call, "DescribeKey", KeyId=key) == "NotFoundException"
        assert call("kms", "ListAliases")["Aliases"] == []
    code = code_of(call, "ScheduleKeyDeletion", KeyId="x", PendingWindowInDays=1)
    assert code == "ValidationException"


def test_aliases_move(call: Call, key: str) -> None:
    other = call("kms", "CreateKey")["KeyMetadata"]["KeyId"]
    call("kms", "CreateAlias", AliasName="alias/a", TargetKeyId=key)
    code = code_of(call, "CreateAlias", AliasName="alias/a", TargetKeyId=other)
    assert code == "AlreadyExistsException"
    call("kms", "UpdateAlias", AliasName="alias/a", TargetKeyId=other)
    assert call("kms", "DescribeKey", KeyId="alias/a")["KeyMetadata"]["KeyId"] == other
    assert call("kms", "ListAliases", KeyId=key)["Aliases"] == []
    call("kms", "DeleteAlias", AliasName="alias/a")
    assert code_of(call, "DeleteAlias", AliasName="alias/a") == "NotFoundException"
    code = code_of(call, "CreateAlias", AliasName="mine", TargetKeyId=key)
    assert code == "ValidationException"


def test_keys_are_listed_in_pages(call: Call) -> None:
    made = {call("kms", "CreateKey")["KeyMetadata"]["KeyId"] for _ in range(5)}
    first = call("kms", "ListKeys", Limit=3)
    rest = call("kms", "ListKeys", Limit=3, Marker=first["NextMarker"])
    assert {k["KeyId"] for k in first["Keys"] + rest["Keys"]} == made
    assert (first["Truncated"], rest["Truncated"]) == (True, False)
    assert code_of(call, "ListKeys", Marker="x") == "InvalidMarkerException"


def test_what_clients_ask_besides(call: Call, key: str) -> None:
    call("kms", "UpdateKeyDescription", KeyId=key, Description="new")
    assert call("kms", "DescribeKey", KeyId=key)["KeyMetadata"]["Description"] == "new"
    assert "kms:*" in call("kms", "GetKeyPolicy", KeyId=key)["Policy"]
    call("kms", "PutKeyPolicy", KeyId=key, Policy="{}")
    assert call("kms", "GetKeyPolicy", KeyId=key)["Policy"] == "{}"
    assert call("kms", "GetKeyRotationStatus", KeyId=key)["KeyRotationEnabled"] is False
    call("kms", "TagResource", KeyId=key, Tags=[{"TagKey": "n", "TagValue": "w"}])
    call("kms", "UntagResource", KeyId=key, TagKeys=["k"])
    tags = call("kms", "ListResourceTags", KeyId=key)["Tags"]
    assert tags == [{"TagKey": "n", "TagValue": "w"}]


def test_other_kinds_of_keys_are_refused_by_name(call: Call) -> None:
    assert code_of(call, "CreateKey", KeySpec="RSA_2048") == "NotImplemented"


def test_through_boto3(client: Callable[..., Any]) -> None:
    kms = client("kms")
    key = kms.create_key()["KeyMetadata"]["KeyId"]
    blob = kms.encrypt(KeyId=key, Plaintext=b"\x00\xff")["CiphertextBlob"]
    assert kms.decrypt(CiphertextBlob=blob)["Plaintext"] == b"\x00\xff"
    with pytest.raises(kms.exceptions.NotFoundException):
        kms.describe_key(KeyId="alias/missing")
