"""JSON bodies by the model: types checked on the way in, members chosen on the way out.

`Compiler(READERS)` makes the function from parsed JSON to a request's value, `Compiler(WRITERS)`
the one from a handler's value to plain JSON. A member that the model does not have is dropped, both
ways. The texts of type errors are those of AWS's own JSON front end.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeAlias

import orjson

from wildsage.wire import scalars
from wildsage.wire.errors import serialization
from wildsage.wire.shapes import Compiler, Makers, Shape, constant, wire_name

Convert: TypeAlias = Callable[[Any], Any]

_WORDS = {bool: "TRUE_VALUE", int: "NUMBER_VALUE", float: "DECIMAL_VALUE", str: "STRING_VALUE"}


def loads(body: bytes) -> Any:
    """Parse a body; an empty one counts as an empty object."""
    if not body:
        return {}
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        raise serialization() from None


def dumps(value: Any) -> bytes:
    return orjson.dumps(value)


# ---- reading


def _same(value: Any) -> Any:
    return value


def _wrong(value: Any, wanted: str) -> Exception:
    if isinstance(value, dict):
        return serialization("Start of structure or map found where not expected.")
    if isinstance(value, list):
        return serialization("Start of list found where not expected")
    word = "FALSE_VALUE" if value is False else _WORDS.get(type(value), "NULL_VALUE")
    return serialization(f"{word} can not be converted to {wanted}")


def _container(value: Any, wanted: type) -> Exception:
    if isinstance(value, dict | list):
        return _wrong(value, wanted.__name__)
    return serialization("Unexpected field type")


def _read_structure(compiler: Compiler[Convert], shape: Shape) -> Convert:
    if shape.is_document_type:
        return _same
    members = {wire_name(m, name): (name, compiler(m)) for name, m in shape.members.items()}
    find = members.get

    def read(value: Any) -> dict[str, Any]:
        if type(value) is not dict:
            raise _container(value, dict)
        out = {}
        for key, item in value.items():
            member = find(key)
            if member is not None and item is not None:
                out[member[0]] = member[1](item)
        return out

    return read


def _read_list(compiler: Compiler[Convert], shape: Shape) -> Convert:
    read_item = compiler(shape.member)

    def read(value: Any) -> list[Any]:
        if type(value) is not list:
            raise _container(value, list)
        return [read_item(item) for item in value if item is not None]

    return read


def _read_map(compiler: Compiler[Convert], shape: Shape) -> Convert:
    read_item = compiler(shape.value)

    def read(value: Any) -> dict[str, Any]:
        if type(value) is not dict:
            raise _container(value, dict)
        return {key: read_item(item) for key, item in value.items() if item is not None}

    return read


def _read_string(value: Any) -> str:
    if type(value) is not str:
        raise _wrong(value, "a String")
    return value


def _read_boolean(value: Any) -> bool:
    if type(value) is not bool:
        raise _wrong(value, "a Boolean")
    return value


def _read_float(value: Any) -> float:
    if type(value) in (int, float):
        return float(value)
    if value in ("NaN", "Infinity", "-Infinity"):
        return float(value)
    raise _wrong(value, "a Double")


def _reads_integer(_: Compiler[Convert], shape: Shape) -> Convert:
    kind = shape.type_name
    wanted = "an Integer" if kind == "integer" else "a Long"

    def read(value: Any) -> int:
        if type(value) is float and math.isfinite(value):
            value = int(value)
        if type(value) is not int:
            raise _wrong(value, wanted)
        return scalars.check_range(value, kind)

    return read


def _read_timestamp(value: Any) -> float:
    if type(value) in (int, float):
        return scalars.check_timestamp(float(value))
    if type(value) is str:
        return scalars.read_timestamp(value)
    raise _wrong(value, "a Timestamp")


def _read_blob(value: Any) -> bytes:
    if type(value) is not str:
        raise _wrong(value, "a ByteBuffer")
    return scalars.read_blob(value)


READERS: Makers[Convert] = {
    "structure": _read_structure,
    "list": _read_list,
    "map": _read_map,
    "string": constant(_read_string),
    "character": constant(_read_string),
    "boolean": constant(_read_boolean),
    "integer": _reads_integer,
    "long": _reads_integer,
    "float": constant(_read_float),
    "double": constant(_read_float),
    "timestamp": constant(_read_timestamp),
    "blob": constant(_read_blob),
}


# ---- writing


def _write_structure(compiler: Compiler[Convert], shape: Shape) -> Convert:
    if shape.is_document_type:
        return _same
    members = {name: (wire_name(m, name), compiler(m)) for name, m in shape.members.items()}
    find = members.get

    def write(value: dict[str, Any]) -> dict[str, Any]:
        out = {}
        for name, item in value.items():
            member = find(name)
            if member is not None and item is not None:
                out[member[0]] = member[1](item)
        return out

    return write


def _write_list(compiler: Compiler[Convert], shape: Shape) -> Convert:
    write_item = compiler(shape.member)
    return lambda value: [write_item(item) for item in value]


def _write_map(compiler: Compiler[Convert], shape: Shape) -> Convert:
    write_item = compiler(shape.value)
    return lambda value: {key: write_item(item) for key, item in value.items()}


def _write_string(value: Any) -> str:
    return value if type(value) is str else str(value)


def _write_float(value: Any) -> Any:
    return value if math.isfinite(value) else scalars.write_float(value)


def _writes_timestamp(_: Compiler[Convert], shape: Shape) -> Convert:
    form = shape.serialization.get("timestampFormat", "unixTimestamp")
    return scalars.unix if form.lower() == "unixtimestamp" else scalars.TIMESTAMPS[form]


WRITERS: Makers[Convert] = {
    "structure": _write_structure,
    "list": _write_list,
    "map": _write_map,
    "string": constant(_write_string),
    "character": constant(_write_string),
    "boolean": constant(bool),
    "integer": constant(int),
    "long": constant(int),
    "float": constant(_write_float),
    "double": constant(_write_float),
    "timestamp": _writes_timestamp,
    "blob": constant(scalars.write_blob),
}
