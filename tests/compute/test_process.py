"""The process backend: the kit at every level of isolation, and what only it promises."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from wildsage import logfile
from wildsage.compute import isolation, supervisor
from wildsage.compute.base import Feed
from wildsage.compute.checks import _TELL, CHECKS, Lab
from wildsage.compute.process import ProcessCompute

BEST = ProcessCompute(Path("/nowhere")).level
LEVELS = sorted({BEST, isolation.NONE})
FULL = pytest.mark.skipif("pid" not in BEST, reason="no PID namespaces here")


def make(folder: Path, level: str | None = None) -> ProcessCompute:
    return ProcessCompute(folder / "home" / "instances", hidden=(folder / "home",), level=level)


@pytest.fixture
def compute(tmp_path: Path) -> Iterator[ProcessCompute]:
    compute = make(tmp_path)
    yield compute
    for root in compute.running():
        compute.kill(root)
    compute.close()


@pytest.fixture
def lab(compute: ProcessCompute, tmp_path: Path) -> Lab:
    return Lab(compute, tmp_path / "home" / "instances")


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_kit(check: Callable[[Lab], None], level: str, tmp_path: Path) -> None:
    compute = make(tmp_path, level)
    try:
        check(Lab(compute, tmp_path / "home" / "instances"))
        for root in compute.running():
            compute.kill(root)
        assert compute.running() == []
    finally:
        compute.close()


def test_supervisor_writes_the_format_of_log_files() -> None:
    for text in ("plain", "back\\slash \\n", "caf\u00e9 \u2028", "tab\t"):
        assert supervisor.encode(5, text.encode()) == logfile.encode(5, 5, text)


def test_exit_record_is_json_whatever_the_message() -> None:
    values = [None, True, 3, 1.5, 'a "b" \\ c\nd']
    assert [json.loads(supervisor._json(v)) for v in values] == [*values[:4], 'a "b" \\ c d']


@FULL
def test_an_instance_sees_only_its_own_processes(lab: Lab) -> None:
    lab.run("import os; print([p for p in os.listdir('/proc') if p.isdigit()], os.getpid())")
    assert lab.lines() == ["['1', '2'] 2"]


@FULL
def test_an_instance_does_not_see_the_home(lab: Lab, tmp_path: Path) -> None:
    secret = tmp_path / "home" / "secret"
    secret.parent.mkdir(parents=True)
    secret.write_text("x")
    with tempfile.NamedTemporaryFile(dir="/tmp") as theirs:
        places = [str(secret), theirs.name]
        lab.run(f"import os; print([os.path.exists(place) for place in {places}])")
        assert lab.lines() == ["[False, False]"]
        assert all(Path(place).exists() for place in places)


@FULL
def test_names_resolve_and_the_host_name_is_its_own(lab: Lab) -> None:
    code = "import socket; print(socket.gethostname(), socket.gethostbyname('algo-2'))"
    lab.run(code, hostname="algo-1", hosts={"algo-1": "127.64.0.1", "algo-2": "127.64.0.2"})
    assert lab.lines() == ["algo-1 127.64.0.2"]


@FULL
def test_root_loses_what_is_not_its_business(lab: Lab) -> None:
    lab.run("print([l for l in open('/proc/self/status') if l.startswith('CapEff')][0].split()[1])")
    kept = int(lab.lines()[0], 16)
    sys_admin, sys_ptrace, mknod = 21, 19, 27
    assert not any(kept >> capability & 1 for capability in (sys_admin, sys_ptrace, mknod))


@FULL
def test_shared_input_can_be_written_without_changing_the_original(lab: Lab) -> None:
    channel = lab.root / "ml" / "input" / "data" / "train"
    channel.mkdir(parents=True)
    original = lab.root.parent.parent / "object"
    original.write_text("original")
    os.link(original, channel / "file")
    code = "open('input/data/train/file', 'w').write('x'); open('input/data/train/new', 'w')"
    status = lab.run(code, copy_on_write=("input/data/train",))
    assert status.succeeded, lab.lines()
    assert original.read_text() == "original"


@FULL
def test_read_only_input_cannot_be_written(lab: Lab) -> None:
    channel = lab.root / "ml" / "input" / "data" / "train"
    channel.mkdir(parents=True)
    (channel / "file").write_text("original")
    status = lab.run("open('input/data/train/file', 'w')", read_only=("input/data/train",))
    assert status.exit_code == 1 and "Read-only file system" in lab.lines()[-1]


@pytest.mark.parametrize("level", LEVELS)
def test_a_killed_supervisor_takes_its_instance_along(level: str, tmp_path: Path) -> None:
    compute = make(tmp_path, level)
    lab = Lab(compute, tmp_path / "home" / "instances")
    lab.start(_TELL + "import signal; signal.pause()")
    lab.hear()
    os.kill(_supervisor_of(lab.root), signal.SIGKILL)
    status = lab.wait()
    assert (status.state, status.reason) == ("exited", "lost")
    assert compute.running() == []
    compute.close()


def _supervisor_of(root: Path) -> int:
    """The process that was started with this root and is not a guardian (whose parent is one)."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and str(root).encode() in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
        except OSError:
            continue
    return min(found)


def test_stop_works_while_the_server_is_dead(lab: Lab, tmp_path: Path) -> None:
    """Another process starts the instance and ends; this one stops it."""
    code = (
        "import sys; from pathlib import Path; from wildsage.compute.base import InstanceSpec\n"
        "from wildsage.compute.process import ProcessCompute\n"
        "root = Path(sys.argv[1]); compute = ProcessCompute(Path(sys.argv[2]))\n"
        "argv = (sys.executable, '-I', '-S', '-c', sys.argv[4])\n"
        "compute.start(InstanceSpec('x', argv, {}, root, log=Path(sys.argv[3])))\n"
        "import os, signal; os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    ml = lab.root / "ml"
    ml.mkdir(parents=True)
    os.mkfifo(ml / "says")
    program = _TELL + "import signal; signal.pause()"
    arguments = [str(lab.root), str(tmp_path / "home" / "instances"), str(lab.log), program]
    starter = subprocess.run([sys.executable, "-c", code, *arguments], check=False)
    assert starter.returncode == -signal.SIGKILL
    lab.hear()
    assert lab.compute.status(lab.root).state in ("starting", "running")
    lab.compute.stop(lab.root)
    assert lab.wait().reason == "stopped"


def test_what_was_prepared_but_not_spawned_is_started_again(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server was killed between the two."""
    with monkeypatch.context() as patch:
        patch.setattr("wildsage.compute.process._spawn", lambda *_: None)
        lab.start("print('first')")
    assert lab.compute.status(lab.root).state == "missing"
    assert lab.run("print('second')").succeeded
    assert lab.lines() == ["second"]


def test_no_credentials_stay_on_disk(lab: Lab) -> None:
    lab.run("pass", env={"AWS_SECRET_ACCESS_KEY": "geheim"})
    files = [path for path in lab.root.rglob("*") if path.is_file()]
    assert files and not any(b"geheim" in path.read_bytes() for path in files)


def test_pipe_channels_are_fed_while_the_program_reads(lab: Lab, tmp_path: Path) -> None:
    body = tmp_path / "body"
    body.write_bytes(b"abc")
    data = lab.root / "ml" / "input" / "data"
    plan = {
        "folder": str(data),
        "entries": [("file", str(body)), ("bytes", b"def")],
        "gzip": False,
        "record": False,
        "group": 1,
        "seed": None,
    }
    code = "for e in range(3): print(open(f'input/data/train_{e}', 'rb').read())"
    assert lab.run(code, feeds=(Feed("train", plan),)).succeeded
    assert lab.lines() == ["b'abcdef'"] * 3


def test_memory_limit(lab: Lab) -> None:
    if not os.access("/sys/fs/cgroup/memory", os.W_OK):
        pytest.skip("control groups cannot be written here")
    status = lab.run("x = bytearray(200 << 20)", memory=64 << 20)
    assert status.signal == signal.SIGKILL and status.out_of_memory


def test_level_none_says_where_the_files_are(tmp_path: Path) -> None:
    compute = make(tmp_path, isolation.NONE)
    lab = Lab(compute, tmp_path / "home" / "instances")
    lab.run("import os; print(os.environ['SAGEMAKER_BASE_DIR'])")
    assert lab.lines() == [str(lab.root / "ml")]
    compute.close()


def test_best_level_has_its_own_opt_ml(lab: Lab) -> None:
    lab.run("import os; print(os.getcwd(), 'SAGEMAKER_BASE_DIR' in os.environ)")
    where = str(lab.compute.base(lab.root))
    assert lab.lines() == [f"{where} {BEST == isolation.NONE}"]
