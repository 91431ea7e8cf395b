"""The feeder of Pipe channels, against readers in threads of this process."""

from __future__ import annotations

import gzip
import os
import struct
import subprocess
import sys
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from wildsage.contract import feeder


def make_plan(folder: Path, entries: list[tuple[str, Any]], **changes: Any) -> dict[str, Any]:
    plan = {
        "channel": "train",
        "folder": str(folder),
        "entries": entries,
        "gzip": False,
        "record": False,
        "group": 1,
        "seed": None,
    }
    return plan | changes


def bodies(folder: Path, contents: Iterable[bytes]) -> list[tuple[str, Any]]:
    entries = []
    for number, content in enumerate(contents):
        path = folder / f"body{number}"
        path.write_bytes(content)
        entries.append(("file", str(path)))
    return entries


def read(plan: dict[str, Any], epoch: int = 0) -> bytes:
    """What a program reads in one epoch."""
    feeder.prepare([plan | {"channel": plan["channel"]}])
    thread = threading.Thread(target=feeder.feed_epoch, args=(plan, epoch))
    thread.start()
    content = (Path(plan["folder"]) / f"train_{epoch}").read_bytes()
    thread.join()
    return content


def unwrap(content: bytes) -> list[bytes]:
    records = []
    while content:
        magic, length = struct.unpack_from("<II", content)
        assert magic == feeder.MAGIC
        records.append(content[8 : 8 + length])
        end = 8 + length + (-length % 4)
        assert content[8 + length : end] == b"\0" * (end - 8 - length)
        content = content[end:]
    return records


def test_objects_follow_each_other(tmp_path: Path) -> None:
    contents = [b"one", b"", b"two" * 100_000, b"three"]
    assert read(make_plan(tmp_path, bodies(tmp_path, contents))) == b"".join(contents)


def test_each_epoch_has_its_own_fifo(tmp_path: Path) -> None:
    plan = make_plan(tmp_path, bodies(tmp_path, [b"x"]))
    for epoch in range(3):
        assert read(plan, epoch) == b"x"
        assert not (tmp_path / f"train_{epoch}").exists()
        assert (tmp_path / f"train_{epoch + 1}").is_fifo()


def test_the_next_fifo_is_there_while_this_one_is_read(tmp_path: Path) -> None:
    plan = make_plan(tmp_path, bodies(tmp_path, [b"x" * 5_000_000]))
    feeder.prepare([plan])
    thread = threading.Thread(target=feeder.feed_epoch, args=(plan, 0))
    thread.start()
    with open(tmp_path / "train_0", "rb") as pipe:
        assert pipe.read(1) == b"x"
        assert (tmp_path / "train_1").is_fifo()
    thread.join()


def test_a_reader_may_stop_early(tmp_path: Path) -> None:
    plan = make_plan(tmp_path, bodies(tmp_path, [b"x" * 5_000_000]))
    feeder.prepare([plan])
    for epoch in range(2):
        thread = threading.Thread(target=feeder.feed_epoch, args=(plan, epoch))
        thread.start()
        with open(tmp_path / f"train_{epoch}", "rb", buffering=0) as pipe:
            assert pipe.read(10) == b"x" * 10
        thread.join(10)
        assert not thread.is_alive()


def test_records_wrap_objects_and_values(tmp_path: Path) -> None:
    entries = [*bodies(tmp_path, [b"abc", b"defg"]), ("bytes", b"v")]
    content = read(make_plan(tmp_path, entries, record=True))
    assert unwrap(content) == [b"abc", b"defg", b"v"]


@pytest.mark.parametrize("record", [False, True])
def test_gzip_is_unpacked_on_the_way(tmp_path: Path, record: bool) -> None:
    entries = bodies(tmp_path, [gzip.compress(b"abc" * 1000), gzip.compress(b"d")])
    content = read(make_plan(tmp_path, entries, gzip=True, record=record))
    expected = [b"abc" * 1000, b"d"]
    assert (unwrap(content) if record else [content]) == (
        expected if record else [b"".join(expected)]
    )


def test_shuffling_depends_on_seed_and_epoch_and_keeps_groups(tmp_path: Path) -> None:
    entries = [("bytes", bytes([n])) for n in range(40)]
    plan = make_plan(tmp_path, entries, group=2, seed=7)
    orders = [[value[0] for _, value in feeder.order(plan, epoch)] for epoch in range(3)]
    assert len({tuple(order) for order in orders}) == 3
    for order in orders:
        assert sorted(order) == list(range(40))
        assert all(order[n] + 1 == order[n + 1] for n in range(0, 40, 2))
    assert [v[0] for _, v in feeder.order(plan, 0)] == orders[0]
    assert feeder.order(plan | {"seed": None}, 1) == entries


def test_records_that_are_too_long_are_refused() -> None:
    with pytest.raises(ValueError, match="longer than RecordIO allows"):
        feeder.frame(1 << 29)


def test_trouble_is_noted(tmp_path: Path) -> None:
    """As the supervisor runs it: a process of its own in the instance's folder."""
    entries = bodies(tmp_path, [b"this is not gzip"])
    plan = make_plan(tmp_path, entries, gzip=True)
    feeder.prepare([plan])
    code = f"from wildsage.contract import feeder; feeder.main([{plan!r}])"
    process = subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path)
    assert (tmp_path / "train_0").read_bytes() == b""
    assert process.wait(20) == 0
    assert (tmp_path / feeder.ERROR_FILE).read_text().startswith("channel train: Not a gzipped")


def test_it_needs_nothing_but_the_standard_library() -> None:
    source = Path(feeder.__file__).parent.parent.parent
    code = (
        f"import sys; sys.path.insert(0, {str(source)!r}); import wildsage.contract.feeder; "
        "print([m for m in sys.modules if m.startswith('wildsage') or m in ('numpy', 'typing')])"
    )
    argv = [sys.executable, "-I", "-S", "-c", code]
    answer = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    assert "numpy" not in answer and answer.count("wildsage") == 3
    assert os.path.exists(source)
