"""The regular expressions of AWS's models, which are Java's, as Python's.

What differs: `\\p{L}` and its like, surrogate pairs, `\\z`, a hyphen after a class inside brackets,
and that `\\w`, `\\d`, `\\s` mean ASCII. A pattern that cannot be translated checks nothing; the
conformance tests list those by name.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from itertools import groupby

_POSIX = {
    "Alnum": "0-9A-Za-z",
    "Alpha": "A-Za-z",
    "ASCII": "\\x00-\\x7f",
    "Digit": "0-9",
    "Graph": "!-~",
    "Lower": "a-z",
    "Print": " -~",
    "Punct": "!-/:-@\\[-`{-~",
    "Space": " \\t\\n\\x0b\\f\\r",
    "Upper": "A-Z",
    "XDigit": "0-9A-Fa-f",
}
_PROPERTY = re.compile(r"\\p\{(?:Is)?(\w+)\}")
_SURROGATES = re.compile(r"\\u(D[89AB][0-9A-F]{2})\\u(D[C-F][0-9A-F]{2})", re.IGNORECASE)
_REPEATED_END = re.compile(r"(?<!\\)\$\{1,[0-9]+\}")
_HYPHEN = re.compile(r"(\\[wds])-(?=[^\]])")
_SCANNED = 0x20000  # the planes that are scanned; whatever lies above is a letter


@cache
def compile_pattern(pattern: str) -> re.Pattern[str] | None:
    """The pattern, for `fullmatch`; None when Python has no way to say it."""
    try:
        return re.compile(_translate(pattern), re.ASCII)
    except (re.error, KeyError):
        return None


def _translate(pattern: str) -> str:
    text = _REPEATED_END.sub("$", pattern)
    text = _SURROGATES.sub(_join_surrogates, text)
    text = _HYPHEN.sub(r"\1\\-", text)
    if "\\p{" in text:
        text = _expand_properties(text)
    return text.replace("\\z", "\\Z")


def _join_surrogates(match: re.Match[str]) -> str:
    high, low = int(match[1], 16), int(match[2], 16)
    return f"\\U{0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00):08x}"


def _expand_properties(text: str) -> str:
    """Each property as ranges: bare inside brackets, in brackets of its own elsewhere."""
    out, inside, at = [], False, 0
    while at < len(text):
        match = _PROPERTY.match(text, at)
        if match:
            ranges = _POSIX.get(match[1]) or _ranges(match[1])
            out.append(ranges if inside else f"[{ranges}]")
            at = match.end()
            continue
        step = 2 if text[at] == "\\" else 1
        inside = text[at] == "[" or (inside and text[at] != "]")
        out.append(text[at : at + step])
        at += step
    return "".join(out)


@cache
def _ranges(category: str) -> str:
    """Every character of a general category (`L`, or finer, `Zs`) as ranges for a class."""
    if category not in _categories():
        raise KeyError(category)
    codes = _categories()[category]
    parts = []
    for _, run in groupby(enumerate(codes), lambda pair: pair[1] - pair[0]):
        numbers = [code for _, code in run]
        parts.append(f"\\U{numbers[0]:08x}-\\U{numbers[-1]:08x}")
    return "".join(parts) + (f"\\U{_SCANNED:08x}-\\U0010ffff" if category == "L" else "")


@cache
def _categories() -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for code in range(_SCANNED):
        category = unicodedata.category(chr(code))
        found.setdefault(category, []).append(code)
        found.setdefault(category[0], []).append(code)
    return found
