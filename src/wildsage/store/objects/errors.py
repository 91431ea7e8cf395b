"""What can go wrong with buckets, objects and uploads. `services/s3` says it in S3's words."""

from __future__ import annotations

from wildsage.store.errors import AlreadyExists, NotFound, StoreError


class NoSuchBucket(NotFound):
    def __init__(self, name: str) -> None:
        super().__init__("bucket", name)


class NoSuchKey(NotFound):
    def __init__(self, bucket: str, key: str) -> None:
        super().__init__("object", f"s3://{bucket}/{key}")
        self.bucket = bucket
        self.key = key


class NoSuchUpload(NotFound):
    def __init__(self, upload: str) -> None:
        super().__init__("upload", upload)


class BucketExists(AlreadyExists):
    def __init__(self, name: str, account: str) -> None:
        super().__init__("bucket", name)
        self.account = account


class BucketNotEmpty(StoreError):
    """A bucket that holds objects cannot be deleted."""


class PreconditionFailed(StoreError):
    """What is stored under the key is not what the writer expects there."""

    def __init__(self, condition: str) -> None:
        super().__init__(f"the condition {condition} does not hold")
        self.condition = condition


class BadChecksum(StoreError):
    """The bytes that arrived are not those the sender computed a checksum of."""

    def __init__(self, algorithm: str, declared: str, computed: str) -> None:
        super().__init__(f"{algorithm}: declared {declared}, computed {computed}")
        self.algorithm = algorithm
        self.declared = declared
        self.computed = computed


class InvalidPart(StoreError):
    """A part named by a Complete was not uploaded, or with other content."""

    def __init__(self, number: int, etag: str) -> None:
        super().__init__(f"part {number} with ETag {etag!r} was not uploaded")
        self.number = number
        self.etag = etag


class InvalidPartOrder(StoreError):
    """A Complete does not name its parts in ascending order."""


class PartTooSmall(StoreError):
    """A part other than the last is smaller than S3 allows."""

    def __init__(self, number: int, size: int, etag: str) -> None:
        super().__init__(f"part {number} has {size} bytes only")
        self.number = number
        self.size = size
        self.etag = etag


class WrongSize(StoreError):
    """The object's size is not what the client of a Complete says it is."""
