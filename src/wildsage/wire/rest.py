"""The REST protocols: values in the path, the query, the headers, and a JSON or XML body.

A `RestCodec` sorts an operation's members by where they stand, once. `rest-json` and `rest-xml`
differ in the body alone, which a `_JsonBody` or an `_XmlBody` reads and writes.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeAlias

import orjson

from wildsage.wire import json_codec, quirks, scalars, xml_codec
from wildsage.wire.errors import serialization
from wildsage.wire.model import Operation
from wildsage.wire.reply import Body, Reply, request_ids
from wildsage.wire.request import HttpRequest
from wildsage.wire.shapes import Shape, wire_name
from wildsage.wire.streams import RequestBody, Response

FromText: TypeAlias = Callable[[str], Any]
ToText: TypeAlias = Callable[[Any], str]

_HEADER_ITEM = re.compile(r'\s*(?:"((?:[^"\\]|\\.)*)"|([^,]*))\s*(?:,|$)')


class RestCodec:
    """One operation of a rest-json or rest-xml service."""

    def __init__(self, operation: Operation, protocol: str) -> None:
        self._operation = operation
        self._body: _BodyFormat = (
            _XmlBody(operation) if protocol == "rest-xml" else _JsonBody(operation)
        )
        self._in = _Places(operation.input)
        self._out = _Places(operation.output)

    def read(
        self, request: HttpRequest, labels: Mapping[str, str], body: bytes | RequestBody
    ) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for name, label, convert in self._in.labels:
            if label in labels:
                values[name] = convert(labels[label])
        if self._in.query:
            values.update(_from_query(self._in.query, request.parameters))
        for name, header, convert in self._in.headers:
            if header in request.headers:
                values[name] = convert(request.headers[header])
        for name, prefix in self._in.header_maps:
            values[name] = _with_prefix(request.headers, prefix)
        values.update(self._read_body(body))
        return values

    def _read_body(self, body: bytes | RequestBody) -> dict[str, Any]:
        payload = self._in.payload
        if payload is None:
            return self._body.read_members(body) if self._in.in_body and body else {}
        if isinstance(body, RequestBody):
            return {payload: body}
        kind = self._operation.input.members[payload].type_name  # type: ignore[union-attr]
        if kind in ("blob", "string"):
            return {payload: body if kind == "blob" else body.decode("utf-8", "replace")}
        return {payload: self._body.read_payload(body)} if body else {}

    def write(self, response: Response, request_id: str) -> Reply:
        output = response.output
        headers = dict(request_ids(self._operation.service.name, request_id))
        body = self._write_body(output, headers)
        for name, header, to_text in self._out.written:
            if output.get(name) is not None:
                headers[header] = to_text(output[name])
        for name, prefix in self._out.header_maps:
            headers.update({f"{prefix}{k}": str(v) for k, v in output.get(name, {}).items()})
        headers.update({name.lower(): value for name, value in response.headers.items()})
        status = response.status or output.get(self._out.status or "") or self._operation.status
        return Reply(status, headers, body)

    def _write_body(self, output: dict[str, Any], headers: dict[str, str]) -> Body:
        payload = self._out.payload
        if payload is None:
            if not self._out.in_body:
                return b""
            headers["content-type"] = self._body.content_type
            return self._body.write_members(output)
        value = output.get(payload)
        kind = self._operation.output.members[payload].type_name  # type: ignore[union-attr]
        if kind not in ("blob", "string"):
            headers["content-type"] = self._body.content_type
            return self._body.write_payload(value) if value is not None else b""
        headers["content-type"] = self._body.blob_type
        return value.encode() if isinstance(value, str) else b"" if value is None else value


# ---- where the members of a shape stand


class _Places:
    """The members of an input or output, by location."""

    def __init__(self, shape: Shape | None) -> None:
        self.labels: list[tuple[str, str, FromText]] = []
        self.query: list[tuple[str, str, Shape]] = []
        self.headers: list[tuple[str, str, FromText]] = []
        self.written: list[tuple[str, str, ToText]] = []
        self.header_maps: list[tuple[str, str]] = []
        self.status: str | None = None
        self.payload: str | None = shape.serialization.get("payload") if shape else None
        self.in_body: list[str] = []
        for name, member in shape.members.items() if shape else ():
            self._place(name, member)

    def _place(self, name: str, member: Shape) -> None:
        location, key = member.serialization.get("location"), wire_name(member, name)
        if location == "uri":
            self.labels.append((name, key, scalars.reader(member)))
        elif location == "querystring":
            self.query.append((name, key, member))
        elif location == "header":
            self.headers.append((name, key.lower(), _header_reader(member)))
            self.written.append((name, key.lower(), _header_writer(member)))
        elif location == "headers":
            self.header_maps.append((name, key.lower()))
        elif location == "statusCode":
            self.status = name
        else:
            self.in_body.append(name)


def _from_query(
    places: list[tuple[str, str, Shape]], parameters: list[tuple[str, str]]
) -> dict[str, Any]:
    values: dict[str, Any] = {}
    single = dict(reversed(parameters))
    named = {key for _, key, _ in places}
    for name, key, member in places:
        if member.type_name == "map":
            values[name] = _query_map(member, [p for p in parameters if p[0] not in named])
        elif key not in single:
            continue
        elif member.type_name == "list":
            convert = scalars.reader(member.member)
            values[name] = [convert(value) for k, value in parameters if k == key]
        else:
            values[name] = scalars.reader(member)(single[key])
    return values


def _query_map(member: Shape, pairs: list[tuple[str, str]]) -> dict[str, Any]:
    if member.value.type_name != "list":
        return dict(pairs)
    found: dict[str, Any] = {}
    for key, value in pairs:
        found.setdefault(key, []).append(value)
    return found


def _with_prefix(headers: Mapping[str, str], prefix: str) -> dict[str, str]:
    return {k[len(prefix) :]: value for k, value in headers.items() if k.startswith(prefix)}


def _header_reader(member: Shape) -> FromText:
    if member.type_name == "list":
        convert = _header_reader(member.member)
        if member.member.type_name == "timestamp":
            return lambda text: [convert(text)]
        return lambda text: [convert(item) for item in split_header(text)]
    if member.serialization.get("jsonvalue"):
        return _read_json_header
    return scalars.reader(member)


def split_header(text: str) -> list[str]:
    """The items of a list in a header; one that has a comma or a quote stands in quotes."""
    items, at = [], 0
    while at < len(text):
        match = _HEADER_ITEM.match(text, at)
        if match is None or match.end() == at:
            break
        quoted, plain = match.groups()
        items.append(plain.strip() if quoted is None else re.sub(r"\\(.)", r"\1", quoted))
        at = match.end()
    return items


def _read_json_header(text: str) -> Any:
    try:
        return orjson.loads(scalars.read_blob(text))
    except orjson.JSONDecodeError:
        raise serialization() from None


def _header_writer(member: Shape) -> ToText:
    if member.type_name == "list":
        to_text = _header_writer(member.member)
        return lambda values: ",".join(to_text(value) for value in values)
    if member.serialization.get("jsonvalue"):
        return lambda value: base64.b64encode(orjson.dumps(value)).decode()
    return scalars.writer(member, "rfc822")


# ---- bodies


class _BodyFormat(Protocol):
    content_type: str
    blob_type: str

    def read_members(self, body: Any) -> dict[str, Any]: ...

    def read_payload(self, body: bytes) -> Any: ...

    def write_members(self, output: dict[str, Any]) -> bytes: ...

    def write_payload(self, value: Any) -> bytes: ...


def _payload_of(shape: Shape | None) -> Shape | None:
    payload = shape.serialization.get("payload") if shape is not None else None
    return shape.members[payload] if shape is not None and payload else None


def _in_body(shape: Shape | None) -> frozenset[str]:
    return frozenset(_Places(shape).in_body)


class _JsonBody:
    content_type = "application/json"
    blob_type = "application/octet-stream"

    def __init__(self, operation: Operation) -> None:
        service = operation.service
        self._read_names, self._write_names = _in_body(operation.input), _in_body(operation.output)
        self._reads = service.json_reads(operation.input) if operation.input else None
        self._writes = service.json_writes(operation.output) if operation.output else None
        into, out = _payload_of(operation.input), _payload_of(operation.output)
        self._reads_payload = service.json_reads(into) if into is not None else None
        self._writes_payload = service.json_writes(out) if out is not None else None

    def read_members(self, body: bytes) -> dict[str, Any]:
        assert self._reads
        value = self._reads(json_codec.loads(body))
        return {name: item for name, item in value.items() if name in self._read_names}

    def read_payload(self, body: bytes) -> Any:
        assert self._reads_payload
        return self._reads_payload(json_codec.loads(body))

    def write_members(self, output: dict[str, Any]) -> bytes:
        assert self._writes
        kept = {name: item for name, item in output.items() if name in self._write_names}
        return json_codec.dumps(self._writes(kept))

    def write_payload(self, value: Any) -> bytes:
        assert self._writes_payload
        return json_codec.dumps(self._writes_payload(value))


class _XmlBody:
    content_type = "application/xml"
    blob_type = "binary/octet-stream"

    def __init__(self, operation: Operation) -> None:
        service = operation.service
        self._read_names, self._write_names = _in_body(operation.input), _in_body(operation.output)
        self._reads = service.xml_reads(operation.input) if operation.input else None
        self._writes = service.xml_writes(operation.output) if operation.output else None
        into, out = _payload_of(operation.input), _payload_of(operation.output)
        self._reads_payload = service.xml_reads(into) if into is not None else None
        self._writes_payload = service.xml_writes(out) if out is not None else None
        self._unwrapped = quirks.UNWRAPPED.get((service.name, operation.name))
        self._namespace = service.namespace
        default = f"{operation.name}Response" if out is None else wire_name(out, out.name)
        self._root = default
        if service.name == "s3":
            self._namespace = quirks.S3_NAMESPACE
            self._root = quirks.S3_ROOTS.get(operation.name, default)

    def read_members(self, body: bytes) -> dict[str, Any]:
        assert self._reads
        value = self._reads([xml_codec.parse(body)])
        return {name: item for name, item in value.items() if name in self._read_names}

    def read_payload(self, body: bytes) -> Any:
        assert self._reads_payload
        return self._reads_payload([xml_codec.parse(body)])

    def write_members(self, output: dict[str, Any]) -> bytes:
        assert self._writes
        if self._unwrapped:
            text = xml_codec.escape(output.get(self._unwrapped) or "")
            return self._document([f"<{self._root}>{text}</{self._root}>"])
        pieces: list[str] = []
        kept = {name: item for name, item in output.items() if name in self._write_names}
        self._writes(pieces, self._root, kept)
        return self._document(pieces)

    def write_payload(self, value: Any) -> bytes:
        assert self._writes_payload
        pieces: list[str] = []
        self._writes_payload(pieces, self._root, value)
        return self._document(pieces)

    def _document(self, pieces: list[str]) -> bytes:
        """The root element stands first; it takes the namespace, unless the model gave it one."""
        text = "".join(pieces)
        if self._namespace and " xmlns" not in text[: text.index(">")]:
            text = f'<{self._root} xmlns="{self._namespace}"' + text[len(self._root) + 1 :]
        return (xml_codec.DECLARATION + text).encode("utf-8", "replace")
