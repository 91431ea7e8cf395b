"""What an instance is kept from: other processes, other folders, the home, too much memory.

Linux only, through the C library; everything else (macOS, a locked-down container) gets the level
`none`, where an instance finds its files by `SAGEMAKER_BASE_DIR`. Levels, best first, as `probe`
tries them:

    pid         own processes and own mounts (needs CAP_SYS_ADMIN)
    user+pid    the same inside a user namespace (an ordinary user, where the kernel allows it)
    mount, user+mount    own mounts only
    none

Imported by the supervisor, so nothing but cheap modules of the standard library.
"""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import sys
from typing import Any

LEVELS = ("pid", "user+pid", "mount", "user+mount")
NONE = "none"
ML = "/opt/ml"

_NEWNS, _NEWUTS, _NEWIPC = 0x20000, 0x4000000, 0x8000000
_NEWUSER, _NEWPID = 0x10000000, 0x20000000
_RDONLY, _NOSUID, _NODEV, _NOEXEC, _REMOUNT = 0x1, 0x2, 0x4, 0x8, 0x20
_BIND, _REC, _PRIVATE = 0x1000, 0x4000, 0x40000
_PR_SET_PDEATHSIG, _PR_CAPBSET_DROP, _PR_SET_CHILD_SUBREAPER = 1, 24, 36
_LAST_CAPABILITY = 40
# What Docker leaves to a container, less mknod: chown, dac_override, fowner, fsetid, kill, setgid,
# setuid, setpcap, net_bind_service, net_raw, sys_chroot, audit_write, setfcap.
_KEPT_CAPABILITIES = frozenset({0, 1, 3, 4, 5, 6, 7, 8, 10, 13, 18, 29, 31})
_O_PATH = getattr(os, "O_PATH", 0)

Spec = dict[str, Any]
_libc: Any = ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def _prctl(option: int, argument: int) -> None:
    if sys.platform == "linux":
        _libc.prctl(option, argument, 0, 0, 0)


def die_with_parent(number: int) -> None:
    _prctl(_PR_SET_PDEATHSIG, number)


def adopt_orphans() -> None:
    """Become the parent of descendants whose own parent ends."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def drop_privileges() -> None:
    """Take from root what is not an instance's business: mounting, tracing, raw devices."""
    for capability in range(_LAST_CAPABILITY + 1):
        if capability not in _KEPT_CAPABILITIES:
            _prctl(_PR_CAPBSET_DROP, capability)


def be_nice(increment: int) -> None:
    """Give way to instances that answer requests."""
    if not increment:
        return
    os.nice(increment)
    try:  # with autogroups the kernel compares sessions by this, not by the nice value
        with open("/proc/self/autogroup", "w") as file:
            file.write(str(increment))
    except OSError:
        return


def children() -> list[int]:
    """The processes whose parent this one is; empty where /proc does not tell."""
    try:
        with open(f"/proc/self/task/{os.getpid()}/children") as file:
            return [int(pid) for pid in file.read().split()]
    except OSError:
        return []


# -- namespaces ----------------------------------------------------------------------------------


def enter_processes(level: str) -> None:
    """What must happen before the guardian is forked: it becomes process 1 of a new namespace."""
    flags = 0
    if "user" in level:
        flags |= _NEWUSER
    if "pid" in level:
        flags |= _NEWPID
    if flags:
        user, group = os.geteuid(), os.getegid()
        _check(_libc.unshare(flags), "unshare")
        if "user" in level:
            _write("/proc/self/setgroups", "deny")
            _write("/proc/self/uid_map", f"{user} {user} 1")
            _write("/proc/self/gid_map", f"{group} {group} 1")


def _write(path: str, text: str) -> None:
    with open(path, "w") as file:
        file.write(text)


def enter_files(spec: Spec) -> None:
    """Inside the guardian: an own view of the file system, host name and System V memory."""
    level = spec["isolation"]
    if level == NONE:
        return
    _check(_libc.unshare(_NEWNS | _NEWUTS | _NEWIPC), "unshare")
    _mount(None, "/", None, _REC | _PRIVATE)
    View(spec).make()
    if "pid" in level:
        _mount("proc", "/proc", "proc", _NOSUID | _NODEV | _NOEXEC)
    socket.sethostname(spec["hostname"])


def _mount(source: str | None, target: str, kind: str | None, flags: int, data: str = "") -> None:
    result = _libc.mount(
        source.encode() if source else None,
        target.encode(),
        kind.encode() if kind else None,
        ctypes.c_ulong(flags),
        data.encode() or None,
    )
    _check(result, f"mount {target}")


class View:
    """The file system as the instance sees it. Sources are opened before anything is covered."""

    def __init__(self, spec: Spec) -> None:
        self._spec = spec
        self._root = os.getcwd()
        self._open: dict[str, str] = {}

    def make(self) -> None:
        ml, temporary = self._source("ml"), self._source("tmp")
        hosts = self._source("hosts")
        layers = {name: self._layers(name) for name in self._spec["copy_on_write"]}
        kept = {path: self._source(path) for path in self._spec["visible"] if os.path.exists(path)}
        for path in self._spec["hidden"]:
            self._hide(path, temporary)
        for path, source in kept.items():
            if self._covered(path):
                _bind(source, path)
        self._place_ml(ml)
        _mount(hosts, "/etc/hosts", None, _BIND)
        if os.path.isdir("/dev/shm"):
            _mount("tmpfs", "/dev/shm", "tmpfs", _NOSUID | _NODEV, "mode=1777")
        for name, options in layers.items():
            _mount("overlay", f"{ML}/{name}", "overlay", _NOSUID | _NODEV, options)
        for name in self._spec["read_only"]:
            _freeze(f"{ML}/{name}")

    def _source(self, path: str) -> str:
        """A name for `path` that still works when it is covered."""
        return f"/proc/self/fd/{os.open(os.path.join(self._root, path), _O_PATH)}"

    def _layers(self, name: str) -> str:
        upper, work = f"layers/{name}/upper", f"layers/{name}/work"
        for folder in (upper, work):
            os.makedirs(folder, exist_ok=True)
        lower = self._source(f"ml/{name}")
        return f"lowerdir={lower},upperdir={self._source(upper)},workdir={self._source(work)}"

    def _hide(self, path: str, temporary: str) -> None:
        if path == "/tmp":
            _mount(temporary, path, None, _BIND)
        elif os.path.isdir(path):
            _mount("tmpfs", path, "tmpfs", _NOSUID | _NODEV, "mode=0755")

    def _covered(self, path: str) -> bool:
        return any(path.startswith(hidden + "/") for hidden in self._spec["hidden"])

    def _place_ml(self, source: str) -> None:
        """Bind the instance's folder on /opt/ml, without leaving a mount point on the host."""
        if not os.path.isdir(ML):
            parent = os.path.dirname(ML)
            if not os.path.isdir(parent):
                raise OSError(f"there is no {parent} to put {ML} into")
            _rebuild(parent)
            os.mkdir(ML)
        _mount(source, ML, None, _BIND | _REC)


def _bind(source: str, path: str) -> None:
    if os.path.isdir(source):
        os.makedirs(path, exist_ok=True)
    else:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT))
    _mount(source, path, None, _BIND | _REC)


def _rebuild(folder: str) -> None:
    """Cover `folder` with an empty one that shows the same entries, so that more can be added."""
    entries = {
        entry.name: os.readlink(entry.path) if entry.is_symlink() else os.open(entry.path, _O_PATH)
        for entry in os.scandir(folder)
    }
    _mount("tmpfs", folder, "tmpfs", _NODEV, "mode=0755")
    for name, entry in entries.items():
        if isinstance(entry, str):
            os.symlink(entry, f"{folder}/{name}")
        else:
            _bind(f"/proc/self/fd/{entry}", f"{folder}/{name}")
            os.close(entry)


def _freeze(path: str) -> None:
    _mount(path, path, None, _BIND)
    _mount(None, path, None, _REMOUNT | _BIND | _RDONLY | _NOSUID | _NODEV)


# -- limits --------------------------------------------------------------------------------------


class Limits:
    """Cores and memory by control groups, version 1 or 2, where they may be written."""

    def __init__(self, spec: Spec) -> None:
        self._groups: list[str] = []
        for controller, files in _settings(spec["cpus"], spec["memory"]):
            group = _make_group(controller, spec["id"], files)
            if group:
                self._groups.append(group)

    def join(self) -> None:
        """Put this process, and all that it will start, under the limits."""
        for group in self._groups:
            _write(f"{group}/cgroup.procs", "0")

    def remove(self) -> bool:
        """Take the groups away; whether the kernel had to kill for memory."""
        killed = any(_oom_kills(group) for group in self._groups)
        for group in self._groups:
            try:
                os.rmdir(group)
            except OSError:
                continue
        return killed


def _settings(cpus: float | None, memory: int | None) -> list[tuple[str, dict[str, str]]]:
    wanted: list[tuple[str, dict[str, str]]] = []
    if os.path.exists("/sys/fs/cgroup/cgroup.controllers"):
        files: dict[str, str] = {}
        if cpus:
            files["cpu.max"] = f"{int(cpus * 100_000)} 100000"
        if memory:
            files["memory.max"] = str(memory)
        return [("", files)] if files else []
    if cpus:
        wanted.append(("cpu", {"cpu.cfs_quota_us": str(int(cpus * 100_000))}))
    if memory:
        wanted.append(("memory", {"memory.limit_in_bytes": str(memory)}))
    return wanted


def _make_group(controller: str, name: str, files: dict[str, str]) -> str:
    parent = os.path.join("/sys/fs/cgroup", controller, "wildsage")
    group = os.path.join(parent, name)
    try:
        if not controller:
            os.makedirs(parent, exist_ok=True)
            _write(f"{parent}/cgroup.subtree_control", "+cpu +memory")
        os.makedirs(group, exist_ok=True)
        for file, value in files.items():
            _write(f"{group}/{file}", value)
    except OSError:
        return ""
    return group


def _oom_kills(group: str) -> bool:
    for name in ("memory.oom_control", "memory.events"):
        try:
            with open(f"{group}/{name}") as file:
                counts = dict(line.split(maxsplit=1) for line in file)
            return int(counts.get("oom_kill", "0")) > 0
        except OSError:
            continue
    return False


# -- what works here -----------------------------------------------------------------------------


def probe() -> str:
    """The best level that works on this machine. Forks, so only in a process of one thread."""
    if sys.platform != "linux":
        return NONE
    return next((level for level in LEVELS if _works(level, [])), NONE)


def probe_overlay(level: str) -> bool:
    """Whether an instance can have a writable view of a folder that it must not change."""
    return level != NONE and _works(level, ["probe"])


def _works(level: str, copy_on_write: list[str]) -> bool:
    pid = os.fork()
    if pid == 0:
        try:
            _attempt(level, copy_on_write)
            os._exit(0)
        finally:
            os._exit(1)
    return os.waitpid(pid, 0)[1] == 0


def _attempt(level: str, copy_on_write: list[str]) -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    enter_processes(level)
    spec = {"isolation": level, "hostname": "probe", "hidden": ["/tmp"], "visible": [os.getcwd()]}
    pid = os.fork()
    if pid == 0:
        try:
            enter_files(spec | {"copy_on_write": copy_on_write, "read_only": []})
            os._exit(0)
        finally:
            os._exit(1)
    status = os.waitpid(pid, 0)[1]
    if status != 0:
        os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    """Run by itself in an empty folder: print the level, and whether overlays work."""
    for folder in ("ml/probe", "tmp"):
        os.makedirs(folder)
    with open("hosts", "w"):
        pass
    level = probe()
    print(level, probe_overlay(level))
