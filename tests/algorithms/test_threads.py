"""Keeping BLAS to one thread."""

from __future__ import annotations

import threading

import pytest

from wildsage.algorithms import threads


@pytest.fixture
def libraries(monkeypatch: pytest.MonkeyPatch) -> list[list[int]]:
    """Two libraries that have four and two threads, as NumPy's and SciPy's."""
    counts = [[4], [2]]

    def functions(count: list[int]) -> tuple[object, object]:
        return lambda: count[0], lambda value: count.__setitem__(0, value)

    pairs = [functions(count) for count in counts]
    monkeypatch.setattr(threads, "_libraries", lambda: pairs)
    return counts


def test_all_libraries_have_one_thread_and_get_theirs_back(libraries: list[list[int]]) -> None:
    with threads.one_blas_thread():
        assert libraries == [[1], [1]]
    assert libraries == [[4], [2]]


def test_an_error_leaves_no_library_with_one_thread(libraries: list[list[int]]) -> None:
    with pytest.raises(ZeroDivisionError), threads.one_blas_thread():
        raise ZeroDivisionError
    assert libraries == [[4], [2]]


def test_the_last_to_leave_puts_back_what_the_first_found(libraries: list[list[int]]) -> None:
    entered, leave = threading.Event(), threading.Event()

    def other() -> None:
        with threads.one_blas_thread():
            entered.set()
            leave.wait()

    thread = threading.Thread(target=other)
    with threads.one_blas_thread():
        thread.start()
        entered.wait()
    assert libraries == [[1], [1]]
    leave.set()
    thread.join()
    assert libraries == [[4], [2]]


def test_the_libraries_of_the_wheels_are_found() -> None:
    for get, put in threads._libraries():
        before = get()
        put(1)
        assert get() == 1
        put(before)
