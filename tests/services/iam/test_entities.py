"""Users, keys, roles, policies and profiles, as scripts manage them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, TypeAlias
from urllib.parse import unquote

import pytest

from wildsage import clock
from wildsage.clock import ManualClock
from wildsage.services.iam.bootstrap import bootstrap
from wildsage.services.platform import Platform
from wildsage.wire.context import Principal
from wildsage.wire.errors import ApiError

Call: TypeAlias = Callable[..., dict[str, Any]]
TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": {
            "Effect": "Allow",
            "Principal": {"Service": "sagemaker.amazonaws.com"},
            "Action": "sts:AssumeRole",
        },
    }
)
GRANT = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}],
    }
)


def refusal(call: Call, operation: str, **request: Any) -> tuple[str, str, int]:
    with pytest.raises(ApiError) as error:
        call("iam", operation, **request)
    return error.value.code, error.value.message, error.value.status


@pytest.fixture
def role(call: Call) -> str:
    call("iam", "CreateRole", RoleName="Worker", AssumeRolePolicyDocument=TRUST)
    return "Worker"


def test_a_role(call: Call) -> None:
    made = call(
        "iam",
        "CreateRole",
        RoleName="Worker",
        Path="/service-role/",
        AssumeRolePolicyDocument=TRUST,
        Description="works",
        Tags=[{"Key": "team", "Value": "a"}],
    )["Role"]
    found = call("iam", "GetRole", RoleName="Worker")["Role"]
    assert found == made | {"RoleLastUsed": {}}
    assert found["Arn"] == "arn:aws:iam::000000000000:role/service-role/Worker"
    assert found["RoleId"].startswith("AROA")
    assert unquote(found["AssumeRolePolicyDocument"]) == TRUST
    assert found["Tags"] == [{"Key": "team", "Value": "a"}]
    assert found["MaxSessionDuration"] == 3600


def test_role_refusals(call: Call, role: str) -> None:
    assert refusal(call, "GetRole", RoleName="X") == (
        "NoSuchEntity",
        "The role with name X cannot be found.",
        404,
    )
    assert refusal(call, "CreateRole", RoleName=role, AssumeRolePolicyDocument=TRUST) == (
        "EntityAlreadyExists",
        "Role with name Worker already exists.",
        409,
    )
    call("iam", "PutRolePolicy", RoleName=role, PolicyName="p", PolicyDocument=GRANT)
    text = "Cannot delete entity, must delete policies first."
    assert refusal(call, "DeleteRole", RoleName=role) == ("DeleteConflict", text, 409)


def test_roles_are_updated(call: Call, role: str) -> None:
    call("iam", "UpdateRole", RoleName=role, Description="new", MaxSessionDuration=7200)
    other = TRUST.replace("sagemaker", "lambda")
    call("iam", "UpdateAssumeRolePolicy", RoleName=role, PolicyDocument=other)
    call("iam", "TagRole", RoleName=role, Tags=[{"Key": "a", "Value": "1"}])
    call("iam", "TagRole", RoleName=role, Tags=[{"Key": "b", "Value": "2"}])
    call("iam", "UntagRole", RoleName=role, TagKeys=["a"])
    found = call("iam", "GetRole", RoleName=role)["Role"]
    assert (found["Description"], found["MaxSessionDuration"]) == ("new", 7200)
    assert unquote(found["AssumeRolePolicyDocument"]) == other
    tags = [{"Key": "b", "Value": "2"}]
    assert call("iam", "ListRoleTags", RoleName=role)["Tags"] == tags == found["Tags"]
    described = call("iam", "UpdateRoleDescription", RoleName=role, Description="newer")["Role"]
    assert described["Description"] == "newer"


def test_roles_are_listed_by_path_in_pages(call: Call) -> None:
    for name in ("b", "a", "c"):
        call("iam", "CreateRole", RoleName=name, Path="/x/", AssumeRolePolicyDocument=TRUST)
    call("iam", "CreateRole", RoleName="other", AssumeRolePolicyDocument=TRUST)
    first = call("iam", "ListRoles", PathPrefix="/x/", MaxItems=2)
    rest = call("iam", "ListRoles", PathPrefix="/x/", MaxItems=2, Marker=first["Marker"])
    assert [r["RoleName"] for r in first["Roles"] + rest["Roles"]] == ["a", "b", "c"]
    assert (first["IsTruncated"], rest["IsTruncated"]) == (True, False)
    assert refusal(call, "ListRoles", Marker="é")[0] == "ValidationError"


@pytest.mark.parametrize(
    ("document", "text"),
    [
        ("{", "This policy contains invalid Json"),
        ("[]", "Syntax errors in policy."),
        ('{"Statement": []}', "Syntax errors in policy."),
        ('{"Version": "2020-01-01", "Statement": [{}]}', "valid version string"),
        ('{"Statement": [1]}', "Syntax errors in policy."),
        ('{"Statement": {"Effect": "Maybe"}}', "Effect"),
        ('{"Statement": {"Effect": "Allow", "Resource": "*"}}', "Missing required field Action"),
        ('{"Statement": {"Effect": "Allow", "Action": "s3:*"}}', "Missing required field Resource"),
        (
            '{"Statement": {"Effect": "Allow", "Action": "s3", "Resource": "*"}}',
            "must be prefaced by a vendor",
        ),
        (
            '{"Statement": {"Effect": "Allow", "Action": "s3:*", "Resource": {}}}',
            "Syntax errors in policy.",
        ),
        (
            '{"Statement": {"Effect": "Allow", "Action": "s3:*", "Resource": "*", "Principal": 1}}',
            "Has prohibited field Principal",
        ),
        (
            '{"Statement": {"Effect": "Allow", "Action": "s3:*", "NotAction": "s3:*"}}',
            "Syntax errors in policy.",
        ),
        (
            '{"Statement": {"Effect": "Allow", "Action": "s3:*", "Resource": "*", "Condition": 1}}',
            "Syntax errors in policy.",
        ),
    ],
)
def test_malformed_policies(call: Call, role: str, document: str, text: str) -> None:
    with pytest.raises(ApiError, match=text) as error:
        call("iam", "PutRolePolicy", RoleName=role, PolicyName="p", PolicyDocument=document)
    assert error.value.code == "MalformedPolicyDocument"
    assert call("iam", "ListRolePolicies", RoleName=role)["PolicyNames"] == []


def test_a_trust_policy_names_no_resource(call: Call) -> None:
    code, text, _ = refusal(call, "CreateRole", RoleName="r", AssumeRolePolicyDocument=GRANT)
    assert (code, text) == ("MalformedPolicyDocument", "Has prohibited field Resource")


def test_inline_policies(call: Call, role: str) -> None:
    call("iam", "PutRolePolicy", RoleName=role, PolicyName="b", PolicyDocument=GRANT)
    call("iam", "PutRolePolicy", RoleName=role, PolicyName="a", PolicyDocument=GRANT)
    found = call("iam", "GetRolePolicy", RoleName=role, PolicyName="a")
    assert json.loads(unquote(found["PolicyDocument"])) == json.loads(GRANT)
    assert call("iam", "ListRolePolicies", RoleName=role)["PolicyNames"] == ["a", "b"]
    call("iam", "DeleteRolePolicy", RoleName=role, PolicyName="a")
    for operation in ("GetRolePolicy", "DeleteRolePolicy"):
        answer = refusal(call, operation, RoleName=role, PolicyName="a")
        assert answer[1] == "The role policy with name a cannot be found."


def test_managed_policies_are_attached(call: Call, role: str) -> None:
    arn = call("iam", "CreatePolicy", PolicyName="p", PolicyDocument=GRANT)["Policy"]["Arn"]
    assert arn == "arn:aws:iam::000000000000:policy/p"
    for _ in range(2):
        call("iam", "AttachRolePolicy", RoleName=role, PolicyArn=arn)
    attached = call("iam", "ListAttachedRolePolicies", RoleName=role)["AttachedPolicies"]
    assert attached == [{"PolicyName": "p", "PolicyArn": arn}]
    assert call("iam", "GetPolicy", PolicyArn=arn)["Policy"]["AttachmentCount"] == 1
    entities = call("iam", "ListEntitiesForPolicy", PolicyArn=arn)
    assert [r["RoleName"] for r in entities["PolicyRoles"]] == [role]
    assert refusal(call, "DeletePolicy", PolicyArn=arn)[0] == "DeleteConflict"
    assert refusal(call, "DeleteRole", RoleName=role)[0] == "DeleteConflict"
    call("iam", "DetachRolePolicy", RoleName=role, PolicyArn=arn)
    answer = refusal(call, "DetachRolePolicy", RoleName=role, PolicyArn=arn)
    assert answer[:2] == ("NoSuchEntity", f"Policy {arn} was not found.")
    call("iam", "DeletePolicy", PolicyArn=arn)
    answer = refusal(call, "AttachRolePolicy", RoleName=role, PolicyArn=arn)
    assert answer[1] == f"Policy {arn} does not exist or is not attachable."
    call("iam", "DeleteRole", RoleName=role)


def test_versions_of_a_policy(call: Call) -> None:
    arn = call("iam", "CreatePolicy", PolicyName="p", PolicyDocument=GRANT)["Policy"]["Arn"]
    assert refusal(call, "CreatePolicy", PolicyName="p", PolicyDocument=GRANT)[0] == (
        "EntityAlreadyExists"
    )
    newer = GRANT.replace("s3:*", "s3:Get*")
    made = call(
        "iam", "CreatePolicyVersion", PolicyArn=arn, PolicyDocument=newer, SetAsDefault=True
    )["PolicyVersion"]
    assert (made["VersionId"], made["IsDefaultVersion"]) == ("v2", True)
    found = call("iam", "GetPolicyVersion", PolicyArn=arn, VersionId="v2")["PolicyVersion"]
    assert unquote(found["Document"]) == newer
    assert call("iam", "GetPolicy", PolicyArn=arn)["Policy"]["DefaultVersionId"] == "v2"
    conflict = refusal(call, "DeletePolicyVersion", PolicyArn=arn, VersionId="v2")
    assert conflict[0] == "DeleteConflict"
    assert refusal(call, "DeletePolicy", PolicyArn=arn)[0] == "DeleteConflict"
    call("iam", "SetDefaultPolicyVersion", PolicyArn=arn, VersionId="v1")
    call("iam", "DeletePolicyVersion", PolicyArn=arn, VersionId="v2")
    for number in range(4):
        made = call("iam", "CreatePolicyVersion", PolicyArn=arn, PolicyDocument=newer)
        assert made["PolicyVersion"]["VersionId"] == f"v{number + 3}", "numbers are not used again"
    full = refusal(call, "CreatePolicyVersion", PolicyArn=arn, PolicyDocument=newer)
    assert full[0] == "LimitExceeded"
    versions = call("iam", "ListPolicyVersions", PolicyArn=arn)["Versions"]
    assert [v["VersionId"] for v in versions] == ["v1", "v3", "v4", "v5", "v6"]
    missing = refusal(call, "GetPolicyVersion", PolicyArn=arn, VersionId="v9")
    assert missing[0] == "NoSuchEntity"


def test_aws_policies_are_there_and_stay(call: Call, platform: Platform) -> None:
    bootstrap(platform)
    arn = "arn:aws:iam::aws:policy/AmazonSageMakerFullAccess"
    policy = call("iam", "GetPolicy", PolicyArn=arn)["Policy"]
    assert (policy["AttachmentCount"], policy["DefaultVersionId"]) == (1, "v1")
    listed = {p["PolicyName"] for p in call("iam", "ListPolicies", Scope="AWS")["Policies"]}
    assert {"AdministratorAccess", "AmazonS3FullAccess", "CloudWatchLogsFullAccess"} <= listed
    assert call("iam", "ListPolicies", Scope="Local")["Policies"] == []
    used = call("iam", "ListPolicies", OnlyAttached=True)["Policies"]
    assert [p["PolicyName"] for p in used] == ["AdministratorAccess", "AmazonSageMakerFullAccess"]
    assert refusal(call, "DeletePolicy", PolicyArn=arn)[0] == "AccessDenied"


def test_policies_have_tags(call: Call) -> None:
    arn = call("iam", "CreatePolicy", PolicyName="p", PolicyDocument=GRANT)["Policy"]["Arn"]
    call("iam", "TagPolicy", PolicyArn=arn, Tags=[{"Key": "a", "Value": "1"}])
    call("iam", "TagPolicy", PolicyArn=arn, Tags=[{"Key": "b", "Value": "2"}])
    call("iam", "UntagPolicy", PolicyArn=arn, TagKeys=["a"])
    tags = call("iam", "ListPolicyTags", PolicyArn=arn)["Tags"]
    assert tags == [{"Key": "b", "Value": "2"}]
    many = [{"Key": f"{n}", "Value": ""} for n in range(50)]
    assert refusal(call, "TagPolicy", PolicyArn=arn, Tags=many)[0] == "LimitExceeded"


def test_users_and_their_keys(call: Call) -> None:
    made = call("iam", "CreateUser", UserName="ann", Path="/a/")["User"]
    assert made["Arn"] == "arn:aws:iam::000000000000:user/a/ann"
    assert refusal(call, "CreateUser", UserName="ann")[1] == "User with name ann already exists."
    keys = [call("iam", "CreateAccessKey", UserName="ann")["AccessKey"] for _ in range(2)]
    assert len(keys[0]["SecretAccessKey"]) == 40
    full = refusal(call, "CreateAccessKey", UserName="ann")
    assert full[1] == "Cannot exceed quota for AccessKeysPerUser: 2"
    call(
        "iam",
        "UpdateAccessKey",
        UserName="ann",
        AccessKeyId=keys[0]["AccessKeyId"],
        Status="Inactive",
    )
    listed = call("iam", "ListAccessKeys", UserName="ann")["AccessKeyMetadata"]
    assert {k["AccessKeyId"]: k["Status"] for k in listed} == {
        keys[0]["AccessKeyId"]: "Inactive",
        keys[1]["AccessKeyId"]: "Active",
    }
    assert all("SecretAccessKey" not in key for key in listed)
    used = call("iam", "GetAccessKeyLastUsed", AccessKeyId=keys[0]["AccessKeyId"])
    assert used["UserName"] == "ann"
    assert refusal(call, "DeleteUser", UserName="ann")[0] == "DeleteConflict"
    for key in keys:
        call("iam", "DeleteAccessKey", UserName="ann", AccessKeyId=key["AccessKeyId"])
    call("iam", "DeleteUser", UserName="ann")
    missing = refusal(call, "GetUser", UserName="ann")
    assert missing == ("NoSuchEntity", "The user with name ann cannot be found.", 404)
    assert refusal(call, "GetAccessKeyLastUsed", AccessKeyId="AKIAX")[0] == "NoSuchEntity"


def test_a_key_of_another_user(call: Call) -> None:
    for name in ("ann", "bob"):
        call("iam", "CreateUser", UserName=name)
    key = call("iam", "CreateAccessKey", UserName="ann")["AccessKey"]["AccessKeyId"]
    missing = refusal(call, "DeleteAccessKey", UserName="bob", AccessKeyId=key)
    assert missing[1] == f"The Access Key with id {key} cannot be found."


def test_who_asks_without_a_name(call: Call) -> None:
    root = call("iam", "GetUser")["User"]
    assert (root["UserId"], root["Arn"]) == ("000000000000", "arn:aws:iam::000000000000:root")
    made = call("iam", "CreateUser", UserName="ann", Tags=[{"Key": "a", "Value": "1"}])["User"]
    ann = Principal(made["Arn"], made["UserId"], "000000000000", "AKIAANN")
    assert call("iam", "GetUser", principal=ann)["User"] == made
    arn = "arn:aws:sts::000000000000:assumed-role/Worker/session"
    session = Principal(arn, "AROA:session", "000000000000", "ASIAX")
    answer = refusal(call, "GetUser", principal=session)
    assert answer[1] == "Must specify userName when calling with non-User credentials"


def test_users_are_listed_and_tagged(call: Call) -> None:
    for name in ("bob", "ann"):
        call("iam", "CreateUser", UserName=name)
    assert [u["UserName"] for u in call("iam", "ListUsers")["Users"]] == ["ann", "bob"]
    call("iam", "TagUser", UserName="ann", Tags=[{"Key": "a", "Value": "1"}])
    call("iam", "TagUser", UserName="ann", Tags=[{"Key": "b", "Value": "2"}])
    call("iam", "UntagUser", UserName="ann", TagKeys=["a"])
    assert call("iam", "ListUserTags", UserName="ann")["Tags"] == [{"Key": "b", "Value": "2"}]
    arn = call("iam", "CreatePolicy", PolicyName="p", PolicyDocument=GRANT)["Policy"]["Arn"]
    call("iam", "AttachUserPolicy", UserName="ann", PolicyArn=arn)
    entities = call("iam", "ListEntitiesForPolicy", PolicyArn=arn, EntityFilter="User")
    assert [u["UserName"] for u in entities["PolicyUsers"]] == ["ann"]
    assert refusal(call, "DeleteUser", UserName="ann")[0] == "DeleteConflict"
    call("iam", "DetachUserPolicy", UserName="ann", PolicyArn=arn)
    call("iam", "PutUserPolicy", UserName="ann", PolicyName="p", PolicyDocument=GRANT)
    assert refusal(call, "DeleteUser", UserName="ann")[0] == "DeleteConflict"


def test_instance_profiles(call: Call, role: str) -> None:
    call("iam", "CreateInstanceProfile", InstanceProfileName="box")
    exists = refusal(call, "CreateInstanceProfile", InstanceProfileName="box")
    assert exists[1] == "Instance Profile box already exists."
    both = {"InstanceProfileName": "box", "RoleName": role}
    call("iam", "AddRoleToInstanceProfile", **both)
    assert refusal(call, "AddRoleToInstanceProfile", **both)[0] == "LimitExceeded"
    profile = call("iam", "GetInstanceProfile", InstanceProfileName="box")["InstanceProfile"]
    assert [r["RoleName"] for r in profile["Roles"]] == [role]
    of_role = call("iam", "ListInstanceProfilesForRole", RoleName=role)["InstanceProfiles"]
    assert of_role == call("iam", "ListInstanceProfiles")["InstanceProfiles"] == [profile]
    assert refusal(call, "DeleteRole", RoleName=role)[0] == "DeleteConflict"
    conflict = refusal(call, "DeleteInstanceProfile", InstanceProfileName="box")
    assert conflict[0] == "DeleteConflict"
    call("iam", "RemoveRoleFromInstanceProfile", **both)
    assert refusal(call, "RemoveRoleFromInstanceProfile", **both)[0] == "NoSuchEntity"
    call("iam", "DeleteInstanceProfile", InstanceProfileName="box")
    call("iam", "DeleteRole", RoleName=role)


def test_through_boto3(client: Callable[..., Any]) -> None:
    iam = client("iam")
    role = iam.get_role(RoleName="SageMakerRole")["Role"]
    [statement] = role["AssumeRolePolicyDocument"]["Statement"]
    assert statement["Principal"] == {"Service": "sagemaker.amazonaws.com"}
    arn = "arn:aws:iam::aws:policy/AmazonSageMakerFullAccess"
    version = iam.get_policy_version(PolicyArn=arn, VersionId="v1")["PolicyVersion"]
    assert version["Document"]["Statement"][0]["Sid"] == "AllowAllNonAdminSageMakerActions"
    names = [r["RoleName"] for p in iam.get_paginator("list_roles").paginate() for r in p["Roles"]]
    assert names == ["SageMakerRole"]
    with pytest.raises(iam.exceptions.NoSuchEntityException, match="role with name X"):
        iam.get_role(RoleName="X")
    with clock.using(ManualClock(role["CreateDate"].timestamp())):
        assert iam.get_user()["User"]["Arn"].endswith(":root")
