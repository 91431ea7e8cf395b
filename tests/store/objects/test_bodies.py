from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from wildsage.store.objects import bodies as module
from wildsage.store.objects.bodies import Bodies, link_or_copy


@pytest.fixture
def bodies(tmp_path: Path) -> Bodies:
    return Bodies(tmp_path / "bodies")


def write(bodies: Bodies, data: bytes) -> str:
    name, descriptor = bodies.begin()
    bodies.write(descriptor, data, 0)
    bodies.sync(name, descriptor)
    os.close(descriptor)
    return name


def test_a_body_is_read_only_and_in_one_of_64_folders(bodies: Bodies) -> None:
    name = write(bodies, b"bytes")
    path = bodies.path(name)
    assert path.read_bytes() == b"bytes"
    assert stat.S_IMODE(path.stat().st_mode) == 0o444
    assert int(path.parent.name, 16) == int(name[:2], 16) % 64


def test_a_discarded_body_stays_for_a_moment(bodies: Bodies) -> None:
    name = write(bodies, b"bytes")
    bodies.discard([name])
    assert bodies.path(name).exists()
    assert bodies.empty_trash() == 1
    assert not bodies.path(name).exists()
    bodies.close()


def test_trash_is_taken_out_after_a_whole_interval(
    bodies: Bodies, monkeypatch: pytest.MonkeyPatch
) -> None:
    intervals = []
    monkeypatch.setattr(Bodies, "_start_timer", lambda self: intervals.append(self))
    name = write(bodies, b"bytes")
    bodies.discard([name])
    bodies._take_out_trash()
    assert bodies.path(name).exists()
    bodies._take_out_trash()
    assert not bodies.path(name).exists()
    assert len(intervals) == 2


def test_discarded_bodies_make_room_on_a_full_disk(
    bodies: Bodies, monkeypatch: pytest.MonkeyPatch
) -> None:
    bodies.discard([write(bodies, b"old")])
    real, calls = os.pwrite, []

    def full_once(descriptor: int, data: bytes, offset: int) -> int:
        calls.append(offset)
        if len(calls) == 1:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(descriptor, data, offset)

    monkeypatch.setattr(os, "pwrite", full_once)
    assert bodies.path(write(bodies, b"new")).read_bytes() == b"new"
    bodies.close()


def test_a_full_disk_is_an_error_when_there_is_no_trash(
    bodies: Bodies, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(OSError, match="No space left"):
        write(bodies, b"new")


def test_sweeping_removes_orphans_only(bodies: Bodies) -> None:
    known, in_flight, orphan = (write(bodies, b"x") for _ in range(3))
    trashed = write(bodies, b"x")
    bodies.discard([trashed])
    for name in (known, orphan, trashed):
        bodies.settle(name)
    assert bodies.sweep(lambda names: {known} & set(names)) == 1
    assert [bodies.path(n).exists() for n in (known, in_flight, orphan, trashed)] == [
        True,
        True,
        False,
        True,
    ]
    bodies.close()


def test_a_twin_shares_the_bytes(bodies: Bodies) -> None:
    name = write(bodies, b"bytes")
    twin = bodies.twin(name)
    assert bodies.path(twin).samefile(bodies.path(name))


def test_a_copy_where_no_link_can_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(b"bytes")
    link_or_copy(source, target)
    assert target.read_bytes() == b"bytes"
    assert not target.samefile(source)


def test_copying_a_range_without_the_kernels_help(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> int:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(os, "copy_file_range", refuse, raising=False)
    (tmp_path / "source").write_bytes(b"0123456789")
    with (tmp_path / "source").open("rb") as source, (tmp_path / "target").open("wb") as target:
        module.copy_range(source.fileno(), target.fileno(), 3, 4, 2)
        with pytest.raises(EOFError):
            module.copy_range(source.fileno(), target.fileno(), 8, 4, 0)
    assert (tmp_path / "target").read_bytes()[2:6] == b"3456"
