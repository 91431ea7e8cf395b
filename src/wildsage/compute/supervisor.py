"""The supervisor of one instance: a tiny program of its own that outlives the server.

    server ──spawn──▶ supervisor ──fork──▶ guardian ──fork──▶ the program (and whatever it starts)
                          └───────fork──▶ feeder (only with Pipe channels)

- The supervisor inherits a lock (`supervisor.lock`) and a FIFO (`alive`): both end exactly when
  it does. It reads the program's output, obeys `control`, keeps the deadlines and writes
  `exit.json` when all is over.
- The guardian makes the namespaces, starts the program, and ends every process the program left
  behind. In a PID namespace of its own it is process 1, so the kernel makes sure of that even
  when the guardian is killed.

Only the standard library's cheap modules are imported (it runs with `-I -S`), nothing of wildsage
that costs time. Files in the instance's folder: `spec` (marshal; `taken` once read), `started`,
`exit.json`, `stop` (a request to end, kept so that one made before the start counts too).
"""

from __future__ import annotations

import marshal
import os
import select
import signal
import sys
import time
from typing import Any

from wildsage.compute import isolation

# In this order: Linux closes the files of a process that dies from the last to the first, so the
# lock is free by the time that `alive` tells of the end.
ALIVE_FD = 3
LOCK_FD = 4
STOP, KILL = b"s", b"k"

_CHUNK = 1 << 16
_LONGEST_LINE = 256 * 1024 - 64  # the most that one CloudWatch event holds
_IDLE_FLUSH = 1.0  # seconds until a line without an end is written all the same
_DRAIN = 0.5  # seconds that a pipe held open by a stranger is still read after the end
_SWEEP_PAUSE = 0.001
# What Python or this program changed and an exec would hand on to the program.
_CHANGED_SIGNALS = (
    signal.SIGTERM,
    signal.SIGQUIT,
    signal.SIGINT,
    signal.SIGHUP,
    signal.SIGPIPE,
    signal.SIGXFSZ,
)
_PASSED_ON = (signal.SIGTERM, signal.SIGQUIT)

Spec = dict[str, Any]


def main(root: str) -> None:
    """Detach from the server and look after the instance until it has ended."""
    if os.fork():
        os._exit(0)
    for inherited in (LOCK_FD, ALIVE_FD):
        os.set_inheritable(inherited, False)
    os.chdir(root)
    os.rename("spec", "taken")  # from now on this instance was started
    with open("taken", "r+b") as file:
        spec = marshal.load(file)
        file.truncate(0)  # it holds credentials
    Supervisor(spec).run()


class LogWriter:
    """Turns the program's output into events of the log's file format (see `wildsage.logfile`)."""

    def __init__(self, path: str) -> None:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self._rest = b""

    @property
    def pending(self) -> bool:
        return bool(self._rest)

    def feed(self, data: bytes) -> None:
        """Write every complete line; a carriage return ends one too, as in progress bars."""
        text = self._rest + data
        held = text.endswith(b"\r")  # its newline may follow
        lines = (
            (text[:-1] if held else text).replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        )
        rest = lines.pop()
        while len(rest) > _LONGEST_LINE:
            lines.append(rest[:_LONGEST_LINE])
            rest = rest[_LONGEST_LINE:]
        self._rest = rest + b"\r" if held else rest
        self._write(lines)

    def flush(self) -> None:
        rest, self._rest = self._rest.rstrip(b"\r"), b""
        self._write([rest])

    def _write(self, lines: list[bytes]) -> None:
        now = int(time.time() * 1000)
        events = b"".join(
            encode(now, line[start : start + _LONGEST_LINE])
            for line in lines
            for start in range(0, len(line), _LONGEST_LINE)
        )
        try:
            while events:
                events = events[os.write(self._file, events) :]
        except OSError:
            return  # a full disk must not end the program


def encode(timestamp: int, line: bytes) -> bytes:
    """`wildsage.logfile.encode`, without its imports."""
    text = line.decode("utf-8", "replace").replace("\\", "\\\\").replace("\r", "\\r")
    return f"{timestamp} {timestamp} {text}\n".encode()


class Supervisor:
    def __init__(self, spec: Spec) -> None:
        self._spec = spec
        self._log = LogWriter(spec["log"])
        self._deadline: float | None = None
        self._reason: str | None = None
        self._started: float | None = None
        self._verdict = ""
        self._guardian = 0
        self._feeder = 0

    def run(self) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        isolation.adopt_orphans()
        if self._spec["feeds"]:
            self._feeder = self._fork_feeder()  # before the pipes, whose ends it must not hold
        self._control = os.open("control", os.O_RDWR | os.O_NONBLOCK)
        signal.signal(signal.SIGTERM, lambda *_: self._request(STOP))
        output, program_output = os.pipe()
        status, guardian_status = os.pipe()
        limits = isolation.Limits(self._spec)
        self._guardian = self._fork_guardian(program_output, guardian_status, limits)
        os.close(program_output)
        os.close(guardian_status)
        if os.path.exists("stop"):
            self._request(STOP)
        self._watch(output, status)
        self._finish(limits)

    def _fork_feeder(self) -> int:
        from wildsage.contract import feeder

        feeder.prepare(self._spec["feeds"])
        pid = os.fork()
        if pid == 0:
            isolation.die_with_parent(signal.SIGKILL)
            os.close(LOCK_FD)
            os.close(ALIVE_FD)
            feeder.main(self._spec["feeds"])
        return pid

    def _fork_guardian(self, output: int, status: int, limits: isolation.Limits) -> int:
        failure = ""
        try:
            isolation.enter_processes(self._spec["isolation"])
        except OSError as error:
            failure = str(error)
        signal.pthread_sigmask(signal.SIG_BLOCK, _PASSED_ON)  # until the guardian can listen
        pid = os.fork()
        if pid == 0:
            try:
                Guardian(self._spec, output, status).run(limits, failure)
            finally:
                os._exit(1)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _PASSED_ON)
        return pid

    def _request(self, request: bytes) -> None:
        os.write(self._control, request)

    # -- the loop --------------------------------------------------------------------------------

    def _watch(self, output: int, status: int) -> None:
        """Until the guardian is gone and all output is read."""
        poll = select.poll()
        for descriptor in (output, status, self._control):
            poll.register(descriptor, select.POLLIN)
        limit = self._spec["max_runtime"]
        self._deadline = time.monotonic() + limit if limit is not None else None
        open_ends = {output, status}
        while open_ends:
            ready = poll.poll(self._wait(status in open_ends))
            if not ready:
                self._log.flush()
                if status not in open_ends:
                    return  # a stranger holds the pipe
            for descriptor, _ in ready:
                if descriptor == self._control:
                    self._obey(os.read(descriptor, 64))
                elif not self._take(descriptor == output, os.read(descriptor, _CHUNK)):
                    poll.unregister(descriptor)
                    open_ends.discard(descriptor)
            self._keep_time()

    def _wait(self, alive: bool) -> float | None:
        waits = [_DRAIN] if not alive else []
        if self._deadline is not None:
            waits.append(max(0.0, self._deadline - time.monotonic()))
        if self._log.pending:
            waits.append(_IDLE_FLUSH)
        return min(waits) * 1000 + 1 if waits else None

    def _take(self, is_output: bool, data: bytes) -> bool:
        if is_output:
            self._log.feed(data)
        elif data:
            self._verdict += data.decode()
            if self._started is None and self._verdict.startswith("started\n"):
                self._note_start()
        return bool(data)

    def _note_start(self) -> None:
        self._started = time.time()
        with open("started", "w") as file:
            file.write(repr(self._started))

    def _obey(self, requests: bytes) -> None:
        if KILL in requests:
            self._reason = self._reason or "killed"
            self._end_now()
        elif self._reason is None:
            self._end_soon("stopped")

    def _keep_time(self) -> None:
        if self._deadline is None or time.monotonic() < self._deadline:
            return
        if self._reason is None:
            self._end_soon("timeout")
        else:
            self._end_now()

    def _end_soon(self, reason: str) -> None:
        self._reason = reason
        self._deadline = time.monotonic() + self._spec["stop_grace"]
        self._signal(signal.SIGTERM)

    def _end_now(self) -> None:
        self._deadline = None
        self._signal(signal.SIGQUIT)

    def _signal(self, number: int) -> None:
        try:
            os.kill(self._guardian, number)
        except ProcessLookupError:
            return

    # -- the end ---------------------------------------------------------------------------------

    def _finish(self, limits: isolation.Limits) -> None:
        self._log.flush()
        if self._feeder:
            os.kill(self._feeder, signal.SIGKILL)
        sweep(everything=False)
        out_of_memory = limits.remove()
        self._record(out_of_memory)

    def _record(self, out_of_memory: bool) -> None:
        """Write `exit.json` so that it is there whole or not at all."""
        values = {"started": self._started, "ended": time.time(), "reason": self._reason}
        values |= {"exit_code": None, "signal": None, "message": None}
        values |= self._judge() | {"out_of_memory": out_of_memory}
        body = ", ".join(f'"{name}": {_json(value)}' for name, value in values.items())
        with open("exit.json.partial", "w") as file:
            file.write("{" + body + "}\n")
            file.flush()
            os.fsync(file.fileno())
        os.rename("exit.json.partial", "exit.json")

    def _judge(self) -> dict[str, Any]:
        last = self._verdict.strip().rpartition("\n")[2]
        word, _, rest = last.partition(" ")
        if word == "exit":
            return {"exit_code": int(rest)}
        if word == "signal":
            return {"signal": int(rest)}
        if word == "error":
            return {"reason": "unstartable", "message": rest}
        return {"reason": self._reason or "lost"}


class Guardian:
    """Process 1 of the instance: starts the program, waits for it, and leaves nothing behind."""

    def __init__(self, spec: Spec, output: int, status: int) -> None:
        self._spec = spec
        self._output = output
        self._status = status
        self._program = 0
        self._owed = 0

    def run(self, limits: isolation.Limits, failure: str) -> None:
        for number in _PASSED_ON:
            signal.signal(number, self._forward)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _PASSED_ON)
        isolation.die_with_parent(signal.SIGQUIT)
        isolation.adopt_orphans()
        try:
            if failure:
                raise OSError(failure)
            limits.join()
            isolation.enter_files(self._spec)
            self._start()
        except OSError as error:
            self._say("error " + str(error).replace("\n", " "))
            os._exit(1)
        os.close(self._output)
        self._say("started")
        if self._owed:
            self._forward(self._owed)
        verdict = self._wait()
        sweep(self._alone)
        self._say(verdict)
        os._exit(0)

    @property
    def _alone(self) -> bool:
        return "pid" in self._spec["isolation"]

    def _say(self, line: str) -> None:
        os.write(self._status, line.encode("utf-8", "replace") + b"\n")

    def _start(self) -> None:
        """Fork and exec; OSError when the program cannot be executed."""
        trouble, complaint = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                self._exec()
            except OSError as error:
                os.write(complaint, str(error).encode())
            finally:
                os._exit(127)
        os.close(complaint)
        message = os.read(trouble, 4096)
        os.close(trouble)
        if message:
            raise OSError(message.decode("utf-8", "replace"))
        self._program = pid  # not before: until its exec it has no group that a signal would reach

    def _exec(self) -> None:
        os.setsid()
        for number in _CHANGED_SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        isolation.die_with_parent(signal.SIGKILL)
        isolation.be_nice(self._spec["nice"])
        isolation.drop_privileges()
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.dup2(self._output, 1)
        os.dup2(self._output, 2)
        os.chdir(self._spec["base"])
        argv, env = self._spec["argv"], self._spec["env"]
        os.execvpe(argv[0], argv, env)

    def _forward(self, number: int, _frame: object = None) -> None:
        if not self._program:
            self._owed = number
        elif number == signal.SIGTERM:
            _signal_group(self._program, signal.SIGTERM)
        else:
            _signal_group(self._program, signal.SIGKILL)
            kill_descendants(self._alone)

    def _wait(self) -> str:
        while True:
            pid, status = os.wait()
            if pid == self._program:
                code = os.waitstatus_to_exitcode(status)
                return f"exit {code}" if code >= 0 else f"signal {-code}"


def sweep(everything: bool) -> None:
    """Kill and collect every descendant of this process, until none is left."""
    kill_descendants(everything)
    while True:
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            time.sleep(_SWEEP_PAUSE)
            kill_descendants(everything)


def kill_descendants(everything: bool) -> None:
    if everything:  # process 1 of its own namespace: all others are descendants
        try:
            os.kill(-1, signal.SIGKILL)
        except ProcessLookupError:
            return
        return
    for pid in isolation.children():
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


def _signal_group(leader: int, number: int) -> None:
    try:
        os.killpg(leader, number)
    except (ProcessLookupError, PermissionError):
        return


def _json(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    text = str(value).replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(c if c.isprintable() else " " for c in text) + '"'


if __name__ == "__main__":
    main(sys.argv[1])
