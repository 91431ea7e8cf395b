"""Model data: what is unpacked, and what no archive can do."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import io
import lzma
import os
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wildsage.arns import Scope
from wildsage.jobs import model_data
from wildsage.jobs.model_data import HostileArchive, ModelDataError, unpack
from wildsage.store.database import Database
from wildsage.store.objects import Objects


def member(name: str, kind: bytes = tarfile.REGTYPE, data: bytes = b"", **rest: object) -> bytes:
    """One entry of a tar, without the end of the archive."""
    info = tarfile.TarInfo(name)
    info.type, info.size = kind, len(data)
    for key, value in rest.items():
        setattr(info, key, value)
    padding = -len(data) % 512
    return info.tobuf(tarfile.PAX_FORMAT) + data + b"\0" * padding


def extract(folder: Path, *members: bytes, max_bytes: int = model_data.MAX_BYTES) -> None:
    unpack(io.BytesIO(b"".join(members) + b"\0" * 1024), folder, max_bytes)


def link(name: str, target: str) -> bytes:
    return member(name, tarfile.SYMTYPE, linkname=target)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "outer" / "model"
    place.mkdir(parents=True)
    return place


def test_files_folders_and_inner_links(folder: Path) -> None:
    extract(
        folder,
        member("./", tarfile.DIRTYPE),
        member("./model", data=b"weights", mode=0o600),
        member("code/run.sh", data=b"#!/bin/sh", mode=0o4755),
        member("empty", tarfile.DIRTYPE),
        link("code/latest", "../model"),
        member("same", tarfile.LNKTYPE, linkname="./model"),
    )
    assert (folder / "model").read_bytes() == b"weights"
    assert (folder / "code" / "latest").read_bytes() == b"weights"
    assert (folder / "same").read_bytes() == b"weights"
    assert (folder / "empty").is_dir()
    assert (folder / "code" / "run.sh").stat().st_mode & 0o7777 == 0o755
    assert (folder / "model").stat().st_mode & 0o7777 == 0o644


@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress, lzma.compress, bytes])
def test_every_usual_compression(folder: Path, compress: Callable[[bytes], bytes]) -> None:
    plain = member("a", data=b"abc") + b"\0" * 1024
    unpack(io.BytesIO(compress(plain)), folder)
    assert (folder / "a").read_bytes() == b"abc"


HOSTILE = {
    "absolute name": [member("/etc/passwd", data=b"x")],
    "name with dots": [member("../evil", data=b"x")],
    "dots inside": [member("a/../../evil", data=b"x")],
    "absolute link": [link("a", "/etc/passwd")],
    "link out": [link("a", "../evil")],
    "link out from a folder": [link("d/a", "../../evil")],
    "link with dots after a name": [link("d/x", ".."), link("d/y", "x/../evil")],
    "through a link": [link("a", "."), member("a/b", data=b"x")],
    "through a link to a folder": [
        member("d", tarfile.DIRTYPE),
        link("a", "d"),
        member("a/b/c", data=b"x"),
    ],
    "folder through a link": [link("a", "d"), member("a/b", tarfile.DIRTYPE)],
    "hard link out": [member("a", tarfile.LNKTYPE, linkname="../evil")],
    "hard link to an absolute name": [member("a", tarfile.LNKTYPE, linkname="/etc/passwd")],
    "hard link to a link": [link("a", "b"), member("c", tarfile.LNKTYPE, linkname="a")],
    "hard link to what was replaced by a link": [
        member("a", data=b"x"),
        link("a", "b"),
        member("c", tarfile.LNKTYPE, linkname="a"),
    ],
    "device": [member("a", tarfile.CHRTYPE, devmajor=1, devminor=3)],
    "fifo": [member("a", tarfile.FIFOTYPE)],
}


@pytest.mark.parametrize("members", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_archives_are_refused(folder: Path, members: list[bytes]) -> None:
    with pytest.raises(HostileArchive):
        extract(folder, *members)
    assert everything(folder.parent) - everything(folder) == {folder.parent}


def test_a_file_takes_the_place_of_a_link_and_is_not_written_through_it(folder: Path) -> None:
    outside = folder.parent / "outside"
    outside.write_bytes(b"untouched")
    os.symlink(outside, folder / "a")
    extract(folder, member("a", data=b"mine"))
    assert outside.read_bytes() == b"untouched"
    assert (folder / "a").read_bytes() == b"mine"


def test_links_are_stored_in_their_plain_form(folder: Path) -> None:
    extract(folder, link("b/a", "..//c/."), link("loop", "loop//."))
    assert os.readlink(folder / "b" / "a") == "../c"
    assert os.path.realpath(folder / "loop") == os.path.realpath(folder) + "/loop"


def test_sizes_and_counts_are_bounded(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(HostileArchive, match="too large"):
        extract(folder, member("a", data=b"x" * 600), member("b", data=b"x" * 600), max_bytes=1000)
    monkeypatch.setattr(model_data, "MAX_MEMBERS", 3)
    with pytest.raises(HostileArchive, match="more than 3 members"):
        extract(folder, *(member(str(number)) for number in range(4)))


def test_a_declared_size_that_no_disk_holds_is_refused_at_once(folder: Path) -> None:
    info = tarfile.TarInfo("a")
    info.size = 1 << 50
    with pytest.raises(HostileArchive, match="too large"):
        unpack(io.BytesIO(info.tobuf()), folder, max_bytes=1 << 60)


names = st.lists(st.sampled_from(["..", ".", "a", "b", "c", ""]), min_size=1, max_size=4).map(
    "/".join
)
entries = st.one_of(
    names.map(lambda name: member(name, data=b"x")),
    names.map(lambda name: member(name, tarfile.DIRTYPE)),
    st.tuples(names, names).map(lambda pair: link(*pair)),
    st.tuples(names, names).map(lambda pair: member(pair[0], tarfile.LNKTYPE, linkname=pair[1])),
)


@settings(max_examples=150)
@given(st.lists(entries, max_size=6))
def test_nothing_ever_leads_outside(
    tmp_path_factory: pytest.TempPathFactory, members: list[bytes]
) -> None:
    folder = tmp_path_factory.mktemp("outer") / "model"
    folder.mkdir()
    with contextlib.suppress(HostileArchive, tarfile.TarError, OSError):
        extract(folder, *members)
    assert everything(folder.parent) - everything(folder) == {folder.parent}
    for path in everything(folder):
        if path.is_symlink():
            assert os.path.realpath(path).startswith(os.path.realpath(folder))


def everything(folder: Path) -> set[Path]:
    """All that lies below, with the folder, links not followed."""
    found = {folder}
    for entry in os.scandir(folder):
        path = Path(entry.path)
        found.add(path)
        if entry.is_dir(follow_symlinks=False):
            found |= everything(path)
    return found


# -- from the object store


@pytest.fixture
def objects(tmp_path: Path) -> Iterator[Objects]:
    database = Database(f"sqlite:///{tmp_path / 'db'}")
    database.migrate()
    store = Objects(database, tmp_path / "objects")
    store.create_bucket(Scope(), "bucket")
    yield store
    store.close()
    database.close()


@pytest.mark.parametrize(
    ("uri", "place"),
    [
        ("s3://bucket/a/b", ("bucket", "a/b")),
        ("https://s3.amazonaws.com/bucket/a/b", ("bucket", "a/b")),
        ("https://s3.eu-west-1.amazonaws.com/bucket/a", ("bucket", "a")),
        ("https://bucket.s3.amazonaws.com/a/b", ("bucket", "a/b")),
        ("https://my.bucket.s3.us-east-1.amazonaws.com/a", ("my.bucket", "a")),
    ],
)
def test_places_of_model_data(uri: str, place: tuple[str, str]) -> None:
    assert model_data.locate(uri) == place


@pytest.mark.parametrize("uri", ["https://example.com/x", "s3:///key", "file:///etc/passwd"])
def test_what_is_no_place(uri: str) -> None:
    with pytest.raises(ValueError, match="."):
        model_data.locate(uri)


def prefix(uri: str) -> dict[str, object]:
    source = {"S3Uri": uri, "S3DataType": "S3Prefix", "CompressionType": "None"}
    return {"ModelDataSource": {"S3DataSource": source}}


def test_uncompressed_model_data(objects: Objects, folder: Path) -> None:
    objects.put("bucket", "m/a", b"1")
    objects.put("bucket", "m/sub/b", b"2")
    objects.put("bucket", "m/", b"")
    assert model_data.exists(objects, prefix("s3://bucket/m/"))
    model_data.fetch(objects, prefix("s3://bucket/m/"), folder)
    assert (folder / "a").read_bytes() == b"1"
    assert (folder / "sub" / "b").read_bytes() == b"2"
    model_data.fetch(objects, prefix("s3://bucket/m/a"), folder / "one")
    assert (folder / "one" / "a").read_bytes() == b"1"


def test_uncompressed_model_data_with_a_hostile_key(objects: Objects, folder: Path) -> None:
    objects.put("bucket", "m/../../evil", b"1")
    with pytest.raises(ModelDataError, match="leads outside"):
        model_data.fetch(objects, prefix("s3://bucket/m/"), folder)
    assert not (folder.parent / "evil").exists()


missing: list[Callable[[], dict[str, object]]] = [
    lambda: {"ModelDataUrl": "s3://bucket/none.tar.gz"},
    lambda: {"ModelDataUrl": "s3://none/m.tar.gz"},
    lambda: prefix("s3://bucket/none/"),
    lambda: {"ModelDataUrl": "https://example.com/m.tar.gz"},
]


@pytest.mark.parametrize("container", missing)
def test_model_data_that_is_not_there(
    objects: Objects, folder: Path, container: Callable[[], dict[str, object]]
) -> None:
    assert not model_data.exists(objects, container())
    with pytest.raises(ModelDataError, match="Failed to download model data"):
        model_data.fetch(objects, container(), folder)


def test_a_container_without_model_data(objects: Objects, folder: Path) -> None:
    assert model_data.exists(objects, {})
    model_data.fetch(objects, {}, folder / "new")
    assert list((folder / "new").iterdir()) == []
