"""What an account has from its first day: root's key, an admin, SageMakerRole, AWS's policies."""

from __future__ import annotations

import json
from contextlib import suppress

from wildsage.arns import Scope
from wildsage.services.iam.access_keys import ROOT, keys_of, make_key
from wildsage.services.iam.credentials import read_credential, sweep
from wildsage.services.iam.entities import AWS_ACCOUNT, POLICY
from wildsage.services.iam.managed import MANAGED_POLICIES, ManagedPolicy
from wildsage.services.iam.policies import default_document, new_state
from wildsage.services.iam.roles import make_role
from wildsage.services.iam.users import make_user
from wildsage.services.platform import Platform
from wildsage.store.errors import AlreadyExists
from wildsage.store.resources import Change, Resource, Resources
from wildsage.wire.context import Credential

ADMIN = "admin"
SAGEMAKER_ROLE = "SageMakerRole"
_TWELVE_HOURS = 12 * 3600


def bootstrap(platform: Platform) -> None:
    """Make what is missing. Run at every start; what is there, changed or not, stays."""
    resources, account = platform.resources, platform.settings.account
    for policy in MANAGED_POLICIES:
        _keep_managed_policy(resources, policy)
    _make_admin(resources, account)
    _make_sagemaker_role(resources, account)
    for user_name in (ROOT, ADMIN):
        if not keys_of(resources, account, user_name):
            make_key(resources, account, user_name)
    sweep(resources)


def first_credential(platform: Platform, user_name: str = ROOT) -> Credential:
    """The oldest active key of root or of a user, for tools that run beside the server."""
    keys = keys_of(platform.resources, platform.settings.account, user_name)
    for key in sorted(keys, key=lambda key: key.created):
        credential = read_credential(platform.resources, key.name)
        if credential is not None:
            return credential
    raise LookupError(f"{user_name or 'root'} has no active access key")


def _keep_managed_policy(resources: Resources, policy: ManagedPolicy) -> None:
    """A row for the policy, with the document of this version of wildsage."""
    scope, text = Scope(AWS_ACCOUNT, ""), json.dumps(policy.document)
    row = resources.find(POLICY, scope, policy.name)
    if row is None:
        with suppress(AlreadyExists):
            resources.create(
                POLICY,
                scope,
                policy.name,
                arn=policy.arn,
                status="Active",
                document={
                    "PolicyName": policy.name,
                    "Path": policy.path,
                    "Description": policy.description,
                    "State": new_state(text),
                },
            )
    elif default_document(row) != text:
        resources.modify(POLICY, scope, policy.name, lambda row: _with_document(row, text))


def _with_document(row: Resource, text: str) -> Change:
    state = new_state(text) | {"Id": row.document["State"]["Id"]}
    return Change(document={**row.document, "State": state})


def _make_admin(resources: Resources, account: str) -> None:
    with suppress(AlreadyExists):
        attached = [_arn_of("AdministratorAccess")]
        make_user(resources, account, {"UserName": ADMIN}, attached=attached)


def _make_sagemaker_role(resources: Resources, account: str) -> None:
    trust = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": "sagemaker.amazonaws.com"},
                "Action": "sts:AssumeRole",
            }
        ],
    }
    request = {
        "RoleName": SAGEMAKER_ROLE,
        "AssumeRolePolicyDocument": json.dumps(trust),
        "Description": "What SageMaker jobs, and the credentials of `wildsage env`, act as.",
        "MaxSessionDuration": _TWELVE_HOURS,
    }
    with suppress(AlreadyExists):
        attached = [_arn_of("AmazonSageMakerFullAccess")]
        make_role(resources, account, request, attached=attached)


def _arn_of(policy_name: str) -> str:
    return next(policy.arn for policy in MANAGED_POLICIES if policy.name == policy_name)
