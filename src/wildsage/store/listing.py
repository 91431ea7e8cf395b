"""Filter, sort and paginate resources: written once, for every kind.

Pages follow a key, not an offset: the token holds the last row's sort value and name, so rows that
come and go between two pages neither repeat nor hide others, and the thousandth page costs as much
as the first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

import sqlalchemy as sa

from wildsage.arns import Scope

if TYPE_CHECKING:
    from wildsage.store.resources import Resource

Scalar: TypeAlias = str | int | bool

# AWS's names of what a list is sorted by, and the columns behind them.
_SORT_COLUMNS = {
    "Name": "name",
    "CreationTime": "created",
    "LastModifiedTime": "modified",
    "Status": "status",
}


@dataclass(frozen=True, slots=True)
class ListQuery:
    """What a List operation asks for. Times are inclusive; `name_contains` ignores case."""

    name_contains: str | None = None
    status: str | None = None
    created_after: float | None = None
    created_before: float | None = None
    modified_after: float | None = None
    modified_before: float | None = None
    sort_by: str = "CreationTime"
    descending: bool = True
    limit: int = 100
    token: str | None = None
    where: Mapping[str, Scalar] = field(default_factory=dict)
    """Top-level fields of the document that must equal these values."""

    @property
    def sort_column(self) -> str:
        return _SORT_COLUMNS[self.sort_by]

    def binding(self, kind: str, scope: Scope) -> str:
        """Everything but the page: a token is good for the query that it was given out for."""
        filters = (
            self.name_contains,
            self.status,
            self.created_after,
            self.created_before,
            self.modified_after,
            self.modified_before,
            sorted(self.where.items()),
        )
        return repr((kind, *scope, filters, self.sort_by, self.descending))


@dataclass(frozen=True, slots=True)
class Page:
    resources: list[Resource]
    next_token: str | None

    @property
    def next(self) -> dict[str, str]:
        """`{"NextToken": …}` to merge into an answer, or nothing on the last page."""
        return {"NextToken": self.next_token} if self.next_token else {}


def select_page(
    table: sa.Table, kind: str, scope: Scope, query: ListQuery, after: tuple[Any, str] | None
) -> sa.Select[Any]:
    """The rows of one page and one row more, which tells whether another page follows."""
    key = sa.tuple_(table.c[query.sort_column], table.c.name)
    statement = sa.select(table).where(*_filters(table, kind, scope, query))
    if after is not None:
        position = sa.tuple_(*after)
        statement = statement.where(key < position if query.descending else key > position)
    order = [table.c[query.sort_column], table.c.name]
    statement = statement.order_by(*(c.desc() if query.descending else c.asc() for c in order))
    return statement.limit(query.limit + 1)


def _filters(
    table: sa.Table, kind: str, scope: Scope, query: ListQuery
) -> list[sa.ColumnElement[bool]]:
    c = table.c
    conditions = [c.kind == kind, c.account == scope.account, c.region == scope.region]
    if query.name_contains:
        conditions.append(c.name.icontains(query.name_contains, autoescape=True))
    if query.status is not None:
        conditions.append(c.status == query.status)
    if query.created_after is not None:
        conditions.append(c.created >= query.created_after)
    if query.created_before is not None:
        conditions.append(c.created <= query.created_before)
    if query.modified_after is not None:
        conditions.append(c.modified >= query.modified_after)
    if query.modified_before is not None:
        conditions.append(c.modified <= query.modified_before)
    conditions.extend(_field_equals(c.document, *item) for item in query.where.items())
    return conditions


def _field_equals(document: Any, name: str, value: Scalar) -> sa.ColumnElement[bool]:
    element = document[name]
    if isinstance(value, bool):
        result: sa.ColumnElement[bool] = element.as_boolean() == value
    elif isinstance(value, int):
        result = element.as_integer() == value
    else:
        result = element.as_string() == value
    return result
