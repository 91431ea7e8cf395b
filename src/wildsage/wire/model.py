"""AWS's own models, from botocore at run time, loaded at first use and kept.

    service_model("sagemaker").operation("CreateTrainingJob")

This package is the only one that knows botocore's insides. Documentation is dropped as a model is
loaded: it is most of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, cached_property
from typing import Any

from botocore.exceptions import UnknownServiceError
from botocore.loaders import Loader
from botocore.model import ServiceModel

from wildsage.wire import json_codec, query_codec, quirks, validation, xml_codec
from wildsage.wire.errors import ApiError
from wildsage.wire.shapes import Compiler, Shape

# Only the models that came with botocore: a model in the user's ~/.aws is about his clients.
_LOADER = Loader([Loader.BUILTIN_DATA_PATH], include_default_search_paths=False)
_MILLIS = {"s3": "iso8601-millis"}


class Operation:
    """One operation of a service: what comes in, what goes out and by which HTTP request."""

    def __init__(self, service: Service, model: Any) -> None:
        self.service = service
        self.name: str = model.name
        self.method: str = model.http.get("method", "POST")
        self.uri: str = model.http.get("requestUri", "/")
        self.status: int = model.http.get("responseCode", 200)
        self.input: Shape | None = model.input_shape
        self.output: Shape | None = model.output_shape
        self.signed: bool = model.auth_type != "none"
        self.deprecated: bool = model.deprecated

    @cached_property
    def streaming_member(self) -> str | None:
        """The member of the input that is the body itself, read as it comes in."""
        shape = self.input
        payload = shape.serialization.get("payload") if shape is not None else None
        if shape is None or payload is None:
            return None
        return str(payload) if shape.members[payload].serialization.get("streaming") else None

    @cached_property
    def check(self) -> validation.Check | None:
        return self.service.checks(self.input) if self.input else None

    def __repr__(self) -> str:
        return f"Operation({self.service.name}.{self.name})"


class Service:
    """One service: its operations, and the compilers that all of them share."""

    def __init__(self, name: str, model: Any) -> None:
        self.name = name
        self._model = model
        self.metadata: Mapping[str, Any] = model.metadata
        self.protocol: str = model.resolved_protocol
        self.namespace: str = model.metadata.get("xmlNamespace", "")
        self.target_prefix: str = model.metadata.get("targetPrefix", "")
        self.query_compatible: bool = "awsQueryCompatible" in model.metadata
        self.operation_names = frozenset(model.operation_names)
        self._operations: dict[str, Operation] = {}
        self.json_reads = Compiler(json_codec.READERS)
        self.json_writes = Compiler(json_codec.WRITERS)
        self.query_reads = Compiler(query_codec.READERS)
        self.xml_reads = Compiler(xml_codec.READERS)
        self.xml_writes = Compiler(xml_codec.writers(_MILLIS.get(name, "iso8601")))
        self.checks = Compiler(validation.CHECKS)

    def operation(self, name: str) -> Operation:
        """KeyError when AWS has no such operation."""
        found = self._operations.get(name)
        if found is None:
            if name not in self.operation_names:
                raise KeyError(name)
            found = self._operations[name] = Operation(self, self._model.operation_model(name))
        return found

    def error_shape(self, code: str) -> Shape | None:
        """The modelled exception with this name or error code."""
        return self._errors.get(code)

    @cached_property
    def _errors(self) -> dict[str, Shape]:
        shapes = list(self._model.error_shapes)
        return {s.name: s for s in shapes} | {s.error_code: s for s in shapes}


@cache
def service_model(name: str) -> Service:
    """KeyError when botocore knows no such service."""
    try:
        description = _LOADER.load_service_model(name, "service-2")
    except UnknownServiceError:
        raise KeyError(name) from None
    _drop_documentation(description)
    return Service(name, ServiceModel(description, name))


def _drop_documentation(description: dict[str, Any]) -> None:
    for group in ("shapes", "operations"):
        for item in description.get(group, {}).values():
            item.pop("documentation", None)
            for member in item.get("members", {}).values():
                member.pop("documentation", None)


def services_signed_as(signing_name: str) -> tuple[str, ...]:
    return quirks.SERVICES_OF_SIGNING_NAME.get(signing_name, (signing_name,))


def validate(operation: Operation, request: dict[str, Any]) -> None:
    """Hold a request against the model's constraints; ApiError lists what is wrong."""
    service = operation.service
    if operation.check is None or service.name in quirks.UNCHECKED:
        return
    if problems := operation.check(request):
        usual = quirks.VALIDATION_CODES_OF_PROTOCOL.get(service.protocol, "ValidationException")
        code = quirks.VALIDATION_CODES.get(service.name, usual)
        raise ApiError(code, validation.message(problems))
