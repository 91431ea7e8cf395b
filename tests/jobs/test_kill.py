"""Kill -9 of a server while a job runs: the job goes on, and the next server collects it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from jobs.helpers_jobs import World, resources, transitions

SERVER = """
import sys
sys.path[:0] = [sys.argv[2]]
from pathlib import Path
from jobs.helpers_jobs import World, resources, secondary
world = World(Path(sys.argv[1]))
world.engine.start()
world.create("job", sys.argv[3], ResourceConfig=resources(2))
world.wait("job", lambda row: secondary(row) == "Training")
print("training", flush=True)
sys.stdin.read()
"""

PROGRAM = (
    "import json, os, sys\n"
    "me = json.load(open('input/config/resourceconfig.json'))['current_host']\n"
    "print('started', me, flush=True)\n"
    "f = os.open('go', os.O_RDWR); os.read(f, 1)\n"
    "print('went on', me, flush=True)\n"
    "open('model/' + me, 'w').write(me)\n"
)


def test_a_job_survives_its_server(tmp_path: Path) -> None:
    tests = str(Path(__file__).parent.parent)
    program = "import os\nos.mkfifo('go')\n" + PROGRAM
    server = subprocess.Popen(
        [sys.executable, "-c", SERVER, str(tmp_path), tests, program],
        stdout=subprocess.PIPE,
        stdin=subprocess.PIPE,
        text=True,
    )
    assert server.stdout is not None and server.stdin is not None
    with server, server.stdout, server.stdin:
        assert server.stdout.readline() == "training\n"
        os.kill(server.pid, signal.SIGKILL)
        server.wait()
    world = World(tmp_path)
    roots = world.compute.running()
    assert [root.name for root in roots] == ["algo-1", "algo-2"]
    for root in roots:  # while no server looks after them
        while not (root / "ml" / "go").exists():
            assert world.compute.status(root).state in ("starting", "running")
        (root / "ml" / "go").write_bytes(b"x")
    world.engine.start()
    row = world.wait("job")
    assert row.status == "Completed", row.document["State"]
    assert transitions(row) == ["Starting", "Downloading", "Training", "Uploading", "Completed"]
    assert world.lines("job", "algo-2") == ["started algo-2", "went on algo-2"]
    assert world.exists("out/job/output/model.tar.gz")
    assert resources(2)["InstanceCount"] == len(roots)
    world.close()
