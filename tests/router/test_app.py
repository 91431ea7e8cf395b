"""Invocations end to end: boto3 and raw clients, a router under uvicorn, toy model servers."""

from __future__ import annotations

import http.client
import json
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError, EventStreamError

from router.helpers_router import SCOPE, Served, invoke, post, serve, signed
from serving.helpers_serving import Toy, in_thread, model_server, start_model
from wildsage.arns import Scope
from wildsage.router.meter import Usage
from wildsage.router.table import VariantRoute

MAX_BODY = 6291456


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with serve() as running:
        yield running


@pytest.fixture
def endpoint(served: Served, tmp_path: Path) -> Iterator[Toy]:
    """The endpoint "toy", in service."""
    with model_server(tmp_path / "s") as toy:
        served.publish("toy", VariantRoute("AllTraffic", 1.0, (str(tmp_path / "s"),)))
        yield toy
        served.table.withdraw(SCOPE, "toy")


def failure(call: Any, **arguments: Any) -> dict[str, Any]:
    """What boto3 makes of an error answer."""
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    return dict(caught.value.response)


# -- what goes through


def test_an_invocation_through_boto3(served: Served, endpoint: Toy) -> None:
    answer = served.runtime.invoke_endpoint(
        EndpointName="toy",
        Body=b"1,2",
        ContentType="text/csv",
        Accept="application/json",
        CustomAttributes="trace=1",
        TargetModel="m.tar.gz",
        InferenceId="one",
    )
    assert answer["Body"].read() == b"toy:1,2"
    assert answer["ContentType"] == "application/json"
    assert answer["InvokedProductionVariant"] == "AllTraffic"
    assert answer["CustomAttributes"] == "trace=1"
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 200
    assert len(answer["ResponseMetadata"]["RequestId"]) == 36
    assert endpoint.seen == [(b"1,2", "text/csv", "application/json", "trace=1")]


def test_binary_bodies_of_every_size_up_to_the_limit(served: Served, endpoint: Toy) -> None:
    for size in (1, 65536, 65537, MAX_BODY):
        body = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
        answer = served.runtime.invoke_endpoint(EndpointName="toy", Body=body)
        assert answer["Body"].read() == b"toy:" + body


def test_an_empty_answer(served: Served, endpoint: Toy) -> None:
    answer = served.runtime.invoke_endpoint(EndpointName="toy", Body=b"")
    assert answer["Body"].read() == b""


def test_everything_else_goes_to_the_application_behind(served: Served) -> None:
    assert post(served.port, "/", b"", {}).body == b"inner"
    assert post(served.port, "/endpoints/a/b/invocations", b"", {}).body == b"inner"
    path = "/endpoints/toy/invocations"
    for_s3 = signed(served.port, path, b"", "s3")
    assert post(served.port, path, b"", for_s3).body == b"inner"
    with_get = http.client.HTTPConnection("127.0.0.1", served.port, timeout=10)
    with_get.request("GET", path)
    assert with_get.getresponse().read() == b"inner"
    with_get.close()


# -- what is refused


def test_an_unknown_endpoint(served: Served) -> None:
    answer = failure(served.runtime.invoke_endpoint, EndpointName="none", Body=b"x")
    assert answer["Error"] == {
        "Code": "ValidationError",
        "Message": "Endpoint none of account 123456789012 not found.",
    }
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 400


def test_an_endpoint_of_another_region_is_unknown(served: Served, endpoint: Toy) -> None:
    served.publish("far", VariantRoute("v", 1.0, ("/x",)), scope=Scope(SCOPE.account, "eu-west-1"))
    answer = failure(served.runtime.invoke_endpoint, EndpointName="far", Body=b"x")
    assert answer["Error"]["Message"] == "Endpoint far of account 123456789012 not found."


def test_requests_must_be_signed(served: Served, endpoint: Toy) -> None:
    path = "/endpoints/toy/invocations"
    unsigned = post(served.port, path, b"x", {})
    assert unsigned.status == 403
    assert unsigned.headers["x-amzn-errortype"].startswith("MissingAuthenticationToken")
    forged = post(served.port, path, b"other", signed(served.port, path, b"x"))
    assert forged.status == 403
    assert "signature" in json.loads(forged.body)["message"]
    elsewhere = post(served.port, path, b"x", signed(served.port, path, b"x", "logs"))
    assert elsewhere.status == 403
    assert endpoint.seen == []


def test_a_body_over_six_mebibytes(served: Served, endpoint: Toy) -> None:
    body = b"x" * (MAX_BODY + 1)
    answer = failure(served.runtime.invoke_endpoint, EndpointName="toy", Body=body)
    assert answer["Error"]["Code"] == "ValidationError"
    assert "Member must have length less than or equal to 6291456" in answer["Error"]["Message"]
    assert endpoint.seen == []


def test_an_endless_body_is_cut_off(served: Served, endpoint: Toy) -> None:
    client = http.client.HTTPConnection("127.0.0.1", served.port, timeout=10)
    chunks = (b"x" * 65536 for _ in range(MAX_BODY // 65536 + 2))
    client.request("POST", "/endpoints/toy/invocations", chunks, encode_chunked=True)
    assert client.getresponse().status == 400
    client.close()
    assert endpoint.seen == []


@pytest.mark.parametrize(("status", "side"), [(400, "client"), (415, "client"), (503, "server")])
def test_what_the_model_refuses_is_a_model_error(
    served: Served, endpoint: Toy, status: int, side: str
) -> None:
    body = b"refuse %d" % status
    answer = failure(served.runtime.invoke_endpoint, EndpointName="toy", Body=body)
    assert answer["Error"]["Code"] == "ModelError"
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 424
    assert answer["OriginalStatusCode"] == status
    assert answer["OriginalMessage"] == f"refused with {status}"
    assert answer["LogStreamArn"] == (
        "arn:aws:logs:us-east-1:123456789012:log-group:/aws/sagemaker/Endpoints/toy"
    )
    assert answer["Error"]["Message"] == (
        f'Received {side} error ({status}) from primary with message "refused with {status}". '
        "See https://us-east-1.console.aws.amazon.com/cloudwatch/home?region=us-east-1"
        "#logEventViewer:group=/aws/sagemaker/Endpoints/toy in account 123456789012 "
        "for more information."
    )


def test_a_crash_of_the_model_is_a_model_error(served: Served, endpoint: Toy) -> None:
    answer = failure(served.runtime.invoke_endpoint, EndpointName="toy", Body=b"crash")
    assert answer["OriginalStatusCode"] == 500
    assert answer["OriginalMessage"] == "the model is confused"


def test_asynchronous_invocations_are_501_by_name(served: Served) -> None:
    answer = failure(
        served.runtime.invoke_endpoint_async, EndpointName="toy", InputLocation="s3://b/k"
    )
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 501
    assert "InvokeEndpointAsync" in answer["Error"]["Message"]


# -- variants and instances


def test_variants_are_shared_out_and_can_be_asked_for(served: Served, tmp_path: Path) -> None:
    with (
        model_server(tmp_path / "a", Toy("a")),
        model_server(tmp_path / "b", Toy("b")),
    ):
        served.publish(
            "two",
            VariantRoute("A", 1.0, (str(tmp_path / "a"),)),
            VariantRoute("B", 1.0, (str(tmp_path / "b"),)),
        )
        runtime = served.runtime
        chosen = {
            runtime.invoke_endpoint(EndpointName="two", Body=b"x")["InvokedProductionVariant"]
            for _ in range(40)
        }
        assert chosen == {"A", "B"}
        asked = runtime.invoke_endpoint(EndpointName="two", Body=b"x", TargetVariant="B")
        assert asked["Body"].read() == b"b:x"
        answer = failure(runtime.invoke_endpoint, EndpointName="two", Body=b"x", TargetVariant="C")
        assert answer["Error"]["Code"] == "ValidationError"


def test_instances_take_turns_and_a_dead_one_is_passed_over(served: Served, tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("a", "b")]
    with model_server(paths[0], Toy("a")):
        dying = start_model(paths[1], Toy("b"))
        served.publish("pair", VariantRoute("v", 1.0, tuple(map(str, paths))))
        before = Counter(invoke(served.port, "pair", b"x").body for _ in range(10))
        assert before == {b"a:x": 5, b"b:x": 5}
        dying.stop()
        after = Counter(invoke(served.port, "pair", b"x").body for _ in range(10))
        assert after == {b"a:x": 10}


# -- when model servers come, go, hang and die


def test_a_request_waits_for_a_model_server_that_is_coming(served: Served, tmp_path: Path) -> None:
    served.publish("late", VariantRoute("v", 1.0, ()))
    with ThreadPoolExecutor(1) as pool, model_server(tmp_path / "s"):
        waiting = pool.submit(invoke, served.port, "late", b"x")
        while not served.table._waiters:
            assert not waiting.done()
        served.publish("late", VariantRoute("v", 1.0, (str(tmp_path / "s"),)))
        assert waiting.result(10).body == b"toy:x"


def test_no_model_server_at_all_is_service_unavailable(tmp_path: Path) -> None:
    with serve(recovery_seconds=0.02) as served:
        served.publish("gone", VariantRoute("v", 1.0, (str(tmp_path / "nobody"),)))
        answer = failure(served.runtime.invoke_endpoint, EndpointName="gone", Body=b"x")
        assert answer["Error"]["Code"] == "ServiceUnavailable"
        assert answer["ResponseMetadata"]["HTTPStatusCode"] == 503


def test_a_model_that_hangs_times_out_as_on_aws(tmp_path: Path) -> None:
    with serve(model_seconds=0.05) as served, model_server(tmp_path / "s") as toy:
        served.publish("slow", VariantRoute("v", 1.0, (str(tmp_path / "s"),)))
        body = b"block " + b"x" * 70000
        answer = failure(served.runtime.invoke_endpoint, EndpointName="slow", Body=body)
        assert answer["Error"]["Code"] == "ModelError"
        assert answer["OriginalStatusCode"] == 0
        assert answer["Error"]["Message"].startswith(
            'Received server error (0) from primary with message "Your invocation timed out while '
            "waiting for a response from container primary. Review the latency metrics for each "
            "container in Amazon CloudWatch, resolve the issue, and try again."
        )
        assert served.table.busy([str(tmp_path / "s")]) == 0
        toy.released.set()


def test_a_model_server_that_dies_with_a_request(served: Served, tmp_path: Path) -> None:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "s"))
    listener.listen()

    def die() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(65536)
        listener.close()

    dying = threading.Thread(target=die)
    dying.start()
    served.publish("dying", VariantRoute("v", 1.0, (str(tmp_path / "s"),)))
    answer = failure(served.runtime.invoke_endpoint, EndpointName="dying", Body=b"x")
    dying.join()
    assert answer["Error"]["Code"] == "ModelError"
    assert "could not load the entire response body" in answer["Error"]["Message"]


def test_hundreds_of_requests_survive_one_swap_after_the_other(
    served: Served, tmp_path: Path
) -> None:
    """Clients hammer while model servers are replaced; every request is answered by one of them."""
    generations = 6
    stop = threading.Event()
    answers: Counter[bytes] = Counter()
    problems: list[tuple[int, bytes]] = []
    path = "/endpoints/swap/invocations"

    def hammer() -> None:
        headers = signed(served.port, path, b"x")
        client = http.client.HTTPConnection("127.0.0.1", served.port, timeout=10)
        while not stop.is_set():
            client.request("POST", path, b"x", headers)
            response = client.getresponse()
            body = response.read()
            answers[body] += 1
            if response.status != 200:
                problems.append((response.status, body))
        client.close()

    current = start_model(tmp_path / "0", Toy("0"))
    served.publish("swap", VariantRoute("v", 1.0, (str(tmp_path / "0"),)))
    threads = [threading.Thread(target=hammer) for _ in range(8)]
    for thread in threads:
        thread.start()
    for number in range(1, generations):
        seen = sum(answers.values())
        following = start_model(tmp_path / str(number), Toy(str(number)))
        served.publish("swap", VariantRoute("v", 1.0, (str(tmp_path / str(number)),)))
        current.stop()  # at once: the harshest way to retire it
        current = following
        while sum(answers.values()) < seen + 60 and not problems:
            pass
    stop.set()
    for thread in threads:
        thread.join(10)
    current.stop()
    assert problems == []
    assert sum(answers.values()) >= 300
    assert set(answers) == {b"%d:x" % number for number in range(generations)}


def test_the_meter_counts(tmp_path: Path) -> None:
    with serve() as served, model_server(tmp_path / "s"):
        served.publish("toy", VariantRoute("v", 1.0, (str(tmp_path / "s"),)))
        for body in (b"x", b"refuse 400", b"crash"):
            invoke(served.port, "toy", body)
        invoke(served.port, "unknown", b"x")
        usage = served.router.meter.drain()
        assert list(usage) == [(SCOPE, "toy", "v")]
        found = usage[SCOPE, "toy", "v"]
        assert (found.invocations, found.client_errors, found.server_errors) == (3, 1, 1)
        assert 0 < found.slowest <= found.model_latency < 1
        assert 0 < found.overhead_latency < 1
        assert served.router.meter.drain() == {}
    assert Usage().invocations == 0


# -- response streams


def streaming_server(path: Path, *pieces: bytes, whole: bool = True) -> Any:
    """A model server that answers in chunks, and breaks off unless `whole`."""
    import asyncio

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ntransfer-encoding: chunked\r\n\r\n"
        )
        for piece in pieces:
            writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            await writer.drain()
        if whole:
            writer.write(b"0\r\n\r\n")
            await reader.read(1)
        writer.close()

    async def run(stop: asyncio.Event) -> None:
        server = await asyncio.start_unix_server(script, str(path))
        await stop.wait()
        server.close()

    return in_thread(run)


def test_a_response_stream_through_boto3(served: Served, tmp_path: Path) -> None:
    running = streaming_server(tmp_path / "s", b"one", b"two" * 1000)
    served.publish("stream", VariantRoute("v", 1.0, (str(tmp_path / "s"),)))
    answer = served.runtime.invoke_endpoint_with_response_stream(EndpointName="stream", Body=b"x")
    parts = [event["PayloadPart"]["Bytes"] for event in answer["Body"]]
    assert b"".join(parts) == b"one" + b"two" * 1000
    assert answer["ContentType"] == "text/plain"
    assert answer["InvokedProductionVariant"] == "v"
    answer["Body"].close()
    assert served.table.busy([str(tmp_path / "s")]) == 0
    running.stop()


def test_a_response_stream_that_breaks_off_says_so(served: Served, tmp_path: Path) -> None:
    running = streaming_server(tmp_path / "s", b"one", whole=False)
    served.publish("broken", VariantRoute("v", 1.0, (str(tmp_path / "s"),)))
    answer = served.runtime.invoke_endpoint_with_response_stream(EndpointName="broken", Body=b"x")
    with pytest.raises(EventStreamError, match="ModelStreamError.*broke off"):
        list(answer["Body"])
    answer["Body"].close()
    running.stop()


def test_a_response_stream_of_a_refusal_is_a_model_error(served: Served, endpoint: Toy) -> None:
    answer = failure(
        served.runtime.invoke_endpoint_with_response_stream,
        EndpointName="toy",
        Body=b"refuse 415",
    )
    assert answer["Error"]["Code"] == "ModelError"
    assert answer["OriginalStatusCode"] == 415


def test_a_client_that_leaves_its_stream_frees_the_model_server(
    served: Served, tmp_path: Path
) -> None:
    running = streaming_server(tmp_path / "s", *[b"x" * 65536] * 200)
    address = str(tmp_path / "s")
    served.publish("left", VariantRoute("v", 1.0, (address,)))
    path = "/endpoints/left/invocations-response-stream"
    client = http.client.HTTPConnection("127.0.0.1", served.port, timeout=10)
    client.request("POST", path, b"x", signed(served.port, path, b"x"))
    client.getresponse().read(1000)
    assert served.table.busy([address]) == 1
    client.close()
    while served.table.busy([address]):
        pass
    target = served.table._targets[address]
    assert target.pool is not None and target.pool._open == 0
    running.stop()
