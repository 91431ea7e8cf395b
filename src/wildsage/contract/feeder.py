"""Fills the FIFOs of Pipe-mode channels: one per channel and epoch, `<channel>_0`, `<channel>_1`,
...

Runs as a child of the supervisor and is killed with the program. One thread per channel: opening
the FIFO waits for the reader; when it comes, the next epoch's FIFO is made, so that a program may
open it the moment it has finished this one. A reader that stops early costs nothing but the rest
of that epoch.

A channel is a plan, made by `contract.layout` of plain values:

    channel, folder    name, and the folder of the FIFOs
    entries            what to write: ("file", path) or ("bytes", content), in order
    gzip               files are compressed: write their content
    record             every entry is wrapped as one RecordIO record
    group              so many consecutive entries belong together when shuffled
    seed               shuffle anew for every epoch, or None

Standard library only: it runs under `-I -S`. A channel that cannot be read is noted in
`feed_error`.
"""

from __future__ import annotations

import fcntl
import gzip
import os
import random
import shutil
import struct
import threading
import zlib
from collections.abc import Sequence
from typing import Any, BinaryIO

MAGIC = 0xCED7230A
ERROR_FILE = "feed_error"

_PIPE_SIZE = 1 << 20
_COPY_SIZE = 1 << 20
_LONGEST_RECORD = (1 << 29) - 1

Plan = dict[str, Any]


def prepare(plans: Sequence[Plan]) -> None:
    """Make every channel's first FIFO, before the program starts."""
    for plan in plans:
        os.makedirs(plan["folder"], exist_ok=True)
        _make(_path(plan, 0))


def main(plans: Sequence[Plan]) -> None:
    """Feed until killed."""
    threads = [threading.Thread(target=_feed_channel, args=(plan,)) for plan in plans]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    os._exit(0)


def _feed_channel(plan: Plan) -> None:
    epoch = 0
    try:
        while True:
            feed_epoch(plan, epoch)
            epoch += 1
    except (OSError, EOFError, ValueError, zlib.error) as error:
        with open(ERROR_FILE, "a") as file:
            file.write(f"channel {plan['channel']}: {error}\n")


def feed_epoch(plan: Plan, epoch: int) -> None:
    """Wait for the reader of this epoch, then write everything it wants to have."""
    path = _path(plan, epoch)
    with open(path, "wb", buffering=0) as pipe:
        _make(_path(plan, epoch + 1))
        _enlarge(pipe)
        try:
            for kind, value in order(plan, epoch):
                _write_entry(pipe, plan, kind, value)
        except BrokenPipeError:
            pass  # the reader has had enough of this epoch
    os.unlink(path)


def order(plan: Plan, epoch: int) -> list[tuple[str, Any]]:
    """The entries of this epoch: as listed, or shuffled by the seed and the epoch."""
    entries: list[tuple[str, Any]] = plan["entries"]
    if plan["seed"] is None:
        return entries
    size = plan["group"]
    groups = [entries[start : start + size] for start in range(0, len(entries), size)]
    random.Random(plan["seed"] + epoch).shuffle(groups)
    return [entry for group in groups for entry in group]


def frame(length: int) -> bytes:
    """The head of a RecordIO record."""
    if length > _LONGEST_RECORD:
        raise ValueError(f"a record of {length} bytes is longer than RecordIO allows")
    return struct.pack("<II", MAGIC, length)


def padding(length: int) -> bytes:
    """What follows a record's content, up to a multiple of four."""
    return b"\0" * (-length % 4)


def _path(plan: Plan, epoch: int) -> str:
    return os.path.join(plan["folder"], f"{plan['channel']}_{epoch}")


def _make(path: str) -> None:
    if not os.path.exists(path):
        os.mkfifo(path)
        os.chmod(path, 0o666)  # the program may run as another user


def _enlarge(pipe: BinaryIO) -> None:
    try:
        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE_SIZE)
    except (OSError, AttributeError):
        return  # not Linux, or over the user's allowance


def _write_entry(pipe: BinaryIO, plan: Plan, kind: str, value: Any) -> None:
    if kind == "bytes":
        _write_record(pipe, value, plan["record"])
    elif plan["gzip"]:
        _write_unzipped(pipe, value, plan["record"])
    else:
        _write_file(pipe, value, plan["record"])


def _write_record(pipe: BinaryIO, content: bytes, record: bool) -> None:
    size = len(content)
    _write_all(pipe, frame(size) + content + padding(size) if record else content)


def _write_all(pipe: BinaryIO, content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[pipe.write(view) :]


def _write_unzipped(pipe: BinaryIO, path: str, record: bool) -> None:
    with gzip.open(path) as file:
        if record:
            _write_record(pipe, file.read(), record)
        else:
            shutil.copyfileobj(file, _Complete(pipe), _COPY_SIZE)


def _write_file(pipe: BinaryIO, path: str, record: bool) -> None:
    with open(path, "rb", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        if record:
            _write_all(pipe, frame(size))
        _transfer(file, pipe, size)
        if record:
            _write_all(pipe, padding(size))


def _transfer(file: BinaryIO, pipe: BinaryIO, size: int) -> None:
    """Move the file into the pipe inside the kernel where it can do that."""
    splice = getattr(os, "splice", None)
    while size:
        if splice:
            moved = splice(file.fileno(), pipe.fileno(), size)
        else:
            chunk = file.read(min(size, _COPY_SIZE))
            _write_all(pipe, chunk)
            moved = len(chunk)
        if not moved:
            raise EOFError("a file became shorter while it was read")
        size -= moved


class _Complete:
    """A pipe whose `write` writes everything, as copyfileobj expects."""

    def __init__(self, pipe: BinaryIO) -> None:
        self._pipe = pipe

    def write(self, content: bytes) -> int:
        _write_all(self._pipe, content)
        return len(content)
