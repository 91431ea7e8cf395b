from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import pytest

from wildsage import clock
from wildsage.arns import Scope
from wildsage.clock import ManualClock
from wildsage.services.iam import credentials as module
from wildsage.services.iam.bootstrap import ADMIN, SAGEMAKER_ROLE, bootstrap, first_credential
from wildsage.services.iam.credentials import Credentials, session_credentials, sweep
from wildsage.services.iam.roles import pass_role, role_exists_or_foreign
from wildsage.services.platform import Platform
from wildsage.store.errors import NotFound
from wildsage.store.resources import Resources
from wildsage.wire.context import Context, Principal
from wildsage.wire.errors import ApiError

Call: TypeAlias = Callable[..., dict[str, Any]]
ACCOUNT = "000000000000"
FOREIGN = "arn:aws:iam::123456789012:role/service-role/AmazonSageMaker-ExecutionRole"


@pytest.fixture
def credentials(platform: Platform) -> Credentials:
    bootstrap(platform)
    return Credentials(platform.resources, platform.changes)


def test_the_first_day_of_an_account(platform: Platform, credentials: Credentials) -> None:
    root, admin = first_credential(platform), first_credential(platform, ADMIN)
    assert root.principal.arn == f"arn:aws:iam::{ACCOUNT}:root"
    assert admin.principal.arn == f"arn:aws:iam::{ACCOUNT}:user/admin"
    assert credentials.lookup(root.access_key) == root
    bootstrap(platform)
    assert (first_credential(platform), first_credential(platform, ADMIN)) == (root, admin)
    with pytest.raises(LookupError):
        first_credential(platform, "nobody")


def test_what_was_changed_is_not_reset(platform: Platform, credentials: Credentials) -> None:
    role = platform.resources.get("iam-role", Scope(ACCOUNT, ""), SAGEMAKER_ROLE)
    changed = {**role.document, "Description": "ours"}
    platform.resources.update(role, document=changed)
    bootstrap(platform)
    again = platform.resources.get("iam-role", Scope(ACCOUNT, ""), SAGEMAKER_ROLE)
    assert again.document == changed


def test_a_later_version_brings_its_documents(platform: Platform, credentials: Credentials) -> None:
    row = platform.resources.get("iam-policy", Scope("aws", ""), "AdministratorAccess")
    state = row.document["State"] | {"Versions": {"v1": {"Document": "{}", "Created": 0}}}
    platform.resources.update(row, document={**row.document, "State": state})
    bootstrap(platform)
    again = platform.resources.get("iam-policy", Scope("aws", ""), "AdministratorAccess")
    assert again.document["State"]["Versions"]["v1"]["Document"] != "{}"
    assert again.document["State"]["Id"] == row.document["State"]["Id"]


def test_unknown_keys(credentials: Credentials) -> None:
    for name in ("AKIAUNKNOWN", "ASIAUNKNOWN", "", "ü"):
        assert credentials.lookup(name) is None
    assert credentials._known == {}


def test_a_found_key_needs_no_database(
    platform: Platform, credentials: Credentials, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = first_credential(platform)
    credentials.lookup(key.access_key)
    monkeypatch.setattr(module, "read_credential", None)
    assert credentials.lookup(key.access_key) == key


def test_a_change_of_a_key_is_seen_at_once(call: Call, credentials: Credentials) -> None:
    call("iam", "CreateUser", UserName="ann")
    key = call("iam", "CreateAccessKey", UserName="ann")["AccessKey"]["AccessKeyId"]
    request = {"UserName": "ann", "AccessKeyId": key}
    assert credentials.lookup(key) is not None
    call("iam", "UpdateAccessKey", Status="Inactive", **request)
    assert credentials.lookup(key) is None
    call("iam", "UpdateAccessKey", Status="Active", **request)
    assert credentials.lookup(key) is not None
    call("iam", "DeleteAccessKey", **request)
    assert credentials.lookup(key) is None


def test_a_key_that_changes_while_it_is_read_is_not_kept(
    platform: Platform, credentials: Credentials, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = first_credential(platform)
    original = module.read_credential

    def slow(resources: Resources, access_key: str) -> Any:
        found = original(resources, access_key)
        row = resources.get("access-key", Scope("", ""), access_key)
        resources.update(row, status="Inactive")
        return found

    monkeypatch.setattr(module, "read_credential", slow)
    assert credentials.lookup(key.access_key) == key, "it was active when it was read"
    monkeypatch.setattr(module, "read_credential", original)
    assert credentials.lookup(key.access_key) is None


def test_a_session_of_the_role(platform: Platform, credentials: Credentials) -> None:
    with clock.using(ManualClock(1000.0)):
        session = session_credentials(platform, session="me", seconds=60)
    assert session.access_key.startswith("ASIA")
    assert session.principal.arn == f"arn:aws:sts::{ACCOUNT}:assumed-role/SageMakerRole/me"
    assert session.principal.user_id.endswith(":me")
    assert session.expires == 1060.0
    assert credentials.lookup(session.access_key) == session


def test_a_session_of_a_role_by_its_arn(platform: Platform, credentials: Credentials) -> None:
    own = session_credentials(platform, f"arn:aws:iam::{ACCOUNT}:role/SageMakerRole", "job")
    assert own.principal.arn == f"arn:aws:sts::{ACCOUNT}:assumed-role/SageMakerRole/job"
    foreign = session_credentials(platform, FOREIGN, "job")
    assert foreign.principal.account == ACCOUNT
    assert foreign.principal.arn.endswith(":assumed-role/AmazonSageMaker-ExecutionRole/job")
    for missing in ("Nobody", f"arn:aws:iam::{ACCOUNT}:role/Nobody"):
        with pytest.raises(NotFound):
            session_credentials(platform, missing)
    with pytest.raises(NotFound):
        session_credentials(platform, f"arn:aws:iam::{ACCOUNT}:user/admin")


def test_expired_sessions_are_swept_a_day_later(
    platform: Platform, credentials: Credentials
) -> None:
    manual = ManualClock(1000.0)
    with clock.using(manual):
        session = session_credentials(platform, seconds=60)
        manual.advance(3600)
        assert sweep(platform.resources) == 0
        assert credentials.lookup(session.access_key) is not None, "to be told that it expired"
        manual.advance(24 * 3600)
        assert sweep(platform.resources) == 1
        assert credentials.lookup(session.access_key) is None


@pytest.mark.parametrize(
    ("arn", "accepted"),
    [
        (f"arn:aws:iam::{ACCOUNT}:role/SageMakerRole", True),
        (f"arn:aws:iam::{ACCOUNT}:role/Nobody", False),
        (f"arn:aws:iam::{ACCOUNT}:user/admin", False),
        (FOREIGN, True),
        ("SageMakerRole", False),
        ("arn:aws:iam::123456789012:role/", False),
        ("arn:aws:iam::12345:role/x", False),
        ("arn:aws:iam::123456789012:role/x\n", False),
    ],
)
def test_roles_that_a_job_may_be_given(
    platform: Platform, credentials: Credentials, arn: str, accepted: bool
) -> None:
    assert role_exists_or_foreign(platform.resources, ACCOUNT, arn) is accepted


def test_passing_a_role_is_recorded(
    platform: Platform, credentials: Credentials, call: Call
) -> None:
    root = Principal(f"arn:aws:iam::{ACCOUNT}:root", ACCOUNT, ACCOUNT, "AKIA")
    scope = Scope(ACCOUNT, "us-east-1")
    ctx = Context(platform, scope, root, "sagemaker", "", "", "", "", "", {})
    with clock.using(ManualClock(1000.0)):
        pass_role(ctx, f"arn:aws:iam::{ACCOUNT}:role/SageMakerRole")
        pass_role(ctx, FOREIGN)
    role = call("iam", "GetRole", RoleName="SageMakerRole")["Role"]
    assert role["RoleLastUsed"] == {"LastUsedDate": 1000.0, "Region": "us-east-1"}
    with pytest.raises(ApiError, match="Could not assume role .*/Nobody. Please ensure"):
        pass_role(ctx, f"arn:aws:iam::{ACCOUNT}:role/Nobody")
