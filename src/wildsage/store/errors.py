"""What can go wrong in the store. Services turn these into AWS's codes and texts."""

from __future__ import annotations


class StoreError(Exception):
    """The root of everything the store raises by itself."""


class NotFound(StoreError):
    def __init__(self, kind: str, name: str) -> None:
        super().__init__(f"no {kind} {name!r}")
        self.kind = kind
        self.name = name


class AlreadyExists(StoreError):
    def __init__(self, kind: str, name: str) -> None:
        super().__init__(f"{kind} {name!r} already exists")
        self.kind = kind
        self.name = name


class Conflict(StoreError):
    """The row was changed by someone else since it was read."""

    def __init__(self, kind: str, name: str) -> None:
        super().__init__(f"{kind} {name!r} was changed meanwhile")
        self.kind = kind
        self.name = name


class InvalidToken(StoreError):
    """A page token that was not given out for this very query."""

    def __init__(self) -> None:
        super().__init__("the page token is not valid for this query")


class HomeInUse(StoreError):
    """Another server holds the home folder."""


class NewerDatabase(StoreError):
    """The database was written by a later version of wildsage."""
