from __future__ import annotations

import pytest

from wildsage.store.log_patterns import InvalidPattern, compile_pattern

RECORD = (
    '{"level": "ERROR", "code": 503, "ratio": 0.5, "ok": false, "none": null, '
    '"tags": ["a", "b"], "user": {"name": "ann", "a.b": 1}}'
)


@pytest.mark.parametrize(
    ("pattern", "message", "matches"),
    [
        ("", "anything", True),
        ("ERROR", "an ERROR here", True),
        ("ERROR", "an error here", False),
        ("ERROR timeout", "timeout: ERROR", True),
        ("ERROR timeout", "ERROR", False),
        ('"two words"', "these two words", True),
        ('"two words"', "two other words", False),
        (r'"say \"hi\""', 'they say "hi"', True),
        ("?ERROR ?WARN", "WARN", True),
        ("?ERROR ?WARN", "INFO", False),
        ("ERROR -timeout", "ERROR timeout", False),
        ("ERROR -timeout", "ERROR", True),
        ("-DEBUG", "INFO", True),
        ('-"not this"', "but not this", False),
        ("INFO ?ERROR", "INFO", True),
        ("a.*", "abc", False),
    ],
)
def test_terms(pattern: str, message: str, matches: bool) -> None:
    assert compile_pattern(pattern)(message) is matches


@pytest.mark.parametrize(
    ("pattern", "matches"),
    [
        ('{ $.level = "ERROR" }', True),
        ("{$.level=ERROR}", True),
        ('{ $.level = "E*R" }', True),
        ('{ $.level != "INFO" }', True),
        ('{ $.missing != "INFO" }', False),
        ("{ $.code = 503 }", True),
        ("{ $.code = 5.03e2 }", True),
        ("{ $.code > 500 }", True),
        ("{ $.code >= 504 }", False),
        ("{ $.ratio < 1 }", True),
        ("{ $.ratio <= 0.4 }", False),
        ("{ $.level > 1 }", False),
        ("{ $.user.name = ann }", True),
        ("{ $.user['a.b'] = 1 }", True),
        ("{ $.tags[1] = b }", True),
        ("{ $.tags[2] = b }", False),
        ("{ $.tags.x = b }", False),
        ("{ $.ok IS FALSE }", True),
        ("{ $.ok IS TRUE }", False),
        ("{ $.none IS NULL }", True),
        ("{ $.missing NOT EXISTS }", True),
        ("{ $.none NOT EXISTS }", False),
        ("{ $.code = 1 || $.level = ERROR }", True),
        ("{ $.code = 503 && $.level = INFO }", False),
        ("{ ($.code = 1 || $.code = 503) && $.level = ERROR }", True),
    ],
)
def test_json(pattern: str, matches: bool) -> None:
    assert compile_pattern(pattern)(RECORD) is matches


@pytest.mark.parametrize("message", ["text", '{"level": "ERROR"', "[1]", ""])
def test_what_is_no_json_object_matches_no_json_pattern(message: str) -> None:
    assert compile_pattern("{ $.level = ERROR }")(message) is False


@pytest.mark.parametrize(
    "pattern",
    [
        "[ip, user]",
        "%regex%",
        "{ $.a = 1",
        "{ $.a }",
        "{ }",
        "{ a = 1 }",
        "{ $.a = }",
        "{ $.a = 1 &&}",
        "{ ($.a = 1 }",
        "{ $.a > x }",
        "{ $.a IS MAYBE }",
        "{ $.a[x] = 1 }",
        "{ $.a = 1 $.b = 2 }",
        "{ $.a ! 1 }",
    ],
)
def test_bad_patterns_are_refused(pattern: str) -> None:
    with pytest.raises(InvalidPattern):
        compile_pattern(pattern)
