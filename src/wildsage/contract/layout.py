"""The writer's side of the contract: lays out `/opt/ml` of the instances of one job.

    channels(...)   what InputDataConfig asks for, checked
    resolve(...)    which objects that is: a prefix, a manifest or an augmented manifest, in order
    lay_out(...)    one instance's folder: configuration files, channel folders, plans for FIFOs

The objects are listed once per job, so that all instances see the same ones. Files are hard links
to the immutable bodies of the object store where the instance cannot change them, copies
otherwise. A key never names a file outside its channel's folder.
"""

from __future__ import annotations

import gzip
import json
import shutil
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from wildsage.contract.paths import Paths

_NAME_LIMIT = 255
_COPY_SIZE = 1 << 20
_SEED_LIMIT = 1 << 32


class DataError(Exception):
    """The input cannot be given to the job; the text is what AWS says after `ClientError: `."""


class Stored(Protocol):
    """An object of the store, as far as a layout needs it."""

    @property
    def bucket(self) -> str: ...

    @property
    def key(self) -> str: ...

    @property
    def size(self) -> int: ...


class Source(Protocol):
    """The object store. A missing bucket or key is a LookupError or an error of the store's own."""

    def list(self, bucket: str, prefix: str = "") -> Iterable[Any]: ...

    def find(self, bucket: str, key: str) -> Any | None: ...

    def open(self, bucket: str, key: str) -> BinaryIO: ...

    def link(self, stored: Any, destination: Path) -> None: ...


@dataclass(frozen=True)
class Channel:
    """One entry of InputDataConfig."""

    name: str
    uri: str
    data_type: str = "S3Prefix"
    distribution: str = "FullyReplicated"
    mode: str = "File"
    content_type: str | None = None
    compression: str = "None"
    record_wrapper: str = "None"
    attributes: tuple[str, ...] = ()
    seed: int | None = None
    groups: tuple[str, ...] = ()

    @classmethod
    def parse(cls, entry: Mapping[str, Any], default_mode: str) -> Channel:
        source = entry.get("DataSource", {}).get("S3DataSource", {})
        return cls(
            name=entry["ChannelName"],
            uri=source.get("S3Uri", ""),
            data_type=source.get("S3DataType", "S3Prefix"),
            distribution=source.get("S3DataDistributionType", "FullyReplicated"),
            mode=entry.get("InputMode") or default_mode,
            content_type=entry.get("ContentType"),
            compression=entry.get("CompressionType", "None"),
            record_wrapper=entry.get("RecordWrapperType", "None"),
            attributes=tuple(source.get("AttributeNames", ())),
            seed=entry["ShuffleConfig"]["Seed"] % _SEED_LIMIT if "ShuffleConfig" in entry else None,
            groups=tuple(source.get("InstanceGroupNames", ())),
        )

    @property
    def location(self) -> tuple[str, str]:
        return split_uri(self.uri)

    @property
    def config(self) -> dict[str, str]:
        """The channel's entry of inputdataconfig.json."""
        values = {
            "TrainingInputMode": self.mode,
            "S3DistributionType": self.distribution,
            "RecordWrapperType": self.record_wrapper,
        }
        return values | ({"ContentType": self.content_type} if self.content_type else {})


@dataclass(frozen=True)
class Item:
    """One thing of a channel: an object under a name, or bytes out of an augmented manifest."""

    name: str
    stored: Any = None
    content: bytes | None = None


@dataclass(frozen=True)
class Input:
    """A channel and all its items; `group` consecutive ones are never torn apart."""

    channel: Channel
    items: Sequence[Item]
    group: int = 1

    def share(self, index: int, count: int) -> list[Item]:
        """The items of instance `index` of `count`."""
        if self.channel.distribution != "ShardedByS3Key" or count == 1:
            return list(self.items)
        size = self.group
        starts = range(index * size, len(self.items), count * size)
        return [item for start in starts for item in self.items[start : start + size]]


@dataclass(frozen=True)
class Host:
    """An instance of the gang."""

    name: str
    instance_type: str = ""
    group: str = "homogeneousCluster"


@dataclass(frozen=True)
class Job:
    """What all instances of a job are told."""

    hyperparameters: Mapping[str, str]
    hosts: Sequence[Host]
    inputs: Sequence[Input]
    network_interface: str = "lo"


@dataclass(frozen=True)
class LaidOut:
    """What a backend must know about an instance that was laid out."""

    feeds: dict[str, dict[str, Any]] = field(default_factory=dict)
    copy_on_write: tuple[str, ...] = ()
    read_only: tuple[str, ...] = ()


def split_uri(uri: str) -> tuple[str, str]:
    """Bucket and key of `s3://bucket/key`; ValueError when it is none."""
    scheme, separator, rest = uri.partition("://")
    bucket, _, key = rest.partition("/")
    if scheme != "s3" or not separator or not bucket:
        raise ValueError(f"not an S3 URI: {uri!r}")
    return bucket, key


# -- which objects -------------------------------------------------------------------------------


def resolve(channel: Channel, source: Source) -> Input:
    """Find everything a channel names; DataError when something is missing."""
    if channel.data_type == "ManifestFile":
        return Input(channel, list(_manifest_items(channel, source)))
    if channel.data_type == "AugmentedManifestFile":
        items = list(_augmented_items(channel, source))
        return Input(channel, items, max(1, len(channel.attributes)))
    return Input(channel, list(_prefix_items(channel, source)))


def _prefix_items(channel: Channel, source: Source) -> Iterator[Item]:
    bucket, prefix = channel.location
    found = False
    for stored in source.list(bucket, prefix):
        found = True
        if not stored.key.endswith("/"):  # a folder's marker, as consoles make them
            yield Item(relative_name(prefix, stored.key), stored)
    if not found:
        raise DataError(f"Data download failed:No S3 objects found under {channel.uri}")


def relative_name(prefix: str, key: str) -> str:
    """An object's file name in its channel: the key without the prefix's folders."""
    if key == prefix:
        return key.rpartition("/")[2]
    rest = key.removeprefix(prefix)
    if prefix.endswith("/") or not prefix or rest.startswith("/"):
        return rest
    return key[prefix.rfind("/") + 1 :]


def _manifest_items(channel: Channel, source: Source) -> Iterator[Item]:
    try:
        entries = json.loads(_content(source, *channel.location))
    except ValueError as error:
        raise DataError(_bad_manifest(channel, str(error))) from error
    if not isinstance(entries, list):
        raise DataError(_bad_manifest(channel, "it is not a JSON list"))
    prefix = ""
    for entry in entries:
        if isinstance(entry, dict) and isinstance(entry.get("prefix"), str):
            prefix = entry["prefix"]
        elif isinstance(entry, str):
            yield _manifest_item(channel, source, prefix, entry)
        else:
            raise DataError(_bad_manifest(channel, f"unexpected entry {json.dumps(entry)}"))


def _manifest_item(channel: Channel, source: Source, prefix: str, name: str) -> Item:
    try:
        bucket, key = split_uri(prefix + name)
    except ValueError as error:
        raise DataError(_bad_manifest(channel, str(error))) from error
    return Item(name, _require(source, bucket, key))


def _augmented_items(channel: Channel, source: Source) -> Iterator[Item]:
    for number, line in enumerate(_content(source, *channel.location).splitlines(), 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except ValueError as error:
            raise DataError(_bad_manifest(channel, f"line {number}: {error}")) from error
        for attribute in channel.attributes:
            if not isinstance(record, dict) or attribute not in record:
                raise DataError(_bad_manifest(channel, f"line {number} has no {attribute!r}"))
            yield _attribute(channel, source, attribute, record[attribute])


def _attribute(channel: Channel, source: Source, name: str, value: Any) -> Item:
    """A `-ref` attribute stands for the object it names, any other for itself."""
    if name.endswith("-ref"):
        return _manifest_item(channel, source, "", str(value))
    text = value if isinstance(value, str) else json.dumps(value)
    return Item(name, content=text.encode())


def _bad_manifest(channel: Channel, why: str) -> str:
    return f"Data download failed:The manifest {channel.uri} is invalid: {why}"


def _require(source: Source, bucket: str, key: str) -> Any:
    stored = source.find(bucket, key)
    if stored is None:
        raise DataError(
            "Data download failed:NoSuchKey (404): The specified key does not exist. "
            f"s3://{bucket}/{key}"
        )
    return stored


def _content(source: Source, bucket: str, key: str) -> bytes:
    _require(source, bucket, key)
    with source.open(bucket, key) as file:
        return file.read()


# -- one instance --------------------------------------------------------------------------------


def lay_out(ml: Path, job: Job, index: int, source: Source, *, share_files: bool) -> LaidOut:
    """Fill `ml` for instance `index`. `share_files`: the instance cannot change what is linked."""
    paths = Paths(ml)
    host = job.hosts[index]
    for folder in (paths.config, paths.model, paths.output_data, paths.checkpoints, paths.code):
        folder.mkdir(parents=True, exist_ok=True)
    (ml / "input" / "data").mkdir(exist_ok=True)
    inputs = [i for i in job.inputs if not i.channel.groups or host.group in i.channel.groups]
    _write(paths.hyperparameters, {name: str(v) for name, v in job.hyperparameters.items()})
    _write(paths.resource_config, resource_config(job, host))
    _write(paths.input_data_config, {i.channel.name: i.channel.config for i in inputs})
    return _lay_out_channels(paths, inputs, job, host, source, share_files)


def resource_config(job: Job, host: Host) -> dict[str, Any]:
    groups: dict[str, list[Host]] = {}
    for member in job.hosts:
        groups.setdefault(member.group, []).append(member)
    return {
        "current_host": host.name,
        "current_instance_type": host.instance_type,
        "current_group_name": host.group,
        "hosts": [member.name for member in job.hosts],
        "instance_groups": [
            {
                "instance_group_name": name,
                "instance_type": members[0].instance_type,
                "hosts": [member.name for member in members],
            }
            for name, members in groups.items()
        ],
        "network_interface_name": job.network_interface,
    }


def _write(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value), encoding="utf-8")


def _lay_out_channels(
    paths: Paths,
    inputs: Sequence[Input],
    job: Job,
    host: Host,
    source: Source,
    share_files: bool,
) -> LaidOut:
    feeds: dict[str, dict[str, Any]] = {}
    writable: list[str] = []
    frozen: list[str] = []
    for each in inputs:
        channel = each.channel
        peers = [h for h in job.hosts if not channel.groups or h.group in channel.groups]
        items = each.share(peers.index(host), len(peers))
        if channel.mode == "Pipe":
            feeds[channel.name] = _plan(paths, each, items, source)
            continue
        folder = paths.channel(channel.name)
        folder.mkdir(exist_ok=True)
        link = share_files or channel.mode == "FastFile"
        _fill(folder, channel, items, source, link)
        (frozen if channel.mode == "FastFile" else writable).append(f"input/data/{channel.name}")
    if not share_files:
        return LaidOut(feeds)
    return LaidOut(feeds, tuple(writable), tuple(frozen))


def _fill(
    folder: Path, channel: Channel, items: Iterable[Item], source: Source, link: bool
) -> None:
    for item in items:
        unpack = channel.compression == "Gzip" and channel.mode == "File"
        name = item.name.removesuffix(".gz") if unpack else item.name
        target = folder / safe_name(name)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            if unpack:
                _unpack(source, item, target)
            elif not target.exists():
                _place(source, item, target, link)
        except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
            raise DataError(
                f"Data download failed:The key of {item.name!r} is a file and a folder at once"
            ) from error


def safe_name(name: str) -> Path:
    """A relative path that stays below the folder it is put into; DataError for any other."""
    parts = [part for part in name.split("/") if part]
    bad = any(part in (".", "..") or len(part.encode()) > _NAME_LIMIT for part in parts)
    if not parts or bad or "\0" in name:
        raise DataError(f"Data download failed:The key {name!r} cannot be a file name")
    return Path(*parts)


def _place(source: Source, item: Item, target: Path, link: bool) -> None:
    if link:
        source.link(item.stored, target)
        return
    with source.open(item.stored.bucket, item.stored.key) as body, target.open("wb") as file:
        shutil.copyfileobj(body, file, _COPY_SIZE)


def _unpack(source: Source, item: Item, target: Path) -> None:
    stored = item.stored
    try:
        with (
            source.open(stored.bucket, stored.key) as body,
            gzip.open(body) as content,
            target.open("wb") as file,
        ):
            shutil.copyfileobj(content, file, _COPY_SIZE)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DataError(
            f"Data download failed:Failed to unzip s3://{stored.bucket}/{stored.key}: {error}"
        ) from error


def _plan(paths: Paths, whole: Input, items: Sequence[Item], source: Source) -> dict[str, Any]:
    """What `contract.feeder` writes: links in a folder that the instance does not see."""
    channel = whole.channel
    store = paths.base.parent / "feeds" / channel.name
    store.mkdir(parents=True, exist_ok=True)
    entries: list[tuple[str, Any]] = []
    for number, item in enumerate(items):
        if item.content is not None:
            entries.append(("bytes", item.content))
            continue
        target = store / str(number)
        if not target.exists():
            source.link(item.stored, target)
        entries.append(("file", str(target)))
    return {
        "folder": str(paths.base / "input" / "data"),
        "entries": entries,
        "gzip": channel.compression == "Gzip",
        "record": channel.record_wrapper == "RecordIO",
        "group": whole.group,
        "seed": channel.seed,
    }
