"""The route table: choosing variants and targets, replacing routes, waiting for changes."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter

from wildsage import ids
from wildsage.arns import Scope
from wildsage.router.table import LEAST_OUTSTANDING, Route, RouteTable, VariantRoute

SCOPE = Scope()


def published(*variants: VariantRoute) -> tuple[RouteTable, Route]:
    table = RouteTable()
    table.publish(SCOPE, "e", variants)
    route = table.find(SCOPE, "e")
    assert route is not None
    return table, route


def test_an_endpoint_is_found_in_its_own_account_and_region_only() -> None:
    table, _ = published(VariantRoute("v", 1.0, ("/a",)))
    assert table.find(Scope("111111111111"), "e") is None
    assert table.find(Scope(region="eu-west-1"), "e") is None
    table.withdraw(SCOPE, "e")
    assert table.find(SCOPE, "e") is None
    table.withdraw(SCOPE, "e")


def test_targets_take_turns() -> None:
    _, route = published(VariantRoute("v", 1.0, ("/a", "/b", "/c")))
    variant = route.choose()
    chosen = [variant.target(()) for _ in range(9)]
    assert Counter(target.address for target in chosen if target) == {"/a": 3, "/b": 3, "/c": 3}


def test_targets_that_were_tried_are_left_out() -> None:
    _, route = published(VariantRoute("v", 1.0, ("/a", "/b")))
    variant = route.choose()
    first = variant.target(())
    assert first is not None
    second = variant.target({first})
    assert second is not None and second is not first
    assert variant.target({first, second}) is None


def test_least_outstanding_requests() -> None:
    _, route = published(VariantRoute("v", 1.0, ("/a", "/b", "/c"), LEAST_OUTSTANDING))
    variant = route.choose()
    for target in variant.targets:
        target.inflight = 0 if target.address == "/b" else 2
    assert {(variant.target(()) or variant.targets[0]).address for _ in range(6)} == {"/b"}


def test_variants_are_chosen_in_proportion_to_their_weights() -> None:
    _, route = published(
        VariantRoute("big", 3.0, ("/a",)),
        VariantRoute("small", 1.0, ("/b",)),
        VariantRoute("off", 0.0, ("/c",)),
    )
    with ids.seeded(1):
        counts = Counter(route.choose().name for _ in range(4000))
    assert counts["off"] == 0
    assert 2850 < counts["big"] < 3150


def test_weights_of_zero_mean_all_alike() -> None:
    _, route = published(VariantRoute("a", 0.0, ("/a",)), VariantRoute("b", 0.0, ("/b",)))
    with ids.seeded(1):
        assert {route.choose().name for _ in range(50)} == {"a", "b"}


def test_a_target_keeps_its_count_across_routes() -> None:
    table, route = published(VariantRoute("v", 1.0, ("/a",)))
    target = route.choose().target(())
    assert target is not None
    target.inflight = 3
    table.publish(SCOPE, "e", [VariantRoute("v", 1.0, ("/b",))])
    assert table.busy(["/a", "/b"]) == 3
    target.leave()
    assert table.busy(["/a"]) == 2
    table.publish(SCOPE, "e", [VariantRoute("v", 1.0, ("/a",))])
    again = table.find(SCOPE, "e")
    assert again is not None and again.choose().target(()) is target
    assert table.busy(["/never"]) == 0


def test_waiting_ends_with_a_change_from_another_thread() -> None:
    table = RouteTable()

    async def wait() -> None:
        waiting = asyncio.ensure_future(table.changed(10))
        await asyncio.sleep(0)
        change = threading.Thread(target=table.publish, args=(SCOPE, "e", ()))
        change.start()
        await asyncio.wait_for(waiting, 5)
        change.join()

    asyncio.run(wait())
    assert table.find(SCOPE, "e") is not None


def test_waiting_ends_with_its_time() -> None:
    table = RouteTable()
    asyncio.run(table.changed(0.001))
    table.publish(SCOPE, "e", ())
    assert table._waiters == set()
