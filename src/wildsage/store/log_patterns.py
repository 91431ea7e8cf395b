"""CloudWatch's filter patterns: words, "phrases", ?either, -without, and `{ $.json = conditions }`.

`compile_pattern` turns a pattern into a test for one message. What is left out (space-delimited
patterns in square brackets and %regular expressions%) is refused, not silently mismatched.
"""

from __future__ import annotations

import fnmatch
import operator
import re
from collections.abc import Callable
from typing import Any, TypeAlias

import orjson

Test: TypeAlias = Callable[[str], bool]
_Condition: TypeAlias = Callable[[Any], bool]

_TERM = re.compile(r'\s*([?-]?)(?:"((?:[^"\\]|\\.)*)"|(\S+))')
_TOKEN = re.compile(
    r"""\s*(?:(?P<path>\$[A-Za-z0-9_.\-\[\]"']*)
      |(?P<symbol>&&|\|\||!=|<=|>=|[=<>()])
      |"(?P<quoted>(?:[^"\\]|\\.)*)"
      |(?P<word>[^\s=<>()&|!"]+))""",
    re.VERBOSE,
)
_STEP = re.compile(r"""\.([A-Za-z0-9_\-]+)|\[(\d+)\]|\[["']([^"']+)["']\]""")
_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?([eE][+-]?\d+)?\Z")
_ORDER: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    ">": operator.gt,
    "<=": operator.le,
    ">=": operator.ge,
}
_MISSING = object()


class InvalidPattern(ValueError):
    """Not a filter pattern, or one of a form that is not supported here."""


def compile_pattern(pattern: str) -> Test:
    text = pattern.strip()
    if text.startswith("{"):
        return _compile_json(text)
    if text.startswith("["):
        raise InvalidPattern("Space-delimited filter patterns are not supported by wildsage.")
    if text.startswith("%"):
        raise InvalidPattern("Regular expressions in filter patterns are not supported.")
    return _compile_terms(text)


def _compile_terms(text: str) -> Test:
    """Every plain term and none of the excluded; `?` terms count only when they stand alone."""
    terms: dict[str, list[str]] = {"": [], "?": [], "-": []}
    for sign, quoted, word in _TERM.findall(text):
        terms[sign].append(word or re.sub(r"\\(.)", r"\1", quoted))
    wanted, either, unwanted = terms[""], terms["?"], terms["-"]
    if either and not wanted and not unwanted:
        return lambda message: any(term in message for term in either)
    return lambda message: (
        all(term in message for term in wanted) and not any(term in message for term in unwanted)
    )


def _compile_json(text: str) -> Test:
    if not text.endswith("}"):
        raise InvalidPattern("Invalid filter pattern: the closing brace is missing.")
    condition = _Parser(text[1:-1]).parse()

    def test(message: str) -> bool:
        if not message.lstrip().startswith("{"):
            return False
        try:
            return condition(orjson.loads(message))
        except orjson.JSONDecodeError:
            return False

    return test


class _Parser:
    """Recursive descent over `a && (b || c)`; each production returns a test of the whole JSON."""

    def __init__(self, text: str) -> None:
        self._tokens = list(_tokenize(text))
        self._next = 0

    def parse(self) -> _Condition:
        condition = self._either()
        if self._next != len(self._tokens):
            raise InvalidPattern(f"Invalid filter pattern near {self._peek()!r}.")
        return condition

    def _either(self) -> _Condition:
        parts = [self._both()]
        while self._take("symbol", "||"):
            parts.append(self._both())
        return parts[0] if len(parts) == 1 else lambda value: any(part(value) for part in parts)

    def _both(self) -> _Condition:
        parts = [self._single()]
        while self._take("symbol", "&&"):
            parts.append(self._single())
        return parts[0] if len(parts) == 1 else lambda value: all(part(value) for part in parts)

    def _single(self) -> _Condition:
        if self._take("symbol", "("):
            condition = self._either()
            if not self._take("symbol", ")"):
                raise InvalidPattern("Invalid filter pattern: a parenthesis is not closed.")
            return condition
        find = _selector(self._expect("path"))
        kind, text = self._advance()
        if kind == "word":
            return self._keyword(find, text.upper())
        if kind == "symbol" and text in ("=", "!=", *_ORDER):
            return self._comparison(find, text)
        raise InvalidPattern(f"Invalid filter pattern near {text!r}.")

    def _keyword(self, find: Callable[[Any], Any], word: str) -> _Condition:
        second = self._expect("word").upper()
        if (word, second) == ("NOT", "EXISTS"):
            return lambda value: find(value) is _MISSING
        constants = {"NULL": None, "TRUE": True, "FALSE": False}
        if word != "IS" or second not in constants:
            raise InvalidPattern(f"Invalid filter pattern near {word!r}.")
        wanted = constants[second]
        return lambda value: find(value) is wanted

    def _comparison(self, find: Callable[[Any], Any], symbol: str) -> _Condition:
        kind, text = self._advance()
        if kind not in ("quoted", "word"):
            raise InvalidPattern(f"Invalid filter pattern near {text!r}.")
        number = float(text) if kind == "word" and _NUMBER.match(text) else None
        if symbol in _ORDER:
            if number is None:
                raise InvalidPattern(f"Invalid filter pattern: {text!r} is not a number.")
            compare = _ORDER[symbol]
            return lambda value: _is_number(found := find(value)) and compare(found, number)
        equal = _equality(text, number)
        if symbol == "=":
            return lambda value: equal(find(value))
        return lambda value: (found := find(value)) is not _MISSING and not equal(found)

    def _peek(self) -> str:
        return self._tokens[self._next][1] if self._next < len(self._tokens) else "the end"

    def _advance(self) -> tuple[str, str]:
        if self._next == len(self._tokens):
            raise InvalidPattern("Invalid filter pattern: it ends too early.")
        self._next += 1
        return self._tokens[self._next - 1]

    def _take(self, kind: str, text: str) -> bool:
        found = self._next < len(self._tokens) and self._tokens[self._next] == (kind, text)
        self._next += found
        return found

    def _expect(self, kind: str) -> str:
        found, text = self._advance()
        if found != kind:
            raise InvalidPattern(f"Invalid filter pattern near {text!r}.")
        return text


def _tokenize(text: str) -> list[tuple[str, str]]:
    tokens, position, text = [], 0, text.rstrip()
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise InvalidPattern(f"Invalid filter pattern near {text[position:]!r}.")
        tokens.append((str(match.lastgroup), match[str(match.lastgroup)]))
        position = match.end()
    return tokens


def _selector(path: str) -> Callable[[Any], Any]:
    """`$.a.b[0]` as a function from the JSON to the value there, or _MISSING."""
    steps: list[str | int] = []
    position = 1
    while position < len(path):
        match = _STEP.match(path, position)
        if match is None:
            raise InvalidPattern(f"Invalid filter pattern: {path!r} is not a property selector.")
        steps.append(int(match[2]) if match[2] else match[1] or match[3])
        position = match.end()

    def find(value: Any) -> Any:
        for step in steps:
            if isinstance(value, dict):
                value = value.get(step, _MISSING)
            elif isinstance(value, list) and isinstance(step, int):
                value = value[step] if step < len(value) else _MISSING
            else:
                return _MISSING
        return value

    return find


def _equality(text: str, number: float | None) -> _Condition:
    if number is not None:
        return lambda found: found == text if isinstance(found, str) else _same(found, number)
    if "*" in text:
        glob = re.compile(fnmatch.translate(text.replace("[", "[[]").replace("?", "[?]")))
        return lambda found: isinstance(found, str) and glob.match(found) is not None
    return lambda found: isinstance(found, str) and found == text


def _same(found: Any, number: float) -> bool:
    return _is_number(found) and found == number


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
