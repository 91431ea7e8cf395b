"""`aialgs.data.Record`, the protobuf message in a RecordIO frame, one at a time.

This is the general and slow way that knows every form the message may take; `recordio` uses it
for the first record of a run, from which it makes a template, and for whatever fits no template.
The schema:

    Float32Tensor {float values=1; uint64 keys=2; uint64 shape=3}; Float64Tensor, Int32Tensor alike
    Bytes         {bytes value=1; string content_type=2}
    Value         {Float32Tensor float32_tensor=2; Float64Tensor float64_tensor=3;
                   Int32Tensor int32_tensor=7; Bytes bytes=9}
    Record        {map<string, Value> features=1; map<string, Value> label=2;
                   string uid=3, metadata=4, configuration=5}
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from wildsage.formats import varints


class RecordFormatError(ValueError):
    """The bytes are not what they should be."""


@dataclass(slots=True)
class Tensor:
    """Values, dense or at `keys`; `offset` is where packed values begin in the payload, else -1."""

    values: np.ndarray
    keys: np.ndarray | None = None
    shape: tuple[int, ...] = ()
    offset: int = -1


@dataclass(slots=True)
class Bytes:
    values: list[bytes]
    content_type: str = ""


Value = Tensor | Bytes


@dataclass(slots=True)
class Record:
    features: dict[str, Value] = field(default_factory=dict)
    labels: dict[str, Value] = field(default_factory=dict)
    uid: str = ""
    metadata: str = ""
    configuration: str = ""


_TENSORS: dict[int, np.dtype] = {2: np.dtype("<f4"), 3: np.dtype("<f8"), 7: np.dtype("<i4")}
_TENSOR_FIELDS = {dtype.char: number for number, dtype in _TENSORS.items()}
_BYTES_FIELD = 9
_VARINT, _FIXED64, _DELIMITED, _FIXED32 = 0, 1, 2, 5
_FIXED = {_FIXED64: 8, _FIXED32: 4}
_EMPTY_KEYS = np.zeros(0, np.int64)


def parse(payload: bytes) -> Record:
    """The record in `payload`."""
    try:
        return _record(payload)
    except RecordFormatError:
        raise
    except (IndexError, ValueError) as error:
        raise RecordFormatError("the protobuf message is cut off or malformed") from error


def _record(payload: bytes) -> Record:
    record = Record()
    for number, _, start, end in _fields(payload, 0, len(payload)):
        if number in (1, 2):
            name, value = _entry(payload, start, end)
            (record.features if number == 1 else record.labels)[name] = value
        elif number in (3, 4, 5):
            attribute = ("uid", "metadata", "configuration")[number - 3]
            setattr(record, attribute, payload[start:end].decode())
    return record


def _fields(data: bytes, position: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """(field number, wire type, start, end) of each field of a message."""
    while position < end:
        tag, position = varints.decode_one(data, position)
        number, kind = tag >> 3, tag & 7
        if kind == _VARINT:
            _, stop = varints.decode_one(data, position)
        elif kind == _DELIMITED:
            length, position = varints.decode_one(data, position)
            stop = position + length
        elif kind in _FIXED:
            stop = position + _FIXED[kind]
        else:
            raise RecordFormatError(f"unknown wire type {kind}")
        if stop > end or number == 0:
            raise RecordFormatError("a field reaches beyond its message")
        yield number, kind, position, stop
        position = stop


def _entry(data: bytes, position: int, end: int) -> tuple[str, Value]:
    name, value = "", Tensor(np.zeros(0, np.float32))
    found: Value = value
    for number, _, start, stop in _fields(data, position, end):
        if number == 1:
            name = data[start:stop].decode()
        elif number == 2:
            found = _value(data, start, stop)
    return name, found


def _value(data: bytes, position: int, end: int) -> Value:
    found: Value = Tensor(np.zeros(0, np.float32))
    for number, _, start, stop in _fields(data, position, end):
        if number in _TENSORS:
            found = _tensor(data, start, stop, _TENSORS[number])
        elif number == _BYTES_FIELD:
            found = _bytes(data, start, stop)
    return found


def _tensor(data: bytes, position: int, end: int, dtype: np.dtype) -> Tensor:
    parts: list[np.ndarray] = []
    keys: list[np.ndarray] = []
    shape: list[np.ndarray] = []
    offset = -1
    for number, kind, start, stop in _fields(data, position, end):
        if number == 1:
            offset = start if kind == _DELIMITED and not parts else -1
            parts.append(_numbers(data[start:stop], dtype, kind))
        elif number == 2:
            keys.append(varints.decode(np.frombuffer(data, np.uint8, stop - start, start)))
        elif number == 3:
            shape.append(varints.decode(np.frombuffer(data, np.uint8, stop - start, start)))
    values = np.concatenate(parts) if parts else np.zeros(0, dtype)
    sides = tuple(np.concatenate(shape).tolist()) if shape else ()
    sparse = np.concatenate(keys) if keys else None
    if sparse is None and sides and not len(values):
        sparse = _EMPTY_KEYS  # a row without values, as a sparse matrix has
    if sparse is not None and len(sparse) != len(values):
        raise RecordFormatError("keys and values differ in number")
    return Tensor(values, sparse, sides, offset if sparse is None else -1)


def _numbers(part: bytes, dtype: np.dtype, kind: int) -> np.ndarray:
    if dtype.kind == "i":
        return varints.decode(np.frombuffer(part, np.uint8)).astype(np.int32)
    if len(part) % dtype.itemsize:
        raise RecordFormatError("packed values are cut off")
    return np.frombuffer(part, dtype)


def _bytes(data: bytes, position: int, end: int) -> Bytes:
    found = Bytes([])
    for number, _, start, stop in _fields(data, position, end):
        if number == 1:
            found.values.append(data[start:stop])
        elif number == 2:
            found.content_type = data[start:stop].decode()
    return found


# --- writing -------------------------------------------------------------------------------------


def serialize(record: Record) -> bytes:
    """The record's payload, in the order of field numbers as protobuf writes it."""
    parts = [_map_entry(1, name, value) for name, value in record.features.items()]
    parts += [_map_entry(2, name, value) for name, value in record.labels.items()]
    texts = ((3, record.uid), (4, record.metadata), (5, record.configuration))
    parts += [delimited(number, text.encode()) for number, text in texts if text]
    return b"".join(parts)


def delimited(number: int, content: bytes) -> bytes:
    """A length-delimited field."""
    return varints.encode_one(number << 3 | _DELIMITED) + varints.encode_one(len(content)) + content


def _map_entry(number: int, name: str, value: Value) -> bytes:
    content = _bytes_field(value) if isinstance(value, Bytes) else _tensor_field(value)
    return delimited(number, delimited(1, name.encode()) + delimited(2, content))


def _bytes_field(value: Bytes) -> bytes:
    content = b"".join(delimited(1, item) for item in value.values)
    if value.content_type:
        content += delimited(2, value.content_type.encode())
    return delimited(_BYTES_FIELD, content)


def _tensor_field(value: Tensor) -> bytes:
    dtype = tensor_dtype(value.values)
    values = value.values.astype(dtype, copy=False)
    packed = varints.encode(values.astype(np.int64)) if dtype.kind == "i" else values
    keys = varints.encode(value.keys) if value.keys is not None else _EMPTY_KEYS
    shape = varints.encode(np.array(value.shape, np.int64))
    parts = ((1, packed), (2, keys), (3, shape))
    content = b"".join(delimited(number, part.tobytes()) for number, part in parts if part.size)
    return delimited(_TENSOR_FIELDS[dtype.char], content)


def tensor_dtype(values: np.ndarray) -> np.dtype:
    """The type that the SDK writes an array in; ValueError where it writes none."""
    if values.dtype.kind in "iu":
        return np.dtype("<i4")
    if values.dtype in (np.float32, np.float64):
        return values.dtype.newbyteorder("<")
    raise ValueError(f"Unsupported dtype {values.dtype} on array")


def labels_record(columns: Mapping[str, np.ndarray], uid: str = "", metadata: str = "") -> Record:
    """A response: no features, the results as labels."""
    tensors: dict[str, Value] = {name: Tensor(np.ravel(v)) for name, v in columns.items()}
    return Record(labels=tensors, uid=uid, metadata=metadata)
