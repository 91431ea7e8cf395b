from __future__ import annotations

from bisect import bisect_left

from hypothesis import given, settings
from hypothesis import strategies as st

from wildsage.store.objects.listing import Listing, Page, list_page, successor

KEYS = st.text(alphabet="ab/é-", min_size=1, max_size=6)


class Shelf:
    """Sorted keys that count how many were looked at."""

    def __init__(self, keys: set[str]) -> None:
        self.keys = sorted(key.encode() for key in keys)
        self.looked_at = 0

    def fetch(self, start: bytes, end: bytes | None, limit: int) -> list[bytes]:
        first = bisect_left(self.keys, start)
        last = len(self.keys) if end is None else bisect_left(self.keys, end)
        found = self.keys[first:last][:limit]
        self.looked_at += len(found)
        return found

    def page(self, listing: Listing) -> Page[bytes]:
        return list_page(self.fetch, lambda key: key, listing)


def plain(keys: set[str], prefix: str, delimiter: str) -> tuple[list[str], list[str]]:
    """The same by definition: every key, one after the other."""
    entries, prefixes = [], set()
    for key in sorted(keys, key=str.encode):
        if key.startswith(prefix):
            found = key.find(delimiter, len(prefix)) if delimiter else -1
            if found < 0:
                entries.append(key)
            else:
                prefixes.add(key[: found + len(delimiter)])
    return entries, sorted(prefixes, key=str.encode)


@settings(max_examples=200)
@given(
    keys=st.sets(KEYS, max_size=40),
    prefix=st.text(alphabet="ab/é", max_size=2),
    delimiter=st.sampled_from(["", "/", "a/", "é"]),
    limit=st.integers(min_value=1, max_value=7),
)
def test_pages_together_are_the_listing(
    keys: set[str], prefix: str, delimiter: str, limit: int
) -> None:
    entries: list[str] = []
    prefixes: list[str] = []
    shelf, page = Shelf(keys), Page[bytes](truncated=True)
    while page.truncated:
        page = shelf.page(Listing(prefix, delimiter, page.last, limit))
        assert len(page) <= limit
        entries += [key.decode() for key in page.entries]
        prefixes += page.prefixes
    assert (entries, prefixes) == plain(keys, prefix, delimiter)


def test_a_folder_is_skipped_by_one_seek() -> None:
    shelf = Shelf({f"{folder}/{i:05}" for folder in "abcde" for i in range(5000)})
    page = shelf.page(Listing(delimiter="/"))
    assert page.prefixes == ["a/", "b/", "c/", "d/", "e/"]
    assert shelf.looked_at < 200


def test_many_small_folders_are_read_in_big_steps() -> None:
    shelf = Shelf({f"{i:05}/only" for i in range(2000)})
    page = shelf.page(Listing(delimiter="/", limit=1000))
    assert (len(page), page.truncated) == (1000, True)
    assert shelf.looked_at < 3000


def test_no_keys_are_wanted() -> None:
    page = Shelf({"a"}).page(Listing(limit=0))
    assert (len(page), page.truncated) == (0, False)


def test_a_marker_before_the_prefix_changes_nothing() -> None:
    assert Shelf({"b/1", "c"}).page(Listing("b", after="a")).entries == [b"b/1"]


def test_the_key_after_all_with_a_prefix() -> None:
    assert successor(b"a") == b"b"
    assert successor(b"a\xff\xff") == b"b"
    assert successor(b"") is None
    assert successor(b"\xff") is None
