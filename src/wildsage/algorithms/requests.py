"""Inference requests and responses in every format of the first-party algorithms.

`decode` turns a body into a batch: CSV, JSON (`instances`), JSON lines and RecordIO-protobuf,
dense and sparse. `encode` turns columns of results into the format that Accept asks for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import orjson

from wildsage.algorithms.reading import content_parameters
from wildsage.algorithms.rows import Batch
from wildsage.algorithms.spec import CSV, JSON, JSONLINES, RECORDIO, AlgorithmSpec, base_type
from wildsage.formats import csv, recordio
from wildsage.formats.matrix import SparseMatrix

Columns = Mapping[str, np.ndarray | Sequence[Any]]

_ALIASES = {
    "application/x-recordio": RECORDIO,
    "application/x-jsonlines": JSONLINES,
    "application/jsonlines": JSONLINES,
    "text/json": JSON,
}


class PayloadError(ValueError):
    """The body is not what its content type says."""


class UnsupportedType(Exception):
    """A content type that the algorithm does not speak."""


class UnsupportedAccept(UnsupportedType):
    """An Accept that the algorithm does not speak."""


@dataclass(slots=True)
class InferenceRequest:
    """All about one request but its rows; decoding fills in what the body says beside them."""

    content_type: str = JSON
    content_parameters: dict[str, str] = field(default_factory=dict)
    accept: str = JSON
    accept_parameters: dict[str, str] = field(default_factory=dict)
    attributes: str | None = None
    response_key: str = "predictions"
    feature_dim: int | None = None
    configuration: dict[str, Any] = field(default_factory=dict)
    configurations: list[dict[str, Any]] | None = None
    notes: list[tuple[str, str]] | None = None

    @classmethod
    def parse(
        cls, spec: AlgorithmSpec, content_type: str, accept: str, attributes: str | None = None
    ) -> InferenceRequest:
        """From the request's headers; UnsupportedType where the algorithm does not speak them."""
        mime = base_type(content_type)
        mime = _ALIASES.get(mime, mime) or CSV
        if mime not in spec.content_types:
            raise UnsupportedType(content_type)
        wanted = mime if spec.answers_in_kind else accept
        answer, parameters = negotiate(wanted, spec.accepts)
        return cls(
            mime,
            content_parameters(content_type),
            answer,
            parameters,
            attributes,
            spec.response_key,
        )

    @property
    def verbose(self) -> bool:
        """`Accept: application/json; verbose=true`."""
        return self.accept_parameters.get("verbose", "").lower() == "true"


def negotiate(accept: str, offered: Sequence[str]) -> tuple[str, dict[str, str]]:
    """The first of the client's choices that is offered; the first offer where it does not mind."""
    for choice in accept.split(","):
        mime = base_type(choice)
        mime = _ALIASES.get(mime, mime)
        if mime in ("", "*/*"):
            return offered[0], content_parameters(choice)
        if mime in offered:
            return mime, content_parameters(choice)
    raise UnsupportedAccept(accept)


# --- decoding ------------------------------------------------------------------------------------


def decode(body: bytes, request: InferenceRequest) -> Batch:
    """The rows of a body."""
    try:
        return _DECODERS[request.content_type](body, request)
    except PayloadError:
        raise
    except (ValueError, TypeError, KeyError, IndexError, OverflowError) as error:
        raise PayloadError(str(error)) from error


def _decode_csv(body: bytes, request: InferenceRequest) -> Batch:
    size = int(request.content_parameters.get("label_size") or 0)
    return Batch(csv.decode(body)[:, size:])


def _decode_recordio(body: bytes, request: InferenceRequest) -> Batch:
    found = recordio.decode(body, request.feature_dim)
    request.notes = found.notes
    return Batch(found.features, found.labels)


def _decode_json(body: bytes, request: InferenceRequest) -> Batch:
    document = orjson.loads(body)
    if isinstance(document, dict) and "instances" in document:
        request.configuration = document.get("configuration") or {}
        return decode_instances(document["instances"], request)
    raise PayloadError("a JSON request is an object with a list of 'instances'")


def _decode_jsonlines(body: bytes, request: InferenceRequest) -> Batch:
    instances = [orjson.loads(line) for line in body.splitlines() if line.strip()]
    return decode_instances(instances, request)


_DECODERS: dict[str, Callable[[bytes, InferenceRequest], Batch]] = {
    CSV: _decode_csv,
    RECORDIO: _decode_recordio,
    JSON: _decode_json,
    JSONLINES: _decode_jsonlines,
}


def decode_instances(instances: list[Any], request: InferenceRequest) -> Batch:
    """Rows from `{"features": [...]}` or `{"data": {"features": {"values", "keys", "shape"}}}`."""
    if not isinstance(instances, list) or not all(isinstance(item, dict) for item in instances):
        raise PayloadError("'instances' is a list of objects")
    rows = [_values(instance) for instance in instances]
    if any("configuration" in instance for instance in instances):
        request.configurations = [item.get("configuration") or {} for item in instances]
    if any("keys" in row for row in rows):
        return Batch(_sparse(rows, request))
    table = np.array([row["values"] for row in rows], np.float32)
    if table.ndim != 2:
        raise PayloadError("instances differ in their number of features")
    return Batch(table)


def _values(instance: dict[str, Any]) -> dict[str, Any]:
    features = instance["data"]["features"] if "data" in instance else instance["features"]
    return features if isinstance(features, dict) else {"values": features}


def _sparse(rows: list[dict[str, Any]], request: InferenceRequest) -> SparseMatrix:
    for row in rows:
        if "keys" not in row:
            row["keys"] = list(range(len(row["values"])))
            row.setdefault("shape", [len(row["values"])])
        if len(row["keys"]) != len(row["values"]):
            raise PayloadError("keys and values differ in number")
    width = max((int(np.prod(row["shape"])) for row in rows if row.get("shape")), default=None)
    width = request.feature_dim if width is None else width
    keys = np.concatenate([np.asarray(row["keys"], np.int64) for row in rows])
    if width is None or (len(keys) and not 0 <= keys.min() <= keys.max() < width):
        raise PayloadError("a key is not below the shape")
    values = np.concatenate([np.asarray(row["values"], np.float32) for row in rows])
    indptr = np.cumsum([0, *(len(row["keys"]) for row in rows)])
    return SparseMatrix(values, keys, indptr, (len(rows), width))


# --- encoding ------------------------------------------------------------------------------------


def encode(columns: Columns, request: InferenceRequest) -> tuple[str, bytes]:
    """(content type, body) of the results in the format that was asked for."""
    return request.accept, _ENCODERS[request.accept](columns, request)


def as_objects(columns: Columns) -> list[dict[str, Any]]:
    """One object per record."""
    names = list(columns)
    values = [c.tolist() if isinstance(c, np.ndarray) else list(c) for c in columns.values()]
    return [dict(zip(names, row, strict=True)) for row in zip(*values, strict=True)]


def _encode_json(columns: Columns, request: InferenceRequest) -> bytes:
    document = {request.response_key: as_objects(columns)}
    return orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY)


def _encode_jsonlines(columns: Columns, request: InferenceRequest) -> bytes:
    objects = as_objects(columns)
    return b"\n".join(orjson.dumps(o, option=orjson.OPT_SERIALIZE_NUMPY) for o in objects)


def _encode_csv(columns: Columns, request: InferenceRequest) -> bytes:
    rows = (_flat(item.values()) for item in as_objects(columns))
    return "\n".join(",".join(map(str, row)) for row in rows).encode()


def _flat(cells: Any) -> list[Any]:
    flat: list[Any] = []
    for cell in cells:
        if isinstance(cell, list | tuple | np.ndarray):
            flat.extend(_flat(cell))
        else:
            flat.append(cell)
    return flat


def _encode_recordio(columns: Columns, request: InferenceRequest) -> bytes:
    return recordio.encode_columns(columns, request.notes)


_ENCODERS: dict[str, Callable[[Columns, InferenceRequest], bytes]] = {
    JSON: _encode_json,
    JSONLINES: _encode_jsonlines,
    CSV: _encode_csv,
    RECORDIO: _encode_recordio,
}
