"""Between the dataclasses and the JSON columns. Only what differs from the default is written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wildsage.store.objects.bodies import Bodies
from wildsage.store.objects.types import (
    DEFAULT_CONTENT_TYPE,
    FULL_OBJECT,
    Attributes,
    Bucket,
    Part,
    StoredObject,
    Upload,
)


def attributes_document(attributes: Attributes) -> dict[str, Any]:
    document = {
        "ContentType": attributes.content_type,
        "Headers": dict(attributes.headers),
        "Metadata": dict(attributes.metadata),
        "Tags": dict(attributes.tags),
        "Encryption": dict(attributes.encryption),
    }
    if attributes.storage_class != "STANDARD":
        document["StorageClass"] = attributes.storage_class
    return {name: value for name, value in document.items() if value}


def attributes_of(document: Mapping[str, Any]) -> Attributes:
    return Attributes(
        content_type=document.get("ContentType", DEFAULT_CONTENT_TYPE),
        headers=document.get("Headers", {}),
        metadata=document.get("Metadata", {}),
        tags=document.get("Tags", {}),
        storage_class=document.get("StorageClass", "STANDARD"),
        encryption=document.get("Encryption", {}),
    )


def object_of(row: Any, bodies: Bodies) -> StoredObject:
    document = row.document
    attributes = attributes_of(document)
    return StoredObject(
        bucket=row.bucket,
        key=bytes(row.key).decode(),
        size=row.size,
        etag=row.etag,
        modified=row.modified,
        content_type=attributes.content_type,
        headers=attributes.headers,
        metadata=attributes.metadata,
        tags=attributes.tags,
        storage_class=attributes.storage_class,
        encryption=attributes.encryption,
        checksums=document.get("Checksums", {}),
        checksum_type=document.get("ChecksumType", FULL_OBJECT),
        upload=document.get("Upload"),
        path=bodies.path(row.body),
    )


def bucket_of(row: Any) -> Bucket:
    return Bucket(row.name, row.account, row.region, row.created, row.document.get("Tags", {}))


def upload_of(row: Any) -> Upload:
    document = row.document
    return Upload(
        id=row.id,
        bucket=row.bucket,
        key=bytes(row.key).decode(),
        initiated=row.initiated,
        attributes=attributes_of(document),
        checksum_algorithm=document.get("ChecksumAlgorithm"),
        checksum_type=document.get("ChecksumType"),
        owner=document["Owner"],
        body=row.body,
    )


def part_of(row: Any) -> Part:
    return Part(row.number, row.body, row.offset, row.size, row.etag, row.modified, row.checksums)
