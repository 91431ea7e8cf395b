from __future__ import annotations

import base64
import hashlib
import zlib

import pytest

from wildsage.store.objects import checksums
from wildsage.store.objects.checksums import ALGORITHMS, Digests
from wildsage.store.objects.errors import BadChecksum

# From the tests of the AWS SDKs: the checksums of "Hello world".
HELLO = {
    "CRC32": "i9aeUg==",
    "CRC32C": "crUfeA==",
    "CRC64NVME": "OOJZ0D8xKts=",
    "SHA1": "e1AsOh9IyGCa4hLN+2Od7jlnP14=",
    "SHA256": "ZOyIygCyaOW6GjVnihtTFtIS9PNmskdyMlNKiuyjfzw=",
}


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_known_values(algorithm: str) -> None:
    digests = Digests([algorithm])
    digests.update(b"Hello ")
    digests.update(b"world")
    assert digests.checksums() == {algorithm: HELLO[algorithm]}
    assert digests.md5 == hashlib.md5(b"Hello world").digest()
    assert checksums.is_well_formed(algorithm, HELLO[algorithm])


def test_what_is_not_well_formed() -> None:
    assert not checksums.is_well_formed("CRC32", "AAAA")
    assert not checksums.is_well_formed("CRC32", "not base64!")


def test_a_wrong_checksum_is_told() -> None:
    with pytest.raises(BadChecksum) as caught:
        checksums.verify({"CRC32": "AAAAAA=="}, {"CRC32": "AAAAAB=="})
    assert caught.value.algorithm == "CRC32"


@pytest.mark.parametrize("algorithm", ["CRC32", "CRC32C", "CRC64NVME"])
def test_the_whole_from_its_parts(algorithm: str) -> None:
    pieces = [b"a" * 5000, b"b" * 5000, b"c" * 17]
    parts = []
    whole = Digests([algorithm])
    for piece in pieces:
        digests = Digests([algorithm])
        digests.update(piece)
        whole.update(piece)
        parts.append((digests.checksums()[algorithm], len(piece)))
    assert checksums.full_object(algorithm, parts) == whole.checksums()[algorithm]


def test_the_checksum_of_checksums() -> None:
    values = [zlib.crc32(piece).to_bytes(4, "big") for piece in (b"one", b"two")]
    expected = base64.b64encode(zlib.crc32(b"".join(values)).to_bytes(4, "big")).decode()
    parts = [base64.b64encode(value).decode() for value in values]
    assert checksums.composite("CRC32", parts) == f"{expected}-2"


def test_the_etag_of_parts() -> None:
    etags = [hashlib.md5(piece).hexdigest() for piece in (b"one", b"two", b"three")]
    joined = b"".join(bytes.fromhex(etag) for etag in etags)
    assert checksums.multipart_etag(etags) == f"{hashlib.md5(joined).hexdigest()}-3"
