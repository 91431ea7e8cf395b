from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from wildsage.wire import files
from wildsage.wire.files import OpenedFile
from wildsage.wire.streams import FileSlice, RequestBody


async def chunks(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


def test_reads_are_as_long_as_asked_for() -> None:
    async def run() -> list[bytes]:
        body = RequestBody(chunks(b"ab", b"", b"cdef", b"g"), 7)
        return [await body.read(3), await body.read(1), await body.read(), await body.read(5)]

    assert asyncio.run(run()) == [b"abc", b"d", b"efg", b""]


def test_chunks_come_as_they_come_and_never_empty() -> None:
    async def run() -> list[bytes]:
        body = RequestBody(chunks(b"ab", b"", b"cdef"), None)
        first = await body.read(1)
        return [first, *[chunk async for chunk in body], *[chunk async for chunk in body]]

    assert asyncio.run(run()) == [b"a", b"b", b"cdef"]


def test_a_body_in_memory() -> None:
    body = RequestBody.of(b"abc", {"x": "y"})
    assert (body.content_length, asyncio.run(body.read()), body.trailers) == (3, b"abc", {"x": "y"})


def read_all(opened: OpenedFile) -> bytes:
    async def run() -> bytes:
        with ThreadPoolExecutor(1) as executor:
            return b"".join([piece async for piece in opened.pieces(executor)])

    return asyncio.run(run())


def test_a_slice_is_read_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "PIECE", 10)
    path = tmp_path / "file"
    path.write_bytes(bytes(range(100)))
    opened = OpenedFile(FileSlice(path, 5, 47))
    path.unlink()
    assert read_all(opened) == bytes(range(5, 52))
    opened.close()
    opened.close()


def test_a_file_that_is_too_short_is_not_passed_off_as_whole(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"short")
    opened = OpenedFile(FileSlice(path, 0, 10))
    with pytest.raises(EOFError):
        read_all(opened)
    opened.close()
