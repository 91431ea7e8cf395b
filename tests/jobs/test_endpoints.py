"""Endpoints: created, updated without a gap, failed, replaced, deleted, adopted."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs.helpers_endpoints import (
    SCOPE,
    WAIT,
    ThreadCompute,
    World,
    archive,
    variant_of,
    world,
)
from router.helpers_router import invoke, serve
from serving.helpers_serving import ask, connection
from wildsage.compute.process import ProcessCompute
from wildsage.services.sagemaker import endpoints

UNHEALTHY = (
    "The primary container for production variant AllTraffic did not pass the ping health check. "
    "Please check CloudWatch logs for this endpoint."
)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path) as made:
        yield made


def threads(house: World) -> ThreadCompute:
    assert isinstance(house.compute, ThreadCompute)
    return house.compute


def call(address: str, body: bytes = b"x") -> bytes:
    with connection(Path(address)) as client:
        return ask(client, "POST", "/invocations", body)[2]


# -- create


def test_an_endpoint_comes_into_service(house: World) -> None:
    house.model("m", answer="hello", KEY="value")
    house.deploy("e", "m")
    house.settle("e", "InService")
    (address,) = house.addresses("e")
    assert call(address) == b"hello:x"
    (spec,) = threads(house).specs.values()
    assert spec.env["KEY"] == "value"
    assert spec.env["AWS_REGION"] == "us-east-1"
    assert spec.env["WILDSAGE_BIND_UDS"] == "invocations.sock"
    assert spec.argv[-1].startswith("\nimport os")
    assert spec.root.parts[-4:-1:2] == ("endpoint", spec.root.parent.name)


def test_its_log_is_where_aws_has_it(house: World) -> None:
    house.model("m")
    house.deploy("e", "m")
    house.settle("e", "InService")
    streams, _ = house.logs.describe_streams(SCOPE, "/aws/sagemaker/Endpoints/e")
    (stream,) = streams
    variant, _, instance = stream.stream.name.partition("/")
    assert variant == "AllTraffic"
    assert instance.startswith("i-") and len(instance) == 19


def test_every_instance_of_every_variant_is_started(house: World) -> None:
    house.model("a")
    house.model("b")
    house.config(
        "c",
        variant_of("a", "A", count=2, InitialVariantWeight=3.0),
        variant_of("b", "B", RoutingConfig={"RoutingStrategy": "LEAST_OUTSTANDING_REQUESTS"}),
    )
    endpoints.create_endpoint(house.ctx(), {"EndpointName": "e", "EndpointConfigName": "c"})
    house.settle("e", "InService")
    route = house.routes.find(SCOPE, "e")
    assert route is not None
    assert [(v.name, v.weight, len(v.targets), v.strategy) for v in route.variants] == [
        ("A", 3.0, 2, ""),
        ("B", 1.0, 1, "LEAST_OUTSTANDING_REQUESTS"),
    ]
    assert Counter(call(address) for address in house.addresses("e")) == {b"a:x": 2, b"b:x": 1}


def test_a_model_server_that_ends_at_once_fails_the_endpoint(house: World) -> None:
    house.model("m", TOY="exit")
    house.deploy("e", "m")
    house.settle("e", "Failed")
    assert house.state("e").failure == UNHEALTHY
    assert house.routes.find(SCOPE, "e") is None
    house.until(lambda: not house.state("e").retired)


def test_a_model_server_that_never_answers_fails_after_its_limit(
    house: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.model("m", TOY="hang")
    house.deploy("e", "m", ContainerStartupHealthCheckTimeoutInSeconds=0.05)
    house.settle("e", "Failed")
    assert house.state("e").failure == UNHEALTHY


@pytest.mark.parametrize(
    "data", [b"not a tar", archive(answer="x" * 5000)[:60]], ids=["text", "cut"]
)
def test_model_data_that_is_no_archive_fails_the_endpoint(house: World, data: bytes) -> None:
    house.model("m")
    house.put("m.tar.gz", data)
    house.deploy("e", "m")
    house.settle("e", "Failed")
    reason = house.state("e").failure or ""
    assert reason.startswith(
        'Failed to extract model data archive for container "container_1" from URL '
        '"s3://models/m.tar.gz"'
    )


def test_model_data_that_is_gone_fails_the_endpoint(house: World) -> None:
    house.model("m")
    house.objects.delete("models", "m.tar.gz")
    house.deploy("e", "m")
    house.settle("e", "Failed")
    assert house.state("e").failure == (
        'Failed to download model data for container "container_1" from URL: '
        '"s3://models/m.tar.gz". Please ensure that there is an object located at the URL and '
        "that the role passed to CreateModel has permissions to download the object."
    )


# -- update


def test_an_update_swaps_when_the_new_fleet_is_healthy(house: World) -> None:
    house.model("old")
    house.model("new")
    house.deploy("e", "old")
    house.settle("e", "InService")
    (before,) = house.addresses("e")
    house.config("c2", variant_of("new", count=2))
    house.update("e", "c2")
    house.settle("e", "InService")
    assert [call(address) for address in house.addresses("e")] == [b"new:x"] * 2
    house.until(lambda: not house.state("e").retired)
    assert not Path(before).exists()
    assert len(list((house.platform.settings.instances / "endpoint" / "e").iterdir())) == 1


def test_an_update_that_fails_changes_nothing(house: World) -> None:
    house.model("old")
    house.model("bad", TOY="exit")
    house.deploy("e", "old")
    house.settle("e", "InService")
    before = house.addresses("e")
    house.config("c2", variant_of("bad"))
    house.update("e", "c2")
    house.settle("e", "InService")
    state = house.state("e")
    assert state.failure == UNHEALTHY
    assert state.shown is not None and state.shown.config == "e-old"
    assert house.addresses("e") == before
    assert call(before[0]) == b"old:x"


def test_an_old_model_server_finishes_its_requests(house: World) -> None:
    house.model("old")
    house.model("new")
    house.deploy("e", "old")
    house.settle("e", "InService")
    (address,) = house.addresses("e")
    route = house.routes.find(SCOPE, "e")
    assert route is not None
    target = route.choose().target(())
    assert target is not None
    target.inflight = 1  # as the router counts a request under way
    house.config("c2", variant_of("new"))
    house.update("e", "c2")
    house.settle("e", "InService")
    house.until(lambda: house.state("e").retired)
    assert Path(address).parent.parent not in threads(house).stopped
    assert call(address) == b"old:x"
    target.inflight = 0
    house.until(lambda: not house.state("e").retired)
    assert Path(address).parent.parent in threads(house).stopped


def test_counts_and_weights_change_without_restarting_what_stays(house: World) -> None:
    house.model("m")
    house.deploy("e", "m", count=2)
    house.settle("e", "InService")
    first, second = house.addresses("e")
    for count, kept in ((3, {first, second}), (1, {first})):
        endpoints.update_endpoint_weights_and_capacities(
            house.ctx(),
            {
                "EndpointName": "e",
                "DesiredWeightsAndCapacities": [
                    {
                        "VariantName": "AllTraffic",
                        "DesiredInstanceCount": count,
                        "DesiredWeight": count / 10,
                    }
                ],
            },
        )
        house.settle("e", "InService")
        assert len(house.addresses("e")) == count
        assert kept <= set(house.addresses("e"))
    house.until(lambda: not house.state("e").retired)
    route = house.routes.find(SCOPE, "e")
    assert route is not None and route.variants[0].weight == 0.1
    assert call(first) == b"m:x"


def test_no_request_fails_while_an_endpoint_is_updated_again_and_again(house: World) -> None:
    """Through the router, with clients that never pause."""
    house.model("m0")
    house.deploy("e", "m0", count=2)
    house.settle("e", "InService")
    with serve() as served:
        served.router.table = house.routes
        stop = threading.Event()
        answers: Counter[tuple[int, bytes]] = Counter()

        def hammer() -> None:
            while not stop.is_set():
                answer = invoke(served.port, "e", b"x")
                answers[answer.status, answer.body] += 1

        clients = [threading.Thread(target=hammer) for _ in range(4)]
        for client in clients:
            client.start()
        for number in range(1, 5):
            house.model(f"m{number}")
            house.config(f"c{number}", variant_of(f"m{number}", count=2))
            house.update("e", f"c{number}")
            house.settle("e", "InService")
            house.until(lambda: not house.state("e").retired)
        stop.set()
        for client in clients:
            client.join(WAIT)
    assert {status for status, _ in answers} == {200}
    assert answers.total() > 100
    assert (200, b"m4:x") in answers


# -- what dies is replaced


def test_a_model_server_that_dies_is_replaced(house: World) -> None:
    house.model("m")
    house.deploy("e", "m", count=2)
    house.settle("e", "InService")
    dead, other = house.addresses("e")
    threads(house).end(Path(dead).parent.parent)
    house.until(lambda: len(house.addresses("e")) == 2 and dead not in house.addresses("e"))
    assert other in house.addresses("e")
    assert {call(address) for address in house.addresses("e")} == {b"m:x"}
    found = house.find("e")
    assert found is not None and found.status == "InService"
    house.until(lambda: not house.state("e").retired)
    assert not Path(dead).parent.exists()


def test_one_that_dies_again_and_again_is_replaced_later_and_later(tmp_path: Path) -> None:
    compute = ThreadCompute()
    with world(tmp_path, compute, start=False) as house:
        house.model("m")
        house.deploy("e", "m")
        step(house, "e")
        while not house.state("e").serving:
            step(house, "e")
        pauses = []
        for _ in range(3):
            fleet = house.state("e").serving
            assert fleet is not None
            (instance,) = fleet.instances
            root = instance.root(house.reconciler.folder(house.settle("e", "InService")))
            if root in compute.specs:
                compute.end(root)
            step(house, "e")
            following = house.state("e").serving
            assert following is not None
            (instance,) = following.instances
            pauses.append(instance.not_before)
            rush(house, "e")
            step(house, "e")
        assert pauses[0] < pauses[1] < pauses[2]
        for root in list(compute.servers):
            compute.end(root)


def step(house: World, name: str) -> None:
    """One step of the reconciler, as the engine does it."""
    found = house.find(name)
    assert found is not None
    outcome = house.reconciler.reconcile(found)
    house.resources.update(found, status=outcome.status, document=outcome.document)


def rush(house: World, name: str) -> None:
    """Let what waits for its turn come now."""
    found = house.find(name)
    assert found is not None
    document = found.document
    for variant in document["State"]["serving"]["variants"]:
        for instance in variant["instances"]:
            instance["not_before"] = 0.0
    house.resources.update(found, document=document)


# -- delete


def test_a_deleted_endpoint_leaves_nothing(house: World) -> None:
    house.model("m")
    house.deploy("e", "m", count=2)
    house.settle("e", "InService")
    addresses = house.addresses("e")
    endpoints.delete_endpoint(house.ctx(), {"EndpointName": "e"})
    assert house.routes.find(SCOPE, "e") is None
    house.until(lambda: house.find("e") is None)
    assert not any(Path(address).exists() for address in addresses)
    assert not (house.platform.settings.instances / "endpoint" / "e").exists()


def test_an_endpoint_can_be_deleted_while_it_is_created(house: World) -> None:
    house.model("m", TOY="hang")
    house.deploy("e", "m")
    house.until(lambda: threads(house).specs)
    endpoints.delete_endpoint(house.ctx(), {"EndpointName": "e"})
    house.until(lambda: house.find("e") is None)
    assert house.compute.running() == []


def test_a_failed_endpoint_can_be_deleted(house: World) -> None:
    house.model("m", TOY="exit")
    house.deploy("e", "m")
    house.settle("e", "Failed")
    endpoints.delete_endpoint(house.ctx(), {"EndpointName": "e"})
    house.until(lambda: house.find("e") is None)


# -- real processes, and a server that is killed


def test_model_servers_are_adopted_by_the_next_server(tmp_path: Path) -> None:
    compute = ProcessCompute(tmp_path / "instances")
    try:
        with world(tmp_path, compute) as house:
            house.model("m")
            house.deploy("e", "m")
            house.settle("e", "InService")
            (address,) = house.addresses("e")
            answer = call(address)
        # The server is gone; the model server is not.
        assert call(address) == answer
        with world(tmp_path, compute, adopt=True) as house:
            assert house.addresses("e") == [address]  # before the engine did anything
            assert call(address) == answer  # the same process
            with connection(Path(address)) as client:
                client.request("POST", "/invocations", b"die")
                with pytest.raises(ConnectionError):
                    client.getresponse()
            house.until(lambda: house.addresses("e") not in ([], [address]))
            (replaced,) = house.addresses("e")
            assert call(replaced).startswith(b"m ")
            assert call(replaced) != answer
            endpoints.delete_endpoint(house.ctx(), {"EndpointName": "e"})
            house.until(lambda: house.find("e") is None)
        assert compute.running() == []
    finally:
        for root in compute.running():
            compute.remove(root)
        compute.close()


def test_a_server_killed_between_two_steps_goes_on(tmp_path: Path) -> None:
    """The model server was started, but the server did not live to see it healthy."""
    compute = ThreadCompute()
    with world(tmp_path, compute, start=False) as house:
        house.model("m")
        house.deploy("e", "m")
        found = house.find("e")
        assert found is not None
        house.reconciler.reconcile(found)  # its outcome is never written
        assert len(compute.specs) == 1
    with world(tmp_path, compute, adopt=True) as house:
        house.settle("e", "InService")
        assert len(compute.specs) == 1
        (address,) = house.addresses("e")
        assert call(address) == b"m:x"
    for root in list(compute.servers):
        compute.end(root)


def test_instances_share_their_model_by_links_where_they_cannot_change_it(tmp_path: Path) -> None:
    compute = ThreadCompute(overlays=True)
    with world(tmp_path, compute) as house:
        house.model("m")
        house.deploy("e", "m", count=2)
        house.settle("e", "InService")
        files = [root / "ml" / "model" / "answer" for root in compute.specs]
        assert len({file.stat().st_ino for file in files}) == 1
        assert all(spec.read_only == ("model",) for spec in compute.specs.values())
    for root in list(compute.servers):
        compute.end(root)


def test_credentials_of_the_role_reach_the_instance(house: World) -> None:
    asked = []

    def credentials(role: str, session: str) -> dict[str, str]:
        asked.append((role, session))
        return {"AWS_ACCESS_KEY_ID": "ASIA"}

    house.reconciler.credentials = credentials
    house.reconciler.endpoint = "http://127.0.0.1:4570"
    house.model("m", AWS_ACCESS_KEY_ID="mine", OMP_NUM_THREADS="1")
    house.deploy("e", "m")
    house.settle("e", "InService")
    (spec,) = threads(house).specs.values()
    assert asked == [("arn:aws:iam::210987654321:role/SageMakerRole", "e")]
    assert spec.env["AWS_ACCESS_KEY_ID"] == "ASIA"
    assert spec.env["AWS_ENDPOINT_URL"] == "http://127.0.0.1:4570"
    assert spec.env["OMP_NUM_THREADS"] == "1"
