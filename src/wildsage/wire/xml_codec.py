"""XML bodies by the model: of rest-xml both ways, and the answers of the query protocol.

`Compiler(READERS)` makes the function from a shape's elements to its value (a list of elements,
since a flattened list repeats its own), `Compiler(writers(...))` the one that appends a value's
text to a list of pieces. Documents with a DOCTYPE are refused, so there are no entities to expand.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from wildsage.wire import scalars
from wildsage.wire.errors import ApiError
from wildsage.wire.shapes import Compiler, Makers, Shape, list_or_wire_name, wire_name

Read: TypeAlias = Callable[[list[Element]], Any]
Write: TypeAlias = Callable[[list[str], str, Any], None]

_SPECIAL = re.compile("[&<>\"'\x00-\x08\x0b-\x1f\x7f-\x9f\ufffe\uffff]")
_NAMED = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;"}
DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n'


def malformed() -> ApiError:
    return ApiError(
        "MalformedXML",
        "The XML you provided was not well-formed or did not validate against our published schema",
    )


def escape(text: str) -> str:
    """Text as it may stand in an element or an attribute; control characters as references."""
    return _SPECIAL.sub(lambda match: _NAMED.get(match[0], f"&#x{ord(match[0]):x};"), text)


# ---- reading


class _Builder(ElementTree.TreeBuilder):
    def doctype(self, *_: Any) -> None:
        raise malformed()


def parse(body: bytes) -> Element:
    """The root of a document; MalformedXML when it is none."""
    parser = ElementTree.XMLParser(target=_Builder())
    try:
        parser.feed(body)
        return parser.close()
    except (ElementTree.ParseError, ValueError, LookupError):
        raise malformed() from None


def local_name(tag: str) -> str:
    return tag.rpartition("}")[2]


def _read_structure(compiler: Compiler[Read], shape: Shape) -> Read:
    attributes: dict[str, tuple[str, Read]] = {}
    members: dict[str, tuple[str, Read]] = {}
    for name, member in shape.members.items():
        into = attributes if member.serialization.get("xmlAttribute") else members
        into[local_part(wire_name(member, name))] = (name, compiler(member))

    def read(elements: list[Element]) -> dict[str, Any]:
        found: dict[str, list[Element]] = {}
        for child in elements[0]:
            found.setdefault(local_name(child.tag), []).append(child)
        out: dict[str, Any] = dict(_attributes(elements[0], attributes))
        for tag, children in found.items():
            if tag in members:
                name, read_member = members[tag]
                out[name] = read_member(children)
        return out

    return read


def local_part(name: str) -> str:
    """`type` of `xsi:type`."""
    return name.rpartition(":")[2]


def _attributes(element: Element, known: Mapping[str, tuple[str, Read]]) -> list[tuple[str, str]]:
    pairs = [(local_name(tag), text) for tag, text in element.attrib.items()]
    return [(known[tag][0], text) for tag, text in pairs if tag in known]


def _read_list(compiler: Compiler[Read], shape: Shape) -> Read:
    read_item = compiler(shape.member)
    if shape.serialization.get("flattened"):
        return lambda elements: [read_item([element]) for element in elements]
    tag = wire_name(shape.member, "member")
    return lambda elements: [
        read_item([child]) for child in elements[0] if local_name(child.tag) == tag
    ]


def _read_map(compiler: Compiler[Read], shape: Shape) -> Read:
    read_value = compiler(shape.value)
    key_tag, value_tag = wire_name(shape.key, "key"), wire_name(shape.value, "value")
    flattened = shape.serialization.get("flattened")

    def read(elements: list[Element]) -> dict[str, Any]:
        out = {}
        for entry in elements if flattened else elements[0]:
            parts = {local_name(child.tag): child for child in entry}
            if key_tag not in parts or value_tag not in parts:
                raise malformed()
            out[parts[key_tag].text or ""] = read_value([parts[value_tag]])
        return out

    return read


def _read_scalar(_: Compiler[Read], shape: Shape) -> Read:
    convert = scalars.reader(shape)
    return lambda elements: convert(elements[0].text or "")


_SCALARS = (
    "string", "character", "boolean", "integer", "long", "float", "double", "timestamp", "blob",
)  # fmt: skip

READERS: Makers[Read] = {
    "structure": _read_structure,
    "list": _read_list,
    "map": _read_map,
    **dict.fromkeys(_SCALARS, _read_scalar),
}


# ---- writing


def _opening(shape: Shape, name: str) -> str:
    """What stands between the angle brackets of a shape's element: its name and namespace."""
    namespace = shape.serialization.get("xmlNamespace")
    if not namespace:
        return name
    if isinstance(namespace, str):
        return f'{name} xmlns="{namespace}"'
    prefix = f":{namespace['prefix']}" if namespace.get("prefix") else ""
    return f'{name} xmlns{prefix}="{namespace["uri"]}"'


def _write_structure(compiler: Compiler[Write], shape: Shape) -> Write:
    members: dict[str, tuple[str, Write]] = {}
    attributes: dict[str, tuple[str, Write]] = {}
    for name, member in shape.members.items():
        into = attributes if member.serialization.get("xmlAttribute") else members
        into[name] = (list_or_wire_name(member, name), compiler(member))

    def write(out: list[str], name: str, value: dict[str, Any]) -> None:
        out.append(f"<{_opening(shape, name)}")
        for attribute, (tag, _) in attributes.items():
            if value.get(attribute) is not None:
                out.append(f' {tag}="{escape(str(value[attribute]))}"')
        out.append(">")
        for key, item in value.items():
            if item is not None and key in members:
                tag, write_member = members[key]
                write_member(out, tag, item)
        out.append(f"</{name}>")

    return write


def _write_list(compiler: Compiler[Write], shape: Shape) -> Write:
    write_item = compiler(shape.member)
    if shape.serialization.get("flattened"):

        def write_flat(out: list[str], name: str, value: list[Any]) -> None:
            for item in value:
                write_item(out, name, item)

        return write_flat
    tag = wire_name(shape.member, "member")

    def write(out: list[str], name: str, value: list[Any]) -> None:
        out.append(f"<{_opening(shape, name)}>")
        for item in value:
            write_item(out, tag, item)
        out.append(f"</{name}>")

    return write


def _write_map(compiler: Compiler[Write], shape: Shape) -> Write:
    write_key, write_value = compiler(shape.key), compiler(shape.value)
    key_tag, value_tag = wire_name(shape.key, "key"), wire_name(shape.value, "value")
    flattened = shape.serialization.get("flattened")

    def write(out: list[str], name: str, value: dict[str, Any]) -> None:
        entry = name if flattened else "entry"
        out.append("" if flattened else f"<{name}>")
        for key, item in value.items():
            out.append(f"<{entry}>")
            write_key(out, key_tag, key)
            write_value(out, value_tag, item)
            out.append(f"</{entry}>")
        out.append("" if flattened else f"</{name}>")

    return write


def _scalar_writer(timestamps: str) -> Callable[[Compiler[Write], Shape], Write]:
    def make(_: Compiler[Write], shape: Shape) -> Write:
        to_text = scalars.writer(shape, timestamps)

        def write(out: list[str], name: str, value: Any) -> None:
            out.append(f"<{_opening(shape, name)}>{escape(to_text(value))}</{name}>")

        return write

    return make


def writers(timestamps: str) -> Makers[Write]:
    """The makers for a protocol whose timestamps have this form where the model names none."""
    return {
        "structure": _write_structure,
        "list": _write_list,
        "map": _write_map,
        **dict.fromkeys(_SCALARS, _scalar_writer(timestamps)),
    }
