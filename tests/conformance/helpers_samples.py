"""Values made from the models: what any client might send, and what any handler might answer."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from botocore.awsrequest import create_request_object, prepare_request_dict
from botocore.serialize import create_serializer

from wildsage.wire.model import Operation, Service
from wildsage.wire.request import HttpRequest
from wildsage.wire.streams import RequestBody

MOMENT = 1_700_000_000.0
_SCALARS: dict[str, Any] = {
    "string": "a value & <more>",
    "character": "c",
    "boolean": True,
    "integer": 3,
    "long": 1 << 40,
    "float": 0.5,
    "double": 2.25,
    "timestamp": MOMENT,
    "blob": b"\x00\xffbytes",
}


def sample(shape: Any, *, full: bool = True, inside: tuple[str, ...] = ()) -> Any:
    """A value of the shape: every member when `full`, only required ones otherwise."""
    inside = (*inside, shape.name)
    if shape.type_name == "structure":
        if shape.metadata.get("document"):
            return {"any": ["thing", 1]}
        return {
            name: sample(member, full=full, inside=inside)
            for name, member in _wanted(shape, full, inside)
        }
    if shape.type_name == "list":
        return (
            []
            if shape.member.name in inside
            else [sample(shape.member, full=full, inside=inside) for _ in range(2)]
        )
    if shape.serialization.get("location") == "headers":
        return {"name": "plain text"}
    if shape.type_name == "map":
        key = sample(shape.key, full=full)
        return (
            {}
            if shape.value.name in inside
            else {key: sample(shape.value, full=full, inside=inside)}
        )
    return _scalar(shape)


def _wanted(shape: Any, full: bool, inside: tuple[str, ...]) -> list[tuple[str, Any]]:
    if shape.metadata.get("union"):
        return list(shape.members.items())[:1]
    return [
        (name, member)
        for name, member in shape.members.items()
        if not _is_recursive(member, inside)
        and not member.serialization.get("eventstream")
        and not member.serialization.get("streaming")
        and member.serialization.get("name") != "Content-Length"
        and (full or name in shape.required_members)
    ]


def _is_recursive(member: Any, inside: tuple[str, ...]) -> bool:
    if member.type_name == "list":
        return member.member.name in inside
    if member.type_name == "map":
        return member.value.name in inside
    return member.type_name == "structure" and member.name in inside


def _scalar(shape: Any) -> Any:
    location = shape.serialization.get("location")
    if shape.serialization.get("jsonvalue") and location == "header":
        return {"json": ["value"]}
    if shape.type_name == "string":
        if shape.metadata.get("enum"):
            return shape.metadata["enum"][0]
        return "label-1" if location == "uri" else "plain text" if location else "a & <b> é"
    return _SCALARS[shape.type_name]


def as_sent(
    service: Service, operation: Operation, parameters: dict[str, Any]
) -> tuple[HttpRequest, bytes]:
    """The request as botocore puts it on the wire."""
    serializer = create_serializer(service.protocol, include_validation=False)
    model = service._model.operation_model(operation.name)
    serialized = serializer.serialize_to_request(_for_botocore(parameters), model)
    prepare_request_dict(serialized, "http://127.0.0.1:4570")
    prepared = create_request_object(serialized).prepare()
    path, _, query = prepared.url.removeprefix("http://127.0.0.1:4570").partition("?")
    headers = {name.lower(): _text(value) for name, value in prepared.headers.items()}
    body = prepared.body or b""
    return (
        HttpRequest(prepared.method, path, query, {"host": "127.0.0.1:4570", **headers}),
        body.encode() if isinstance(body, str) else bytes(body),
    )


def _text(value: Any) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def _for_botocore(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _for_botocore(item) for name, item in value.items()}
    return [_for_botocore(item) for item in value] if isinstance(value, list) else value


def plain(value: Any) -> Any:
    """A value that botocore parsed, with its datetimes as seconds."""
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items() if name != "ResponseMetadata"}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value.timestamp() if isinstance(value, datetime) else value


def pruned(value: Any) -> Any:
    """A value without what the wire cannot tell from its absence: empty things, and streams."""
    if isinstance(value, dict):
        kept = {name: pruned(item) for name, item in value.items()}
        return {name: item for name, item in kept.items() if item not in ({}, [], b"", "", None)}
    if isinstance(value, list):
        return [pruned(item) for item in value]
    return None if isinstance(value, RequestBody) else value
