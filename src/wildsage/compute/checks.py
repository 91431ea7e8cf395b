"""The kit that every compute backend passes: `for check in CHECKS: check(Lab(compute, folder))`.

Programs are one-line Python scripts that start in `/opt/ml` (their working directory), so the same
check holds with and without a mount namespace. Nothing here sleeps: a check waits for the end of an
instance, or for a word that a program says through a FIFO.
"""

from __future__ import annotations

import json
import os
import select
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from wildsage import logfile
from wildsage.compute.base import Compute, InstanceSpec, InstanceStatus

PATIENCE = 20.0
_TELL = "f = open('says', 'w'); f.write('x'); f.close(); "
_FOREVER = "import signal; signal.pause()"


class Lab:
    """A backend, and a folder for the instances of one check."""

    def __init__(self, compute: Compute, instances: Path) -> None:
        self.compute = compute
        self.root = instances / "check" / "job" / "g" / "algo-1"
        self.log = instances.parent / "check.log"

    def spec(self, code: str, **changes: Any) -> InstanceSpec:
        argv = (sys.executable, "-I", "-S", "-c", code)
        spec = InstanceSpec(id="check", argv=argv, env={}, root=self.root, log=self.log)
        return replace(spec, **changes)

    def start(self, code: str, **changes: Any) -> None:
        ml = self.root / "ml"
        ml.mkdir(parents=True, exist_ok=True)
        if not (ml / "says").exists():
            os.mkfifo(ml / "says")
        self.compute.start(self.spec(code, **changes))

    def hear(self) -> None:
        """Wait until the program says something (`_TELL`)."""
        ears = os.open(self.root / "ml" / "says", os.O_RDONLY | os.O_NONBLOCK)
        try:
            poll = select.poll()
            poll.register(ears, select.POLLIN)
            assert poll.poll(PATIENCE * 1000), "the program says nothing"
        finally:
            os.close(ears)

    def wait(self) -> InstanceStatus:
        """Wait for the end, as `watch` tells it."""
        ended = threading.Event()
        self.compute.watch(self.root, ended.set)
        assert ended.wait(PATIENCE), "nobody was told of the end"
        return self.compute.status(self.root)

    def run(self, code: str, **changes: Any) -> InstanceStatus:
        self.start(code, **changes)
        return self.wait()

    def lines(self) -> list[str]:
        content = self.log.read_bytes().splitlines()
        return [logfile.decode(line).message for line in content]


# -- exits ---------------------------------------------------------------------------------------


def reports_success(lab: Lab) -> None:
    status = lab.run("print('hello')")
    assert status.succeeded and status.exit_code == 0 and status.reason is None
    assert status.started is not None and status.ended is not None
    assert status.started <= status.ended


def reports_exit_code(lab: Lab) -> None:
    status = lab.run("raise SystemExit(7)")
    assert (status.state, status.exit_code, status.signal) == ("exited", 7, None)


def reports_signal(lab: Lab) -> None:
    status = lab.run("import os; os.kill(os.getpid(), 9)")
    assert (status.state, status.exit_code, status.signal) == ("exited", None, 9)


def reports_missing_program(lab: Lab) -> None:
    lab.start("", argv=("/no/such/program",))
    status = lab.wait()
    assert status.reason == "unstartable" and "No such file" in status.message


def knows_nothing_of_what_was_never_started(lab: Lab) -> None:
    assert lab.compute.status(lab.root).state == "missing"


# -- starting ------------------------------------------------------------------------------------


def starts_once(lab: Lab) -> None:
    for _ in range(3):
        lab.start(_TELL + _FOREVER)
    lab.hear()
    assert lab.compute.status(lab.root).state in ("starting", "running")
    assert lab.compute.running() == [lab.root]
    lab.compute.kill(lab.root)
    lab.start("print('again')")
    assert lab.compute.status(lab.root).reason == "killed"
    assert lab.lines() == []


def hands_over_environment_and_place(lab: Lab) -> None:
    lab.run(
        "import os, json; print(json.dumps([os.environ['A'], os.getcwd()]))", env={"A": "b c=d"}
    )
    assert json.loads(lab.lines()[0]) == ["b c=d", str(lab.compute.base(lab.root))]


def keeps_what_is_written(lab: Lab) -> None:
    lab.run("open('made', 'w').write('here')")
    assert (lab.root / "ml" / "made").read_text() == "here"


def hides_the_servers_environment(lab: Lab) -> None:
    os.environ["WILDSAGE_CHECK_SECRET"] = "x"
    try:
        lab.run("import os; print('WILDSAGE_CHECK_SECRET' in os.environ)")
    finally:
        del os.environ["WILDSAGE_CHECK_SECRET"]
    assert lab.lines() == ["False"]


# -- output --------------------------------------------------------------------------------------


def logs_both_streams_in_order(lab: Lab) -> None:
    code = "import os\nfor i in range(50): os.write(1 + i % 2, b'line %d\\n' % i)"
    lab.run(code)
    assert lab.lines() == [f"line {i}" for i in range(50)]


def logs_odd_output(lab: Lab) -> None:
    lab.run(
        "import os; "
        "os.write(1, b'caf\\xc3\\xa9 \\xff\\\\n\\r\\nbar 1%\\rbar 2%\\r\\n\\nno newline')"
    )
    assert lab.lines() == ["café \ufffd\\n", "bar 1%", "bar 2%", "no newline"]


def splits_very_long_lines(lab: Lab) -> None:
    lab.run("print('x' * 600_000)")
    assert "".join(lab.lines()) == "x" * 600_000
    assert len(lab.lines()) > 1


# -- ending --------------------------------------------------------------------------------------


def stops_politely(lab: Lab) -> None:
    code = (
        "import signal, sys; signal.signal(15, lambda *_: (print('bye'), sys.exit(0))); "
        + _TELL
        + "signal.pause()"
    )
    lab.start(code)
    lab.hear()
    lab.compute.stop(lab.root)
    status = lab.wait()
    assert (status.exit_code, status.reason) == (0, "stopped")
    assert lab.lines() == ["bye"]


def stops_the_deaf(lab: Lab) -> None:
    code = "import signal; signal.signal(15, signal.SIG_IGN); " + _TELL + "signal.pause()"
    lab.start(code, stop_grace=0.05)
    lab.hear()
    lab.compute.stop(lab.root)
    status = lab.wait()
    assert (status.signal, status.reason) == (9, "stopped")


def stops_what_was_told_before_it_ran(lab: Lab) -> None:
    lab.root.mkdir(parents=True)
    lab.compute.stop(lab.root)
    status = lab.run(_FOREVER)
    assert (status.signal, status.reason) == (15, "stopped")


def ends_after_its_time(lab: Lab) -> None:
    status = lab.run(_FOREVER, max_runtime=0.05)
    assert (status.signal, status.reason) == (15, "timeout")


def kills_at_once(lab: Lab) -> None:
    code = "import signal; signal.signal(15, signal.SIG_IGN); " + _TELL + "signal.pause()"
    lab.start(code)
    lab.hear()
    lab.compute.kill(lab.root)
    assert lab.compute.status(lab.root).reason == "killed"
    assert lab.compute.running() == []


def leaves_no_process_behind(lab: Lab) -> None:
    """A daemon that left group, session and parent still ends with its instance."""
    code = (
        "import os, signal, time\n"
        "r, w = os.pipe()\n"
        "if os.fork() == 0:\n"
        "    os.setsid()\n"
        "    if os.fork() == 0:\n"
        "        signal.signal(15, signal.SIG_IGN); signal.signal(1, signal.SIG_IGN)\n"
        "        alive = open('says', 'w'); os.write(w, b'x'); time.sleep(600)\n"
        "    os._exit(0)\n"
        "os.read(r, 1)\n"
    )
    lab.root.joinpath("ml").mkdir(parents=True)
    os.mkfifo(lab.root / "ml" / "says")
    ears = os.open(lab.root / "ml" / "says", os.O_RDONLY | os.O_NONBLOCK)
    try:
        assert lab.run(code).succeeded
        poll = select.poll()
        poll.register(ears, 0)
        assert poll.poll(PATIENCE * 1000), "a process outlived its instance"
    finally:
        os.close(ears)


def removes_everything(lab: Lab) -> None:
    lab.start(_TELL + _FOREVER)
    lab.hear()
    lab.compute.remove(lab.root)
    assert not lab.root.exists()
    assert lab.compute.status(lab.root).state == "missing"


def watches_what_has_ended(lab: Lab) -> None:
    lab.run("pass")
    assert lab.wait().succeeded


def says_what_it_can(lab: Lab) -> None:
    assert lab.compute.capacity().cpus >= 1 and lab.compute.capacity().memory > 0
    assert all(c.name and c.detail for c in lab.compute.capabilities())


CHECKS: tuple[Callable[[Lab], None], ...] = (
    reports_success,
    reports_exit_code,
    reports_signal,
    reports_missing_program,
    knows_nothing_of_what_was_never_started,
    starts_once,
    hands_over_environment_and_place,
    keeps_what_is_written,
    hides_the_servers_environment,
    logs_both_streams_in_order,
    logs_odd_output,
    splits_very_long_lines,
    stops_politely,
    stops_the_deaf,
    stops_what_was_told_before_it_ran,
    ends_after_its_time,
    kills_at_once,
    leaves_no_process_behind,
    removes_everything,
    watches_what_has_ended,
    says_what_it_can,
)
