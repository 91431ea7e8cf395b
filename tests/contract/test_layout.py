"""Laying out `/opt/ml`: which objects a channel names, and what an instance finds."""

from __future__ import annotations

import gzip
import io
import json
import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wildsage.contract.layout import (
    Channel,
    DataError,
    Host,
    Input,
    Item,
    Job,
    LaidOut,
    lay_out,
    relative_name,
    resolve,
    resource_config,
    safe_name,
    split_uri,
)


@dataclass(frozen=True)
class Body:
    bucket: str
    key: str
    size: int
    path: Path


class Shelf:
    """An object store of one bucket: a dictionary."""

    def __init__(self, folder: Path, contents: dict[str, bytes]) -> None:
        self.bodies = {}
        for number, (key, content) in enumerate(contents.items()):
            path = folder / f"body{number}"
            path.write_bytes(content)
            self.bodies[key] = Body("b", key, len(content), path)

    def list(self, bucket: str, prefix: str = "") -> Iterable[Body]:
        keys = sorted(self.bodies) if bucket == "b" else []
        return [self.bodies[key] for key in keys if key.startswith(prefix)]

    def find(self, bucket: str, key: str) -> Body | None:
        return self.bodies.get(key) if bucket == "b" else None

    def open(self, bucket: str, key: str) -> BinaryIO:
        return io.BytesIO(self.bodies[key].path.read_bytes())

    def link(self, stored: Body, destination: Path) -> None:
        os.link(stored.path, destination)


@pytest.fixture
def ml(tmp_path: Path) -> Path:
    return tmp_path / "root" / "ml"


def put_out(
    ml: Path, shelf: Shelf, *channels: Channel, share: bool = False, index: int = 0, hosts: int = 1
) -> LaidOut:
    names = [Host(f"algo-{n}", "ml.m5.large") for n in range(1, hosts + 1)]
    job = Job({}, names, [resolve(channel, shelf) for channel in channels])
    return lay_out(ml, job, index, shelf, share_files=share)


def files(ml: Path, channel: str = "train") -> dict[str, bytes]:
    folder = ml / "input" / "data" / channel
    found = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(found)}


# -- names ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("prefix", "key", "name"),
    [
        ("data/train", "data/train/a.csv", "/a.csv"),
        ("data/train/", "data/train/x/a.csv", "x/a.csv"),
        ("data/tr", "data/train/a.csv", "train/a.csv"),
        ("data/train", "data/train.csv", "train.csv"),
        ("data/train.csv", "data/train.csv", "train.csv"),
        ("", "a/b", "a/b"),
        ("tr", "train", "train"),
    ],
)
def test_relative_names(prefix: str, key: str, name: str) -> None:
    assert relative_name(prefix, key) == name
    assert safe_name(name) == Path(name.lstrip("/"))


@pytest.mark.parametrize("name", ["..", "a/../b", "/..", ".", "a/./b", "", "/", "x\0y", "n" * 256])
def test_names_that_are_refused(name: str) -> None:
    with pytest.raises(DataError):
        safe_name(name)


@given(st.text(max_size=40))
def test_no_key_leads_out_of_its_folder(key: str) -> None:
    folder = Path("/channel")
    try:
        target = Path(os.path.normpath(folder / safe_name(key)))
    except DataError:
        return
    assert target.is_relative_to(folder) and target != folder


@pytest.mark.parametrize("uri", ["s3:/b/k", "https://b/k", "s3://", "b/k", ""])
def test_bad_uris(uri: str) -> None:
    with pytest.raises(ValueError, match="not an S3 URI"):
        split_uri(uri)


# -- which objects -------------------------------------------------------------------------------


def test_a_prefix(ml: Path, tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, {"d/a": b"1", "d/sub/": b"", "d/sub/b": b"2", "e": b"3"})
    put_out(ml, shelf, Channel("train", "s3://b/d"))
    assert files(ml) == {"a": b"1", "sub/b": b"2"}


def test_an_empty_prefix_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="No S3 objects found under s3://b/x"):
        resolve(Channel("train", "s3://b/x"), Shelf(tmp_path, {}))


def test_a_manifest(ml: Path, tmp_path: Path) -> None:
    manifest = [{"prefix": "s3://b/d/"}, "x/one", "two"]
    shelf = Shelf(tmp_path, {"m": json.dumps(manifest).encode(), "d/x/one": b"1", "d/two": b"2"})
    put_out(ml, shelf, Channel("train", "s3://b/m", "ManifestFile"))
    assert files(ml) == {"two": b"2", "x/one": b"1"}


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"{", "is invalid"),
        (b"{}", "it is not a JSON list"),
        (b"[3]", "unexpected entry 3"),
        (b'["relative"]', "not an S3 URI"),
        (b'[{"prefix": "s3://b/"}, "gone"]', r"NoSuchKey \(404\).*s3://b/gone"),
    ],
)
def test_bad_manifests(tmp_path: Path, content: bytes, text: str) -> None:
    shelf = Shelf(tmp_path, {"m": content})
    with pytest.raises(DataError, match=text):
        resolve(Channel("train", "s3://b/m", "ManifestFile"), shelf)


def test_a_missing_manifest(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="NoSuchKey"):
        resolve(Channel("train", "s3://b/m", "ManifestFile"), Shelf(tmp_path, {}))


def augmented(*lines: dict[str, Any]) -> bytes:
    return "\n".join(json.dumps(line) for line in lines).encode()


def test_an_augmented_manifest(ml: Path, tmp_path: Path) -> None:
    lines = augmented(
        {"source-ref": "s3://b/1.jpg", "class": 1, "extra": "x"},
        {"source-ref": "s3://b/2.jpg", "class": "two"},
    )
    shelf = Shelf(tmp_path, {"m": lines, "1.jpg": b"one", "2.jpg": b"2"})
    channel = Channel(
        "train",
        "s3://b/m",
        "AugmentedManifestFile",
        mode="Pipe",
        attributes=("source-ref", "class"),
        record_wrapper="RecordIO",
        seed=3,
    )
    plan = put_out(ml, shelf, channel).feeds["train"]
    entries = plan["entries"]
    assert [kind for kind, _ in entries] == ["file", "bytes", "file", "bytes"]
    assert [Path(entries[n][1]).read_bytes() for n in (0, 2)] == [b"one", b"2"]
    assert [entries[n][1] for n in (1, 3)] == [b"1", b"two"]
    assert (plan["record"], plan["group"], plan["seed"]) == (True, 2, 3)
    assert not Path(entries[0][1]).is_relative_to(ml)


def test_an_augmented_manifest_without_the_attribute(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, {"m": augmented({"a": 1})})
    channel = Channel("t", "s3://b/m", "AugmentedManifestFile", mode="Pipe", attributes=("b",))
    with pytest.raises(DataError, match="line 1 has no 'b'"):
        resolve(channel, shelf)


@given(st.integers(1, 7), st.integers(1, 3), st.integers(0, 12))
def test_shards_are_disjoint_and_complete(hosts: int, group: int, groups: int) -> None:
    items = [Item(str(n)) for n in range(group * groups)]
    channel = Channel("t", "s3://b/d", distribution="ShardedByS3Key")
    shares = [Input(channel, items, group).share(index, hosts) for index in range(hosts)]
    assert sorted(int(i.name) for share in shares for i in share) == list(range(len(items)))
    for share in shares:
        assert all(int(item.name) % group == n % group for n, item in enumerate(share))
    assert max(map(len, shares)) - min(map(len, shares)) <= group


def test_replicated_input_goes_to_everyone(ml: Path, tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, {"d/a": b"1", "d/b": b"2"})
    put_out(ml, shelf, Channel("train", "s3://b/d"), index=1, hosts=2)
    assert files(ml) == {"a": b"1", "b": b"2"}


# -- files ---------------------------------------------------------------------------------------


def test_gzip_is_unpacked_in_file_mode(ml: Path, tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, {"d/a.csv.gz": gzip.compress(b"1,2"), "d/b": gzip.compress(b"3")})
    put_out(ml, shelf, Channel("train", "s3://b/d", compression="Gzip"))
    assert files(ml) == {"a.csv": b"1,2", "b": b"3"}


@pytest.mark.parametrize(
    "content", [b"not gzip", gzip.compress(b"x" * 99)[:-9]], ids=["text", "cut"]
)
def test_bad_gzip(ml: Path, tmp_path: Path, content: bytes) -> None:
    shelf = Shelf(tmp_path, {"d/a.gz": content})
    with pytest.raises(DataError, match="Failed to unzip s3://b/d/a.gz"):
        put_out(ml, shelf, Channel("train", "s3://b/d", compression="Gzip"))


def test_a_key_that_is_file_and_folder(ml: Path, tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, {"d/a": b"1", "d/a/b": b"2"})
    with pytest.raises(DataError, match="a file and a folder at once"):
        put_out(ml, shelf, Channel("train", "s3://b/d/"))


@pytest.mark.parametrize(
    ("mode", "share", "linked"),
    [
        ("File", True, True),
        ("File", False, False),
        ("FastFile", True, True),
        ("FastFile", False, True),
    ],
)
def test_links_only_where_the_object_is_safe(
    ml: Path, tmp_path: Path, mode: str, share: bool, linked: bool
) -> None:
    shelf = Shelf(tmp_path, {"d/a": b"1"})
    laid_out = put_out(ml, shelf, Channel("train", "s3://b/d", mode=mode), share=share)
    file = ml / "input" / "data" / "train" / "a"
    assert file.samefile(shelf.bodies["d/a"].path) is linked
    folder = ("input/data/train",)
    writable, frozen = laid_out.copy_on_write, laid_out.read_only
    expected = ((), folder) if mode == "FastFile" else (folder, ())
    assert (writable, frozen) == (expected if share else ((), ()))


def test_laying_out_again_changes_nothing(ml: Path, tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, {"d/a": b"1"})
    channels = [
        Channel("train", "s3://b/d"),
        Channel("pipe", "s3://b/d", mode="Pipe"),
    ]
    first = put_out(ml, shelf, *channels)
    assert put_out(ml, shelf, *channels) == first
    assert files(ml) == {"a": b"1"}


# -- configuration -------------------------------------------------------------------------------


def test_channels_are_parsed() -> None:
    source = {
        "S3DataType": "ManifestFile",
        "S3Uri": "s3://b/m",
        "S3DataDistributionType": "ShardedByS3Key",
        "AttributeNames": ["a"],
        "InstanceGroupNames": ["g"],
    }
    entry = {
        "ChannelName": "train",
        "DataSource": {"S3DataSource": source},
        "ContentType": "text/csv;label_size=0",
        "CompressionType": "Gzip",
        "RecordWrapperType": "RecordIO",
        "InputMode": "Pipe",
        "ShuffleConfig": {"Seed": -1},
    }
    assert Channel.parse(entry, "File") == Channel(
        name="train",
        uri="s3://b/m",
        data_type="ManifestFile",
        distribution="ShardedByS3Key",
        mode="Pipe",
        content_type="text/csv;label_size=0",
        compression="Gzip",
        record_wrapper="RecordIO",
        attributes=("a",),
        seed=2**32 - 1,
        groups=("g",),
    )
    plain = {"ChannelName": "x", "DataSource": {"S3DataSource": {"S3Uri": "s3://b/d"}}}
    assert Channel.parse(plain, "FastFile").mode == "FastFile"
    assert "ContentType" not in Channel.parse(plain, "File").config


def test_resource_config_tells_of_groups() -> None:
    hosts = [Host("algo-1", "ml.m5.large", "a"), Host("algo-2", "ml.c5.large", "b")]
    assert resource_config(Job({}, hosts, []), hosts[1]) == {
        "current_host": "algo-2",
        "current_instance_type": "ml.c5.large",
        "current_group_name": "b",
        "hosts": ["algo-1", "algo-2"],
        "instance_groups": [
            {"instance_group_name": "a", "instance_type": "ml.m5.large", "hosts": ["algo-1"]},
            {"instance_group_name": "b", "instance_type": "ml.c5.large", "hosts": ["algo-2"]},
        ],
        "network_interface_name": "lo",
    }


def test_all_folders_are_there(ml: Path, tmp_path: Path) -> None:
    put_out(ml, Shelf(tmp_path, {}))
    made = {str(path.relative_to(ml)) for path in ml.rglob("*") if path.is_dir()}
    assert {"model", "output/data", "checkpoints", "code", "input/config", "input/data"} <= made
    shutil.rmtree(ml)
