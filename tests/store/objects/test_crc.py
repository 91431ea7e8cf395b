from __future__ import annotations

import random
import zlib

import pytest

from wildsage.store.objects import crc
from wildsage.store.objects.crc import CRC32, CRC32C, CRC64NVME, Crc, Polynomial

SIZES = (0, 1, 7, 8, 1023, 1024, 1025, 22739, 22741, 144024, 144026, 300_001)


def one_by_one(polynomial: Polynomial, data: bytes) -> int:
    register = polynomial.mask
    for byte in data:
        register = register >> 8 ^ polynomial.bytes_table[(register ^ byte) & 0xFF]
    return register ^ polynomial.mask


def at_once(polynomial: Polynomial, data: bytes) -> int:
    hasher = Crc(polynomial)
    hasher.update(data)
    return hasher.value()


@pytest.mark.parametrize(
    ("polynomial", "check"), [(CRC32C, 0xE3069283), (CRC64NVME, 0xAE8B14860A799888)]
)
def test_the_published_check_value(polynomial: Polynomial, check: int) -> None:
    assert at_once(polynomial, b"123456789") == check


@pytest.mark.parametrize("polynomial", [CRC32C, CRC64NVME])
def test_the_sparse_multiple_is_a_multiple(polynomial: Polynomial) -> None:
    width = polynomial.width
    generator = (1 << width) | int(f"{polynomial.reversed:0{width}b}"[::-1], 2)
    remainder = 0
    for exponent in (*polynomial.exponents, 0):
        power = 1
        for _ in range(exponent):
            power <<= 1
            power ^= generator if power >> width else 0
        remainder ^= power
    assert remainder == 0


@pytest.mark.parametrize("polynomial", [CRC32C, CRC64NVME])
@pytest.mark.parametrize("size", SIZES)
def test_same_as_one_byte_after_the_other(polynomial: Polynomial, size: int) -> None:
    data = random.Random(size).randbytes(size)
    assert at_once(polynomial, data) == one_by_one(polynomial, data)


@pytest.mark.parametrize("polynomial", [CRC32C, CRC64NVME])
def test_pieces_of_any_size_and_a_value_in_between(polynomial: Polynomial) -> None:
    data = random.Random(1).randbytes(3_000_000)
    hasher, position = Crc(polynomial), 0
    for size in (1, 5, 0, 1_500_000, 13, 1_000_000):
        hasher.update(memoryview(data)[position : position + size])
        position += size
    middle = hasher.value()
    hasher.update(data[position:])
    assert middle == at_once(polynomial, data[:position])
    assert hasher.value() == at_once(polynomial, data)


@pytest.mark.parametrize("polynomial", [CRC32, CRC32C, CRC64NVME])
def test_joining_two_pieces(polynomial: Polynomial) -> None:
    first, second = b"some bytes" * 50, b"and some more" * 31
    parts = [one_by_one(polynomial, piece) for piece in (first, second)]
    joined = crc.combine(polynomial, parts[0], parts[1], len(second))
    assert joined == one_by_one(polynomial, first + second)


def test_crc32_is_zlibs() -> None:
    assert one_by_one(CRC32, b"wildsage") == zlib.crc32(b"wildsage")
