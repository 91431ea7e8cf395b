"""Listing with common prefixes: a folder of a million keys costs one seek, not a million rows."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

E = TypeVar("E")
# (first key, key to stop before, at most so many) -> entries in key order
Fetch = Callable[[bytes, bytes | None, int], Sequence[E]]

_FEW = 16


@dataclass(frozen=True, slots=True)
class Listing:
    """What is asked for. `after` is the key or common prefix that the page follows."""

    prefix: str = ""
    delimiter: str = ""
    after: str = ""
    limit: int = 1000


@dataclass(slots=True)
class Page(Generic[E]):
    """`last` is what the next page comes after."""

    entries: list[E] = field(default_factory=list)
    prefixes: list[str] = field(default_factory=list)
    truncated: bool = False
    last: str = ""

    def __len__(self) -> int:
        return len(self.entries) + len(self.prefixes)


def successor(prefix: bytes) -> bytes | None:
    """The first key after all that begin with `prefix`; None when there can be none."""
    stem = prefix.rstrip(b"\xff")
    return stem[:-1] + bytes([stem[-1] + 1]) if stem else None


def list_page(fetch: Fetch[E], key_of: Callable[[E], bytes], listing: Listing) -> Page[E]:
    page: Page[E] = Page()
    if listing.limit <= 0:
        return page
    prefix, end = listing.prefix.encode(), successor(listing.prefix.encode())
    start = _start(listing, prefix)
    size = _FEW if listing.delimiter else listing.limit + 1
    while start is not None and (end is None or start < end):
        rows = fetch(start, end, size)
        used, start = _take(page, rows, start, key_of, listing)
        if page.truncated or len(rows) < size:
            break
        # Few rows gave an entry each: they stand in big folders, so the next look is a short one.
        size = min(2 * size, listing.limit + 1) if 2 * used > len(rows) else _FEW
    return page


def _start(listing: Listing, prefix: bytes) -> bytes | None:
    after = listing.after.encode()
    if not after or after < prefix:
        return prefix
    if _common(after, listing) == after:
        return successor(after)
    return after + b"\0"


def _common(key: bytes, listing: Listing) -> bytes | None:
    """The common prefix that the key is folded into, if it is."""
    delimiter, skip = listing.delimiter.encode(), len(listing.prefix.encode())
    if not delimiter or not key.startswith(listing.prefix.encode()):
        return None
    found = key.find(delimiter, skip)
    return None if found < 0 else key[: found + len(delimiter)]


def _take(
    page: Page[E],
    rows: Sequence[E],
    start: bytes | None,
    key_of: Callable[[E], bytes],
    listing: Listing,
) -> tuple[int, bytes | None]:
    """Move rows into the page until it is full; how many entries they gave and where to go on."""
    before, position = len(page), 0
    while position < len(rows):
        if len(page) == listing.limit:
            page.truncated = True
            break
        key = key_of(rows[position])
        common = _common(key, listing)
        page.last = (key if common is None else common).decode()
        if common is None:
            page.entries.append(rows[position])
            start, position = key + b"\0", position + 1
        else:
            page.prefixes.append(page.last)
            start = successor(common)
            if start is None:
                break
            position = bisect_left(rows, start, lo=position, key=key_of)
    return len(page) - before, start
