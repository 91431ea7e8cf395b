"""From a service name to its handlers: an explicit list of packages, imported at first use."""

from __future__ import annotations

import importlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeAlias

from wildsage.wire.context import Context
from wildsage.wire.streams import Response

Result: TypeAlias = dict[str, Any] | Response | None
# A plain function runs in a worker thread; a coroutine function on the loop: it must not block.
Handler: TypeAlias = Callable[[Context[Any], dict[str, Any]], Result | Awaitable[Result]]
Operations: TypeAlias = Mapping[str, Handler]
# botocore's name of a service -> the module whose OPERATIONS serve it.
Services: TypeAlias = Mapping[str, str]


class Registry:
    """The handlers of every service, each service's module imported when it is first asked for."""

    def __init__(self, services: Services) -> None:
        self._modules = services
        self._loaded: dict[str, Operations] = {}

    def loaded(self, service: str) -> Operations | None:
        """The handlers, when no import is needed to have them."""
        if service not in self._modules:
            return {}
        return self._loaded.get(service)

    def load(self, service: str) -> Operations:
        """Import the service's module; a service that is not listed has no handlers."""
        if service not in self._loaded:
            module = self._modules.get(service)
            self._loaded[service] = importlib.import_module(module).OPERATIONS if module else {}
        return self._loaded[service]
