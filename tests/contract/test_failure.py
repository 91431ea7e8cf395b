"""How programs fail, and what DescribeTrainingJob says of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from wildsage import clock
from wildsage.contract import failure
from wildsage.contract.failure import AlgorithmError, ClientError, InternalServerError
from wildsage.contract.paths import Paths


def raising(error: BaseException) -> None:
    raise error


def run(error: Exception, folder: Path) -> tuple[int, str]:
    with clock.using(clock.ManualClock()):
        code = failure.run(lambda: raising(error), Paths(folder))
    return code, (folder / "output" / "failure").read_text()


def test_success_leaves_no_trace(tmp_path: Path) -> None:
    assert failure.run(lambda: None, Paths(tmp_path)) == 0
    assert not (tmp_path / "output").exists()


@pytest.mark.parametrize(
    ("error", "code", "prefix"),
    [
        (ClientError("no"), 2, "Customer Error"),
        (AlgorithmError("no"), 1, "Algorithm Error"),
        (InternalServerError("no"), 3, "Platform Error"),
    ],
)
def test_the_class_gives_code_and_prefix(
    error: Exception, code: int, prefix: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(error, tmp_path) == (code, "no")
    line = capsys.readouterr().out
    assert line.startswith("[11/14/2023 22:13:20 ERROR ") and line.endswith(f"] {prefix}: no\n")


def test_the_cause_is_named(tmp_path: Path) -> None:
    error = ClientError("Unable to read", caused_by=ValueError("at byte 3"))
    assert (
        run(error, tmp_path)[1] == "Unable to read (caused by ValueError)\n\nCaused by: at byte 3"
    )
    named = ClientError("No", caused_by="ValidationError")
    assert run(named, tmp_path)[1] == "No (caused by ValidationError)"


def test_the_unexpected_is_the_algorithms_fault_and_no_traceback(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(KeyError("x"), tmp_path) == (1, "'x' (caused by KeyError)")
    assert "Traceback" in capsys.readouterr().err
    assert run(AssertionError(), tmp_path)[1].startswith("unknown error occurred")


def test_out_of_memory_is_told_in_awss_words(tmp_path: Path) -> None:
    code, text = run(MemoryError(), tmp_path)
    assert code == 2 and text.startswith("Out of Memory. Please use a larger instance type")


@pytest.mark.parametrize(
    ("code", "text", "builtin", "reason"),
    [
        (2, "bad k", True, "ClientError: bad k"),
        (1, "broken", True, "AlgorithmError: broken"),
        (3, "lost", True, f"InternalServerError: {failure.INTERNAL_ERROR}"),
        (2, "mine", False, "AlgorithmError: mine, exit code: 2"),
        (137, "", False, "AlgorithmError: , exit code: 137"),
    ],
)
def test_failure_reasons(code: int, text: str, builtin: bool, reason: str) -> None:
    assert failure.failure_reason(code, text, builtin=builtin) == reason


def test_a_reason_quotes_1024_characters() -> None:
    assert len(failure.failure_reason(2, "x" * 5000)) == 1024
    assert failure.failure_reason(-9, "", builtin=True).endswith("exit code: -9")
