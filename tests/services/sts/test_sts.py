from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import pytest

from wildsage import clock
from wildsage.clock import ManualClock
from wildsage.services.iam.bootstrap import bootstrap
from wildsage.services.iam.credentials import read_credential
from wildsage.services.platform import Platform
from wildsage.wire.context import Principal
from wildsage.wire.errors import ApiError

Call: TypeAlias = Callable[..., dict[str, Any]]
ROLE = "arn:aws:iam::000000000000:role/SageMakerRole"
SESSION = Principal(
    "arn:aws:sts::000000000000:assumed-role/SageMakerRole/me", "AROA:me", "000000000000", "ASIAX"
)


@pytest.fixture(autouse=True)
def account(platform: Platform) -> None:
    bootstrap(platform)


def refusal(call: Call, operation: str, **request: Any) -> tuple[str, str, int]:
    with pytest.raises(ApiError) as error:
        call("sts", operation, **request)
    return error.value.code, error.value.message, error.value.status


def test_who_am_i(call: Call) -> None:
    assert call("sts", "GetCallerIdentity", principal=SESSION) == {
        "UserId": "AROA:me",
        "Account": "000000000000",
        "Arn": SESSION.arn,
    }


def test_assuming_a_role(call: Call, platform: Platform) -> None:
    with clock.using(ManualClock(1000.0)):
        answer = call("sts", "AssumeRole", RoleArn=ROLE, RoleSessionName="s", SourceIdentity="ann")
    given = answer["Credentials"]
    stored = read_credential(platform.resources, given["AccessKeyId"])
    assert stored is not None
    assert given["AccessKeyId"].startswith("ASIA")
    secrets = given["SecretAccessKey"], given["SessionToken"], given["Expiration"]
    assert secrets == (stored.secret_key, stored.session_token, stored.expires)
    assert stored.expires == 1000.0 + 3600
    assert answer["AssumedRoleUser"]["Arn"] == stored.principal.arn
    assert stored.principal.arn.endswith("assumed-role/SageMakerRole/s")
    assert answer["SourceIdentity"] == "ann"


def test_how_long_a_session_may_last(call: Call) -> None:
    request: dict[str, Any] = {"RoleArn": ROLE, "RoleSessionName": "s"}
    code, text, _ = refusal(call, "AssumeRole", DurationSeconds=43201, **request)
    assert (code, "MaxSessionDuration" in text) == ("ValidationError", True)
    code, text, _ = refusal(call, "AssumeRole", DurationSeconds=7200, principal=SESSION, **request)
    assert (code, "role chaining" in text) == ("ValidationError", True)


@pytest.mark.parametrize(
    "arn",
    ["arn:aws:iam::000000000000:role/X", "arn:aws:iam::123456789012:role/X", ROLE[:-4] + "user"],
)
def test_a_role_that_is_not_there_is_denied(call: Call, arn: str) -> None:
    assert refusal(call, "AssumeRole", RoleArn=arn, RoleSessionName="s") == (
        "AccessDenied",
        "User: arn:aws:iam::000000000000:root is not authorized to perform: sts:AssumeRole on "
        f"resource: {arn}",
        403,
    )


def test_what_is_no_arn(call: Call) -> None:
    answer = refusal(call, "AssumeRole", RoleArn="SageMakerRole-of-mine", RoleSessionName="s")
    assert answer[:2] == ("ValidationError", "SageMakerRole-of-mine is invalid")


def test_a_session_token_stands_for_its_user(call: Call, platform: Platform) -> None:
    user = call("iam", "GetUser", UserName="admin")["User"]
    admin = Principal(user["Arn"], user["UserId"], "000000000000", "AKIAX")
    given = call("sts", "GetSessionToken", principal=admin, DurationSeconds=900)["Credentials"]
    stored = read_credential(platform.resources, given["AccessKeyId"])
    assert stored is not None
    assert (stored.principal.arn, stored.principal.user_id) == (admin.arn, admin.user_id)
    assert refusal(call, "GetSessionToken", principal=SESSION)[2] == 403


def test_whose_key_is_it(call: Call) -> None:
    key = call("iam", "CreateAccessKey", UserName="admin")["AccessKey"]["AccessKeyId"]
    assert call("sts", "GetAccessKeyInfo", AccessKeyId=key) == {"Account": "000000000000"}
    assert refusal(call, "GetAccessKeyInfo", AccessKeyId="ASIAUNKNOWNKEY00")[0] == "ValidationError"


def test_through_boto3(client: Callable[..., Any]) -> None:
    sts = client("sts")
    assert sts.get_caller_identity()["Arn"].endswith(":root")
    given = sts.assume_role(RoleArn=ROLE, RoleSessionName="me")["Credentials"]
    keys = {
        "aws_access_key_id": given["AccessKeyId"],
        "aws_secret_access_key": given["SecretAccessKey"],
    }
    assumed = client("sts", **keys, aws_session_token=given["SessionToken"])
    assert assumed.get_caller_identity()["Arn"].endswith("assumed-role/SageMakerRole/me")
    with pytest.raises(sts.exceptions.ClientError, match="InvalidClientTokenId"):
        client("sts", **keys, aws_session_token="wrong").get_caller_identity()
