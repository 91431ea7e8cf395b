"""Model data: from the object store into the folder that an instance sees as /opt/ml/model.

The archive is a user's, so it is not trusted. Nothing is written outside the folder: absolute
names, `..`, devices and links that lead out are refused, no member is written through a link, and
the number and size of what comes out are bounded.
"""

from __future__ import annotations

import os
import shutil
import tarfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from wildsage.store.errors import NotFound
from wildsage.store.objects import Objects

MAX_BYTES = 64 << 30
MAX_MEMBERS = 500_000
_CHUNK = 1 << 20
_HTTPS = ".amazonaws.com/"


class ModelDataError(Exception):
    """The model data cannot be used; the text is the endpoint's FailureReason."""


class HostileArchive(Exception):
    """An archive that would write where it must not, or too much."""


def source(container: Mapping[str, Any]) -> tuple[str, bool] | None:
    """The URI of a container's model data, and whether it is an archive; None without data."""
    url = container.get("ModelDataUrl")
    if url:
        return url, True
    data = (container.get("ModelDataSource") or {}).get("S3DataSource")
    if not data:
        return None
    return data["S3Uri"], data.get("CompressionType") == "Gzip"


def locate(uri: str) -> tuple[str, str]:
    """Bucket and key of `s3://…` or of an S3 `https://…`; ValueError when it is neither."""
    if uri.startswith("s3://"):
        bucket, _, key = uri[5:].partition("/")
    else:
        host, found, path = uri.removeprefix("https://").partition(_HTTPS)
        if not found:
            raise ValueError(f"not the place of an object in S3: {uri}")
        bucket, _, service = host.rpartition(".s3")
        key = path
        if not bucket and host.startswith("s3"):
            bucket, _, key = path.partition("/")
    if not bucket:
        raise ValueError(f"no bucket in {uri}")
    return bucket, key


def exists(objects: Objects, container: Mapping[str, Any]) -> bool:
    """Whether the model data of a container is there (also when it has none)."""
    wanted = source(container)
    if wanted is None:
        return True
    uri, archive = wanted
    try:
        bucket, key = locate(uri)
        if archive:
            objects.head(bucket, key)
            return True
        return next(iter(objects.list(bucket, key, limit=1)), None) is not None
    except (NotFound, ValueError):
        return False


def fetch(objects: Objects, container: Mapping[str, Any], folder: Path) -> None:
    """Put the model data of a container into `folder`, all of it or nothing."""
    folder.mkdir(parents=True, exist_ok=True)
    wanted = source(container)
    if wanted is None:
        return
    uri, archive = wanted
    name = container.get("ContainerHostname") or "container_1"
    try:
        bucket, key = locate(uri)
        if archive:
            with objects.open(bucket, key) as body:
                unpack(body, folder)
        else:
            _download(objects, bucket, key, folder)
    except (NotFound, ValueError):
        raise ModelDataError(
            f'Failed to download model data for container "{name}" from URL: "{uri}". Please '
            "ensure that there is an object located at the URL and that the role passed to "
            "CreateModel has permissions to download the object."
        ) from None
    except (HostileArchive, tarfile.TarError, zlib.error, EOFError, OSError) as error:
        raise ModelDataError(
            f'Failed to extract model data archive for container "{name}" from URL "{uri}": '
            f"{error}. Please ensure that the object located at the URL is a valid tar.gz archive."
        ) from error


def _download(objects: Objects, bucket: str, prefix: str, folder: Path) -> None:
    """Uncompressed model data: every object below the prefix is a file."""
    found = False
    for stored in objects.list(bucket, prefix):
        found = True
        if stored.key.endswith("/"):
            continue
        single = stored.key == prefix
        name = prefix.rpartition("/")[2] if single else stored.key[len(prefix) :].lstrip("/")
        target = folder / safe_name(name)
        target.parent.mkdir(parents=True, exist_ok=True)
        with objects.open(bucket, stored.key) as body, target.open("xb") as file:
            shutil.copyfileobj(body, file, _CHUNK)
    if not found:
        raise NotFound("object", f"s3://{bucket}/{prefix}")


def safe_name(name: str) -> str:
    """A name below a folder, in its plain form; HostileArchive when it leads elsewhere."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\0" in name:
        raise HostileArchive(f"the name {name!r} leads outside")
    return str(path)


def unpack(body: BinaryIO, folder: Path, max_bytes: int = MAX_BYTES) -> None:
    """Unpack a tar, compressed or not, below `folder`."""
    with tarfile.open(fileobj=body, mode="r|*") as archive:
        unpacker = _Unpacker(archive, folder, max_bytes)
        for member in archive:
            unpacker.add(member)


@dataclass
class _Unpacker:
    archive: tarfile.TarFile
    folder: Path
    left: int
    members: int = 0
    links: set[str] = field(default_factory=set)
    files: set[str] = field(default_factory=set)

    def add(self, member: tarfile.TarInfo) -> None:
        name = safe_name(member.name)
        self.members += 1
        if self.members > MAX_MEMBERS:
            raise HostileArchive(f"it has more than {MAX_MEMBERS} members")
        if name == ".":
            return
        if any(str(parent) in self.links for parent in PurePosixPath(name).parents):
            raise HostileArchive(f"{name!r} would be written through a link")
        if member.isdir():
            (self.folder / name).mkdir(parents=True, exist_ok=True)
            return
        target = self.folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        self.links.discard(name)
        self.files.discard(name)
        if member.isfile():
            self._file(member, target)
            self.files.add(name)
        elif member.islnk():
            self._hard_link(member, target)
        elif member.issym():
            os.symlink(_safe_link(name, member.linkname), target)
            self.links.add(name)
        else:
            raise HostileArchive(f"{name!r} is neither a file nor a folder nor a link")

    def _file(self, member: tarfile.TarInfo, target: Path) -> None:
        self.left -= member.size
        if self.left < 0 or member.size > shutil.disk_usage(target.parent).free:
            raise HostileArchive("it is too large")
        content = self.archive.extractfile(member)
        if content is None:
            raise HostileArchive(f"{member.name!r} has no content")
        with target.open("xb") as file:
            shutil.copyfileobj(content, file, _CHUNK)
        target.chmod(0o755 if member.mode & 0o100 else 0o644)

    def _hard_link(self, member: tarfile.TarInfo, target: Path) -> None:
        linked = safe_name(member.linkname)
        if linked not in self.files:
            raise HostileArchive(f"{member.name!r} links to what is not a file of the archive")
        os.link(self.folder / linked, target)


def _safe_link(name: str, target: str) -> str:
    """A link's target, in its plain form, that stays inside whatever other links there are.

    `..` may stand at its beginning only: these leave real folders (no member lies behind a link).
    What follows passes through links that are safe by the same rule.
    """
    path = PurePosixPath(target)
    ups = 0
    while ups < len(path.parts) and path.parts[ups] == "..":
        ups += 1
    depth = len(PurePosixPath(name).parts) - 1
    if path.is_absolute() or ups > depth or ".." in path.parts[ups:] or "\0" in target:
        raise HostileArchive(f"the link {name!r} leads outside, to {target!r}")
    return str(path)
