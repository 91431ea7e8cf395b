"""Condition operators of policies: `{"StringLike": {"aws:PrincipalArn": "arn:aws:iam::*:role/x"}}`.

All operators of a block must hold, and all keys of an operator; of several values one is enough, or
for negated operators none may match. `IfExists`, `ForAllValues:` and `ForAnyValue:` are understood.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import TypeAlias

from wildsage.wire.errors import ApiError

Values: TypeAlias = Mapping[str, Sequence[str]]
"""Context keys in lower case, and the values that the request has for each."""

_Match: TypeAlias = Callable[[str, str, Values], bool]
_VARIABLE = re.compile(r"\$\{([^}]*)\}")


def holds(block: Mapping[str, Mapping[str, Sequence[str]]], context: Values) -> bool:
    """Whether every condition of a statement is met."""
    return all(
        _operator_holds(operator, key, wanted, context)
        for operator, keys in block.items()
        for key, wanted in keys.items()
    )


def matches_glob(pattern: str, text: str, context: Values) -> bool:
    """`*` and `?`, and variables such as `${aws:username}`; one without a value matches nothing."""
    expression = _expression(pattern)
    if "${" not in pattern:
        return re.fullmatch(expression, text, re.DOTALL) is not None
    expanded = _expand(pattern, context, as_expression=True)
    return expanded is not None and re.fullmatch(expanded, text, re.DOTALL) is not None


def _operator_holds(operator: str, key: str, wanted: Sequence[str], context: Values) -> bool:
    quantifier, _, name = operator.rpartition(":")
    optional = name.endswith("IfExists")
    name = name.removesuffix("IfExists")
    present = context.get(key)
    if name == "Null":
        return any((present is None) == (value.lower() == "true") for value in wanted)
    negated, match = _find_operator(name)
    if present is None:
        return optional or negated or quantifier == "ForAllValues"
    hits = [any(match(want, value, context) for want in wanted) != negated for value in present]
    if quantifier == "ForAllValues" or (negated and not quantifier):
        return all(hits)
    return any(hits)


def _find_operator(name: str) -> tuple[bool, _Match]:
    if name in _OPERATORS:
        return False, _OPERATORS[name]
    positive = name.replace("Not", "", 1)
    if positive in _OPERATORS and name.startswith(("StringNot", "ArnNot", "NumericNot", "DateNot")):
        return True, _OPERATORS[positive]
    if name == "NotIpAddress":
        return True, _in_network
    raise ApiError("InvalidInput", f"Invalid condition operator: {name}")


def _equals(want: str, value: str, context: Values) -> bool:
    return _expand(want, context) == value


def _equals_ignoring_case(want: str, value: str, context: Values) -> bool:
    expanded = _expand(want, context)
    return expanded is not None and expanded.lower() == value.lower()


def _is_boolean(want: str, value: str, _: Values) -> bool:
    return want.lower() == value.lower()


def _in_network(want: str, value: str, _: Values) -> bool:
    try:
        return ipaddress.ip_address(value) in ipaddress.ip_network(want, strict=False)
    except ValueError:
        return False


def _is_like_arn(want: str, value: str, context: Values) -> bool:
    """Each of an ARN's six parts by itself, so that `*` does not reach into the next."""
    wanted, parts = want.split(":", 5), value.split(":", 5)
    if len(wanted) != 6 or len(parts) != 6:
        return want == "*"
    return all(matches_glob(w, p, context) for w, p in zip(wanted, parts, strict=True))


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _moment(text: str) -> float | None:
    number = _number(text)
    if number is not None:
        return number
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _comparing(read: Callable[[str], float | None], test: Callable[[float, float], bool]) -> _Match:
    def match(want: str, value: str, _: Values) -> bool:
        limit, number = read(want), read(value)
        return limit is not None and number is not None and test(number, limit)

    return match


_COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    "Equals": lambda value, limit: value == limit,
    "LessThan": lambda value, limit: value < limit,
    "LessThanEquals": lambda value, limit: value <= limit,
    "GreaterThan": lambda value, limit: value > limit,
    "GreaterThanEquals": lambda value, limit: value >= limit,
}
_OPERATORS: dict[str, _Match] = {
    "StringEquals": _equals,
    "StringEqualsIgnoreCase": _equals_ignoring_case,
    "StringLike": matches_glob,
    "ArnEquals": _is_like_arn,
    "ArnLike": _is_like_arn,
    "Bool": _is_boolean,
    "BinaryEquals": _equals,
    "IpAddress": _in_network,
    **{f"Numeric{name}": _comparing(_number, test) for name, test in _COMPARISONS.items()},
    **{f"Date{name}": _comparing(_moment, test) for name, test in _COMPARISONS.items()},
}


def _expand(text: str, context: Values, as_expression: bool = False) -> str | None:
    """Put the values of variables in; None when one has none."""
    result, position = "", 0
    for found in _VARIABLE.finditer(text):
        value = _variable(found[1], context)
        if value is None:
            return None
        literal = text[position : found.start()]
        result += _expression(literal) + re.escape(value) if as_expression else literal + value
        position = found.end()
    return result + (_expression(text[position:]) if as_expression else text[position:])


def _variable(body: str, context: Values) -> str | None:
    if body in ("*", "?", "$"):
        return body
    name, _, default = body.partition(",")
    values = context.get(name.strip().lower())
    if values:
        return values[0]
    return default.strip().strip("'") if default else None


@lru_cache(maxsize=4096)
def _expression(glob: str) -> str:
    return re.escape(glob).replace(r"\*", ".*").replace(r"\?", ".")
