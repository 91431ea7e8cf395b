"""Channels as streams: folders of files, and pipes."""

from __future__ import annotations

import io
import os
import threading
from pathlib import Path

import pytest

from wildsage import clock
from wildsage.contract.channels import ChannelConfig, read_exactly, unwrap
from wildsage.contract.failure import InternalServerError
from wildsage.contract.paths import Paths
from wildsage.formats import recordio


def config(folder: Path, mode: str = "File", wrapper: str = "None") -> ChannelConfig:
    paths = Paths(folder)
    paths.channel("train").mkdir(parents=True)
    return ChannelConfig("train", None, mode, wrapper, paths=paths)


def test_files_come_in_order_of_names_without_hidden_ones(tmp_path: Path) -> None:
    channel = config(tmp_path)
    folder = channel.paths.channel("train")
    (folder / "sub").mkdir()
    (folder / ".hidden").mkdir()
    for name in ("b", "a", "sub/c", ".d", ".hidden/e", "_SUCCESS"):
        (folder / name).write_bytes(name.encode())
    assert [stream.read() for stream in channel.streams()] == [b"a", b"b", b"sub/c"]


def test_an_absent_folder_is_empty(tmp_path: Path) -> None:
    assert ChannelConfig("train", paths=Paths(tmp_path)).files() == []


def test_a_pipe_per_epoch(tmp_path: Path) -> None:
    channel = config(tmp_path, "Pipe")
    for epoch in (0, 1):
        pipe = channel.paths.pipe("train", epoch)
        os.mkfifo(pipe)
        writer = threading.Thread(target=pipe.write_bytes, args=(f"epoch {epoch}".encode(),))
        writer.start()
        assert [read_exactly(s, 7) for s in channel.streams(epoch)] == [b"epoch %d" % epoch]
        writer.join()


def test_a_pipe_that_never_comes_is_the_platforms_fault(tmp_path: Path) -> None:
    channel = config(tmp_path, "Pipe")
    with clock.using(clock.ManualClock()), pytest.raises(InternalServerError, match="train_3"):
        list(channel.streams(3))


def test_wrapped_objects_are_unwrapped(tmp_path: Path) -> None:
    framed = recordio.frame(b"1,2\n") + recordio.frame(b"3,4")
    assert list(unwrap(io.BytesIO(framed))) == [b"1,2\n", b"3,4"]
    assert config(tmp_path, "Pipe", "RecordIO").is_wrapped
    for bad in (b"no frame at all", framed[:-3]):
        with pytest.raises(ValueError, match="RecordIO"):
            list(unwrap(io.BytesIO(bad)))
