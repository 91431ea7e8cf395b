"""Whose request is this: every service on one port, told apart by what clients send anyway.

The service is known from the signing name in the credential scope; services that share one (the
five data planes of SageMaker) by X-Amz-Target or by path. What is not signed is told by its form.
The operation follows from X-Amz-Target (json), Action (query) or method, path and query (REST).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from wildsage.wire.addressing import bucket_of_host
from wildsage.wire.errors import ApiError
from wildsage.wire.model import Operation, Service, service_model, services_signed_as
from wildsage.wire.protocols import Codec, JsonCodec, QueryCodec, query_pairs
from wildsage.wire.request import HttpRequest
from wildsage.wire.rest import RestCodec
from wildsage.wire.routes import Routes

_FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True, slots=True)
class Address:
    """Where a request goes: the protocol it speaks, the service (None: not known), S3's bucket."""

    protocol: str
    service: Service | None
    bucket: str | None = None


class Dispatcher:
    def __init__(self, services: Sequence[str], base_hosts: Sequence[str]) -> None:
        self._services = services
        self._base_hosts = base_hosts

    def address(self, request: HttpRequest, signing_name: str | None) -> Address:
        """From the signing name, or without one from the looks of an unsigned request."""
        target = request.headers.get("x-amz-target", "")
        if signing_name is None:
            return self._unsigned(request, target)
        services = _services(signing_name)
        if target:
            return Address("json", _with_target(services, target))
        if services and services[0].name == "s3":
            return self._s3(request)
        return _by_form(request, services)

    def _unsigned(self, request: HttpRequest, target: str) -> Address:
        if target:
            return Address("json", _with_target(self._all(), target))
        if _is_form(request):
            return Address("query", None)
        return self._s3(request)

    def _s3(self, request: HttpRequest) -> Address:
        bucket = bucket_of_host(request.host, self._base_hosts)
        return Address("rest-xml", service_model("s3"), bucket)

    def _all(self) -> list[Service]:
        return [service_model(name) for name in self._services]

    def operation(
        self, address: Address, request: HttpRequest, body: bytes
    ) -> tuple[Operation, Mapping[str, str]]:
        """The operation, and the labels of its path. `body` is needed by query alone."""
        if address.protocol == "query":
            return self._by_action(address.service, dict(query_pairs(request, body))), {}
        if address.service is None:
            raise ApiError("UnknownOperationException", "", 404)
        if address.protocol == "json":
            name = request.headers.get("x-amz-target", "").rpartition(".")[2]
            return _named(address.service, name), {}
        return _by_path(address, request)

    def _by_action(self, service: Service | None, values: Mapping[str, str]) -> Operation:
        action, version = values.get("Action", ""), values.get("Version", "")
        if not action:
            raise ApiError("MissingAction", "Could not find parameter Action in the request.")
        candidates = [service] if service else [s for s in self._all() if s.protocol == "query"]
        for candidate in candidates:
            if action in candidate.operation_names:
                return candidate.operation(action)
        text = f"Could not find operation {action} for version {version or 'NO_VERSION_SPECIFIED'}"
        raise ApiError("InvalidAction", text)


@cache
def _services(signing_name: str) -> tuple[Service, ...]:
    """The services that sign with a name; none when AWS has no such service."""
    try:
        return tuple(service_model(name) for name in services_signed_as(signing_name))
    except KeyError:
        return ()


def _with_target(services: Sequence[Service], target: str) -> Service | None:
    prefix = target.rpartition(".")[0]
    return next((s for s in services if prefix and s.target_prefix == prefix), None)


def _is_form(request: HttpRequest) -> bool:
    content_type = request.headers.get("content-type", "")
    return content_type.startswith(_FORM) or "Action=" in request.query


def _by_form(request: HttpRequest, services: Sequence[Service]) -> Address:
    for service in services:
        if service.protocol == "query" or (service.query_compatible and _is_form(request)):
            return Address("query", service)
    rest = [service for service in services if service.protocol.startswith("rest-")]
    fitting = [service for service in rest if _routes(service.name).matches(request.path)]
    meant = next(iter(fitting or rest or services), None)
    protocol = meant.protocol if meant else "json"
    return Address(protocol if protocol in _CODECS else "json", meant)


def _named(service: Service, name: str) -> Operation:
    try:
        return service.operation(name)
    except KeyError:
        raise ApiError("UnknownOperationException", "") from None


@cache
def _routes(service: str) -> Routes:
    return Routes(service_model(service))


def _by_path(address: Address, request: HttpRequest) -> tuple[Operation, Mapping[str, str]]:
    service = address.service
    assert service is not None
    path = f"/{address.bucket}{request.path}" if address.bucket else request.path
    routes = _routes(service.name)
    found = routes.find(request.method, path, request.parameters, request.headers)
    if found is not None:
        return service.operation(found.operation), found.labels
    if service.name != "s3":
        raise ApiError("UnknownOperationException", "", 404)
    if routes.matches(path):
        text = "The specified method is not allowed against this resource."
        raise ApiError("MethodNotAllowed", text, 405, fields={"Method": request.method})
    raise ApiError("InvalidURI", "Couldn't parse the specified URI.")


_CODECS = ("json", "query", "rest-json", "rest-xml")


@cache
def codec_of(operation: Operation, protocol: str) -> Codec:
    """What reads and writes an operation, made once."""
    if protocol == "json":
        return JsonCodec(operation)
    if protocol == "query":
        return QueryCodec(operation)
    return RestCodec(operation, protocol)
