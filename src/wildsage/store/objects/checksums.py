"""The checksums of S3: computed while bytes pass, written in base64, joined over parts."""

from __future__ import annotations

import base64
import hashlib
import zlib
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Protocol

from wildsage.store.objects import crc
from wildsage.store.objects.errors import BadChecksum
from wildsage.store.objects.types import COMPOSITE, FULL_OBJECT


class Hasher(Protocol):
    def update(self, data: bytes, /) -> None: ...
    def digest(self) -> bytes: ...


class _Crc32:
    def __init__(self) -> None:
        self._value = 0

    def update(self, data: bytes) -> None:
        self._value = zlib.crc32(data, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(4, "big")


class _CrcOf:
    def __init__(self, polynomial: crc.Polynomial) -> None:
        self._size = polynomial.width // 8
        self._crc = crc.Crc(polynomial)
        self.update = self._crc.update

    def digest(self) -> bytes:
        return self._crc.value().to_bytes(self._size, "big")


def _sha(name: str) -> Hasher:
    hasher: Hasher = hashlib.new(name, usedforsecurity=False)
    return hasher


_HASHERS: dict[str, Callable[[], Any]] = {
    "CRC32": _Crc32,
    "CRC32C": lambda: _CrcOf(crc.CRC32C),
    "CRC64NVME": lambda: _CrcOf(crc.CRC64NVME),
    "SHA1": lambda: _sha("sha1"),
    "SHA256": lambda: _sha("sha256"),
}
_POLYNOMIALS = {"CRC32": crc.CRC32, "CRC32C": crc.CRC32C, "CRC64NVME": crc.CRC64NVME}
_SIZES = {"CRC32": 4, "CRC32C": 4, "CRC64NVME": 8, "SHA1": 20, "SHA256": 32}

ALGORITHMS = tuple(_HASHERS)
# The kinds of checksum that a multipart upload may ask for; the first is what it gets by default.
MULTIPART_TYPES: Mapping[str, tuple[str, ...]] = {
    "CRC32": (COMPOSITE, FULL_OBJECT),
    "CRC32C": (COMPOSITE, FULL_OBJECT),
    "CRC64NVME": (FULL_OBJECT,),
    "SHA1": (COMPOSITE,),
    "SHA256": (COMPOSITE,),
}


class Digests:
    """MD5 for the ETag, and any of the checksums, in one pass over the bytes."""

    def __init__(self, algorithms: Collection[str] = ()) -> None:
        self._md5 = _sha("md5")
        self._hashers = {name: _HASHERS[name]() for name in algorithms}

    def update(self, data: bytes) -> None:
        self._md5.update(data)
        for hasher in self._hashers.values():
            hasher.update(data)

    @property
    def md5(self) -> bytes:
        return self._md5.digest()

    def checksums(self) -> dict[str, str]:
        return {name: _text(hasher.digest()) for name, hasher in self._hashers.items()}


def verify(computed: Mapping[str, str], declared: Mapping[str, str]) -> None:
    """BadChecksum when a declared checksum is not the computed one."""
    for algorithm, value in declared.items():
        if computed[algorithm] != value:
            raise BadChecksum(algorithm, value, computed[algorithm])


def is_well_formed(algorithm: str, value: str) -> bool:
    """Whether `value` is base64 of as many bytes as the algorithm gives."""
    try:
        return len(base64.b64decode(value, validate=True)) == _SIZES[algorithm]
    except ValueError:
        return False


def composite(algorithm: str, values: Sequence[str]) -> str:
    """The checksum of the parts' checksums, with their number."""
    hasher = _HASHERS[algorithm]()
    for value in values:
        hasher.update(base64.b64decode(value))
    return f"{_text(hasher.digest())}-{len(values)}"


def full_object(algorithm: str, parts: Sequence[tuple[str, int]]) -> str:
    """The checksum of the whole from each part's checksum and size; CRCs only."""
    polynomial = _POLYNOMIALS[algorithm]
    total = 0
    for value, size in parts:
        total = crc.combine(polynomial, total, int.from_bytes(base64.b64decode(value), "big"), size)
    return _text(total.to_bytes(_SIZES[algorithm], "big"))


def multipart_etag(etags: Sequence[str]) -> str:
    """As AWS computes it: the MD5 of the parts' MD5s, with their number."""
    digest = hashlib.md5(b"".join(map(bytes.fromhex, etags)), usedforsecurity=False)
    return f"{digest.hexdigest()}-{len(etags)}"


def _text(digest: bytes) -> str:
    return base64.b64encode(digest).decode()
