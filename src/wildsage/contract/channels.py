"""The reader's side of a channel: which files or FIFOs it is made of, one stream after the other.

File and FastFile: a folder of files, read in the order of their names. Pipe: one FIFO per epoch,
`<channel>_<epoch>`. What the bytes mean is the algorithm's affair.
"""

from __future__ import annotations

import fcntl
import struct
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from wildsage import clock
from wildsage.contract.failure import InternalServerError
from wildsage.contract.paths import Paths

_HEADER = struct.Struct("<II")
_MAGIC = 0xCED7230A
PIPE_SECONDS = 60.0
PIPE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class ChannelConfig:
    """One entry of inputdataconfig.json."""

    name: str
    content_type: str | None = None
    mode: str = "File"
    record_wrapper: str = "None"
    distribution: str = "FullyReplicated"
    paths: Paths = field(default_factory=Paths)

    @classmethod
    def parse(cls, name: str, entry: dict[str, str], paths: Paths) -> ChannelConfig:
        return cls(
            name=name,
            content_type=entry.get("ContentType") or None,
            mode=entry.get("TrainingInputMode") or "File",
            record_wrapper=entry.get("RecordWrapperType") or "None",
            distribution=entry.get("S3DistributionType") or "FullyReplicated",
            paths=paths,
        )

    @property
    def is_pipe(self) -> bool:
        return self.mode == "Pipe"

    @property
    def is_wrapped(self) -> bool:
        """Whether the platform has put each object into a RecordIO frame (Pipe mode only)."""
        return self.is_pipe and self.record_wrapper == "RecordIO"

    def files(self) -> list[Path]:
        """The channel's files in the order of their names, without hidden and marker files."""
        folder = self.paths.channel(self.name)
        return sorted(
            path for path in folder.rglob("*") if path.is_file() and _is_data(path, folder)
        )

    def streams(self, epoch: int = 0) -> Iterator[BinaryIO]:
        """The channel's bytes, a stream at a time; each is closed when the next is asked for."""
        sources = [self.paths.pipe(self.name, epoch)] if self.is_pipe else self.files()
        for source in sources:
            if self.is_pipe:
                _await_pipe(source)
            with open(source, "rb") as stream:
                if self.is_pipe:
                    _widen(stream)
                yield stream


def _await_pipe(pipe: Path) -> None:
    """The next epoch's pipe is made when the one before it is being read: it may take a moment."""
    deadline = clock.monotonic() + PIPE_SECONDS
    while not pipe.exists():
        if clock.monotonic() > deadline:
            raise InternalServerError(f"There is no pipe {pipe.name} to read from.")
        clock.sleep(0.01)


def _widen(stream: BinaryIO) -> None:
    """Let a pipe hold a megabyte instead of 64 KB, where the system has a call for it."""
    if hasattr(fcntl, "F_SETPIPE_SZ"):
        with suppress(OSError):
            fcntl.fcntl(stream, fcntl.F_SETPIPE_SZ, PIPE_BYTES)


def _is_data(path: Path, folder: Path) -> bool:
    parts = path.relative_to(folder).parts
    return not any(part.startswith(".") for part in parts) and not path.name.startswith("_SUCCESS")


def unwrap(stream: BinaryIO) -> Iterator[bytes]:
    """The payloads of a stream of RecordIO frames: the objects that the platform wrapped."""
    while header := read_exactly(stream, _HEADER.size):
        magic, length = _HEADER.unpack(header)
        if magic != _MAGIC:
            raise ValueError("Invalid RecordIO magic number")
        yield read_exactly(stream, length)
        read_exactly(stream, -length % 4)


def read_exactly(stream: BinaryIO, size: int) -> bytes:
    """`size` bytes, or none at the end of the stream; a pipe may hand over less than asked for."""
    parts: list[bytes] = []
    missing = size
    while missing > 0 and (part := stream.read(missing)):
        parts.append(part)
        missing -= len(part)
    if parts and missing:
        raise ValueError("Unexpected end of data inside a RecordIO record")
    return b"".join(parts)
