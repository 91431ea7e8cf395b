"""What users, roles, policies and keys have in common: where they are kept, pages, tags, errors.

IAM has no regions: its rows have an empty one. Access keys and sessions are looked up by their id
alone, so they have no account either; their document says whose they are.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar
from urllib.parse import quote

from wildsage.arns import Scope
from wildsage.services.platform import Ctx
from wildsage.store.listing import Scalar
from wildsage.store.resources import Change, ListQuery, Resource, Resources
from wildsage.wire.errors import ApiError

USER = "iam-user"
ROLE = "iam-role"
POLICY = "iam-policy"
PROFILE = "iam-instance-profile"
ACCESS_KEY = "access-key"
SESSION = "session"

AWS_ACCOUNT = "aws"  # owns the managed policies, as in arn:aws:iam::aws:policy/…
KEYS = Scope("", "")

_NOUNS = {USER: "user", ROLE: "role", POLICY: "policy", PROFILE: "instance profile"}
_TAKEN = {
    USER: "User with name {} already exists.",
    ROLE: "Role with name {} already exists.",
    POLICY: "A policy called {} already exists. Duplicate names are not allowed.",
    PROFILE: "Instance Profile {} already exists.",
}

T = TypeVar("T")


def account_scope(ctx: Ctx) -> Scope:
    return Scope(ctx.scope.account, "")


def find(ctx: Ctx, kind: str, name: str) -> Resource:
    resource = ctx.platform.resources.find(kind, account_scope(ctx), name)
    if resource is None:
        raise no_such_entity(f"The {_NOUNS[kind]} with name {name} cannot be found.")
    return resource


def every(
    resources: Resources, kind: str, scope: Scope, where: Mapping[str, Scalar] | None = None
) -> Iterator[Resource]:
    """All rows of a kind in one account, in order of name."""
    token = None
    while True:
        query = ListQuery(
            sort_by="Name", descending=False, limit=1000, token=token, where=where or {}
        )
        page = resources.list(kind, scope, query)
        yield from page.resources
        token = page.next_token
        if token is None:
            return


def modify(ctx: Ctx, resource: Resource, **fields: Any) -> None:
    """Replace top-level fields of the document."""
    ctx.platform.resources.modify(
        resource.kind,
        resource.scope,
        resource.name,
        lambda current: Change(document={**current.document, **fields}),
    )


def modify_state(
    ctx: Ctx, resource: Resource, change: Callable[[dict[str, Any]], dict[str, Any]]
) -> None:
    """Write fields of the document's State, computed from the State as it is then."""

    def write(current: Resource) -> Change:
        state = current.document["State"]
        return Change(document={**current.document, "State": {**state, **change(state)}})

    ctx.platform.resources.modify(resource.kind, resource.scope, resource.name, write)


def no_such_entity(text: str) -> ApiError:
    return ApiError("NoSuchEntity", text, 404)


def already_exists(kind: str, name: str) -> ApiError:
    return ApiError("EntityAlreadyExists", _TAKEN[kind].format(name), 409)


def delete_conflict(text: str) -> ApiError:
    return ApiError("DeleteConflict", text, 409)


def limit_exceeded(text: str) -> ApiError:
    return ApiError("LimitExceeded", text, 409)


def page(
    request: Mapping[str, Any], items: Sequence[T], key: Callable[[T], str]
) -> tuple[Sequence[T], dict[str, Any]]:
    """The items of one page, which are in the order of `key`; and IsTruncated with its Marker."""
    limit = request.get("MaxItems", 100)
    if marker := request.get("Marker"):
        after = _open_marker(marker)
        items = [item for item in items if key(item) > after]
    if len(items) <= limit:
        return items, {"IsTruncated": False}
    last = key(items[limit - 1])
    return items[:limit], {"IsTruncated": True, "Marker": base64.b64encode(last.encode()).decode()}


def _open_marker(marker: str) -> str:
    try:
        return base64.b64decode(marker, validate=True).decode()
    except (binascii.Error, ValueError) as error:
        raise ApiError("ValidationError", f"Invalid Marker: {marker}") from error


def under_path(resources: Iterator[Resource], request: Mapping[str, Any]) -> list[Resource]:
    prefix = request.get("PathPrefix", "/")
    return [r for r in resources if r.document.get("Path", "/").startswith(prefix)]


def tags_answer(ctx: Ctx, resource: Resource) -> list[dict[str, str]]:
    tags = ctx.platform.resources.tags(resource.arn)
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def add_tags(ctx: Ctx, resource: Resource, tags: Sequence[Mapping[str, str]]) -> None:
    given = {tag["Key"]: tag["Value"] for tag in tags}
    if len(ctx.platform.resources.tags(resource.arn) | given) > 50:
        raise limit_exceeded("The number of tags has reached the maximum limit.")
    ctx.platform.resources.add_tags(resource.arn, given)


def encoded(document: str) -> str:
    """IAM answers policy documents percent-encoded (RFC 3986); clients decode them."""
    return quote(document, safe="")
