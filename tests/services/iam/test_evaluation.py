"""Policies let through what AWS would let through."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, TypeAlias

import pytest

from wildsage.services.iam.bootstrap import bootstrap
from wildsage.services.iam.evaluation import Policy, evaluate
from wildsage.services.platform import Platform
from wildsage.wire.errors import ApiError

Call: TypeAlias = Callable[..., dict[str, Any]]
ROLE = "arn:aws:iam::000000000000:role/SageMakerRole"


def policy(*statements: dict[str, Any]) -> str:
    complete = [{"Effect": "Allow", "Resource": "*"} | s for s in statements]
    for statement in complete:
        if "NotResource" in statement:
            del statement["Resource"]
    return json.dumps({"Version": "2012-10-17", "Statement": complete})


def verdict(text: str, action: str = "s3:GetObject", *, resource: str = "*", **context: Any) -> str:
    keys = {key.replace("__", ":").lower(): values for key, values in context.items()}
    return evaluate([Policy.read("p", "none", text)], action, resource, keys).verdict


@pytest.mark.parametrize(
    ("statement", "action", "wanted"),
    [
        ({"Action": "s3:GetObject"}, "s3:GetObject", "allowed"),
        ({"Action": "S3:getobject"}, "s3:GetObject", "allowed"),
        ({"Action": ["s3:Put*", "s3:Get*"]}, "s3:GetObject", "allowed"),
        ({"Action": "s3:Get?bject"}, "s3:GetObject", "allowed"),
        ({"Action": "s3:Get"}, "s3:GetObject", "implicitDeny"),
        ({"Action": "*"}, "s3:GetObject", "allowed"),
        ({"NotAction": "iam:*"}, "s3:GetObject", "allowed"),
        ({"NotAction": "s3:*"}, "s3:GetObject", "implicitDeny"),
        ({"Effect": "Deny", "Action": "s3:*"}, "s3:GetObject", "explicitDeny"),
        ({"Effect": "Deny", "NotAction": "s3:*"}, "s3:GetObject", "implicitDeny"),
    ],
)
def test_actions(statement: dict[str, Any], action: str, wanted: str) -> None:
    assert verdict(policy(statement), action) == wanted


@pytest.mark.parametrize(
    ("resource", "wanted"),
    [
        ("arn:aws:s3:::bucket/*", "allowed"),
        ("arn:aws:s3:::BUCKET/*", "implicitDeny"),
        ("arn:aws:s3:::bucket/a/?.csv", "allowed"),
        ("arn:aws:s3:::bucket", "implicitDeny"),
        ("arn:aws:s3:::bucket/[a]/*", "implicitDeny"),
        (["arn:aws:s3:::x", "*"], "allowed"),
    ],
)
def test_resources(resource: Any, wanted: str) -> None:
    text = policy({"Action": "s3:*", "Resource": resource})
    assert verdict(text, resource="arn:aws:s3:::bucket/a/b.csv") == wanted


def test_a_deny_beats_every_allow() -> None:
    text = policy(
        {"Action": "*"},
        {"Effect": "Deny", "Action": "s3:*", "NotResource": "arn:aws:s3:::mine/*"},
    )
    assert verdict(text, resource="arn:aws:s3:::mine/x") == "allowed"
    assert verdict(text, resource="arn:aws:s3:::yours/x") == "explicitDeny"


@pytest.mark.parametrize(
    ("operator", "wanted", "value", "holds"),
    [
        ("StringEquals", "a", ["a"], True),
        ("StringEquals", ["a", "b"], ["b"], True),
        ("StringEquals", "a", ["A"], False),
        ("StringEquals", "a", None, False),
        ("StringEqualsIfExists", "a", None, True),
        ("StringEqualsIfExists", "a", ["b"], False),
        ("StringNotEquals", "a", ["b"], True),
        ("StringNotEquals", ["a", "b"], ["b"], False),
        ("StringNotEquals", "a", None, True),
        ("StringEqualsIgnoreCase", "a", ["A"], True),
        ("StringNotEqualsIgnoreCase", "a", ["A"], False),
        ("StringLike", "a*c", ["abbc"], True),
        ("StringNotLike", "a*c", ["abbc"], False),
        ("ArnLike", "arn:aws:iam::*:role/*", ["arn:aws:iam::1:role/x/y"], True),
        ("ArnLike", "arn:aws:*:role/x", ["arn:aws:iam::1:role/x"], False),
        ("ArnNotEquals", "arn:aws:iam::1:role/x", ["arn:aws:iam::1:role/x"], False),
        ("Bool", True, ["true"], True),
        ("Bool", "false", ["true"], False),
        ("IpAddress", "10.0.0.0/8", ["10.1.2.3"], True),
        ("IpAddress", "10.0.0.0/8", ["11.1.2.3"], False),
        ("IpAddress", "10.0.0.0/8", ["nonsense"], False),
        ("IpAddress", "2001:db8::/32", ["2001:db8::1"], True),
        ("NotIpAddress", "10.0.0.0/8", ["11.1.2.3"], True),
        ("NumericLessThan", 5, ["4.5"], True),
        ("NumericGreaterThanEquals", "5", ["5"], True),
        ("NumericNotEquals", 5, ["5"], False),
        ("NumericEquals", 5, ["x"], False),
        ("DateGreaterThan", "2024-01-01T00:00:00Z", ["2024-01-02T00:00:00Z"], True),
        ("DateLessThanEquals", "2024-01-01T00:00:00", ["1704067201"], False),
        ("Null", "true", None, True),
        ("Null", "true", ["a"], False),
        ("Null", False, ["a"], True),
        ("ForAllValues:StringEquals", ["a", "b"], ["a", "b"], True),
        ("ForAllValues:StringEquals", ["a", "b"], ["a", "c"], False),
        ("ForAllValues:StringEquals", "a", None, True),
        ("ForAnyValue:StringEquals", "a", ["a", "c"], True),
        ("ForAnyValue:StringEquals", "a", None, False),
    ],
)
def test_conditions(operator: str, wanted: Any, value: list[str] | None, holds: bool) -> None:
    text = policy({"Action": "*", "Condition": {operator: {"X:Key": wanted}}})
    context: dict[str, Any] = {} if value is None else {"x__key": value}
    assert (verdict(text, **context) == "allowed") is holds


def test_all_conditions_must_hold() -> None:
    block = {"StringEquals": {"x:a": "1", "x:b": "2"}, "Bool": {"x:c": "true"}}
    text = policy({"Action": "*", "Condition": block})
    assert verdict(text, x__a=["1"], x__b=["2"], x__c=["true"]) == "allowed"
    assert verdict(text, x__a=["1"], x__b=["2"], x__c=["false"]) == "implicitDeny"
    assert verdict(text, x__a=["1"], x__c=["true"]) == "implicitDeny"


def test_variables() -> None:
    text = policy({"Action": "*", "Resource": "arn:aws:s3:::home/${aws:username}/*"})
    ann: dict[str, Any] = {"aws__username": ["ann"]}
    assert verdict(text, resource="arn:aws:s3:::home/ann/x", **ann) == "allowed"
    assert verdict(text, resource="arn:aws:s3:::home/bob/x", **ann) == "implicitDeny"
    assert verdict(text, resource="arn:aws:s3:::home//x") == "implicitDeny"
    star: dict[str, Any] = {"aws__username": ["*"]}
    assert verdict(text, resource="arn:aws:s3:::home/bob/x", **star) == "implicitDeny"
    default = policy({"Action": "*", "Condition": {"StringEquals": {"x:k": "${x:m, 'none'}"}}})
    assert verdict(default, x__k=["none"]) == "allowed"
    literal = policy({"Action": "*", "Condition": {"StringLike": {"x:k": "a${*}"}}})
    assert verdict(literal, x__k=["a*"]) == "allowed"
    assert verdict(literal, x__k=["ab"]) == "implicitDeny"


def test_an_unknown_operator_is_refused() -> None:
    text = policy({"Action": "*", "Condition": {"StringSounds": {"x:a": "1"}}})
    with pytest.raises(ApiError, match="StringSounds"):
        verdict(text, x__a=["1"])


def simulate(call: Call, *actions: str, **more: Any) -> dict[str, str]:
    request: dict[str, Any] = {"PolicySourceArn": ROLE, "ActionNames": list(actions)}
    answer = call("iam", "SimulatePrincipalPolicy", **(request | more))
    return {r["EvalActionName"]: r["EvalDecision"] for r in answer["EvaluationResults"]}


def test_what_the_sdk_asks_of_the_role(call: Call, platform: Platform) -> None:
    """The actions that the SageMaker SDK's check of an execution role simulates."""
    bootstrap(platform)
    needed = (
        "ecr:GetAuthorizationToken",
        "cloudwatch:PutMetricData",
        "ec2:CreateNetworkInterface",
        "ec2:CreateNetworkInterfacePermission",
        "ec2:DeleteNetworkInterface",
        "ec2:DeleteNetworkInterfacePermission",
        "ec2:DescribeNetworkInterfaces",
        "ec2:DescribeVpcs",
        "ec2:DescribeDhcpOptions",
        "ec2:DescribeSubnets",
        "ec2:DescribeSecurityGroups",
    )
    assert set(simulate(call, *needed).values()) == {"allowed"}
    verdicts = simulate(call, "iam:CreateUser", "sagemaker:CreateTrainingJob")
    assert verdicts == {"iam:CreateUser": "implicitDeny", "sagemaker:CreateTrainingJob": "allowed"}


def test_conditions_of_a_simulation(call: Call, platform: Platform) -> None:
    bootstrap(platform)
    request = {"ResourceArns": ["arn:aws:iam::000000000000:role/x"]}
    assert simulate(call, "iam:PassRole", **request) == {"iam:PassRole": "implicitDeny"}
    entry = {
        "ContextKeyName": "iam:PassedToService",
        "ContextKeyValues": ["sagemaker.amazonaws.com"],
        "ContextKeyType": "string",
    }
    verdicts = simulate(call, "iam:PassRole", ContextEntries=[entry], **request)
    assert verdicts == {"iam:PassRole": "allowed"}
    answer = call(
        "iam", "SimulatePrincipalPolicy", PolicySourceArn=ROLE, ActionNames=["iam:PassRole"]
    )
    missing = answer["EvaluationResults"][0]["MissingContextValues"]
    assert "iam:passedtoservice" in missing


def test_boundaries_narrow(call: Call, platform: Platform) -> None:
    bootstrap(platform)
    boundary = policy({"Action": "sagemaker:*"}, {"Effect": "Deny", "Action": "ec2:*"})
    actions = "sagemaker:ListModels", "ecr:GetAuthorizationToken", "ec2:DescribeVpcs", "iam:X"
    verdicts = simulate(call, *actions, PermissionsBoundaryPolicyInputList=[boundary])
    assert list(verdicts.values()) == ["allowed", "implicitDeny", "explicitDeny", "implicitDeny"]
    arn = call("iam", "CreatePolicy", PolicyName="b", PolicyDocument=boundary)["Policy"]["Arn"]
    call("iam", "CreateUser", UserName="ann", PermissionsBoundary=arn)
    call(
        "iam",
        "AttachUserPolicy",
        UserName="ann",
        PolicyArn="arn:aws:iam::aws:policy/AdministratorAccess",
    )
    verdicts = simulate(call, *actions, PolicySourceArn="arn:aws:iam::000000000000:user/ann")
    assert list(verdicts.values()) == ["allowed", "implicitDeny", "explicitDeny", "implicitDeny"]


def test_a_custom_simulation(call: Call) -> None:
    text = policy({"Action": "s3:Get*", "Resource": "arn:aws:s3:::a/*"})
    answer = call(
        "iam",
        "SimulateCustomPolicy",
        PolicyInputList=[text],
        ActionNames=["s3:GetObject", "s3:PutObject"],
        ResourceArns=["arn:aws:s3:::a/x", "arn:aws:s3:::b/x"],
    )
    found = [
        (r["EvalActionName"], r["EvalResourceName"][-3:], r["EvalDecision"])
        for r in answer["EvaluationResults"]
    ]
    assert found == [
        ("s3:GetObject", "a/x", "allowed"),
        ("s3:GetObject", "b/x", "implicitDeny"),
        ("s3:PutObject", "a/x", "implicitDeny"),
        ("s3:PutObject", "b/x", "implicitDeny"),
    ]
    matched = answer["EvaluationResults"][0]["MatchedStatements"]
    assert matched == [{"SourcePolicyId": "PolicyInputList.1", "SourcePolicyType": "none"}]


def test_simulations_come_in_pages(call: Call) -> None:
    request: dict[str, Any] = {
        "PolicyInputList": [policy({"Action": "*"})],
        "ActionNames": [f"s3:A{n}" for n in range(5)],
        "MaxItems": 3,
    }
    first = call("iam", "SimulateCustomPolicy", **request)
    rest = call("iam", "SimulateCustomPolicy", Marker=first["Marker"], **request)
    names = [r["EvalActionName"] for r in first["EvaluationResults"] + rest["EvaluationResults"]]
    assert names == request["ActionNames"]
    assert (first["IsTruncated"], rest["IsTruncated"]) == (True, False)


@pytest.mark.parametrize(
    ("arn", "code", "text"),
    [
        ("arn:aws:iam::000000000000:role/a/X", "NoSuchEntity", "role with name X"),
        ("arn:aws:iam::000000000000:user/X", "NoSuchEntity", "user with name X"),
        ("arn:aws:iam::1:policy/X", "InvalidInput", "Invalid Entity Arn"),
        ("nonsense", "InvalidInput", "Invalid Entity Arn"),
    ],
)
def test_whom_a_simulation_does_not_find(call: Call, arn: str, code: str, text: str) -> None:
    with pytest.raises(ApiError, match=text) as error:
        simulate(call, "s3:GetObject", PolicySourceArn=arn)
    assert error.value.code == code


def test_what_a_simulation_leaves_out_is_refused(call: Call) -> None:
    with pytest.raises(ApiError, match="ResourcePolicy") as error:
        call(
            "iam",
            "SimulateCustomPolicy",
            PolicyInputList=[],
            ActionNames=["s3:GetObject"],
            ResourcePolicy="{}",
        )
    assert error.value.status == 501
