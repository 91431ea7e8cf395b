"""Bodies as files: written once under a random name, made durable, then never changed.

A file's life: `begin` creates it and counts it as in flight; the caller writes, `sync`s, commits
the row that names it and calls `settle`. A crash in between leaves a file that no row names: an
orphan, which `sweep` removes at the next start. A body whose row is gone is not removed at once but
`discard`ed: a reader that was just told its path has a few seconds to open it.
"""

from __future__ import annotations

import errno
import os
import shutil
import threading
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from wildsage import ids

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_GRACE_SECONDS = 5.0
_COPY_CHUNK = 1 << 20
_FOLDERS = 64
_SWEEP_BATCH = 500
_sync_data = getattr(os, "fdatasync", os.fsync)  # macOS has no fdatasync


class Bodies:
    """A folder of bodies. Safe to use from any thread; one process only."""

    def __init__(self, root: Path) -> None:
        self._root = root
        root.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._lock = threading.Lock()
        self._in_flight: set[str] = set()
        self._fresh_trash: list[str] = []
        self._old_trash: list[str] = []
        self._timer: threading.Timer | None = None
        self._folders: dict[str, int] = {}

    def path(self, name: str) -> Path:
        return self._root / _folder(name) / name

    def begin(self, mode: int = 0o444) -> tuple[str, int]:
        """A new, empty body in flight: its name and an open file descriptor."""
        name = ids.token()
        with self._lock:
            self._in_flight.add(name)
        return name, self._open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL, mode)

    def reopen(self, name: str) -> int:
        """Open a body that is not finished yet for more writing."""
        path = self.path(name)
        try:
            return os.open(path, os.O_RDWR)
        except PermissionError:  # it was made read-only for a Complete that then failed
            path.chmod(0o644)
            return os.open(path, os.O_RDWR)

    def _open(self, name: str, flags: int, mode: int) -> int:
        try:
            return os.open(self.path(name), flags, mode)
        except FileNotFoundError:
            self.path(name).parent.mkdir(exist_ok=True, mode=0o700)
            _sync_folder(self._root)
            return os.open(self.path(name), flags, mode)

    def twin(self, name: str) -> str:
        """A second body with the same bytes, in flight: a hard link, else a copy."""
        twin, descriptor = self.begin()
        os.close(descriptor)
        os.unlink(self.path(twin))
        link_or_copy(self.path(name), self.path(twin))
        self._sync_name(twin)
        return twin

    def write(self, descriptor: int, data: bytes | memoryview, offset: int) -> None:
        """All of `data` at `offset`; when the disk is full, discarded bodies make room first."""
        view = memoryview(data)
        while view:
            try:
                written = os.pwrite(descriptor, view, offset)
            except OSError as error:
                if error.errno not in FULL or not self.empty_trash():
                    raise
                continue
            view, offset = view[written:], offset + written

    def sync(self, name: str, descriptor: int) -> None:
        """Make the bytes and the name of a body survive a power cut."""
        _sync_data(descriptor)
        self._sync_name(name)

    def _sync_name(self, name: str) -> None:
        folder = _folder(name)
        if folder not in self._folders:
            with self._lock:
                if folder not in self._folders:
                    self._folders[folder] = os.open(self._root / folder, os.O_RDONLY)
        os.fsync(self._folders[folder])

    def settle(self, name: str) -> None:
        """The body's row is committed, or will never be and the body is discarded."""
        with self._lock:
            self._in_flight.discard(name)

    def abandon(self, name: str) -> None:
        """Remove a body in flight that no reader can know of."""
        with suppress(FileNotFoundError):
            self.path(name).unlink()
        self.settle(name)

    def discard(self, names: Iterable[str]) -> None:
        """Remove bodies whose rows are gone, in a few seconds."""
        with self._lock:
            self._fresh_trash.extend(names)
            if self._fresh_trash and self._timer is None:
                self._start_timer()

    def _start_timer(self) -> None:
        self._timer = threading.Timer(_GRACE_SECONDS, self._take_out_trash)
        self._timer.daemon = True
        self._timer.start()

    def _take_out_trash(self) -> None:
        """Remove what has lain in the trash for a whole interval."""
        with self._lock:
            due, self._old_trash, self._fresh_trash = self._old_trash, self._fresh_trash, []
            self._timer = None
            if self._old_trash:
                self._start_timer()
        self._unlink(due)

    def empty_trash(self) -> int:
        """Remove every discarded body now; returns how many there were."""
        with self._lock:
            due = self._old_trash + self._fresh_trash
            self._old_trash, self._fresh_trash = [], []
        self._unlink(due)
        return len(due)

    def _unlink(self, names: Collection[str]) -> None:
        for name in names:
            with suppress(FileNotFoundError):
                self.path(name).unlink()

    def sweep(self, known: Callable[[list[str]], set[str]]) -> int:
        """Remove the files that no row names; `known` tells which of some names have a row.

        Runs beside writers: a file in flight, or in the trash, is left alone. The order matters:
        names, then who is in flight, then rows; a body that settled in between has its row by then.
        """
        removed = 0
        for names in self._batches():
            with self._lock:
                busy = {*self._in_flight, *self._fresh_trash, *self._old_trash}
            orphans = set(names) - busy
            orphans -= known(sorted(orphans))
            self._unlink(orphans)
            removed += len(orphans)
        return removed

    def _batches(self) -> Iterator[list[str]]:
        for folder in sorted(filter(Path.is_dir, self._root.iterdir())):
            names = os.listdir(folder)
            for start in range(0, len(names), _SWEEP_BATCH):
                yield names[start : start + _SWEEP_BATCH]

    def close(self) -> None:
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            for descriptor in self._folders.values():
                os.close(descriptor)
            self._folders.clear()
        self.empty_trash()


def _folder(name: str) -> str:
    """Few enough folders to keep each one open, enough to keep each one small."""
    return f"{int(name[:2], 16) % _FOLDERS:02x}"


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def link_or_copy(source: Path, destination: Path) -> None:
    """A hard link; a copy where there can be none (another file system, too many links)."""
    try:
        os.link(source, destination)
    except OSError as error:
        if error.errno not in (errno.EXDEV, errno.EMLINK, errno.EPERM, errno.ENOTSUP):
            raise
        shutil.copyfile(source, destination)
        destination.chmod(0o444)


def copy_range(source: int, target: int, offset: int, length: int, target_offset: int) -> None:
    """Copy bytes between two open files, in the kernel where it can."""
    while length:
        count = _copy_some(source, target, offset, min(length, 1 << 30), target_offset)
        if not count:
            raise EOFError("the source is shorter than it should be")
        offset, target_offset, length = offset + count, target_offset + count, length - count


def _copy_some(source: int, target: int, offset: int, length: int, target_offset: int) -> int:
    if hasattr(os, "copy_file_range"):
        try:
            return os.copy_file_range(source, target, length, offset, target_offset)
        except OSError as error:
            if error.errno not in (errno.ENOSYS, errno.EXDEV, errno.EINVAL, errno.ENOTSUP):
                raise
    return os.pwrite(target, os.pread(source, min(length, _COPY_CHUNK), offset), target_offset)
