"""From an access key to whom it stands for, fast; and sessions of roles, for people and jobs."""

from __future__ import annotations

import base64
import threading
from typing import Any

from wildsage import arns, clock, ids
from wildsage.arns import Scope
from wildsage.services.iam.entities import ACCESS_KEY, KEYS, ROLE, SESSION, USER
from wildsage.services.platform import Platform
from wildsage.store.changes import Changes
from wildsage.store.errors import NotFound
from wildsage.store.resources import Resource, Resources
from wildsage.wire.context import Credential, Principal

_KEPT_AFTER_EXPIRY = 24 * 3600  # so that an old session is told "expired" and not "unknown"


class Credentials:
    """Every request asks here (`CredentialLookup`). What was found is kept until it changes.

    Unknown keys are not kept: they would let strangers fill the memory.
    """

    def __init__(self, resources: Resources, changes: Changes) -> None:
        self._resources = resources
        self._known: dict[str, Credential] = {}
        self._lock = threading.Lock()
        self._generation = 0
        changes.subscribe((ACCESS_KEY, SESSION, USER), self._forget)

    def __call__(self, access_key: str) -> Credential | None:
        """The credential, even when it has expired; None for a key that is unknown or inactive."""
        return self._known.get(access_key) or self._load(access_key)

    lookup = __call__

    def _load(self, access_key: str) -> Credential | None:
        generation = self._generation
        credential = read_credential(self._resources, access_key)
        with self._lock:
            if credential is not None and generation == self._generation:
                self._known[access_key] = credential
        return credential

    def _forget(self, kind: str, _scope: Scope, name: str) -> None:
        """A change of a user may concern any key. One that is being read now is not kept."""
        with self._lock:
            self._generation += 1
            if kind == USER:
                self._known.clear()
            else:
                self._known.pop(name, None)


def read_credential(resources: Resources, access_key: str) -> Credential | None:
    """Straight from the store."""
    if access_key.startswith("ASIA"):
        session = resources.find(SESSION, KEYS, access_key)
        return None if session is None else _of_session(session)
    key = resources.find(ACCESS_KEY, KEYS, access_key)
    if key is None or key.status != "Active":
        return None
    return _of_key(resources, key)


def _of_key(resources: Resources, key: Resource) -> Credential | None:
    account, user_name = key.document["Account"], key.document["UserName"]
    if not user_name:
        arn = arns.build_global("iam", account, "root")
        principal = Principal(arn, account, account, key.name)
    else:
        user = resources.find(USER, Scope(account, ""), user_name)
        if user is None:
            return None
        principal = Principal(user.arn, user.document["State"]["Id"], account, key.name)
    return Credential(key.name, key.document["SecretAccessKey"], None, principal, None)


def _of_session(session: Resource) -> Credential:
    document = session.document
    principal = Principal(
        document["Arn"], document["UserId"], document["Account"], access_key=session.name
    )
    return Credential(
        session.name,
        document["SecretAccessKey"],
        document["SessionToken"],
        principal,
        document["Expires"],
    )


def create_session(
    resources: Resources, *, account: str, arn: str, user_id: str, seconds: float, **more: Any
) -> Credential:
    """Temporary credentials (ASIA…) that stand for `arn` until they expire."""
    name = ids.access_key_id("ASIA")
    session = resources.create(
        SESSION,
        KEYS,
        name,
        arn=f"{SESSION}/{name}",
        status="Active",
        document={
            "Account": account,
            "Arn": arn,
            "UserId": user_id,
            "SecretAccessKey": ids.secret_key(),
            "SessionToken": base64.b64encode(ids.random_bytes(192)).decode(),
            "Expires": round(clock.now() + seconds, 3),
            **more,
        },
    )
    return _of_session(session)


def assume(
    resources: Resources, role: Resource, session: str, seconds: float, **more: Any
) -> Credential:
    """A session of one of our roles."""
    account = role.scope.account
    return create_session(
        resources,
        account=account,
        arn=arns.build_global("sts", account, f"assumed-role/{role.name}/{session}"),
        user_id=f"{role.document['State']['Id']}:{session}",
        seconds=seconds,
        RoleArn=role.arn,
        **more,
    )


def session_credentials(
    platform: Platform,
    role: str = "SageMakerRole",
    session: str = "wildsage",
    seconds: float = 12 * 3600,
) -> Credential:
    """A session of a role, by name or ARN, for `wildsage env` and for jobs; NotFound without it.

    A role of another account (an old script's) acts as a role of this account by the same name, so
    that its job sees what the caller sees.
    """
    resources, account = platform.resources, platform.settings.account
    if not role.startswith("arn:"):
        return assume(resources, resources.get(ROLE, Scope(account, ""), role), session, seconds)
    name = role.rsplit("/", 1)[-1]
    if arns.parse(role).account == account:
        found = resources.get_by_arn(role)
        if found.kind != ROLE:
            raise NotFound(ROLE, role)
        return assume(resources, found, session, seconds)
    return create_session(
        resources,
        account=account,
        arn=arns.build_global("sts", account, f"assumed-role/{name}/{session}"),
        user_id=f"{name}:{session}",
        seconds=seconds,
        RoleArn=role,
    )


def sweep(resources: Resources) -> int:
    """Delete sessions that expired a day ago; returns how many. For the server's upkeep."""
    oldest = clock.now() - _KEPT_AFTER_EXPIRY
    expired = [s for s in resources.all(SESSION) if s.document["Expires"] < oldest]
    for session in expired:
        resources.delete(session)
    return len(expired)
