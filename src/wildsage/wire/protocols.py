"""The RPC protocols, json and query: an operation's request and answer, and errors.

A codec belongs to one operation and one protocol:

    codec.read(request, labels, body) -> the request as a handler wants it
    codec.write(response, request_id) -> Reply

The REST protocols, where values also stand in paths, queries and headers, are in `rest.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from wildsage.wire import json_codec, query_codec
from wildsage.wire.errors import ApiError
from wildsage.wire.model import Operation, Service
from wildsage.wire.reply import Reply, request_ids
from wildsage.wire.request import HttpRequest, decode_form
from wildsage.wire.streams import RequestBody, Response
from wildsage.wire.xml_codec import escape


class Codec(Protocol):
    def read(
        self, request: HttpRequest, labels: Mapping[str, str], body: bytes | RequestBody
    ) -> dict[str, Any]: ...

    def write(self, response: Response, request_id: str) -> Reply: ...


# ---- json 1.0 and 1.1


class JsonCodec:
    """`X-Amz-Target: Prefix.Operation` and a JSON object each way."""

    def __init__(self, operation: Operation) -> None:
        service = operation.service
        self._reads = service.json_reads(operation.input) if operation.input else None
        self._writes = service.json_writes(operation.output) if operation.output else None
        self._type = f"application/x-amz-json-{service.metadata.get('jsonVersion', '1.1')}"

    def read(
        self, request: HttpRequest, labels: Mapping[str, str], body: bytes | RequestBody
    ) -> dict[str, Any]:
        assert isinstance(body, bytes)
        value = json_codec.loads(body)
        return self._reads(value) if self._reads else {}

    def write(self, response: Response, request_id: str) -> Reply:
        body = json_codec.dumps(self._writes(response.output)) if self._writes else b""
        headers = {"x-amzn-requestid": request_id, "content-type": self._type, **response.headers}
        return Reply(response.status or 200, headers, body)


def json_error(service: Service | None, error: ApiError, request_id: str) -> Reply:
    """`{"__type": code, "message": text}`; the exception's further members beside them."""
    shape = service.error_shape(error.code) if service else None
    version = service.metadata.get("jsonVersion", "1.1") if service else "1.1"
    headers = {"x-amzn-requestid": request_id, "content-type": f"application/x-amz-json-{version}"}
    body = error_members(service, error)
    if shape is not None:
        body = {"__type": shape.name, **body}
        if service and service.query_compatible:
            headers["x-amzn-query-error"] = f"{shape.error_code};{_fault(error)}"
    else:
        body = {"__type": error.code, **body}
    status = error_status(service, error)
    return Reply(status, {**headers, **error.headers}, json_codec.dumps(body))


def error_members(service: Service | None, error: ApiError) -> dict[str, Any]:
    """The message, under the name that the model gives it, and the members of the exception."""
    shape = service.error_shape(error.code) if service else None
    if shape is None or service is None:
        return {"message": error.message, **_plain(error.fields)}
    name = "Message" if "Message" in shape.members else "message"
    members: dict[str, Any] = service.json_writes(shape)({**error.fields, name: error.message})
    return {name: error.message, **members}


def _plain(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if isinstance(value, str | int | float)}


def error_status(service: Service | None, error: ApiError) -> int:
    """The model's status for this exception, unless whoever raised it asked for another."""
    shape = service.error_shape(error.code) if service and error.status == 400 else None
    modelled = shape.metadata.get("error", {}).get("httpStatusCode") if shape is not None else None
    return int(modelled or error.status)


def _fault(error: ApiError) -> str:
    return "Sender" if error.status < 500 else "Receiver"


# ---- query


class QueryCodec:
    """`Action=Operation&Version=…` as a form, XML back."""

    def __init__(self, operation: Operation) -> None:
        service = operation.service
        self._name = operation.name
        self._namespace = service.namespace
        self._reads = service.query_reads(operation.input) if operation.input else None
        self._writes = service.xml_writes(operation.output) if operation.output else None
        serialization = operation.output.serialization if operation.output else {}
        self._wrapper = serialization.get("resultWrapper", f"{operation.name}Result")

    def read(
        self, request: HttpRequest, labels: Mapping[str, str], body: bytes | RequestBody
    ) -> dict[str, Any]:
        assert isinstance(body, bytes)
        pairs = query_pairs(request, body)
        return self._reads(query_codec.tree(pairs)) if self._reads else {}

    def write(self, response: Response, request_id: str) -> Reply:
        out = [f'<{self._name}Response xmlns="{self._namespace}">']
        if self._writes:
            self._writes(out, self._wrapper, response.output)
        out.append(f"<ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata>")
        out.append(f"</{self._name}Response>")
        headers = {"x-amzn-requestid": request_id, "content-type": "text/xml", **response.headers}
        return Reply(response.status or 200, headers, "".join(out).encode())


def query_pairs(request: HttpRequest, body: bytes) -> list[tuple[str, str]]:
    """The parameters of a query request: in the body of a POST, in the URL of a GET."""
    return request.parameters + decode_form(body.decode("latin-1"))


def query_error(service: Service | None, error: ApiError, request_id: str) -> Reply:
    namespace = f' xmlns="{service.namespace}"' if service and service.namespace else ""
    shape = service.error_shape(error.code) if service else None
    code = shape.error_code if shape is not None else error.code
    text = (
        f"<ErrorResponse{namespace}><Error><Type>{_fault(error)}</Type>"
        f"<Code>{escape(code)}</Code><Message>{escape(error.message)}</Message></Error>"
        f"<RequestId>{request_id}</RequestId></ErrorResponse>"
    )
    headers = {"x-amzn-requestid": request_id, "content-type": "text/xml", **error.headers}
    return Reply(error_status(service, error), headers, text.encode())


# ---- the errors of the REST protocols


def rest_json_error(service: Service | None, error: ApiError, request_id: str) -> Reply:
    headers = {
        **request_ids(service.name if service else "", request_id),
        "content-type": "application/json",
        "x-amzn-errortype": error.code,
        **error.headers,
    }
    body = json_codec.dumps(error_members(service, error))
    return Reply(error_status(service, error), headers, body)


def s3_error(service: Service | None, error: ApiError, request_id: str) -> Reply:
    """S3's errors have no namespace and no wrapper, and repeat the request's ids."""
    ids = request_ids("s3", request_id)
    members = {
        "Code": error.code,
        "Message": error.message,
        **_plain(error.fields),
        "RequestId": ids["x-amz-request-id"],
        "HostId": ids["x-amz-id-2"],
    }
    inner = "".join(f"<{name}>{escape(str(value))}</{name}>" for name, value in members.items())
    text = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error>{inner}</Error>'
    headers = {**ids, "content-type": "application/xml", **error.headers}
    return Reply(error.status, headers, text.encode())


ERRORS = {
    "json": json_error,
    "query": query_error,
    "rest-json": rest_json_error,
    "rest-xml": query_error,
}


def write_error(service: Service | None, protocol: str, error: ApiError, request_id: str) -> Reply:
    if protocol == "rest-xml" and (service is None or service.name == "s3"):
        return s3_error(service, error, request_id)
    return ERRORS[protocol](service, error, request_id)
