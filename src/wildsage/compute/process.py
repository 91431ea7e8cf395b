"""The embedded backend: instances are plain processes, each under a supervisor of its own.

Nothing about an instance is kept in memory: its folder says everything, so a new server adopts
what an old one left running. Whether it lives is told by a lock that its supervisor holds, never
by a process id.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import logging
import marshal
import os
import select
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import wildsage
from wildsage.compute import isolation, supervisor
from wildsage.compute.base import Capability, Capacity, InstanceSpec, InstanceStatus

log = logging.getLogger(__name__)

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_SOURCE = str(Path(wildsage.__file__).resolve().parent.parent)
_PROBE_SECONDS = 20
_KILL_SECONDS = 10.0
_KILL_LOOK_MS = 20


class ProcessCompute:
    """Runs instances below one folder (`settings.instances`) of one home."""

    name = "process"

    def __init__(
        self,
        instances: Path,
        *,
        cpus: int = 0,
        hidden: tuple[Path, ...] = (),
        level: str | None = None,
    ) -> None:
        """`hidden`: folders no instance may see; `level`: one level instead of the best."""
        self._instances = instances
        self._cpus = cpus or len(_usable_cpus())
        self._hidden = hidden
        self._forced_level = level
        self._locks = threading.Lock()  # a probe of a lock must not look like its holder
        self._probed: tuple[str, bool] | None = None
        self._probing = threading.Lock()
        self._watcher = _Watcher()

    # -- starting --------------------------------------------------------------------------------

    def start(self, spec: InstanceSpec) -> None:
        spec.root.mkdir(parents=True, exist_ok=True)
        with self._locks:
            if (spec.root / "exit.json").exists():
                return
            lock = _try_lock(spec.root)
        if lock is None:
            return
        try:
            if not (spec.root / "taken").exists():
                self._prepare(spec)
                _spawn(spec.root, lock)
        finally:
            os.close(lock)

    def _prepare(self, spec: InstanceSpec) -> None:
        root = spec.root
        for folder in ("ml", "tmp"):
            (root / folder).mkdir(exist_ok=True)
        (root / "tmp").chmod(0o1777)
        for name in ("control", "alive"):
            if not (root / name).exists():
                os.mkfifo(root / name, 0o600)
        (root / "hosts").write_text(_hosts_file(spec.hosts))
        partial = root / "spec.partial"
        partial.touch(mode=0o600)
        partial.write_bytes(marshal.dumps(self._describe(spec)))
        partial.rename(root / "spec")

    def _describe(self, spec: InstanceSpec) -> dict[str, Any]:
        level = self.level
        environment = {"PATH": _path(), "HOME": "/root" if os.geteuid() == 0 else str(Path.home())}
        environment |= {"LANG": "C.UTF-8", "PYTHONUNBUFFERED": "1"} | spec.env
        if level == isolation.NONE:
            environment["SAGEMAKER_BASE_DIR"] = str(spec.root / "ml")
            environment.setdefault("TMPDIR", str(spec.root / "tmp"))
        return {
            "id": spec.id.replace("/", "_"),
            "argv": list(spec.argv),
            "env": environment,
            "base": str(self.base(spec.root)),
            "log": str(spec.log),
            "hostname": spec.hostname,
            "stop_grace": spec.stop_grace,
            "max_runtime": spec.max_runtime,
            "cpus": spec.cpus,
            "memory": spec.memory,
            "nice": spec.nice,
            "feeds": [{"channel": feed.channel, **feed.plan} for feed in spec.feeds],
            "isolation": level,
            "hidden": [str(path) for path in (*self._hidden, Path("/tmp"))],
            "visible": [*_needed(), *map(str, spec.visible)],
            "copy_on_write": list(spec.copy_on_write),
            "read_only": list(spec.read_only),
        }

    # -- watching --------------------------------------------------------------------------------

    def status(self, root: Path) -> InstanceStatus:
        ended = _read_exit(root)
        if ended is None and self._lives(root):
            started = _read_start(root)
            return InstanceStatus("running" if started else "starting", started=started)
        ended = ended or _read_exit(root)  # it may have ended between the two looks
        if ended is not None:
            return ended
        if (root / "taken").exists():
            return InstanceStatus("exited", started=_read_start(root), reason="lost")
        return InstanceStatus("missing")

    def _lives(self, root: Path) -> bool:
        with self._locks:
            lock = _try_lock(root) if root.is_dir() else None
            if lock is not None:
                os.close(lock)
            return lock is None and root.is_dir()

    def watch(self, root: Path, callback: Callable[[], None]) -> None:
        self._watcher.add(root, callback)
        if self.status(root).state in ("exited", "missing"):
            self._watcher.fire(root)

    def running(self) -> list[Path]:
        locks = self._instances.glob("*/*/*/*/supervisor.lock")
        alive = ("starting", "running")
        return sorted(lock.parent for lock in locks if self.status(lock.parent).state in alive)

    # -- ending ----------------------------------------------------------------------------------

    def stop(self, root: Path) -> None:
        if root.is_dir():
            (root / "stop").touch()
            _send(root, supervisor.STOP)

    def kill(self, root: Path) -> None:
        if not root.is_dir():
            return
        with _opened_alive(root) as alive:
            _send(root, supervisor.KILL)
            if alive is None:
                return
            poll = select.poll()
            poll.register(alive, 0)
            deadline = time.monotonic() + _KILL_SECONDS
            while self._lives(root):  # a reader that came too late is told of no end: look again
                if time.monotonic() > deadline:
                    raise TimeoutError(f"the supervisor of {root} does not end")
                poll.poll(_KILL_LOOK_MS)

    def remove(self, root: Path) -> None:
        self.kill(root)
        self._watcher.forget(root)
        shutil.rmtree(root, ignore_errors=True)

    def close(self) -> None:
        """Stop watching; instances go on."""
        self._watcher.close()

    # -- what this machine can do ----------------------------------------------------------------

    @property
    def level(self) -> str:
        return self._forced_level or self._probe()[0]

    @property
    def overlays(self) -> bool:
        return self._forced_level != isolation.NONE and self._probe()[1]

    def base(self, root: Path) -> Path:
        return root / "ml" if self.level == isolation.NONE else Path(isolation.ML)

    def capacity(self) -> Capacity:
        return Capacity(self._cpus, _memory())

    def capabilities(self) -> list[Capability]:
        level = self.level
        limited = "job" if _limits_work() else ""
        return [
            Capability(
                "own /opt/ml",
                level != isolation.NONE,
                "Each instance has its own file system view."
                if level != isolation.NONE
                else "No mount namespaces here: instances find their files by SAGEMAKER_BASE_DIR.",
            ),
            Capability(
                "own processes",
                "pid" in level,
                "An instance sees its own processes only."
                if "pid" in level
                else "No PID namespaces here: instances see each other's processes.",
            ),
            Capability(
                "shared input",
                self.overlays,
                "Input files are shared with the object store, not copied."
                if self.overlays
                else "No overlay mounts here: input files in File mode are copied for each job.",
            ),
            Capability(
                "limits",
                bool(limited),
                "Memory is limited per instance."
                if limited
                else "Control groups cannot be written here: an instance may use all memory.",
            ),
        ]

    def _probe(self) -> tuple[str, bool]:
        with self._probing:
            if self._probed is None:
                self._probed = _run_probe() if sys.platform == "linux" else (isolation.NONE, False)
            return self._probed


# -- the pieces ----------------------------------------------------------------------------------


def _python(call: str, *arguments: str) -> list[str]:
    """A Python that starts in a few milliseconds and finds this package."""
    code = f"import sys; sys.path.insert(0, {_SOURCE!r}); {call}"
    return [sys.executable, "-I", "-S", "-c", code, *arguments]


def _spawn(root: Path, lock: int) -> None:
    """Start the supervisor with the lock and the FIFO whose closing tells of its end."""
    argv = _python("from wildsage.compute.supervisor import main; main(sys.argv[1])", str(root))
    alive = os.open(root / "alive", os.O_RDWR)
    errors = os.open(root / "supervisor.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    # Numbers above those that the child uses, so that no copy covers another.
    high = [fcntl.fcntl(number, fcntl.F_DUPFD_CLOEXEC, 10) for number in (lock, alive, errors)]
    try:
        actions = [
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDWR, 0),
            (os.POSIX_SPAWN_DUP2, high[2], 1),
            (os.POSIX_SPAWN_DUP2, high[2], 2),
            (os.POSIX_SPAWN_DUP2, high[0], supervisor.LOCK_FD),
            (os.POSIX_SPAWN_DUP2, high[1], supervisor.ALIVE_FD),
        ]
        pid = os.posix_spawn(argv[0], argv, {}, file_actions=actions, setsid=True)
    finally:
        for number in (alive, errors, *high):
            os.close(number)
    _, status = os.waitpid(pid, 0)  # it forks at once, so that it is nobody's child
    if status != 0:
        raise OSError(f"the supervisor of {root} did not start: see {root / 'supervisor.log'}")


def _try_lock(root: Path) -> int | None:
    """The lock of a root when nobody holds it."""
    descriptor = os.open(root / "supervisor.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def _send(root: Path, request: bytes) -> None:
    """Tell a supervisor, if there is one."""
    try:
        control = os.open(root / "control", os.O_WRONLY | os.O_NONBLOCK)
    except OSError as error:
        if error.errno in (errno.ENXIO, errno.ENOENT):
            return
        raise
    try:
        os.write(control, request)
    finally:
        os.close(control)


@contextlib.contextmanager
def _opened_alive(root: Path) -> Iterator[int | None]:
    try:
        descriptor = os.open(root / "alive", os.O_RDONLY | os.O_NONBLOCK)
    except FileNotFoundError:
        yield None
        return
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _read_exit(root: Path) -> InstanceStatus | None:
    try:
        values = json.loads((root / "exit.json").read_bytes())
    except FileNotFoundError:
        return None
    values["message"] = values["message"] or ""
    return InstanceStatus("exited", **values)


def _read_start(root: Path) -> float | None:
    try:
        return float((root / "started").read_text())
    except (FileNotFoundError, ValueError):
        return None


def _hosts_file(hosts: dict[str, str]) -> str:
    try:
        own = Path("/etc/hosts").read_text()
    except FileNotFoundError:
        own = "127.0.0.1 localhost\n"
    return (
        own.rstrip("\n") + "\n" + "".join(f"{address} {name}\n" for name, address in hosts.items())
    )


def _needed() -> list[str]:
    """What a program of this Python must be able to read, wherever it lies."""
    paths = (
        sys.prefix,
        sys.base_prefix,
        _SOURCE,
        str(Path(sys.executable).resolve().parent.parent),
    )
    return sorted({path for path in paths if path not in ("/", "/usr")})


def _path() -> str:
    return f"{Path(sys.executable).parent}:{_PATH}"


def _usable_cpus() -> set[int]:
    if sys.platform == "linux":
        return os.sched_getaffinity(0)
    return set(range(os.cpu_count() or 1))


def _memory() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _limits_work() -> bool:
    return os.access("/sys/fs/cgroup/memory", os.W_OK) or (
        os.path.exists("/sys/fs/cgroup/cgroup.controllers") and os.access("/sys/fs/cgroup", os.W_OK)
    )


def _run_probe() -> tuple[str, bool]:
    """Ask a fresh process, because a server has threads and must not fork."""
    with tempfile.TemporaryDirectory(prefix="wildsage-probe-") as folder:
        argv = _python("from wildsage.compute.isolation import main; main()")
        answer = subprocess.run(
            argv, cwd=folder, capture_output=True, text=True, timeout=_PROBE_SECONDS, check=False
        )
    level, _, overlay = answer.stdout.strip().partition(" ")
    return (level, overlay == "True") if level else (isolation.NONE, False)


class _Watcher:
    """One thread that waits for the ends of all watched instances."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._watched: dict[int, tuple[Path, Callable[[], None]]] = {}
        self._by_root: dict[Path, int] = {}
        self._thread: threading.Thread | None = None
        self._poll = select.epoll() if sys.platform == "linux" else None
        self._closing = False
        self._wake_read, self._wake_write = os.pipe()
        if self._poll:
            self._poll.register(self._wake_read, select.EPOLLIN)

    def add(self, root: Path, callback: Callable[[], None]) -> None:
        with self._guard:
            if self._closing:
                return
            self._drop(root)
            try:
                descriptor = os.open(root / "alive", os.O_RDONLY | os.O_NONBLOCK)
            except FileNotFoundError:
                descriptor = os.open(os.devnull, os.O_RDONLY)
            self._watched[descriptor] = (root, callback)
            self._by_root[root] = descriptor
            if self._poll:
                with contextlib.suppress(PermissionError):  # /dev/null cannot be waited for
                    self._poll.register(descriptor, select.EPOLLHUP)
                self._run()

    def fire(self, root: Path) -> None:
        with self._guard:
            callback = self._drop(root)
        if callback:
            callback()

    def forget(self, root: Path) -> None:
        with self._guard:
            self._drop(root)

    def close(self) -> None:
        with self._guard:
            self._closing = True
            for root in list(self._by_root):
                self._drop(root)
        os.write(self._wake_write, b"x")
        if self._thread:
            self._thread.join()
        for descriptor in (self._wake_read, self._wake_write):
            os.close(descriptor)
        if self._poll:
            self._poll.close()

    def _drop(self, root: Path) -> Callable[[], None] | None:
        descriptor = self._by_root.pop(root, None)
        if descriptor is None:
            return None
        os.close(descriptor)  # leaves the epoll set by itself
        return self._watched.pop(descriptor)[1]

    def _run(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._wait, name="instances", daemon=True)
            self._thread.start()

    def _wait(self) -> None:
        assert self._poll is not None
        while not self._closing:
            for descriptor, _ in self._poll.poll():
                with self._guard:
                    watched = self._watched.get(descriptor)
                if watched:
                    self._fire_safely(watched[0])

    def _fire_safely(self, root: Path) -> None:
        try:
            self.fire(root)
        except Exception:  # one listener must not deafen the others
            log.exception("Nobody could be told that %s has ended", root)
