"""Request bodies into the store: read on the loop, hashed and written in worker threads."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, asynccontextmanager
from functools import partial
from typing import Any, TypeVar

from wildsage.store.objects.writer import BodyWriter
from wildsage.wire.streams import RequestBody

T = TypeVar("T")
W = TypeVar("W", bound=BodyWriter)

BATCH = 1 << 20  # bytes handed over at a time; two such batches are all that a body ever occupies
_pool = ThreadPoolExecutor(max_workers=16, thread_name_prefix="s3")


def body_of(request: dict[str, Any]) -> RequestBody:
    body = request.get("Body")
    return body if isinstance(body, RequestBody) else RequestBody.of(body or b"")


def is_small(body: RequestBody) -> bool:
    return body.content_length is not None and body.content_length <= BATCH


async def in_thread(function: Callable[..., T], *arguments: Any) -> T:
    """Run in a worker thread. When cancelled, wait for its end first: it uses what we clean up."""
    loop = asyncio.get_running_loop()
    future = loop.run_in_executor(_pool, partial(function, *arguments))
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        await _end_of(future)
        raise


@asynccontextmanager
async def opened(make: Callable[[], AbstractContextManager[W]]) -> AsyncIterator[W]:
    """The context manager that `make` makes, with all it does done in worker threads."""

    def enter() -> tuple[AbstractContextManager[W], W]:
        manager = make()
        return manager, manager.__enter__()

    manager, writer = await in_thread(enter)
    try:
        yield writer
    except BaseException as error:
        await in_thread(manager.__exit__, type(error), error, error.__traceback__)
        raise
    await in_thread(manager.__exit__, None, None, None)


async def _end_of(future: asyncio.Future[Any]) -> None:
    while not future.done():
        try:
            await asyncio.wait({future})
        except asyncio.CancelledError:
            continue
    future.exception()  # has been seen


async def receive(body: RequestBody, writer: BodyWriter) -> None:
    """All of the body into the writer; the next batch is read while the last one is written."""
    writing: asyncio.Task[None] | None = None
    try:
        while batch := await body.read(BATCH):
            if writing is not None:
                await writing
            writing = asyncio.ensure_future(in_thread(writer.write, batch))
        if writing is not None:
            await writing
    finally:
        if writing is not None:
            await _end_of(writing)
