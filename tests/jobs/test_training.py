"""Training jobs from their row to their artifacts, with real instances of tiny programs."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jobs.helpers_jobs import (
    BUCKET,
    LEVEL,
    ROLE,
    SCOPE,
    World,
    channel,
    request,
    resources,
    secondary,
    transitions,
)
from wildsage.jobs.training_job import KIND

WAIT = "import signal; signal.pause()"
MARK = "open('output/data/ready', 'w').close(); "


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path)
    world.engine.start()
    yield world
    world.close()


def archive(content: bytes) -> dict[str, str]:
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        found = {}
        for member in tar.getmembers():
            file = tar.extractfile(member) if member.isreg() else None
            found[member.name] = file.read().decode() if file else member.type.decode()
        return found


def until_training(world: World, name: str) -> None:
    world.wait(name, lambda row: secondary(row) == "Training")


# -- the good path -------------------------------------------------------------------------------


def test_a_job_goes_through_all_states_and_leaves_its_model(world: World) -> None:
    code = (
        "import os; os.mkdir('model/sub'); open('model/a', 'w').write('A'); "
        "open('model/sub/b', 'w').write('B'); open('output/data/log', 'w').write('L'); print('hi')"
    )
    row = world.run("job", code)
    assert row.status == "Completed", row.document["State"]
    states = row.document["State"]
    assert transitions(row) == ["Starting", "Downloading", "Training", "Uploading", "Completed"]
    assert [t["StatusMessage"] for t in states["Transitions"]] == [
        "Preparing the instances for training",
        "Downloading input data",
        "Training image download completed. Training in progress.",
        "Uploading generated training model",
        "Training job completed",
    ]
    assert all(t["EndTime"] >= t["StartTime"] for t in states["Transitions"])
    assert states["TrainingStartTime"] <= states["TrainingEndTime"]
    uri = f"s3://{BUCKET}/out/job/output/model.tar.gz"
    assert states["ModelArtifacts"] == {"S3ModelArtifacts": uri}
    model = archive(world.content("out/job/output/model.tar.gz"))
    assert model == {"a": "A", "sub": "5", "sub/b": "B"}
    assert archive(world.content("out/job/output/output.tar.gz")) == {"log": "L"}
    assert world.lines("job") == ["hi"]


def test_nothing_is_left_of_an_ended_job_but_rows_and_objects(world: World) -> None:
    world.run("job", "pass")
    world.engine.stop()  # its last step cleans up
    assert list(world.instances.glob("*/*")) == []
    assert world.compute.running() == []


def test_an_instance_is_told_everything(world: World) -> None:
    code = (
        "import json, os; c = 'input/config/'; print(json.dumps(["
        "json.load(open(c + n + '.json')) for n in "
        "('hyperparameters', 'resourceconfig', 'inputdataconfig')] + [dict(os.environ)]))"
    )
    world.put("data/train/x.csv", b"1")
    world.run(
        "job",
        code,
        HyperParameters={"k": "10", "deep": '"quoted"'},
        InputDataConfig=[channel("train", f"s3://{BUCKET}/data/train", ContentType="text/csv")],
        Environment={"MINE": "1", "OMP_NUM_THREADS": "7", "TRAINING_JOB_NAME": "forged"},
    )
    hyper, resource, inputs, env = json.loads(world.lines("job")[0])
    assert hyper == {"k": "10", "deep": '"quoted"'}
    assert resource["hosts"] == ["algo-1"] and resource["current_host"] == "algo-1"
    assert resource["instance_groups"][0]["instance_type"] == "ml.m5.large"
    assert inputs["train"] == {
        "ContentType": "text/csv",
        "TrainingInputMode": "File",
        "S3DistributionType": "FullyReplicated",
        "RecordWrapperType": "None",
    }
    assert env["TRAINING_JOB_NAME"] == "job" and env["MINE"] == "1"
    assert env["TRAINING_JOB_ARN"].endswith(":training-job/job")
    assert env["OMP_NUM_THREADS"] == "7" and env["OMP_WAIT_POLICY"] == "PASSIVE"
    assert env["AWS_REGION"] == env["AWS_DEFAULT_REGION"] == "us-east-1"
    assert env["AWS_ENDPOINT_URL"] == "http://127.0.0.1:1"
    assert env["AWS_ACCESS_KEY_ID"] == f"key of {ROLE}"
    assert env["WILDSAGE_HOST_ADDRESSES"].startswith("algo-1=127.")


def test_final_metrics_come_from_the_log(world: World) -> None:
    spec = request("print('loss=3;'); print('loss=2.5;'); print('loss=nan;'); print('acc: 0.75')")[
        "AlgorithmSpecification"
    ]
    spec["MetricDefinitions"] = [
        {"Name": "loss", "Regex": r"loss=(\S+);"},
        {"Name": "accuracy", "Regex": "acc: ([0-9.]+)"},
        {"Name": "never", "Regex": "never=(.*)"},
    ]
    row = world.run("job", "", AlgorithmSpecification=spec)
    metrics = row.document["State"]["FinalMetricDataList"]
    assert [(m["MetricName"], m["Value"]) for m in metrics] == [("loss", 2.5), ("accuracy", 0.75)]


def test_uncompressed_output(world: World) -> None:
    row = world.run(
        "job",
        "open('model/a', 'w').write('A')",
        OutputDataConfig={"S3OutputPath": f"s3://{BUCKET}", "CompressionType": "NONE"},
    )
    assert world.content("job/output/model/a") == b"A"
    artifacts = row.document["State"]["ModelArtifacts"]["S3ModelArtifacts"]
    assert artifacts == f"s3://{BUCKET}/job/output/model/"


def test_links_in_the_model_are_not_followed(world: World, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret")
    world.run("a", f"import os; os.symlink({str(secret)!r}, 'model/link')")
    assert archive(world.content("out/a/output/model.tar.gz")) == {"link": "2"}
    code = f"import os; os.rmdir('model'); os.symlink({str(tmp_path)!r}, 'model')"
    assert world.run("b", code).status == "Completed"
    assert not world.exists("out/b/output/model.tar.gz")


# -- failures ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (
            "open('output/failure', 'w').write('bad column'); raise SystemExit(2)",
            "ClientError: bad column",
        ),
        (
            "open('output/failure', 'w').write('x' * 3000); raise SystemExit(1)",
            ("AlgorithmError: " + "x" * 1024)[:1024],
        ),
        (
            "raise SystemExit(3)",
            "InternalServerError: We encountered an internal error. Please try again.",
        ),
        (
            "raise SystemExit(1)",
            "AlgorithmError: Please check the logs of the training job, exit code: 1",
        ),
        (
            "import os; os.kill(os.getpid(), 9)",
            "AlgorithmError: Please check the logs of the training job, exit code: 137",
        ),
        (
            "import os; os.symlink('/etc/passwd', 'output/failure'); raise SystemExit(1)",
            "AlgorithmError: Please check the logs of the training job, exit code: 1",
        ),
    ],
)
def test_failure_reasons(world: World, code: str, reason: str) -> None:
    row = world.run("job", code + "  # and no model")
    assert row.status == "Failed"
    assert row.document["State"]["FailureReason"] == reason
    assert row.document["State"]["Transitions"][-1]["StatusMessage"] == "Training job failed"
    assert "ModelArtifacts" not in row.document["State"]


def test_a_failed_job_keeps_its_output_and_no_model(world: World) -> None:
    code = "open('output/data/x', 'w').write('X'); open('model/m', 'w'); raise SystemExit(1)"
    world.run("job", code)
    assert archive(world.content("out/job/output/output.tar.gz")) == {"x": "X"}
    assert not world.exists("out/job/output/model.tar.gz")


def test_bad_hyperparameters_fail_before_anything_starts(world: World) -> None:
    row = world.run("job", "print('started')", HyperParameters={"bad": "1"})
    assert row.status == "Failed" and transitions(row) == ["Starting", "Failed"]
    reason = row.document["State"]["FailureReason"]
    assert reason == "ClientError: no 'bad', please (caused by ValidationError)"
    assert not world.instances.exists()


@pytest.mark.parametrize(
    ("uri", "text"),
    [
        ("s3://nobody/x", "No S3 objects found under s3://nobody/x"),
        (f"s3://{BUCKET}/nothing/", f"No S3 objects found under s3://{BUCKET}/nothing/"),
    ],
)
def test_missing_input_fails_the_job(world: World, uri: str, text: str) -> None:
    row = world.run("job", "pass", InputDataConfig=[channel("train", uri)])
    assert row.document["State"]["FailureReason"] == f"ClientError: Data download failed:{text}"


@pytest.mark.parametrize("key", ["d/../../../x", "d/..", "d/a/./b", "d/" + "n" * 300])
def test_hostile_keys_write_nothing(world: World, key: str) -> None:
    world.put(key, b"x")
    row = world.run("job", "pass", InputDataConfig=[channel("train", f"s3://{BUCKET}/d/")])
    reason = row.document["State"]["FailureReason"]
    assert reason.startswith("ClientError: Data download failed:The key ")


@pytest.mark.parametrize(
    "places",
    [
        {"OutputDataConfig": {"S3OutputPath": "s3://nobody/out"}},
        {"CheckpointConfig": {"S3Uri": "s3://nobody/checkpoints"}},
    ],
)
def test_a_missing_bucket_for_results_is_told_before_anything_runs(
    world: World, places: dict[str, Any]
) -> None:
    row = world.run("job", "open('model/m', 'w')", **places)
    reason = row.document["State"]["FailureReason"]
    assert reason.startswith("ClientError: Artifact upload failed:")
    assert transitions(row) == ["Starting", "Failed"]


def test_a_bucket_deleted_meanwhile_is_told(world: World) -> None:
    world.objects.create_bucket(SCOPE, "short-lived")
    output = {"S3OutputPath": "s3://short-lived/out"}
    code = "import os; os.mkfifo('go'); print('started', flush=True); open('go').read(); "
    world.create("job", code + "open('model/m', 'w')", OutputDataConfig=output)
    until_training(world, "job")
    wait_for_line(world, "job")
    world.objects.delete_bucket("short-lived")
    [root] = world.compute.running()
    (root / "ml" / "go").write_bytes(b"x")
    reason = world.wait("job").document["State"]["FailureReason"]
    assert reason.startswith("ClientError: Artifact upload failed:")


def test_a_broken_pipe_channel_fails_the_job(world: World) -> None:
    uri = world.put("data/x.gz", gzip.compress(b"abc" * 1000)[:-20])
    entry = channel("train", uri, CompressionType="Gzip", InputMode="Pipe")
    row = world.run("job", "open('input/data/train_0').read()", InputDataConfig=[entry])
    reason = row.document["State"]["FailureReason"]
    assert reason.startswith("ClientError: Data download failed:channel train: ")


# -- stopping ------------------------------------------------------------------------------------


def test_stop_saves_the_model(world: World) -> None:
    code = (
        "import signal, sys\n"
        "def bye(*_): open('model/partial', 'w').write('P'); sys.exit(0)\n"
        "signal.signal(15, bye); print('up', flush=True)\n"
        "signal.pause()"
    )
    world.create("job", code)
    until_training(world, "job")
    wait_for_line(world, "job")
    world.stop("job")
    row = world.wait("job")
    assert row.status == "Stopped"
    assert transitions(row)[-3:] == ["Stopping", "Uploading", "Stopped"]
    assert archive(world.content("out/job/output/model.tar.gz")) == {"partial": "P"}


def wait_for_line(world: World, name: str) -> None:
    """The log is a file that another process appends to: look until it says something."""
    for _ in range(100_000):
        if world.lines(name):
            return
    raise AssertionError("the program says nothing")


def test_max_runtime(world: World) -> None:
    condition = {"MaxRuntimeInSeconds": 0.05}
    row = world.run("job", WAIT, StoppingCondition=condition)
    assert (row.status, secondary(row)) == ("Stopped", "MaxRuntimeExceeded")
    assert "ModelArtifacts" in row.document["State"]


def test_stop_before_the_start(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.create("job", WAIT)
    world.stop("job")
    world.engine.start()
    row = world.wait("job")
    assert row.status == "Stopped" and transitions(row) == ["Starting", "Stopping", "Stopped"]
    assert "TrainingStartTime" not in row.document["State"]
    world.close()


# -- gangs ---------------------------------------------------------------------------------------


def test_a_gang_has_its_own_addresses_and_one_model(world: World) -> None:
    code = (
        "import os, socket, json\n"
        "me = json.load(open('input/config/resourceconfig.json'))['current_host']\n"
        "names = dict(p.split('=') for p in os.environ['WILDSAGE_HOST_ADDRESSES'].split(','))\n"
        "if me == 'algo-1':\n"
        "    s = socket.create_server((names[me], 5555)); c, peer = s.accept()\n"
        "    print(c.makefile().readline(), end='')\n"
        "else:\n"
        "    for _ in range(100000):\n"
        "        try: c = socket.create_connection((names['algo-1'], 5555)); break\n"
        "        except OSError: pass\n"
        "    c.sendall(b'hello from ' + me.encode() + b'\\n')\n"
        "open('model/' + me, 'w').write(me); open('model/all', 'w').write(me)\n"
    )
    row = world.run("job", code, ResourceConfig=resources(2))
    assert row.status == "Completed", row.document["State"]
    assert world.lines("job") == ["hello from algo-2"]
    model = archive(world.content("out/job/output/model.tar.gz"))
    assert model == {"algo-1": "algo-1", "algo-2": "algo-2", "all": "algo-1"}
    assert len(set(row.document["State"]["Addresses"])) == 2


def test_one_failing_instance_ends_the_gang(world: World) -> None:
    code = (
        "import json, signal\n"
        "if json.load(open('input/config/resourceconfig.json'))['current_host'] == 'algo-2':\n"
        "    open('output/failure', 'w').write('no data'); raise SystemExit(2)\n"
        "signal.pause()"
    )
    row = world.run("job", code, ResourceConfig=resources(3))
    assert row.document["State"]["FailureReason"] == "ClientError: no data"


def test_instance_groups(world: World) -> None:
    groups = [
        {"InstanceGroupName": "big", "InstanceType": "ml.m5.xlarge", "InstanceCount": 1},
        {"InstanceGroupName": "small", "InstanceType": "ml.m5.large", "InstanceCount": 1},
    ]
    uri = world.put("d/x", b"x")
    entry = channel("train", uri, source={"InstanceGroupNames": ["small"]})
    code = "import os; print(os.listdir('input/data'))"
    config = {"InstanceGroups": groups, "VolumeSizeInGB": 1}
    world.run("job", code, ResourceConfig=config, InputDataConfig=[entry])
    assert world.lines("job", "algo-1") == ["[]"]
    assert world.lines("job", "algo-2") == ["['train']"]


# -- input ---------------------------------------------------------------------------------------


def test_file_mode_input_can_be_written_and_the_object_stays(world: World) -> None:
    uri = world.put("d/x", b"object")
    code = "open('input/data/train/x', 'w').write('mine'); print(open('input/data/train/x').read())"
    assert world.run("job", code, InputDataConfig=[channel("train", uri)]).status == "Completed"
    assert world.lines("job") == ["mine"]
    assert world.content("d/x") == b"object"


@pytest.mark.skipif(LEVEL == "none", reason="no mount namespaces here")
def test_fast_file_input_cannot_be_written(world: World) -> None:
    uri = world.put("d/x", b"object")
    code = "print(open('input/data/train/x').read(), flush=True); open('input/data/train/x', 'w')"
    row = world.run("job", code, InputDataConfig=[channel("train", uri, InputMode="FastFile")])
    assert row.status == "Failed" and world.lines("job")[0] == "object"
    assert world.content("d/x") == b"object"


def test_pipe_mode_over_epochs(world: World) -> None:
    world.put("d/1", b"one,")
    world.put("d/2", b"two,")
    code = (
        "for e in range(2): print(open(f'input/data/train_{e}').read())\n"
        "print(open('input/data/train_2').read(1)); print(open('input/data/train_3').read())"
    )
    entry = channel("train", f"s3://{BUCKET}/d", InputMode="Pipe")
    assert world.run("job", code, InputDataConfig=[entry]).status == "Completed"
    assert world.lines("job") == ["one,two,", "one,two,", "o", "one,two,"]


def test_sharded_input(world: World) -> None:
    for name in "abc":
        world.put(f"d/{name}", name.encode())
    source = {"S3DataDistributionType": "ShardedByS3Key"}
    entry = channel("train", f"s3://{BUCKET}/d/", source=source)
    code = "import os; print(sorted(os.listdir('input/data/train')))"
    world.run("job", code, ResourceConfig=resources(2), InputDataConfig=[entry])
    assert world.lines("job", "algo-1") == ["['a', 'c']"]
    assert world.lines("job", "algo-2") == ["['b']"]


def test_checkpoints_are_restored_and_saved(world: World) -> None:
    world.put("ck/old", b"1")
    code = (
        "print(open('checkpoints/old').read()); "
        "open('checkpoints/old', 'a').write('2'); open('checkpoints/new', 'w').write('3')"
    )
    row = world.run("job", code, CheckpointConfig={"S3Uri": f"s3://{BUCKET}/ck/"})
    assert row.status == "Completed", row.document["State"]
    assert world.lines("job") == ["1"]
    assert (world.content("ck/old"), world.content("ck/new")) == (b"12", b"3")


# -- queueing ------------------------------------------------------------------------------------


def test_jobs_wait_for_cores_in_order(world: World) -> None:
    world.create("first", WAIT)
    until_training(world, "first")
    world.create("second", "pass")
    waiting = world.wait("second", lambda row: secondary(row) == "Pending")
    assert waiting.status == "InProgress"
    message = waiting.document["State"]["Transitions"][-1]["StatusMessage"]
    assert message == "Waiting for 2 of 2 core(s): 2 in use by running job(s)."
    world.create("third", "pass")
    third = world.wait("third", lambda row: secondary(row) == "Pending")
    assert "1 job(s) were created before it" in str(third.document["State"]["Transitions"][-1])
    world.stop("first")
    second, third = world.wait("second"), world.wait("third")
    ends = [row.document["State"]["TrainingEndTime"] for row in (second, third)]
    starts = [row.document["State"]["TrainingStartTime"] for row in (second, third)]
    assert ends[0] <= starts[1] and second.status == third.status == "Completed"


def test_a_job_larger_than_the_machine_runs(world: World) -> None:
    config = resources(1, "ml.m5.24xlarge")
    assert world.run("job", "pass", ResourceConfig=config).status == "Completed"


# -- restart -------------------------------------------------------------------------------------


def test_a_running_job_is_adopted_after_a_restart(tmp_path: Path) -> None:
    code = (
        "import os; print('started', flush=True); f = os.open('go', os.O_RDONLY); os.read(f, 1); "
        "open('model/m', 'w').write('M')"
    )
    world = World(tmp_path)
    world.engine.start()
    world.create("job", "import os; os.mkfifo('go'); " + code)
    until_training(world, "job")
    wait_for_line(world, "job")
    world.engine.stop()
    world.engine = world.make_engine()
    world.engine.start()
    [root] = world.compute.running()
    (root / "ml" / "go").write_bytes(b"x")
    row = world.wait("job")
    assert row.status == "Completed" and world.lines("job") == ["started"]
    world.close()


def test_a_job_that_ended_meanwhile_is_collected(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.engine.start()
    world.create("job", "import os; os.mkfifo('go'); open('go').read(); open('model/m', 'w')")
    until_training(world, "job")
    world.engine.stop()
    [root] = world.compute.running()
    while not (root / "ml" / "go").exists():
        assert world.compute.status(root).state != "exited"
    (root / "ml" / "go").write_bytes(b"x")
    world.engine = world.make_engine()
    world.engine.start()
    assert world.wait("job").status == "Completed"
    assert world.exists("out/job/output/model.tar.gz")
    world.close()


def test_folders_nobody_claims_are_removed(tmp_path: Path) -> None:
    world = World(tmp_path)
    stale = world.instances / KIND / "gone" / "generation" / "algo-1"
    stale.mkdir(parents=True)
    world.engine.start()
    world.run("job", "pass")
    assert not stale.exists() and not stale.parent.parent.exists()
    world.close()
