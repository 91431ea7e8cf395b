"""What a handler is told about a request: who asks, for what, and from where."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from wildsage.arns import Scope

P = TypeVar("P")

# Clients that poll Describe on a slow clock of their own, so that holding their request saves time.
_POLLING_CLIENTS = ("AWS-SageMaker-Python-SDK", "AWS-SageMakerCore")
# botocore lists the features in use; `B` is a waiter (botocore/useragent.py).
_BOTOCORE_WAITER = re.compile(r" m/(?:\w,)*B(?:,|\s|$)")


@dataclass(frozen=True, slots=True)
class Principal:
    """Who signed a request: a user, the root of an account or the session of a role."""

    arn: str
    user_id: str
    account: str
    access_key: str


@dataclass(frozen=True, slots=True)
class Credential:
    """A key pair and whom it stands for; `expires` (seconds since the epoch) for sessions."""

    access_key: str
    secret_key: str = field(repr=False)
    session_token: str | None = field(repr=False)
    principal: Principal
    expires: float | None


class CredentialLookup(Protocol):
    """Finds the credential of an access key. Called for every request, so it must be fast."""

    def __call__(self, access_key: str) -> Credential | None: ...


@dataclass(slots=True)
class Context(Generic[P]):
    """One request, as a handler sees it. `headers` has lower-case names."""

    platform: P
    scope: Scope
    principal: Principal
    service: str
    operation: str
    request_id: str
    user_agent: str
    source_ip: str
    host: str
    headers: Mapping[str, str]

    @property
    def polls(self) -> bool:
        """Whether the client asks again and again until a resource has settled."""
        named = any(client in self.user_agent for client in _POLLING_CLIENTS)
        return named or bool(_BOTOCORE_WAITER.search(self.user_agent))
