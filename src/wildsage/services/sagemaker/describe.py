"""What every resource family of SageMaker does alike: patient Describe, List with its filters.

- `settled` finds a row; for clients that poll it is held until the row stops moving, so that an
  SDK which asks every 30 seconds gets its answer when there is one.
- `page` turns a List request into a query and the rows into summaries.
- `echo` gives back what the client asked for; our own state stays under `State` and never leaves.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from wildsage.services.platform import Ctx
from wildsage.services.sagemaker import errors
from wildsage.store.errors import InvalidToken
from wildsage.store.resources import ListQuery, Resource

Summarize = Callable[[Resource], dict[str, Any]]


async def settled(
    ctx: Ctx, kind: str, name: str, is_settled: Callable[[Resource], bool]
) -> Resource | None:
    """The row, or None; held up to `settings.patience` seconds for a client that polls."""
    resource = await asyncio.to_thread(ctx.platform.resources.find, kind, ctx.scope, name)
    if resource is None or not ctx.polls or is_settled(resource):
        return resource
    return await ctx.platform.changes.wait_until(
        kind,
        ctx.scope,
        name,
        lambda row: row is None or is_settled(row),
        ctx.platform.settings.patience,
    )


def page(
    ctx: Ctx,
    kind: str,
    request: Mapping[str, Any],
    member: str,
    summarize: Summarize,
    *,
    descending: bool = True,
    where: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Answer a List operation; `descending` is AWS's default order for this kind."""
    order = request.get("SortOrder")
    query = ListQuery(
        name_contains=request.get("NameContains"),
        status=request.get("StatusEquals"),
        created_after=request.get("CreationTimeAfter"),
        created_before=request.get("CreationTimeBefore"),
        modified_after=request.get("LastModifiedTimeAfter"),
        modified_before=request.get("LastModifiedTimeBefore"),
        sort_by=request.get("SortBy") or "CreationTime",
        descending=descending if order is None else order == "Descending",
        limit=request.get("MaxResults") or 10,
        token=request.get("NextToken"),
        where=dict(where or {}),
    )
    try:
        found = ctx.platform.resources.list(kind, ctx.scope, query)
    except InvalidToken:
        raise errors.invalid_token() from None
    return {member: [summarize(row) for row in found.resources], **found.next}


def echo(document: Mapping[str, Any], members: Iterable[str]) -> dict[str, Any]:
    """Those members of the stored request that the client sent."""
    return {name: document[name] for name in members if name in document}
