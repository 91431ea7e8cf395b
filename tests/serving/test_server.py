"""The model server, over sockets: routes, statuses, keep-alive, limits, slow models, draining."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from serving.helpers_serving import (
    Toy,
    UnixConnection,
    ask,
    connection,
    model_server,
    start_model,
)
from wildsage.contract.paths import Paths
from wildsage.serving import server
from wildsage.serving.protocol import Connection


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "s"


@pytest.fixture
def client(path: Path) -> Iterator[UnixConnection]:
    with model_server(path), connection(path) as opened:
        yield opened


def test_ping_is_200_and_empty(client: UnixConnection) -> None:
    assert ask(client, "GET", "/ping") == (200, "text/plain", b"")


def test_an_invocation_reaches_the_model_with_its_headers(path: Path) -> None:
    with model_server(path) as toy, connection(path) as client:
        custom = {"X_Amzn_SageMaker_Custom_Attributes": "a=b"}
        answer = ask(client, "POST", "/invocations", b"1,2", Content_Type="text/csv", **custom)
        assert answer == (200, "text/plain", b"toy:1,2")
        assert toy.seen == [(b"1,2", "text/csv", "", "a=b")]


def test_custom_attributes_go_back(client: UnixConnection) -> None:
    client.request("POST", "/invocations", b"x", {"X-Amzn-SageMaker-Custom-Attributes": "trace=1"})
    answer = client.getresponse()
    assert answer.getheader("X-Amzn-SageMaker-Custom-Attributes") == "trace=1"
    answer.read()


def test_one_connection_serves_many_requests(client: UnixConnection) -> None:
    for number in range(50):
        status, _, body = ask(client, "POST", "/invocations", b"%d" % number)
        assert (status, body) == (200, b"toy:%d" % number)
    assert client.sock is not None


def test_an_empty_body_is_204(client: UnixConnection) -> None:
    assert ask(client, "POST", "/invocations", b"")[0] == 204
    assert ask(client, "GET", "/ping")[0] == 200


@pytest.mark.parametrize("status", [400, 406, 415])
def test_a_refusal_carries_its_text(client: UnixConnection, status: int) -> None:
    answer = ask(client, "POST", "/invocations", b"refuse %d" % status)
    assert answer == (
        status,
        "text/plain; charset=utf-8",
        b"refused with %d" % status,
    )


def test_a_crash_is_500_and_its_traceback_is_in_the_log_only(
    client: UnixConnection, capfd: pytest.CaptureFixture[str]
) -> None:
    status, _, body = ask(client, "POST", "/invocations", b"crash")
    assert (status, body) == (500, b"the model is confused")
    assert "Traceback" in capfd.readouterr().err


def test_execution_parameters_are_json(client: UnixConnection) -> None:
    status, content_type, body = ask(client, "GET", "/execution-parameters")
    assert (status, content_type) == (200, "application/json")
    assert json.loads(body) == {"MaxConcurrentTransforms": 1}


@pytest.mark.parametrize(
    ("method", "route", "status"),
    [("GET", "/invocations", 405), ("POST", "/ping", 405), ("GET", "/elsewhere", 404)],
)
def test_other_routes_are_refused(
    client: UnixConnection, method: str, route: str, status: int
) -> None:
    assert ask(client, method, route, b"x" if method == "POST" else None)[0] == status


def test_a_query_string_does_not_change_the_route(client: UnixConnection) -> None:
    assert ask(client, "GET", "/ping?x=1")[0] == 200


def test_pipelined_requests_are_answered_in_order(path: Path) -> None:
    with model_server(path), socket.socket(socket.AF_UNIX) as raw:
        raw.settimeout(10)
        raw.connect(str(path))
        requests = [
            b"POST /invocations HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\n\r\n%04d" % number
            for number in range(100)
        ]
        raw.sendall(b"".join(requests))
        received = b""
        while received.count(b"toy:") < 100:
            received += raw.recv(65536)
    order = [int(part[:4]) for part in received.split(b"toy:")[1:]]
    assert order == list(range(100))


def test_a_request_in_pieces_is_put_together(path: Path) -> None:
    with model_server(path), socket.socket(socket.AF_UNIX) as raw:
        raw.settimeout(10)
        raw.connect(str(path))
        whole = b"POST /invocations HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\nhello"
        for byte in whole:
            raw.sendall(bytes([byte]))
        assert raw.recv(65536).endswith(b"toy:hello")


def test_chunked_bodies_are_read(client: UnixConnection) -> None:
    client.request("POST", "/invocations", iter([b"ab", b"cd"]), encode_chunked=True)
    assert client.getresponse().read() == b"toy:abcd"


def test_malformed_http_is_400_and_ends_the_connection(path: Path) -> None:
    with model_server(path), socket.socket(socket.AF_UNIX) as raw:
        raw.settimeout(10)
        raw.connect(str(path))
        raw.sendall(b"nonsense\r\n\r\n")
        assert raw.recv(65536).startswith(b"HTTP/1.1 400 ")
        assert raw.recv(65536) == b""


def test_a_body_over_the_limit_is_413_even_while_it_is_sent(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server.ModelServer, "max_body", 1000)
    monkeypatch.setattr(
        server.ModelServer,
        "connection",
        lambda self: Connection(self.answer, 1000, self.connections, False),
    )
    with model_server(path) as toy:
        with connection(path) as client:
            assert ask(client, "POST", "/invocations", b"x" * 500_000)[0] == 413
        with connection(path) as client:
            client.request("POST", "/invocations", iter([b"x" * 2000]), encode_chunked=True)
            assert client.getresponse().status == 413
        assert toy.seen == []


def test_ping_answers_while_a_slow_model_works(path: Path) -> None:
    with model_server(path) as toy, connection(path) as busy, connection(path) as other:
        # A body that is large goes to a worker thread without having been slow before.
        busy.request("POST", "/invocations", b"block " + b"x" * server.LARGE_BODY)
        assert toy.entered.wait(10)
        assert ask(other, "GET", "/ping")[0] == 200
        toy.released.set()
        assert busy.getresponse().status == 200


def test_a_model_that_was_slow_is_called_in_a_thread_until_it_is_quick(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "SLOW_SECONDS", -1.0)  # everything is slow
    with model_server(path) as toy, connection(path) as client:
        ask(client, "POST", "/invocations", b"first")
        toy.threads.clear()
        ask(client, "POST", "/invocations", b"second")
        assert [name.partition("_")[0] for name in toy.threads] == ["invocation"]
        monkeypatch.setattr(server, "SLOW_SECONDS", 1e9)
        ask(client, "POST", "/invocations", b"third")
        toy.threads.clear()
        ask(client, "POST", "/invocations", b"fourth")
        assert "invocation" not in "".join(toy.threads)


def test_stopping_answers_what_has_arrived(path: Path) -> None:
    toy = Toy()
    running = start_model(path, toy)
    with connection(path) as client, connection(path) as idle:
        ask(idle, "GET", "/ping")
        client.request("POST", "/invocations", b"block " + b"x" * server.LARGE_BODY)
        assert toy.entered.wait(10)
        running.loop.call_soon_threadsafe(running.event.set)
        assert idle.sock is not None
        assert idle.sock.recv(1) == b""  # closed at once, because nothing is under way
        toy.released.set()
        answer = client.getresponse()
        assert (answer.status, answer.getheader("connection")) == (200, "close")
        answer.read()
    running.stop()


def test_requests_are_logged_and_health_checks_are_not(
    path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with model_server(path), connection(path) as client:
        ask(client, "GET", "/ping")
        ask(client, "POST", "/invocations", b"abc")
        ask(client, "POST", "/invocations", b"refuse 415")
    written = capfd.readouterr().out
    assert "POST /invocations 200" in written
    assert "POST /invocations 415" in written
    assert "refused with 415" in written
    assert "/ping" not in written


def test_a_busy_server_counts_instead_of_logging_every_request(
    path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with model_server(path), connection(path) as client:
        for _ in range(300):
            ask(client, "POST", "/invocations", b"abc")
    lines = capfd.readouterr().out.splitlines()
    written = sum(line.startswith("POST") for line in lines)
    counted = sum(int(line.split()[1]) for line in lines if line.startswith("and "))
    assert written + counted == 300
    assert written < 300


def test_a_socket_path_may_be_longer_than_an_address_holds(tmp_path: Path) -> None:
    folder = tmp_path / ("long" * 30)
    listener = server.bind_unix(folder / "s")
    assert (folder / "s").is_socket()
    listener.close()


def test_where_the_server_listens(tmp_path: Path) -> None:
    listener = server.bind({"WILDSAGE_BIND_UDS": "s"}, Paths(tmp_path))
    assert (tmp_path / "s").is_socket()
    listener.close()
    tcp = server.bind(
        {"WILDSAGE_BIND_HOST": "127.0.0.1", "SAGEMAKER_BIND_TO_PORT": "0"}, Paths(tmp_path)
    )
    assert tcp.getsockname()[0] == "127.0.0.1"
    tcp.close()


@pytest.mark.parametrize(
    ("environment", "count"),
    [
        ({}, 1),
        ({"MODEL_SERVER_WORKERS": "3"}, 3),
        ({"SAGEMAKER_MODEL_SERVER_WORKERS": "2", "MODEL_SERVER_WORKERS": "3"}, 2),
        ({"MODEL_SERVER_WORKERS": "many"}, 1),
    ],
)
def test_worker_count(environment: dict[str, str], count: int) -> None:
    assert server.worker_count(environment) == count


PROGRAM = """
import sys
from wildsage.serving.handler import Reply
from wildsage.serving.server import serve
class Model:
    def __call__(self, body, content_type, accept, attributes):
        return Reply(200, "text/plain", body[::-1])
    def execution_parameters(self):
        return {}
def load(paths):
    if sys.argv[1:] == ["broken"]:
        raise OSError("no model here")
    return Model()
sys.exit(serve(load))
"""


def run_program(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    environment = os.environ | {"WILDSAGE_BIND_UDS": "s", "SAGEMAKER_BASE_DIR": str(folder)}
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_the_process_serves_and_ends_on_sigterm(tmp_path: Path) -> None:
    with run_program(tmp_path) as process:
        assert process.stdout is not None
        assert "loaded" in process.stdout.readline()
        with connection(tmp_path / "s") as client:
            assert ask(client, "POST", "/invocations", b"abc")[2] == b"cba"
            process.send_signal(signal.SIGTERM)
            assert process.wait(10) == 0


def test_a_model_that_cannot_be_loaded_ends_the_process(tmp_path: Path) -> None:
    with run_program(tmp_path, "broken") as process:
        output, _ = process.communicate(timeout=10)
    assert process.returncode == 1
    assert "Unable to load model: no model here" in output
