"""What the object store keeps, and what a client says about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

DEFAULT_CONTENT_TYPE = "binary/octet-stream"
FULL_OBJECT = "FULL_OBJECT"
COMPOSITE = "COMPOSITE"


@dataclass(frozen=True, slots=True)
class Bucket:
    name: str
    account: str
    region: str
    created: float
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Attributes:
    """All that is said about an object and not computed from its bytes.

    `headers` are the system headers besides Content-Type by their names ("Cache-Control", …),
    `encryption` the SSE headers that were asked for, by the names of the S3 model.
    """

    content_type: str = DEFAULT_CONTENT_TYPE
    headers: Mapping[str, str] = field(default_factory=dict)
    metadata: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    storage_class: str = "STANDARD"
    encryption: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StoredObject:
    """One object. `path` is its immutable body; copy or link it, never write to it."""

    bucket: str
    key: str
    size: int
    etag: str
    modified: float
    content_type: str
    headers: Mapping[str, str]
    metadata: Mapping[str, str]
    tags: Mapping[str, str]
    storage_class: str
    encryption: Mapping[str, Any]
    checksums: Mapping[str, str]
    checksum_type: str
    upload: str | None
    path: Path

    @property
    def attributes(self) -> Attributes:
        return Attributes(
            self.content_type,
            self.headers,
            self.metadata,
            self.tags,
            self.storage_class,
            self.encryption,
        )


@dataclass(frozen=True, slots=True)
class Condition:
    """What must be under the key for a write to go ahead."""

    absent: bool = False
    etag: str | None = None


@dataclass(frozen=True, slots=True)
class ObjectPart:
    """One part of an object that was uploaded in parts."""

    number: int
    size: int
    checksums: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Upload:
    """A multipart upload under way. `owner` is the ARN of who began it."""

    id: str
    bucket: str
    key: str
    initiated: float
    attributes: Attributes
    checksum_algorithm: str | None
    checksum_type: str | None
    owner: str
    body: str


@dataclass(frozen=True, slots=True)
class Part:
    """A part that has arrived: `size` bytes at `offset` of the file `body`."""

    number: int
    body: str
    offset: int
    size: int
    etag: str
    modified: float
    checksums: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class PartChoice:
    """A part as a Complete names it."""

    number: int
    etag: str
    checksums: Mapping[str, str] = field(default_factory=dict)
