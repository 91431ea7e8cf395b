"""Jobs and the object store: reading inputs, writing artifacts, keeping checkpoints.

What an instance left behind is not trusted: no link is followed, so that nothing outside its own
folder gets into an artifact.
"""

from __future__ import annotations

import gzip
import shutil
import tarfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, cast

from wildsage.contract import layout
from wildsage.store.errors import NotFound
from wildsage.store.objects.store import Objects
from wildsage.store.objects.types import Attributes, StoredObject

ARCHIVE_TYPE = "application/gzip"
_BLOCK = 1 << 20
_LEVEL = 1  # artifacts are read more often over loopback than they are kept: speed before size

# A file's size and time of change, by its path: what was saved last.
Seen = dict[str, tuple[int, int]]


class ObjectSource:
    """The object store as `contract.layout` wants it."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    def list(self, bucket: str, prefix: str = "") -> Iterable[StoredObject]:
        try:
            yield from self._objects.list(bucket, prefix)
        except NotFound:
            return

    def find(self, bucket: str, key: str) -> StoredObject | None:
        try:
            return self._objects.head(bucket, key)
        except NotFound:
            return None

    def open(self, bucket: str, key: str) -> BinaryIO:
        return self._objects.open(bucket, key)

    def link(self, stored: StoredObject, destination: Path) -> None:
        try:
            self._objects.link(stored, destination)
        except FileNotFoundError:  # replaced since it was listed
            self._objects.link(self._objects.head(stored.bucket, stored.key), destination)


# -- artifacts -----------------------------------------------------------------------------------


def inside(root: Path, *parts: str) -> Path | None:
    """`root/parts…` when it is there and no link leads to it."""
    path = root
    for part in parts:
        path = path / part
        if path.is_symlink() or not path.exists():
            return None
    return path


def collect(folders: Sequence[Path]) -> dict[str, Path]:
    """All entries below some folders by their relative names, sorted; the first folder wins."""
    found: dict[str, Path] = {}
    for folder in folders:
        for path in _walk(folder):
            found.setdefault(str(path.relative_to(folder)), path)
    return dict(sorted(found.items()))


def _walk(folder: Path) -> Iterator[Path]:
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            yield path
            yield from _walk(path)
        elif path.is_symlink() or path.is_file():
            yield path


def save_archive(
    objects: Objects, location: tuple[str, str], entries: dict[str, Path]
) -> StoredObject:
    """Write a `.tar.gz` straight into the object store; the same entries give the same order."""
    with objects.writer() as writer:
        zipped = gzip.GzipFile("", "wb", _LEVEL, cast(BinaryIO, writer), mtime=0)
        with zipped, tarfile.open(mode="w|", fileobj=zipped, bufsize=_BLOCK) as archive:
            for name, path in entries.items():
                archive.add(path, name, recursive=False, filter=_anonymous)
        return objects.commit(writer, *location, Attributes(content_type=ARCHIVE_TYPE))


def _anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    return member


def save_files(objects: Objects, location: tuple[str, str], entries: dict[str, Path]) -> None:
    """Write every file below a prefix, uncompressed."""
    bucket, prefix = location
    for name, path in entries.items():
        if path.is_file() and not path.is_symlink():
            objects.put(bucket, prefix + name, path)


# -- checkpoints ---------------------------------------------------------------------------------


def restore(objects: Objects, uri: str, folder: Path) -> None:
    """Bring back what an earlier job saved under `uri`."""
    bucket, prefix = layout.split_uri(uri)
    source = ObjectSource(objects)
    for stored in source.list(bucket, prefix):
        if stored.key.endswith("/"):
            continue
        target = folder / layout.safe_name(layout.relative_name(prefix, stored.key))
        target.parent.mkdir(parents=True, exist_ok=True)
        with source.open(bucket, stored.key) as body, target.open("wb") as file:
            shutil.copyfileobj(body, file, _BLOCK)


def save_changes(objects: Objects, uri: str, folder: Path, seen: Seen) -> None:
    """Copy files that are new or changed since `seen` to `uri`; `seen` is brought up to date."""
    bucket, prefix = layout.split_uri(uri)
    prefix = prefix.rstrip("/") + "/" if prefix else ""
    for name, path in collect([folder]).items():
        if path.is_symlink() or not path.is_file():
            continue
        state: Any = path.stat()
        mark = (state.st_size, state.st_mtime_ns)
        if seen.get(name) != mark:
            objects.put(bucket, prefix + name, path)
            seen[name] = mark
