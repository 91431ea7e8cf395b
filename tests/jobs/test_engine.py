"""The engine: steps in order, drops what was overtaken, wakes when it should, survives failures."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from wildsage import clock
from wildsage.arns import Scope
from wildsage.jobs.engine import Engine, Outcome, Wake
from wildsage.store.changes import Changes
from wildsage.store.database import Database
from wildsage.store.resources import Change, Resource, Resources

KIND = "thing"
SCOPE = Scope()
PATIENCE = 10.0


@dataclass
class Things:
    """A reconciler whose steps are given; remembers what it saw."""

    step: Callable[[Resource], Outcome]
    kind: str = KIND
    seen: list[str] = field(default_factory=list)
    adopted: int = 0

    def adopt(self) -> None:
        self.adopted += 1

    def reconcile(self, resource: Resource) -> Outcome:
        self.seen.append(resource.status)
        return self.step(resource)


class Shop:
    def __init__(self, folder: Path) -> None:
        self.database = Database(f"sqlite:///{folder / 'db'}")
        self.database.migrate()
        self.changes = Changes()
        self.resources = Resources(self.database, self.changes)
        self.engines: list[Engine] = []

    def engine(self, things: Things) -> Engine:
        engine = Engine(self.resources, self.changes, [things], workers=3)
        self.engines.append(engine)
        engine.start()
        return engine

    def create(self, name: str = "a", status: str = "new", **document: Any) -> None:
        self.resources.create(
            KIND,
            SCOPE,
            name,
            arn=f"arn:{name}",
            status=status,
            document=document,
            due=clock.now(),
        )

    def wait(self, status: str, name: str = "a") -> Resource:
        changed = threading.Event()
        forget = self.changes.subscribe([KIND], lambda *_: changed.set())
        try:
            while True:
                changed.clear()
                row = self.resources.get(KIND, SCOPE, name)
                if row.status == status:
                    return row
                assert changed.wait(PATIENCE), f"{name} stays {row.status}"
        finally:
            forget()


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    shop = Shop(tmp_path)
    yield shop
    for engine in shop.engines:
        engine.stop()
    shop.database.close()


def follow(**following: str) -> Callable[[Resource], Outcome]:
    def step(resource: Resource) -> Outcome:
        status = following.get(resource.status)
        return Outcome(status, due=clock.now() if status else None)

    return step


def test_steps_follow_each_other(shop: Shop) -> None:
    things = Things(follow(new="middle", middle="done"))
    shop.engine(things)
    shop.create()
    shop.wait("done")
    shop.engines[0].stop()
    assert things.seen[:2] == ["new", "middle"]
    assert things.adopted == 1


def test_rows_made_before_the_start_are_found(shop: Shop) -> None:
    shop.create()
    shop.engine(Things(follow(new="done")))
    assert shop.wait("done").version > 1


def test_a_later_due_time_is_kept(shop: Shop) -> None:
    started = clock.now()

    def step(resource: Resource) -> Outcome:
        if resource.status == "new":
            return Outcome("waiting", due=started + 0.1)
        return Outcome("done" if clock.now() >= started + 0.1 else "early")

    shop.engine(Things(step))
    shop.create()
    assert shop.wait("done").modified >= started + 0.1 - 0.001


def test_until_wakes_at_once(shop: Shop) -> None:
    bell: list[Wake] = []
    registered = threading.Event()

    def until(wake: Wake) -> None:
        bell.append(wake)
        registered.set()

    def step(resource: Resource) -> Outcome:
        if resource.status == "new":
            return Outcome("waiting", due=clock.now() + 3600, until=until)
        return Outcome("done")

    shop.engine(Things(step))
    shop.create()
    assert registered.wait(PATIENCE)
    bell[0]()
    shop.wait("done")


def test_a_wake_during_a_step_is_not_lost(shop: Shop) -> None:
    """The event comes while the next step is under way already."""
    inside, go_on = threading.Event(), threading.Event()

    def step(resource: Resource) -> Outcome:
        if resource.status == "new":
            inside.set()
            go_on.wait(PATIENCE)
            return Outcome("waiting", due=clock.now() + 3600)
        return Outcome("done")

    engine = shop.engine(Things(step))
    shop.create()
    assert inside.wait(PATIENCE)
    engine.poke((KIND, SCOPE, "a"))
    go_on.set()
    shop.wait("done")


def test_a_step_that_was_overtaken_is_done_again(shop: Shop) -> None:
    inside, go_on = threading.Event(), threading.Event()

    def step(resource: Resource) -> Outcome:
        if resource.status == "stopping":
            return Outcome("stopped")
        inside.set()
        go_on.wait(PATIENCE)
        return Outcome("ready")

    things = Things(step)
    shop.engine(things)
    shop.create()
    assert inside.wait(PATIENCE)
    shop.resources.modify(KIND, SCOPE, "a", lambda _: Change("stopping", due=clock.now()))
    go_on.set()
    shop.wait("stopped")
    assert things.seen == ["new", "stopping"]


def test_a_step_that_raises_is_tried_again(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("wildsage.jobs.engine._RETRY_SECONDS", 0.01)
    failures = iter([ValueError("once"), ValueError("twice")])

    def step(resource: Resource) -> Outcome:
        for failure in failures:
            raise failure
        return Outcome("done")

    things = Things(step)
    shop.engine(things)
    shop.create()
    shop.wait("done")
    assert len(things.seen) == 3
    assert caplog.text.count("it is tried again") == 2


def test_long_steps_keep_their_lease(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second engine finds the row leased as long as the first works on it."""
    monkeypatch.setattr("wildsage.jobs.engine.LEASE_SECONDS", 0.2)
    monkeypatch.setattr("wildsage.jobs.engine._RENEW_SECONDS", 0.02)
    inside, go_on = threading.Event(), threading.Event()

    def step(resource: Resource) -> Outcome:
        inside.set()
        go_on.wait(PATIENCE)
        return Outcome("done")

    first, second = Things(step), Things(step)
    shop.engine(first)
    shop.create()
    assert inside.wait(PATIENCE)
    shop.engine(second)
    shop.create("b", "new")  # the second engine is awake and takes this one
    assert not go_on.wait(0.5), "nobody ends the wait: the first lease would be over by now"
    go_on.set()
    shop.wait("done")
    shop.wait("done", "b")
    assert len(first.seen) + len(second.seen) == 2


def test_many_rows_are_worked_on_at_once(shop: Shop) -> None:
    together = threading.Barrier(3)

    def step(resource: Resource) -> Outcome:
        together.wait(PATIENCE)
        return Outcome("done")

    shop.engine(Things(step))
    for name in "abc":
        shop.create(name)
    for name in "abc":
        shop.wait("done", name)


def test_a_row_may_end_with_its_work(shop: Shop) -> None:
    gone = threading.Event()
    shop.engine(Things(lambda _: Outcome(delete=True)))

    def look(kind: str, scope: Scope, name: str) -> None:
        if shop.resources.find(kind, scope, name) is None:
            gone.set()

    shop.changes.subscribe([KIND], look)
    shop.create()
    assert gone.wait(PATIENCE)


def test_stop_waits_for_the_step_under_way(shop: Shop) -> None:
    inside = threading.Event()

    def step(resource: Resource) -> Outcome:
        inside.set()
        return Outcome("done")

    engine = shop.engine(Things(step))
    shop.create()
    assert inside.wait(PATIENCE)
    engine.stop()
    assert shop.resources.get(KIND, SCOPE, "a").status == "done"
    shop.create("later")
    assert shop.resources.get(KIND, SCOPE, "later").status == "new"


def test_poking_what_is_gone_does_nothing(shop: Shop) -> None:
    engine = shop.engine(Things(follow()))
    engine.poke((KIND, SCOPE, "never"))
    assert shop.resources.find(KIND, SCOPE, "never") is None
