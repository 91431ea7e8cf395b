from __future__ import annotations

import asyncio
import threading

import pytest

from wildsage.arns import Scope
from wildsage.store.changes import Changes
from wildsage.store.resources import Resource, Resources

KIND = "endpoint"
HERE = Scope()


def create(resources: Resources, name: str = "a") -> Resource:
    return resources.create(KIND, HERE, name, arn=f"arn:{name}", status="Creating", document={})


def is_in_service(resource: Resource | None) -> bool:
    return resource is not None and resource.status == "InService"


def test_a_waiter_wakes_when_another_thread_writes(resources: Resources, changes: Changes) -> None:
    row = create(resources)

    async def wait() -> Resource | None:
        waiting = asyncio.create_task(
            changes.wait_until(KIND, HERE, "a", is_in_service, timeout=10)
        )
        while not changes._waiters:
            await asyncio.sleep(0)
        writer = threading.Thread(target=lambda: resources.update(row, status="InService"))
        writer.start()
        found = await waiting
        writer.join()
        return found

    found = asyncio.run(wait())
    assert is_in_service(found)
    assert changes._waiters == {}


def test_what_is_settled_is_answered_at_once(resources: Resources, changes: Changes) -> None:
    row = resources.update(create(resources), status="InService")
    found = asyncio.run(changes.wait_until(KIND, HERE, "a", is_in_service, timeout=10))
    assert found == row


def test_after_the_timeout_the_row_is_answered_as_it_is(
    resources: Resources, changes: Changes
) -> None:
    row = create(resources)
    assert asyncio.run(changes.wait_until(KIND, HERE, "a", is_in_service, timeout=0.01)) == row


def test_a_deletion_wakes_too(resources: Resources, changes: Changes) -> None:
    row = create(resources)

    async def wait() -> Resource | None:
        waiting = asyncio.create_task(
            changes.wait_until(KIND, HERE, "a", lambda found: found is None, timeout=10)
        )
        await asyncio.sleep(0)
        await asyncio.to_thread(resources.delete, row)
        return await waiting

    assert asyncio.run(wait()) is None


def test_waiters_of_several_loops(resources: Resources, changes: Changes) -> None:
    row = create(resources)
    ready = threading.Barrier(3)
    found: list[Resource | None] = []

    def loop() -> None:
        async def wait() -> None:
            waiting = asyncio.create_task(
                changes.wait_until(KIND, HERE, "a", is_in_service, timeout=10)
            )
            await asyncio.sleep(0)
            await asyncio.to_thread(ready.wait)
            found.append(await waiting)

        asyncio.run(wait())

    threads = [threading.Thread(target=loop) for _ in range(2)]
    for thread in threads:
        thread.start()
    ready.wait()
    resources.update(row, status="InService")
    for thread in threads:
        thread.join()
    assert [is_in_service(resource) for resource in found] == [True, True]


def test_subscribers_hear_of_their_kinds(resources: Resources, changes: Changes) -> None:
    heard: list[tuple[str, Scope, str]] = []
    stop = changes.subscribe(
        [KIND, "model"], lambda kind, scope, name: heard.append((kind, scope, name))
    )
    row = create(resources)
    resources.create("training-job", HERE, "a", arn="arn:x", status="A", document={})
    resources.delete(resources.update(row, status="B"))
    stop()
    create(resources)
    assert heard == [(KIND, HERE, "a")] * 3


def test_a_failed_write_is_no_news(resources: Resources, changes: Changes) -> None:
    create(resources)
    heard: list[str] = []
    changes.subscribe([KIND], lambda kind, scope, name: heard.append(name))
    with pytest.raises(Exception, match="already exists"):
        create(resources)
    assert heard == []
