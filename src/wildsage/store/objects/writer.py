"""Bytes on their way into a body: written, hashed and counted as they pass."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from types import TracebackType
from typing import Self

from wildsage.store.objects.bodies import Bodies
from wildsage.store.objects.checksums import Digests, verify
from wildsage.store.objects.errors import BadChecksum


class BodyWriter:
    """Writes to a place in a body. A `with` block that ends without `seal` removes its own body.

    `owns` is false for a part that shares its file with other parts.
    """

    def __init__(
        self, bodies: Bodies, algorithms: Collection[str] = (), *, shared: str | None = None
    ) -> None:
        self._bodies = bodies
        self.owns = shared is None
        if shared is None:
            self.body, self._descriptor = bodies.begin()
        else:
            self.body, self._descriptor = shared, bodies.reopen(shared)
        self.digests = Digests(algorithms)
        self.offset = 0
        self.size = 0
        self.sealed = False

    def write(self, data: bytes) -> None:
        self._bodies.write(self._descriptor, data, self.offset + self.size)
        self.digests.update(data)
        self.size += len(data)

    def verify(self, md5: str | None, checksums: Mapping[str, str]) -> None:
        """BadChecksum when the bytes are not those that these belong to; `md5` is hexadecimal."""
        computed = self.digests.md5.hex()
        if md5 is not None and md5 != computed:
            raise BadChecksum("MD5", md5, computed)
        verify(self.digests.checksums(), checksums)

    def seal(self) -> None:
        """All bytes are there: make them durable."""
        self._bodies.sync(self.body, self._descriptor)
        self.sealed = True

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
        if self.owns:
            (self._bodies.settle if self.sealed else self._bodies.abandon)(self.body)
