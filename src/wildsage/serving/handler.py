"""What a model server calls: a handler turns the bytes of one request into a reply.

A handler is made once, from the unpacked model, and called for every request. It is called from one
thread at a time, unless `MODEL_SERVER_WORKERS` asks for more; then it must bear that.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from wildsage.contract.paths import Paths


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to one request; `attributes` goes back as the custom attributes of AWS."""

    status: int = 200
    content_type: str = "text/plain"
    body: bytes = b""
    attributes: str | None = None


class InvocationError(Exception):
    """A request that is refused: the status (400, 406, 415, ...) and the text the client gets."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(status, message)
        self.status = status
        self.message = message

    def __str__(self) -> str:
        return self.message


class Handler(Protocol):
    """The model behind the server. May raise `InvocationError`; anything else becomes a 500."""

    def __call__(
        self, body: bytes, content_type: str, accept: str, attributes: str | None
    ) -> Reply: ...

    def execution_parameters(self) -> dict[str, Any]:
        """What a batch transform asks for before it starts (`MaxConcurrentTransforms`, ...)."""


Load = Callable[[Paths], Handler]
