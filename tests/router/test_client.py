"""The pooled client against servers that behave and servers that do not."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import uvloop

from serving.helpers_serving import Toy, model_server
from wildsage.router.client import Lost, Pool, TimedOut, Unreachable

HEAD = b"POST /invocations HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n"
Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def head(body: bytes) -> bytes:
    return HEAD % len(body)


def against(path: Path, script: Script, use: Callable[[Pool], Awaitable[Any]]) -> Any:
    """What `use` makes of a pool whose server runs `script` for every connection."""

    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await script(reader, writer)
        finally:
            writer.close()

    async def main() -> Any:
        server = await asyncio.start_unix_server(serve, str(path))
        pool = Pool(str(path))
        try:
            return await use(pool)
        finally:
            pool.close()
            server.close()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await asyncio.sleep(0)

    return uvloop.run(main())


async def ask(pool: Pool, body: bytes = b"x", seconds: float = 5) -> tuple[int, bytes]:
    answer = await pool.ask(head(body), body, seconds)
    return answer.status, answer.body


def replies(*answers: bytes) -> Script:
    """Read a request, send the next answer; hang up when there is none left."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for answer in answers:
            await reader.readuntil(b"\r\n\r\n")
            await reader.read(1)
            writer.write(answer)
        await reader.read(1)
        writer.close()

    return script


OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


def test_connections_are_reused(tmp_path: Path) -> None:
    opened = []

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        opened.append(1)
        await replies(OK, OK, OK)(reader, writer)

    async def use(pool: Pool) -> list[tuple[int, bytes]]:
        return [await ask(pool) for _ in range(3)]

    assert against(tmp_path / "s", script, use) == [(200, b"ok")] * 3
    assert len(opened) == 1


def test_many_requests_at_once(tmp_path: Path) -> None:
    async def use() -> set[bytes]:
        pool = Pool(str(tmp_path / "s"), limit=8)
        bodies = [b"%d" % number for number in range(200)]
        answers = await asyncio.gather(*(ask(pool, body) for body in bodies))
        assert all(
            answer == (200, b"toy:" + body) for body, answer in zip(bodies, answers, strict=True)
        )
        assert pool._open <= 8
        pool.close()
        return {body for _, body in answers}

    with model_server(tmp_path / "s"):
        assert len(uvloop.run(use())) == 200


def test_large_bodies_both_ways(tmp_path: Path) -> None:
    async def use() -> tuple[int, bytes]:
        pool = Pool(str(tmp_path / "s"))
        try:
            return await ask(pool, b"big 5000000 " + b"y" * 3_000_000)
        finally:
            pool.close()

    class Sizes(Toy):
        def __call__(self, body: bytes, *rest: Any) -> Any:
            return super().__call__(b"big %d" % len(body), *rest)

    with model_server(tmp_path / "s", Sizes()):
        status, body = uvloop.run(use())
    assert (status, len(body)) == (200, 3_000_012)


def test_answers_without_a_length_end_with_the_connection(tmp_path: Path) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\nuntil the end")
        writer.close()

    assert against(tmp_path / "s", script, ask) == (200, b"until the end")


def test_chunked_answers(tmp_path: Path) -> None:
    answer = (
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n3\r\ncde\r\n0\r\n\r\n"
    )
    assert against(tmp_path / "s", replies(answer), ask) == (200, b"abcde")


def test_an_interim_answer_is_passed_over(tmp_path: Path) -> None:
    answer = b"HTTP/1.1 100 Continue\r\n\r\n" + OK
    assert against(tmp_path / "s", replies(answer), ask) == (200, b"ok")


@pytest.mark.parametrize("address", ["/nowhere/at/all", "127.0.0.1:1"])
def test_nobody_there_is_unreachable(address: str) -> None:
    with pytest.raises(Unreachable):
        uvloop.run(ask(Pool(address)))


def test_a_server_that_left_while_the_connection_was_idle_is_unreachable(tmp_path: Path) -> None:
    """The request was never read, so whoever sent it may send it elsewhere."""
    path = tmp_path / "s"

    async def main() -> None:
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(path))
        listener.listen()
        pool = Pool(str(path))
        loop = asyncio.get_running_loop()
        accepting = loop.run_in_executor(None, listener.accept)
        asking = asyncio.ensure_future(ask(pool))
        server, _ = await accepting
        await loop.run_in_executor(None, server.recv, 1000)
        server.sendall(OK)
        assert await asking == (200, b"ok")
        listener.close()
        server.close()
        with pytest.raises(Unreachable):
            await ask(pool)

    uvloop.run(main())


def test_a_server_that_dies_with_the_request_is_lost(tmp_path: Path) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await reader.read(1)
        writer.close()

    with pytest.raises(Lost):
        against(tmp_path / "s", script, ask)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nnot all",
        b"this is not HTTP",
    ],
    ids=["cut short", "not HTTP"],
)
def test_broken_answers_are_lost(tmp_path: Path, answer: bytes) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await reader.read(1)
        writer.write(answer)
        writer.close()

    with pytest.raises(Lost):
        against(tmp_path / "s", script, ask)


def test_a_second_answer_to_one_request_ends_the_connection(tmp_path: Path) -> None:
    async def use(pool: Pool) -> list[Any]:
        answer = await ask(pool)
        return [answer, pool._open]

    second = b"HTTP/1.1 500 No\r\ncontent-length: 1\r\n\r\nx"
    assert against(tmp_path / "s", replies(OK + second), use) == [(200, b"ok"), 0]


def test_a_server_that_takes_too_long(tmp_path: Path) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async def use(pool: Pool) -> int:
        with pytest.raises(TimedOut):
            await ask(pool, seconds=0.01)
        return pool._open

    assert against(tmp_path / "s", script, use) == 0


def test_each_request_of_a_connection_has_its_own_time(tmp_path: Path) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await reader.read(1)
        writer.write(OK)
        await reader.read()

    async def use(pool: Pool) -> None:
        assert await ask(pool, seconds=60) == (200, b"ok")
        with pytest.raises(TimedOut):
            await ask(pool, seconds=0.01)

    against(tmp_path / "s", script, use)


def test_a_time_limit_ends_with_its_request(tmp_path: Path) -> None:
    async def use(pool: Pool) -> list[tuple[int, bytes]]:
        first = await ask(pool, seconds=0.01)
        loop = asyncio.get_running_loop()
        past = asyncio.Event()
        loop.call_later(0.02, past.set)
        await past.wait()
        return [first, await ask(pool, seconds=5)]

    assert against(tmp_path / "s", replies(OK, OK), use) == [(200, b"ok")] * 2


def test_waiting_for_a_free_connection_takes_no_longer_than_the_answer_may(tmp_path: Path) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async def use(pool: Pool) -> None:
        pool.limit = 1
        first = asyncio.ensure_future(ask(pool, seconds=5))
        await asyncio.sleep(0)
        with pytest.raises(TimedOut):
            await ask(pool, seconds=0.01)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        assert pool._open == 0

    against(tmp_path / "s", script, use)


def test_a_streamed_answer_comes_in_pieces(tmp_path: Path) -> None:
    go_on = asyncio.Event()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n")
        await go_on.wait()
        writer.write(b"3\r\ntwo\r\n0\r\n\r\n")
        await replies(OK)(reader, writer)

    async def use(pool: Pool) -> None:
        closed = []
        stream = await pool.begin(head(b"x"), b"x", 5)
        stream.on_close = lambda: closed.append(1)
        assert (stream.status, await stream.read()) == (200, b"one")
        go_on.set()
        assert [await stream.read(), await stream.read()] == [b"two", b""]
        stream.close()
        stream.close()
        assert closed == [1]
        assert await stream.read() == b""
        assert len(pool._idle) == 1

    against(tmp_path / "s", script, use)


def test_a_streamed_answer_that_breaks_off(tmp_path: Path) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n")
        writer.close()

    async def use(pool: Pool) -> None:
        stream = await pool.begin(head(b"x"), b"x", 5)
        assert await stream.read() == b"one"
        with pytest.raises(Lost):
            await stream.read()
        stream.close()
        assert (pool._open, pool._idle) == (0, [])

    against(tmp_path / "s", script, use)


def test_a_slow_reader_holds_a_fast_server(tmp_path: Path) -> None:
    """64 MiB are on offer; only a little more than the high-water mark is taken in."""
    size = 1 << 26
    sent = 0

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % size)
        while sent < size:
            writer.write(b"x" * (1 << 16))
            sent += 1 << 16
            await writer.drain()

    async def use(pool: Pool) -> int:
        stream = await pool.begin(head(b"x"), b"x", 5)
        connection = stream._connection
        assert connection is not None
        while not connection._paused:
            await asyncio.sleep(0)
        held = sent
        total = 0
        while chunk := await stream.read():
            total += len(chunk)
        stream.close()
        assert total == size
        return held

    assert against(tmp_path / "s", script, use) < size / 4
