"""The kit that every database passes: rows, lists, leases, tags."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wildsage import clock
from wildsage.arns import Scope
from wildsage.clock import ManualClock
from wildsage.store import resources as resources_module
from wildsage.store.changes import Changes
from wildsage.store.database import Database
from wildsage.store.errors import AlreadyExists, Conflict, InvalidToken, NotFound
from wildsage.store.listing import select_page
from wildsage.store.resources import Change, ListQuery, Resource, Resources

KIND = "training-job"
HERE = Scope("000000000000", "us-east-1")
THERE = Scope("000000000000", "eu-west-1")


def create(resources: Resources, name: str, scope: Scope = HERE, **more: Any) -> Resource:
    arn = f"arn:aws:sagemaker:{scope.region}:{scope.account}:training-job/{name}"
    values: dict[str, Any] = {"arn": arn, "status": "InProgress", "document": {"Name": name}}
    return resources.create(KIND, scope, name, **(values | more))


def names(resources: Resources, query: ListQuery) -> list[str]:
    """The names of all pages."""
    found: list[str] = []
    while True:
        page = resources.list(KIND, HERE, query)
        found += [resource.name for resource in page.resources]
        if page.next_token is None:
            return found
        assert len(page.resources) == query.limit
        query = replace(query, token=page.next_token)


# Rows


def test_what_was_created_is_found(resources: Resources) -> None:
    document = {"A": [1, 2.5, None, True], "Ü": {"nested": "\N{SNOWMAN}"}}
    made = create(resources, "a", document=document)
    assert resources.get(KIND, HERE, "a") == made
    assert resources.get_by_arn(made.arn) == made
    assert (made.version, made.created, made.document) == (1, made.modified, document)


def test_names_are_per_kind_account_and_region(resources: Resources) -> None:
    create(resources, "a")
    create(resources, "a", THERE)
    assert resources.find("model", HERE, "a") is None
    with pytest.raises(AlreadyExists) as refusal:
        create(resources, "a")
    assert (refusal.value.kind, refusal.value.name) == (KIND, "a")


def test_what_is_missing_is_not_found(resources: Resources) -> None:
    with pytest.raises(NotFound):
        resources.get(KIND, HERE, "a")
    with pytest.raises(NotFound):
        resources.get_by_arn("arn:aws:sagemaker:us-east-1:0:training-job/a")


def test_an_update_counts_versions_and_keeps_the_rest(resources: Resources) -> None:
    with clock.using(ManualClock(1000.0)):
        made = create(resources, "a")
    with clock.using(ManualClock(2000.0)):
        changed = resources.update(made, status="Stopping")
    assert resources.get(KIND, HERE, "a") == changed
    assert (changed.version, changed.created, changed.modified) == (2, 1000.0, 2000.0)
    assert changed.document == made.document


def test_a_stale_row_may_not_be_written(resources: Resources) -> None:
    made = create(resources, "a")
    resources.update(made, status="Stopping")
    with pytest.raises(Conflict):
        resources.update(made, status="Completed")
    assert resources.get(KIND, HERE, "a").status == "Stopping"


def test_a_deleted_row_may_not_be_written(resources: Resources) -> None:
    made = create(resources, "a")
    resources.delete(made)
    with pytest.raises(NotFound):
        resources.update(made, status="Completed")


def test_modify_retries_until_nobody_was_faster(resources: Resources) -> None:
    create(resources, "a", document={"Count": 0})

    def change(resource: Resource) -> Change:
        if resource.version == 1:  # somebody else writes between our read and our write
            resources.update(resource, document={"Count": 10})
        return Change(document={"Count": resource.document["Count"] + 1})

    assert resources.modify(KIND, HERE, "a", change).document == {"Count": 11}


def test_modify_may_leave_the_row_alone(resources: Resources) -> None:
    made = create(resources, "a")
    assert resources.modify(KIND, HERE, "a", lambda _: None) == made
    assert resources.get(KIND, HERE, "a").version == 1


def test_a_delete_removes_this_row_and_no_later_one(resources: Resources) -> None:
    manual = ManualClock()
    with clock.using(manual):
        first = create(resources, "a")
        resources.delete(first)
        manual.advance(1)
        second = create(resources, "a")
        with pytest.raises(NotFound):
            resources.delete(first)
    assert resources.get(KIND, HERE, "a") == second


def test_all_crosses_scopes_and_batches(
    resources: Resources, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wildsage.store.resources._BATCH", 2)
    for scope in (HERE, THERE):
        for name in ("b", "a", "c"):
            create(resources, name, scope)
    assert [r.name for r in resources.all(KIND)] == ["b", "a", "c", "b", "a", "c"]
    assert list(resources.all("model")) == []


# Lists


@pytest.fixture
def jobs(resources: Resources) -> Resources:
    """Five jobs, a second apart; b was changed last."""
    manual = ManualClock(1000.0)
    with clock.using(manual):
        for name, status in zip("cabed", ["A", "B", "A", "B", "A"], strict=True):
            create(resources, name, status=status, document={"Role": status, "Size": 3, "On": True})
            manual.advance(1)
        resources.update(resources.get(KIND, HERE, "b"), status="A")
        create(resources, "x", THERE)
    return resources


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        (ListQuery(), "debac"),
        (ListQuery(descending=False), "cabed"),
        (ListQuery(sort_by="Name", descending=False), "abcde"),
        (ListQuery(sort_by="LastModifiedTime"), "bdeac"),
        (ListQuery(sort_by="Status", descending=False), "bcdae"),
        (ListQuery(status="B"), "ea"),
        (ListQuery(name_contains="B"), "b"),
        (ListQuery(name_contains="%"), ""),
        (ListQuery(created_after=1002.0), "deb"),
        (ListQuery(created_before=1002.0), "bac"),
        (ListQuery(modified_after=1005.0), "b"),
        (ListQuery(modified_before=1000.0), "c"),
        (ListQuery(where={"Role": "B", "Size": 3, "On": True}), "ea"),
        (ListQuery(where={"Size": 4}), ""),
        (ListQuery(where={"On": False}), ""),
        (ListQuery(where={"Missing": "B"}), ""),
    ],
)
@pytest.mark.parametrize("limit", [1, 2, 100])
def test_lists(jobs: Resources, query: ListQuery, wanted: str, limit: int) -> None:
    assert "".join(names(jobs, replace(query, limit=limit))) == wanted


def test_a_token_is_good_for_its_query_only(jobs: Resources) -> None:
    token = jobs.list(KIND, HERE, ListQuery(limit=2)).next_token
    assert token is not None
    for other in (
        ListQuery(limit=2, token=token, status="A"),
        ListQuery(limit=2, token=token, descending=False),
        ListQuery(limit=2, token=("B" if token[0] == "A" else "A") + token[1:]),
        ListQuery(limit=2, token="nonsense"),
        ListQuery(limit=2, token="ü"),
    ):
        with pytest.raises(InvalidToken):
            jobs.list(KIND, HERE, other)
    with pytest.raises(InvalidToken):
        jobs.list(KIND, THERE, ListQuery(limit=2, token=token))
    assert len(jobs.list(KIND, HERE, ListQuery(limit=3, token=token)).resources) == 3


def test_tokens_outlive_the_server(jobs: Resources, database: Database) -> None:
    token = jobs.list(KIND, HERE, ListQuery(limit=2)).next_token
    again = Resources(database, Changes())
    page = again.list(KIND, HERE, ListQuery(limit=9, token=token))
    assert [r.name for r in page.resources] == ["b", "a", "c"]


def test_pages_neither_repeat_nor_skip_while_rows_come_and_go(jobs: Resources) -> None:
    page = jobs.list(KIND, HERE, ListQuery(limit=2))
    jobs.delete(jobs.get(KIND, HERE, "d"))
    create(jobs, "new")
    rest = jobs.list(KIND, HERE, ListQuery(limit=9, token=page.next_token))
    assert [r.name for r in rest.resources] == ["b", "a", "c"]


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.text("aAbBüz%_-0", min_size=1, max_size=4), unique=True), st.integers(1, 4))
def test_pages_of_any_names_in_byte_order(database: Database, some: list[str], limit: int) -> None:
    resources = Resources(database, Changes())
    for old in resources.all(KIND):
        resources.delete(old)
    for name in some:
        create(resources, name)
    query = ListQuery(sort_by="Name", descending=False, limit=limit)
    assert names(resources, query) == sorted(some, key=str.encode)


# Leases


def test_the_longest_due_is_claimed_first(resources: Resources) -> None:
    with clock.using(ManualClock(100.0)):
        create(resources, "late", due=90.0)
        create(resources, "early", due=80.0)
        create(resources, "not yet", due=101.0)
        create(resources, "settled")
        claimed = [resources.claim([KIND], "me", 10) for _ in range(3)]
    assert [c and c.resource.name for c in claimed] == ["early", "late", None]


def test_only_the_kinds_asked_for_are_claimed(resources: Resources) -> None:
    create(resources, "a", due=0.0)
    assert resources.claim(["model", "endpoint"], "me", 10) is None
    assert resources.claim(["model", KIND], "me", 10) is not None


def test_apply_writes_and_frees(resources: Resources) -> None:
    create(resources, "a", due=0.0)
    claim = resources.claim([KIND], "me", 10)
    assert claim is not None
    applied = resources.apply(claim, status="Completed", document={"Done": 1}, due=None)
    assert applied == resources.get(KIND, HERE, "a")
    assert (applied and applied.status, applied and applied.document) == ("Completed", {"Done": 1})
    assert resources.claim([KIND], "me", 10) is None
    assert resources.apply(claim, status="Failed", due=None) is None


def test_an_expired_lease_is_taken_over(resources: Resources) -> None:
    manual = ManualClock(100.0)
    with clock.using(manual):
        create(resources, "a", due=0.0)
        slow = resources.claim([KIND], "slow", 10)
        manual.advance(10)
        quick = resources.claim([KIND], "quick", 10)
        assert slow is not None
        assert quick is not None
        assert not resources.renew(slow, 10)
        assert resources.apply(slow, status="Failed", due=None) is None
        assert resources.apply(quick, status="Completed", due=None) is not None
    assert resources.get(KIND, HERE, "a").status == "Completed"


def test_a_renewed_lease_is_kept(resources: Resources) -> None:
    manual = ManualClock(100.0)
    with clock.using(manual):
        create(resources, "a", due=0.0)
        claim = resources.claim([KIND], "me", 10)
        assert claim is not None
        manual.advance(9)
        assert resources.renew(claim, 10)
        manual.advance(9)
        assert resources.claim([KIND], "other", 10) is None
        assert resources.apply(claim, due=None) is not None


def test_a_change_during_the_work_wins_and_the_row_is_due_again(resources: Resources) -> None:
    create(resources, "a", due=0.0)
    claim = resources.claim([KIND], "me", 10)
    assert claim is not None
    resources.modify(KIND, HERE, "a", lambda _: Change(status="Stopping", due=0.0))
    assert resources.claim([KIND], "other", 10) is None, "the worker still holds it"
    assert resources.apply(claim, status="Completed", due=None) is None
    again = resources.claim([KIND], "other", 10)
    assert again is not None
    assert again.resource.status == "Stopping"


def test_next_due_minds_leases(resources: Resources) -> None:
    with clock.using(ManualClock(100.0)):
        assert resources.next_due([KIND]) is None
        create(resources, "a", due=50.0)
        create(resources, "b", due=130.0)
        assert resources.next_due([KIND]) == 50.0
        claim = resources.claim([KIND], "me", 10)
        assert claim is not None
        assert resources.next_due([KIND]) == 110.0
        resources.apply(claim, due=120.0)
        assert resources.next_due([KIND]) == 120.0
        assert resources.next_due(["model"]) is None


def test_due_can_be_set_cleared_and_left_alone(resources: Resources) -> None:
    row = create(resources, "a", due=5.0)
    row = resources.update(row, status="B")
    assert resources.next_due([KIND]) == 5.0
    row = resources.update(row, due=7.0)
    assert resources.next_due([KIND]) == 7.0
    resources.update(row, due=None)
    assert resources.next_due([KIND]) is None


def test_ten_threads_work_each_row_exactly_once(resources: Resources) -> None:
    for number in range(30):
        create(resources, f"{number}", due=0.0, document={"Steps": 0})
    worked: Counter[str] = Counter()
    lock = threading.Lock()

    def work(owner: str) -> None:
        while (claim := resources.claim([KIND], owner, 60)) is not None:
            steps = claim.resource.document["Steps"] + 1
            due = 0.0 if steps < 3 else None
            if resources.apply(claim, document={"Steps": steps}, due=due) is not None:
                with lock:
                    worked[claim.resource.name] += 1

    threads = [threading.Thread(target=work, args=(f"{n}",)) for n in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(worked.values()) == {3}
    assert {r.document["Steps"] for r in resources.all(KIND)} == {3}
    assert len(worked) == 30


# Tags


def test_tags_keep_their_order(resources: Resources) -> None:
    arn = create(resources, "a", tags=[{"Key": "z", "Value": "1"}, {"Key": "b", "Value": "2"}]).arn
    resources.add_tags(arn, {"b": "3", "a": ""})
    assert list(resources.tags(arn).items()) == [("z", "1"), ("b", "3"), ("a", "")]
    resources.remove_tags(arn, ["b", "missing"])
    assert resources.tags(arn) == {"z": "1", "a": ""}


def test_tags_go_with_their_resource(resources: Resources) -> None:
    made = create(resources, "a", tags=[{"Key": "k", "Value": "v"}])
    resources.delete(made)
    create(resources, "a")
    assert resources.tags(made.arn) == {}


def test_what_is_not_there_cannot_be_tagged(resources: Resources) -> None:
    with pytest.raises(NotFound):
        resources.add_tags("arn:aws:sagemaker:us-east-1:0:training-job/a", {"k": "v"})


# How they are found


def plan(database: Database, statement: sa.Executable, values: dict[str, Any]) -> str:
    """What SQLite says it will do."""
    with database.connect() as connection:
        connection.execute(statement, values)
        cursor = connection.exec_driver_sql(
            "EXPLAIN QUERY PLAN " + connection.info["sql"], connection.info["parameters"]
        )
        return " | ".join(row[3] for row in cursor)


@pytest.mark.parametrize("url", ["sqlite:///:memory:"])
def test_every_hot_query_has_its_index(resources: Resources, database: Database) -> None:
    @sa.event.listens_for(database.engine, "before_cursor_execute")
    def keep(connection: sa.Connection, _cursor: Any, sql: str, parameters: Any, *_: Any) -> None:
        if not sql.startswith("EXPLAIN"):
            connection.info["sql"], connection.info["parameters"] = sql, parameters

    for column, after in (("Name", "a"), ("CreationTime", 1.0), ("Status", "a")):
        query = ListQuery(sort_by=column)
        page = select_page(resources_module._rows, KIND, HERE, query, (after, "a"))
        found = plan(database, page, {})
        assert "SEARCH resources USING INDEX" in found
        assert "TEMP B-TREE" not in found, f"{column} is sorted by hand"
    claim = {"new_lease_owner": "", "new_lease_token": "", "new_lease_expires": 1.0}
    found = plan(database, resources_module._CLAIM, {"now": 1.0, "kinds": [KIND]} | claim)
    assert "USING INDEX resources_due (kind=? AND due<?)" in found
