from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from wildsage import clock, logfile
from wildsage.arns import Scope
from wildsage.clock import ManualClock
from wildsage.store import log_reader, logs
from wildsage.store.database import Database
from wildsage.store.errors import AlreadyExists, InvalidToken, NotFound
from wildsage.store.logs import EventPage, Logs

HERE = Scope()
GROUP = "/aws/sagemaker/TrainingJobs"
STREAM = "job/algo-1-1700000000"
T0 = 1_700_000_000_000
DAY = 24 * 3600 * 1000


@pytest.fixture
def store(database: Database, tmp_path: Path) -> Logs:
    return Logs(database, tmp_path / "logs")


@pytest.fixture(params=[log_reader._CHUNK, 50], ids=["whole", "in small chunks"])
def job(store: Logs, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Logs:
    """A stream of ten events, a second apart, as a supervisor writes it."""
    monkeypatch.setattr(log_reader, "_CHUNK", request.param)
    append(store.stream_file(HERE, GROUP, STREAM), range(10))
    return store


def append(path: Path, numbers: range) -> None:
    with path.open("ab") as file:
        for n in numbers:
            file.write(logfile.encode(T0 + 1000 * n, T0 + 1000 * n + 5, f"event {n}"))


def numbers(page: EventPage) -> list[int]:
    return [int(event.message.split()[1]) for event in page.events]


# Groups and streams


def test_groups(store: Logs) -> None:
    for name in ("b", "a/x", "a/y", "C"):
        store.create_group(HERE, name, tags={"k": name})
    with pytest.raises(AlreadyExists):
        store.create_group(HERE, "b")
    first, token = store.describe_groups(HERE, limit=2)
    rest, end = store.describe_groups(HERE, limit=2, token=token)
    assert [g.name for g in first + rest] == ["C", "a/x", "a/y", "b"]
    assert end is None
    assert [g.name for g in store.describe_groups(HERE, prefix="a/")[0]] == ["a/x", "a/y"]
    assert [g.name for g in store.describe_groups(HERE, contains="x")[0]] == ["a/x"]
    assert store.describe_groups(HERE, contains="c") == ([], None), "the case counts"
    assert store.describe_groups(Scope("1", "r")) == ([], None)
    assert store.find_group(HERE, "b").tags == {"k": "b"}
    with pytest.raises(InvalidToken):
        store.describe_groups(HERE, prefix="a", token=token)


def test_a_deleted_group_leaves_nothing(store: Logs, tmp_path: Path) -> None:
    path = store.stream_file(HERE, GROUP, STREAM)
    append(path, range(2))
    store.delete_group(HERE, GROUP)
    assert list((tmp_path / "logs").iterdir()) == []
    with pytest.raises(NotFound):
        store.get_events(HERE, GROUP, STREAM)
    assert store.stream_file(HERE, GROUP, STREAM).read_bytes() == b""


def test_a_stream_made_again_is_empty(store: Logs) -> None:
    append(store.stream_file(HERE, GROUP, STREAM), range(3))
    store.delete_stream(HERE, GROUP, STREAM)
    store.create_stream(HERE, GROUP, STREAM)
    assert store.get_events(HERE, GROUP, STREAM).events == []
    with pytest.raises(AlreadyExists):
        store.create_stream(HERE, GROUP, STREAM)


def test_names_become_files_of_their_own(store: Logs, tmp_path: Path) -> None:
    names = ["a/b", "a_b", "A/B", "a\\b", "..", "../../etc/x", "x" * 512, "ü" * 500, "-"]
    paths = {name: store.stream_file(HERE, GROUP, name) for name in names}
    assert len({str(path).lower() for path in paths.values()}) == len(names)
    root = (tmp_path / "logs").resolve()
    assert {path.resolve().parent.parent for path in paths.values()} == {root}
    assert paths == {name: store.stream_file(HERE, GROUP, name) for name in names}


def test_streams_by_name(store: Logs) -> None:
    for name in ("job/algo-2", "job/algo-1", "jobs/algo-1", "job/algo-10"):
        store.stream_file(HERE, GROUP, name)
    found, token = store.describe_streams(HERE, GROUP, prefix="job/", limit=2)
    rest, end = store.describe_streams(HERE, GROUP, prefix="job/", limit=2, token=token)
    assert [s.stream.name for s in found + rest] == ["job/algo-1", "job/algo-10", "job/algo-2"]
    assert end is None
    backwards, token = store.describe_streams(HERE, GROUP, descending=True, limit=3)
    last, _ = store.describe_streams(HERE, GROUP, descending=True, limit=3, token=token)
    assert [s.stream.name for s in backwards + last][::3] == ["jobs/algo-1", "job/algo-1"]


def test_streams_by_their_last_event(store: Logs) -> None:
    for name, last in (("a", 3), ("b", 9), ("c", 6)):
        append(store.stream_file(HERE, GROUP, name), range(1, last))
    store.create_stream(HERE, GROUP, "empty")
    found, token = store.describe_streams(
        HERE, GROUP, order_by="LastEventTime", descending=True, limit=2
    )
    rest, _ = store.describe_streams(
        HERE, GROUP, order_by="LastEventTime", descending=True, limit=2, token=token
    )
    assert [s.stream.name for s in found + rest] == ["b", "c", "a", "empty"]
    assert (found[0].first, found[0].last) == (T0 + 1000, T0 + 8000)
    assert found[0].last_ingestion == T0 + 8005
    assert (rest[1].first, rest[1].last) == (None, None)


def test_a_summary_follows_the_file(store: Logs) -> None:
    path = store.stream_file(HERE, GROUP, STREAM)
    for end in (1, 2, 3):
        append(path, range(end - 1, end))
        [summary], _ = store.describe_streams(HERE, GROUP)
        assert summary.last == T0 + 1000 * (end - 1)


# Reading


def test_from_the_head_to_a_token_that_repeats(job: Logs) -> None:
    """The loop of the SageMaker SDK: forward until the token comes back."""
    seen, token = [], None
    while True:
        page = job.get_events(HERE, GROUP, STREAM, limit=4, start_from_head=True, token=token)
        seen.append(numbers(page))
        if page.forward == token:
            break
        token = page.forward
    assert seen == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9], []]
    append(job.stream_file(HERE, GROUP, STREAM), range(10, 12))
    page = job.get_events(HERE, GROUP, STREAM, token=token)
    assert numbers(page) == [10, 11]


def test_from_the_tail_backwards_to_a_token_that_repeats(job: Logs) -> None:
    seen, token = [], None
    while True:
        page = job.get_events(HERE, GROUP, STREAM, limit=4, token=token)
        seen.append(numbers(page))
        if page.backward == token:
            break
        token = page.backward
    assert seen == [[6, 7, 8, 9], [2, 3, 4, 5], [0, 1], []]


def test_both_directions_meet(job: Logs) -> None:
    tail = job.get_events(HERE, GROUP, STREAM, limit=4)
    assert numbers(job.get_events(HERE, GROUP, STREAM, token=tail.forward)) == []
    back = job.get_events(HERE, GROUP, STREAM, token=tail.backward, limit=3)
    assert numbers(job.get_events(HERE, GROUP, STREAM, token=back.forward)) == [6, 7, 8, 9]


@pytest.mark.parametrize("head", [True, False])
@pytest.mark.parametrize(
    ("start", "end", "wanted"),
    [
        (0, 10, range(10)),
        (3, 6, range(3, 6)),
        (3.5, 6.5, range(4, 7)),
        (9, None, range(9, 10)),
        (None, 1, range(1)),
        (20, 30, range(0)),
        (-5, -1, range(0)),
    ],
)
def test_windows_of_time(
    job: Logs, head: bool, start: float | None, end: float | None, wanted: range
) -> None:
    page = job.get_events(
        HERE,
        GROUP,
        STREAM,
        start_time=None if start is None else int(T0 + 1000 * start),
        end_time=None if end is None else int(T0 + 1000 * end),
        start_from_head=head,
    )
    assert numbers(page) == list(wanted)


def test_a_window_is_kept_while_paging(job: Logs) -> None:
    window: dict[str, Any] = {"start_time": T0 + 2000, "end_time": T0 + 8000}
    page = job.get_events(HERE, GROUP, STREAM, limit=3, start_from_head=True, **window)
    assert numbers(page) == [2, 3, 4]
    page = job.get_events(HERE, GROUP, STREAM, limit=30, token=page.forward, **window)
    assert numbers(page) == [5, 6, 7]
    page = job.get_events(HERE, GROUP, STREAM, limit=3, **window)
    assert numbers(page) == [5, 6, 7]
    page = job.get_events(HERE, GROUP, STREAM, limit=30, token=page.backward, **window)
    assert numbers(page) == [2, 3, 4]


@pytest.mark.parametrize(
    "token", ["f/7/s", "f/-1/s", "b/99999999/s", "x/0/s", "f/0", "nonsense", "f/²/s", "f//s"]
)
def test_a_made_up_token_is_refused(job: Logs, token: str) -> None:
    with pytest.raises(InvalidToken):
        job.get_events(HERE, GROUP, STREAM, token=token)


def test_an_empty_stream_has_tokens_too(store: Logs) -> None:
    store.create_group(HERE, GROUP)
    store.create_stream(HERE, GROUP, STREAM)
    page = store.get_events(HERE, GROUP, STREAM)
    assert page.events == []
    again = store.get_events(HERE, GROUP, STREAM, token=page.forward, start_from_head=True)
    assert again.forward == page.forward


def test_a_line_that_is_still_being_written_waits(job: Logs) -> None:
    path = job.stream_file(HERE, GROUP, STREAM)
    with path.open("ab") as file:
        file.write(b"1700000010000 1700000010000 half")
        file.flush()
        page = job.get_events(HERE, GROUP, STREAM)
        assert numbers(page)[-1] == 9
        file.write(b" a line\n")
    assert (
        job.get_events(HERE, GROUP, STREAM, token=page.forward).events[0].message == "half a line"
    )


def test_an_answer_holds_a_megabyte(store: Logs) -> None:
    path = store.stream_file(HERE, GROUP, STREAM)
    with path.open("ab") as file:
        for n in range(5):
            file.write(logfile.encode(T0 + n, T0 + n, "ü" * 150_000))
    page = store.get_events(HERE, GROUP, STREAM, start_from_head=True)
    assert len(page.events) == 3
    assert len(store.get_events(HERE, GROUP, STREAM, token=page.forward).events) == 2
    assert len(store.get_events(HERE, GROUP, STREAM).events) == 3


def test_a_tail_reads_the_end_of_the_file_only(
    store: Logs, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = store.stream_file(HERE, GROUP, STREAM)
    append(path, range(40_000))
    read: list[int] = []
    original = log_reader.LogReader._read

    def counting(self: log_reader.LogReader, offset: int, length: int) -> bytes:
        data = original(self, offset, length)
        read.append(len(data))
        return data

    monkeypatch.setattr(log_reader.LogReader, "_read", counting)
    assert numbers(store.get_events(HERE, GROUP, STREAM, limit=2)) == [39_998, 39_999]
    found = store.get_events(
        HERE, GROUP, STREAM, limit=2, start_time=T0 + 20_000_000, start_from_head=True
    )
    assert numbers(found) == [20_000, 20_001]
    assert path.stat().st_size > 1_500_000
    assert sum(read) < 500_000


# Writing


def test_what_was_put_is_read(store: Logs) -> None:
    store.create_group(HERE, GROUP)
    store.create_stream(HERE, GROUP, STREAM)
    messages = ["plain", "two\nlines", "back\\slash\\n", "ü \N{SNOWMAN}", "", " 1 2 ", "cr\rcr"]
    with clock.using(ManualClock(T0 / 1000)):
        store.put_events(HERE, GROUP, STREAM, [(T0 + n, m) for n, m in enumerate(messages)])
    events = store.get_events(HERE, GROUP, STREAM).events
    assert [event.message for event in events] == messages
    assert {event.ingestion for event in events} == {T0}


def test_a_cut_line_swallows_no_event(job: Logs) -> None:
    path = job.stream_file(HERE, GROUP, STREAM)
    with path.open("ab") as file:
        file.write(b"17000")
    job.put_events(HERE, GROUP, STREAM, [(T0 + 10_000, "event 10")])
    assert numbers(job.get_events(HERE, GROUP, STREAM)) == list(range(11))


def test_threads_append_whole_lines(store: Logs) -> None:
    store.create_group(HERE, GROUP)
    store.create_stream(HERE, GROUP, STREAM)

    def put(writer: int) -> None:
        for n in range(5):
            store.put_events(HERE, GROUP, STREAM, [(T0, f"{writer} {n} " + "x" * 5000)] * 2)

    threads = [threading.Thread(target=put, args=(w,)) for w in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    events = store.get_events(HERE, GROUP, STREAM).events
    assert len(events) == 40
    assert {len(event.message) for event in events} == {5004}


@pytest.mark.parametrize("chunk", [log_reader._CHUNK, 40])
def test_events_out_of_order_are_found_by_time(
    store: Logs, monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    monkeypatch.setattr(log_reader, "_CHUNK", chunk)
    store.create_group(HERE, GROUP)
    store.create_stream(HERE, GROUP, STREAM)
    for second in (5, 6, 2, 7, 3, 9, 8):
        store.put_events(HERE, GROUP, STREAM, [(T0 + 1000 * second, f"event {second}")])
    for start in range(10):
        for end in range(start, 11):
            window: dict[str, Any] = {"start_time": T0 + 1000 * start, "end_time": T0 + 1000 * end}
            wanted = [n for n in (2, 3, 5, 6, 7, 8, 9) if start <= n < end]
            head = store.get_events(HERE, GROUP, STREAM, start_from_head=True, **window)
            tail = store.get_events(HERE, GROUP, STREAM, **window)
            window["end_time"] -= 1
            found = store.filter_events(HERE, GROUP, **window)
            assert numbers(head) == numbers(tail) == wanted
            assert [int(f.event.message.split()[1]) for f in found.events] == wanted
    [summary], _ = store.describe_streams(HERE, GROUP)
    assert summary.last == T0 + 9000


# Filtering


@pytest.fixture
def gang(store: Logs) -> Logs:
    """Two instances whose events alternate, and a bystander."""
    append(store.stream_file(HERE, GROUP, "job/algo-1"), range(0, 10, 2))
    append(store.stream_file(HERE, GROUP, "job/algo-2"), range(1, 10, 2))
    append(store.stream_file(HERE, GROUP, "other"), range(100, 102))
    return store


def test_streams_are_interleaved_by_time(gang: Logs) -> None:
    page = gang.filter_events(HERE, GROUP, prefix="job/")
    assert [f.event.message for f in page.events] == [f"event {n}" for n in range(10)]
    assert page.next_token is None
    assert len({f.event_id for f in page.events}) == 10


@pytest.mark.parametrize("limit", [1, 3, 4, 12])
def test_pages_of_a_filter(gang: Logs, limit: int) -> None:
    seen, token = [], None
    while True:
        page = gang.filter_events(HERE, GROUP, limit=limit, token=token)
        assert len(page.events) <= limit
        seen += [f.event.message for f in page.events]
        if (token := page.next_token) is None:
            break
    assert seen == [f"event {n}" for n in (*range(10), 100, 101)]


def test_a_long_search_answers_in_parts(gang: Logs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "_SCAN_EVENTS", 5)
    page = gang.filter_events(HERE, GROUP, pattern="101")
    assert page.events == []
    page = gang.filter_events(HERE, GROUP, pattern="101", token=page.next_token)
    page = gang.filter_events(HERE, GROUP, pattern="101", token=page.next_token)
    assert [f.event.message for f in page.events] == ["event 101"]
    assert page.next_token is None


def test_a_filter_by_time_and_stream(gang: Logs) -> None:
    page = gang.filter_events(
        HERE, GROUP, streams=["job/algo-1"], start_time=T0 + 2000, end_time=T0 + 6000
    )
    assert [f.event.message for f in page.events] == ["event 2", "event 4", "event 6"]
    with pytest.raises(NotFound):
        gang.filter_events(HERE, GROUP, streams=["missing"])


def test_a_filter_token_is_good_for_its_query_only(gang: Logs) -> None:
    token = gang.filter_events(HERE, GROUP, limit=1).next_token
    with pytest.raises(InvalidToken):
        gang.filter_events(HERE, GROUP, pattern="x", token=token)


# Retention and upkeep


def test_what_has_outlived_its_retention_is_hidden_and_then_gone(job: Logs) -> None:
    path = job.stream_file(HERE, GROUP, STREAM)
    job.set_retention(HERE, GROUP, 1)
    with clock.using(ManualClock((T0 + DAY + 5500) / 1000)):
        assert numbers(job.get_events(HERE, GROUP, STREAM)) == [6, 7, 8, 9]
        assert len(job.filter_events(HERE, GROUP).events) == 4
        job.tidy()
        assert numbers(job.get_events(HERE, GROUP, STREAM)) == [6, 7, 8, 9]
    with clock.using(ManualClock((T0 + 2 * DAY) / 1000)):
        job.tidy()
        assert path.stat().st_size == 0
        assert job.get_events(HERE, GROUP, STREAM, start_from_head=True).events == []
    job.set_retention(HERE, GROUP, None)
    assert job.find_group(HERE, GROUP).retention_days is None


def test_tidying_removes_orphans_only(job: Logs, tmp_path: Path) -> None:
    path = job.stream_file(HERE, GROUP, STREAM)
    job.create_group(HERE, "no streams yet")
    orphan = path.with_name("orphan.log")
    orphan.touch()
    folder = tmp_path / "logs" / "orphan"
    folder.mkdir()
    (folder / "x.log").touch()
    job.tidy()
    assert not orphan.exists()
    assert not folder.exists()
    assert numbers(job.get_events(HERE, GROUP, STREAM)) == list(range(10))


def test_stored_bytes(job: Logs) -> None:
    size = job.stream_file(HERE, GROUP, STREAM).stat().st_size
    assert job.stored_bytes(job.find_group(HERE, GROUP)) == size > 0
