"""Form bodies of the query protocol (`Tags.member.1.Key=a`) by the model.

The flat names are first made a tree, then `Compiler(READERS)`'s function walks the tree and the
shape together. Empty lists are sent as an empty value.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

from wildsage.wire import scalars
from wildsage.wire.errors import ApiError, serialization
from wildsage.wire.shapes import Compiler, Makers, Shape, list_or_wire_name, wire_name

# A node has its text under "" and its children under their names.
Tree: TypeAlias = dict[str, Any]
Read: TypeAlias = Callable[[Tree], Any]

MAX_DEPTH = 32
MAX_ITEMS = 10_000
_INDEX = re.compile("[0-9]{1,9}")


def tree(pairs: Iterable[tuple[str, str]]) -> Tree:
    root: Tree = {}
    for name, value in pairs:
        parts = name.split(".", MAX_DEPTH)
        if len(parts) > MAX_DEPTH:
            raise ApiError("MalformedQueryString", "The query string is nested too deeply.")
        node = root
        for part in parts:
            node = node.setdefault(part or ".", {})
        node[""] = value
    return root


def _read_structure(compiler: Compiler[Read], shape: Shape) -> Read:
    members = [(name, list_or_wire_name(m, name), compiler(m)) for name, m in shape.members.items()]

    def read(node: Tree) -> dict[str, Any]:
        return {name: reads(node[tag]) for name, tag, reads in members if tag in node}

    return read


def _items(node: Tree) -> list[Tree]:
    """The children of a list or map, in the order of their numbers."""
    numbers = [key for key in node if key]
    if len(numbers) > MAX_ITEMS or not all(_INDEX.fullmatch(number) for number in numbers):
        raise serialization("Unexpected list element termination")
    return [node[number] for number in sorted(numbers, key=int)]


def _read_list(compiler: Compiler[Read], shape: Shape) -> Read:
    read_item = compiler(shape.member)
    flattened = shape.serialization.get("flattened")
    tag = wire_name(shape.member, "member")

    def read(node: Tree) -> list[Any]:
        return [read_item(item) for item in _items(node if flattened else node.get(tag, {}))]

    return read


def _read_map(compiler: Compiler[Read], shape: Shape) -> Read:
    read_value = compiler(shape.value)
    key_tag, value_tag = wire_name(shape.key, "key"), wire_name(shape.value, "value")
    flattened = shape.serialization.get("flattened")

    def read(node: Tree) -> dict[str, Any]:
        entries = _items(node if flattened else node.get("entry", {}))
        return {
            entry.get(key_tag, {}).get("", ""): read_value(entry.get(value_tag, {}))
            for entry in entries
        }

    return read


def _read_scalar(_: Compiler[Read], shape: Shape) -> Read:
    convert = scalars.reader(shape)
    return lambda node: convert(node.get("", ""))


READERS: Makers[Read] = {
    "structure": _read_structure,
    "list": _read_list,
    "map": _read_map,
    **dict.fromkeys(
        ("string", "character", "boolean", "integer", "long", "float", "double", "timestamp"),
        _read_scalar,
    ),
    "blob": _read_scalar,
}
