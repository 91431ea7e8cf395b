"""The server is killed with -9 while it uploads, trains and serves; the next one goes on."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from threading import Event, Thread
from typing import Any

import psutil
import pytest
from botocore.config import Config

from acceptance.helpers_jobs import (
    ask,
    blobs,
    csv,
    deploy,
    finish,
    image,
    make_bucket,
    train,
    training_request,
)
from wildsage.testing import LocalServer

pytestmark = pytest.mark.acceptance

LONG = {"k": "50", "feature_dim": "4", "epochs": "100", "mini_batch_size": "1000"}


def kill(server: LocalServer) -> None:
    process = psutil.Process(server.presence.pid)
    os.kill(process.pid, signal.SIGKILL)
    psutil.wait_procs([process])


def instances(server: LocalServer, kind: str) -> set[int]:
    """The processes that run the instances of a kind."""
    marker = f"{server.settings.instances}/{kind}/"
    return {
        p.pid
        for p in psutil.process_iter(["cmdline"])
        if marker in " ".join(p.info["cmdline"] or ())
    }


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "home"
    from wildsage.cli.down_command import end_instances, stop_server
    from wildsage.settings import Settings

    stop_server(Settings(home=tmp_path / "home"))
    end_instances(Settings(home=tmp_path / "home"))


class Uploader:
    """Puts objects until the server is gone, and knows which were acknowledged."""

    def __init__(self, server: LocalServer) -> None:
        once = Config(retries={"total_max_attempts": 1})
        self._s3 = server.client("s3", config=once)
        self.acknowledged: dict[str, bytes] = {}
        self.some = Event()
        self._thread = Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        for number in range(100_000):
            body = os.urandom(20_000) + str(number).encode()
            try:
                self._s3.put_object(Bucket="data", Key=f"up/{number}", Body=body)
            except Exception:
                return
            self.acknowledged[f"up/{number}"] = body
            if number == 20:
                self.some.set()

    def wait(self) -> None:
        self._thread.join()


def test_kill_9_loses_nothing(home: Path) -> None:
    server = LocalServer.start(home)
    make_bucket(server, "data", train__a=csv(blobs()), long__a=csv(blobs(50_000)))
    done = train(server, training_request("quick", "data"))
    artifact = done["ModelArtifacts"]["S3ModelArtifacts"]
    deploy(server, "serving", artifact, image("kmeans"))
    before = ask(server, "serving", b"1,2,3,4")
    start_long_job(server)
    model_servers = instances(server, "endpoint")
    uploader = Uploader(server)
    assert uploader.some.wait(60)
    kill(server)
    uploader.wait()
    trainers = instances(server, "training-job")
    assert model_servers and trainers

    again = LocalServer.start(home)
    assert ask(again, "serving", b"1,2,3,4") == before
    assert instances(again, "endpoint") == model_servers
    check_objects(again, uploader.acknowledged)
    described = finish(again, "long")
    assert described["TrainingJobStatus"] == "Completed", described
    statuses = [t["Status"] for t in described["SecondaryStatusTransitions"]]
    assert statuses == ["Starting", "Downloading", "Training", "Uploading", "Completed"]


def start_long_job(server: LocalServer) -> None:
    request = training_request("long", "data", HyperParameters=LONG)
    source = request["InputDataConfig"][0]["DataSource"]["S3DataSource"]
    source["S3Uri"] = "s3://data/long/"
    sagemaker: Any = server.client("sagemaker")
    sagemaker.create_training_job(**request)
    while not instances(server, "training-job"):
        status = sagemaker.describe_training_job(TrainingJobName="long")
        assert status["TrainingJobStatus"] == "InProgress", status


def check_objects(server: LocalServer, acknowledged: dict[str, bytes]) -> None:
    s3 = server.client("s3")
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket="data", Prefix="up/")
    listed = {o["Key"] for page in pages for o in page["Contents"]}
    assert set(acknowledged) <= listed
    for key, body in acknowledged.items():
        assert s3.get_object(Bucket="data", Key=key)["Body"].read() == body


def test_stopping_leaves_jobs_running_and_down_all_ends_them(home: Path) -> None:
    server = LocalServer.start(home)
    make_bucket(server, "data", long__a=csv(blobs(50_000)))
    start_long_job(server)
    server.stop(everything=False)
    assert instances(server, "training-job")
    server.stop()
    assert not instances(server, "training-job")
    again = LocalServer.start(home)
    assert finish(again, "long")["TrainingJobStatus"] in {"Failed", "Stopped"}


def test_a_second_server_on_the_same_home_is_refused(home: Path) -> None:
    server = LocalServer.start(home)
    with pytest.raises(Exception, match="already"):
        LocalServer.start(home)
    assert server.client("sts").get_caller_identity()["Account"] == "000000000000"
