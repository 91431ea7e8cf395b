"""The small parts of jobs: states, capacity, addresses, images, metrics, artifacts, verdicts."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from wildsage import logfile
from wildsage.arns import Scope
from wildsage.compute.base import InstanceStatus
from wildsage.contract.failure import ClientError
from wildsage.jobs import artifacts, images, states
from wildsage.jobs.addresses import Addresses, NoAddress
from wildsage.jobs.capacity import GIB, Cores, instance_type
from wildsage.jobs.metrics import final_metrics
from wildsage.jobs.verdicts import Verdict, judge
from wildsage.store.database import Database
from wildsage.store.objects.store import Objects

# -- states --------------------------------------------------------------------------------------


def test_transitions_close_the_one_before() -> None:
    state = states.advance(states.begin(), "Downloading")
    first, second = state["Transitions"]
    assert first["EndTime"] == second["StartTime"] and "EndTime" not in second
    assert state["SecondaryStatus"] == "Downloading"


def test_the_same_status_renews_its_message() -> None:
    state = states.advance(states.begin(), "Pending", "one")
    state = states.advance(state, "Pending", "two")
    assert [t["StatusMessage"] for t in state["Transitions"]][1:] == ["two"]


def test_what_the_table_does_not_allow() -> None:
    with pytest.raises(states.BadTransition, match="from Starting to Completed"):
        states.advance(states.begin(), "Completed")


def test_the_table_is_closed_and_ends() -> None:
    for secondary, following in states.TRAINING.items():
        assert following <= set(states.TRAINING)
        assert bool(following) is (states.status_of(secondary) not in states.ENDED)


# -- capacity ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "vcpus", "gib", "gpus"),
    [
        ("ml.m5.large", 2, 8, 0),
        ("ml.m5.xlarge", 4, 16, 0),
        ("ml.c5.2xlarge", 8, 16, 0),
        ("ml.m4.16xlarge", 64, 256, 0),
        ("ml.t3.medium", 2, 8, 0),
        ("ml.p3.2xlarge", 8, 61, 1),
        ("ml.p3.16xlarge", 64, 488, 8),
        ("ml.g5.12xlarge", 48, 192, 4),
        ("ml.r5.24xlarge", 96, 768, 0),
        ("ml.z9.xlarge", 4, 16, 0),
    ],
)
def test_instance_types(name: str, vcpus: int, gib: int, gpus: int) -> None:
    kind = instance_type(name)
    assert (kind.vcpus, kind.memory // GIB, kind.gpus) == (vcpus, gib, gpus)


def test_nobody_overtakes() -> None:
    cores = Cores(4)
    assert cores.ask("a", 1, 3)
    assert not cores.ask("b", 2, 2)
    assert not cores.ask("c", 3, 1), "would fit, but b came first"
    assert cores.explain("c") == (
        "Waiting for 1 of 4 core(s): 3 in use by running job(s); 1 job(s) were created before it."
    )
    rung: list[str] = []
    cores.wait("b", lambda: rung.append("b"))
    cores.release("a")
    assert rung == ["b"]
    assert cores.ask("b", 2, 2) and cores.ask("c", 3, 1)


def test_asking_again_keeps_the_grant_and_adoption_may_exceed() -> None:
    cores = Cores(2)
    cores.hold("old", 1, 99)
    cores.hold("older", 0, 1)
    assert cores.ask("old", 1, 99)
    assert not cores.ask("new", 2, 1)
    cores.release("old")
    assert cores.ask("new", 2, 1)
    cores.release("never")


# -- addresses -----------------------------------------------------------------------------------


def test_gangs_have_addresses_of_their_own() -> None:
    addresses = Addresses()
    first, second = addresses.take("a", 2), addresses.take("b", 2)
    assert first == ["127.64.0.1", "127.64.0.2"] and not set(first) & set(second)
    assert addresses.take("a", 2) == first
    addresses.release("a")
    assert not set(addresses.take("c", 2)) & {*first, *second}, "a block rests first"


def test_held_addresses_are_not_given_out_again() -> None:
    addresses = Addresses()
    addresses.hold("old", ["127.64.0.1"])
    addresses.hold("none", [])
    assert addresses.take("new", 1) == ["127.64.1.1"]
    assert addresses.take("old", 1) == ["127.64.0.1"]


def test_too_large_a_gang() -> None:
    with pytest.raises(NoAddress):
        Addresses().take("a", 255)


# -- images --------------------------------------------------------------------------------------

HOST = "382416733822.dkr.ecr.us-east-1.amazonaws.com"


@pytest.mark.parametrize(
    "uri",
    [
        f"{HOST}/kmeans:1",
        f"{HOST}/kmeans",
        "000000000000.dkr.ecr.cn-north-1.amazonaws.com.cn/kmeans:latest",
    ],
)
def test_images_of_any_account_and_region(uri: str) -> None:
    program = images.resolve(uri)
    assert program.algorithm == "kmeans" and program.builtin
    assert program.argv("train")[1:] == ("-m", "wildsage.algorithms", "train", "kmeans")
    assert program.metric_definitions()
    with pytest.raises(ClientError, match="required hyperparameter"):
        program.validate({}, {})


@pytest.mark.parametrize("uri", ["kmeans", "docker.io/library/x:1", f"{HOST}/", f"{HOST}/a b:1"])
def test_invalid_images(uri: str) -> None:
    with pytest.raises(images.InvalidImage):
        images.resolve(uri)


@pytest.mark.parametrize("name", ["no-such-repo:1", "kmeans:99"])
def test_unknown_images(name: str) -> None:
    with pytest.raises(images.UnknownImage) as caught:
        images.resolve(f"{HOST}/{name}")
    assert caught.value.registry_id == "382416733822"


# -- metrics -------------------------------------------------------------------------------------


def stream(path: Path, *lines: tuple[int, str], cut: bytes = b"") -> Path:
    path.write_bytes(b"".join(logfile.encode(t, t, text) for t, text in lines) + cut)
    return path


def test_the_latest_value_over_all_streams(tmp_path: Path) -> None:
    definitions = [{"Name": "loss", "Regex": "loss=([^,]+)"}, {"Name": "whole", "Regex": r"^\d+$"}]
    one = stream(tmp_path / "1", (1000, "loss=1, loss=2,"), (3000, "loss=oops,"), (4000, "12"))
    two = stream(tmp_path / "2", (2000, "loss=0.5,"), cut=b"9000 9000 loss=7")
    found = final_metrics(definitions, [one, two, tmp_path / "missing"])
    assert found == [
        {"MetricName": "loss", "Value": 0.5, "Timestamp": 2.0},
        {"MetricName": "whole", "Value": 12.0, "Timestamp": 4.0},
    ]


# -- artifacts -----------------------------------------------------------------------------------


def test_archives_are_deterministic(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'db'}")
    database.migrate()
    objects = Objects(database, tmp_path / "objects")
    objects.create_bucket(Scope(), "b")
    (tmp_path / "z").mkdir()
    (tmp_path / "z" / "file").write_text("content")
    (tmp_path / "z" / "empty").mkdir()
    entries = artifacts.collect([tmp_path / "z"])
    first = artifacts.save_archive(objects, ("b", "one"), entries)
    second = artifacts.save_archive(objects, ("b", "two"), entries)
    assert first.etag == second.etag
    with tarfile.open(first.path) as tar:
        assert tar.getnames() == ["empty", "file"]
        assert {member.uid for member in tar.getmembers()} == {0}
    objects.close()
    database.close()


def test_inside_follows_no_link(tmp_path: Path) -> None:
    (tmp_path / "real" / "sub").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert artifacts.inside(tmp_path, "real", "sub") == tmp_path / "real" / "sub"
    assert artifacts.inside(tmp_path, "link", "sub") is None
    assert artifacts.inside(tmp_path, "gone") is None


# -- verdicts ------------------------------------------------------------------------------------


def ended(code: int | None = 0, at: float = 1.0, **more: object) -> InstanceStatus:
    return InstanceStatus("exited", exit_code=code, ended=at, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("statuses", "verdict"),
    [
        ([ended(), ended()], Verdict("Completed")),
        ([ended(), ended(None, signal=15, reason="timeout")], Verdict("MaxRuntimeExceeded")),
        ([ended(1, reason="stopped")], Verdict("Stopped")),
        ([ended(None, signal=9, reason="killed")], Verdict("Stopped")),
        (
            [ended(None, signal=9, reason="killed", at=0.5), ended(3)],
            Verdict(
                "Failed",
                "InternalServerError: We encountered an internal error. Please try again.",
            ),
        ),
        (
            [ended(None, signal=9, out_of_memory=True)],
            Verdict(
                "Failed",
                "ClientError: Please use an instance type with more memory, or reduce the size of "
                "training data processed on an instance.",
            ),
        ),
        (
            [InstanceStatus("exited", reason="lost")],
            Verdict(
                "Failed",
                "InternalServerError: We encountered an internal error. Please try again.",
            ),
        ),
        (
            [InstanceStatus("exited", reason="unstartable", message="no")],
            Verdict("Failed", "InternalServerError: The instance could not be started: no"),
        ),
    ],
)
def test_verdicts(statuses: list[InstanceStatus], verdict: Verdict, tmp_path: Path) -> None:
    roots = [tmp_path / str(number) for number in range(len(statuses))]
    assert judge(roots, statuses, True) == verdict


def test_the_first_to_fail_speaks(tmp_path: Path) -> None:
    roots = [tmp_path / "1", tmp_path / "2"]
    for root in roots:
        (root / "ml" / "output").mkdir(parents=True)
        (root / "ml" / "output" / "failure").write_text(f"reason {root.name}")
    verdict = judge(roots, [ended(1, 2.0), ended(1, 1.0)], False)
    assert verdict.reason == "AlgorithmError: reason 2, exit code: 1"


def test_who_names_the_customer_s_mistake_goes_before_who_lost_it(tmp_path: Path) -> None:
    roots = [tmp_path / "algo-1", tmp_path / "algo-2"]
    verdict = judge(roots, [ended(1, 1.0), ended(2, 2.0)], True)
    assert verdict.reason.startswith("ClientError: ")
    assert judge(roots, [ended(1, 1.0), ended(2, 2.0)], False).reason.endswith("exit code: 1")
