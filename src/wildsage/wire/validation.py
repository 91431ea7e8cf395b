"""Constraints of the model, with AWS's texts: required, length, range, pattern, enum.

`Compiler(CHECKS)` makes the function that lists what is wrong with a shape's value, each problem
with its path below that value. AWS reports a scalar in a list or map that breaks its constraints at
the list or map, not at the scalar.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from wildsage.wire.patterns import compile_pattern
from wildsage.wire.shapes import Compiler, Makers, Shape

Problem: TypeAlias = tuple[str, str, str]  # path, the value as it is shown, the constraint
Check: TypeAlias = Callable[[Any], Sequence[Problem]]
Constraint: TypeAlias = tuple[Callable[[Any], bool], str]

MAX_PATTERN_INPUT = 16_384  # a longer value has broken its length constraint, if it has one
_FEW = 10
_NOTHING: tuple[Problem, ...] = ()
_MEMBERS = "Member must satisfy constraint: [{}]"
_KEYS = "Map keys must satisfy constraint: [{}]"
_VALUES = "Map value must satisfy constraint: [{}]"


def message(problems: Sequence[Problem]) -> str:
    """The one message of a ValidationException; AWS stops after ten sentences."""
    count = len(problems)
    start = f"{count} validation error{'s' if count != 1 else ''} detected: "
    sentences = [
        f"Value{shown} at '{path[1:]}' failed to satisfy constraint: {constraint}"
        for path, shown, constraint in problems[:_FEW]
    ]
    return start + "; ".join(sentences)


def _show(value: Any, shape: Shape) -> str:
    return "" if shape.metadata.get("sensitive") else f" '{_java(value)}'"


def _java(value: Any) -> str:
    """A value as Java's `toString` writes it."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}={_java(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_java(item) for item in value) + "]"
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


# ---- the constraints of one value


def constraints(shape: Shape) -> list[Constraint]:
    """Each constraint of a scalar, list or map itself: whether it is broken, and how it reads."""
    if shape.serialization.get("streaming"):
        return []
    found: list[Constraint] = []
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    if shape.type_name in ("integer", "long", "float", "double"):
        if high is not None:
            found.append((lambda v: v > high, _value("less", high)))
        if low is not None:
            found.append((lambda v: v < low, _value("greater", low)))
    elif shape.type_name != "structure":
        if high is not None:
            found.append((lambda v: len(v) > high, _length("less", high)))
        if low is not None:
            found.append((lambda v: len(v) < low, _length("greater", low)))
    return found + _textual(shape)


def _textual(shape: Shape) -> list[Constraint]:
    enum, pattern = shape.metadata.get("enum"), shape.metadata.get("pattern")
    found: list[Constraint] = []
    if enum:
        allowed = frozenset(enum)
        text = f"Member must satisfy enum value set: [{', '.join(enum)}]"
        found.append((lambda v: v not in allowed, text))
    if pattern and shape.type_name == "string":
        text = f"Member must satisfy regular expression pattern: {pattern}"
        found.append((lambda v: not _matches(pattern, v), text))
    return found


def _matches(pattern: str, value: str) -> bool:
    compiled = compile_pattern(pattern)
    return compiled is None or len(value) > MAX_PATTERN_INPUT or bool(compiled.fullmatch(value))


def _length(word: str, bound: int) -> str:
    return f"Member must have length {word} than or equal to {bound}"


def _value(word: str, bound: Any) -> str:
    return f"Member must have value {word} than or equal to {bound}"


# ---- of a shape and everything below it


def _check_structure(compiler: Compiler[Check], shape: Shape) -> Check:
    required = [
        (name, (_path(name), " null", "Member must not be null"))
        for name in shape.members
        if name in shape.required_members
    ]
    members = {name: (_path(name), compiler(member)) for name, member in shape.members.items()}

    def check(value: dict[str, Any]) -> Sequence[Problem]:
        problems = [problem for name, problem in required if name not in value]
        for name, item in value.items():
            at, check_member = members[name]
            problems += _below(at, check_member(item))
        return problems or _NOTHING

    return _check_nothing if shape.metadata.get("document") else check


def _path(name: str) -> str:
    return "." + name[:1].lower() + name[1:]


def _below(at: str, problems: Sequence[Problem]) -> Sequence[Problem]:
    return [(at + path, shown, text) for path, shown, text in problems] if problems else _NOTHING


def _check_nothing(value: Any) -> Sequence[Problem]:
    return _NOTHING


def _check_own(_: Compiler[Check], shape: Shape) -> Check:
    own = constraints(shape)
    if not own:
        return _check_nothing

    def check(value: Any) -> Sequence[Problem]:
        broken = [text for is_broken, text in own if is_broken(value)]
        return [("", _show(value, shape), text) for text in broken] if broken else _NOTHING

    return check


def _check_list(compiler: Compiler[Check], shape: Shape) -> Check:
    check_own, check_item = _check_own(compiler, shape), compiler(shape.member)
    rule = _rule_for_members(shape.member, _MEMBERS)

    def check(value: list[Any]) -> Sequence[Problem]:
        problems = list(check_own(value))
        for number, item in enumerate(value, 1):
            below = check_item(item)
            if below and rule:
                return [*problems, ("", _show(value, shape), rule)]
            problems += _below(f".{number}.member", below)
        return problems

    return check


def _check_map(compiler: Compiler[Check], shape: Shape) -> Check:
    check_own = _check_own(compiler, shape)
    check_key, check_value = compiler(shape.key), compiler(shape.value)
    rule_for_keys = _rule_for_members(shape.key, _KEYS)
    rule_for_values = _rule_for_members(shape.value, _VALUES)

    def check(value: dict[str, Any]) -> Sequence[Problem]:
        problems = list(check_own(value))
        if any(check_key(key) for key in value):
            problems.append(("", _show(value, shape), rule_for_keys))
        for key, item in value.items():
            below = check_value(item)
            if below and rule_for_values:
                return [*problems, ("", _show(value, shape), rule_for_values)]
            problems += _below(f".{key}.member", below)
        return problems

    return check


def _rule_for_members(member: Shape, template: str) -> str:
    """How a container words that a scalar in it breaks its constraints; empty for structures."""
    texts = [text for _, text in constraints(member)]
    scalar = member.type_name not in ("structure", "list", "map")
    return template.format(", ".join(texts)) if texts and scalar else ""


CHECKS: Makers[Check] = {
    "structure": _check_structure,
    "list": _check_list,
    "map": _check_map,
    **dict.fromkeys(("string", "character", "integer", "long", "float", "double"), _check_own),
    "blob": _check_own,
    "boolean": _check_own,
    "timestamp": _check_own,
}
