"""Kill -9 in the middle of everything; a disk that is full."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
from pathlib import Path

from wildsage.store.database import Database
from wildsage.store.objects import Objects

# Four threads put, overwrite, delete and upload in parts, and tell what was acknowledged.
_WRITERS = """
import hashlib, os, sys, threading
from pathlib import Path
from wildsage.arns import Scope
from wildsage.store.database import Database
from wildsage.store.objects import Objects
from wildsage.store.objects.types import Attributes, PartChoice

home = Path(sys.argv[1])
database = Database(f"sqlite:///{home / 'test.db'}")
database.migrate()
objects = Objects(database, home / "objects")
objects.create_bucket(Scope(), "bucket")

def say(*words):
    os.write(1, (" ".join(map(str, words)) + "\\n").encode())

def write(thread):
    number = 0
    while True:
        number += 1
        data = os.urandom(1000 + 7919 * number % 200_000)
        digest, key = hashlib.md5(data).hexdigest(), f"{thread}/{number}"
        if number % 5 == 0:
            upload = objects.uploads.create("bucket", key, Attributes(), owner="me")
            with objects.uploads.part(upload, 1, len(data)) as writer:
                writer.write(data)
                part = objects.uploads.commit_part(upload, 1, writer)
            objects.complete(upload, [PartChoice(1, part.etag)])
        else:
            objects.put("bucket", key, data)
        say("put", key, digest)
        if number % 3 == 0:
            say("deleting", f"{thread}/{number - 1}")
            objects.delete("bucket", f"{thread}/{number - 1}")
            say("deleted", f"{thread}/{number - 1}")

for thread in range(4):
    threading.Thread(target=write, args=(thread,)).start()
"""

_FULL = """
import errno, resource, sys
from pathlib import Path
from wildsage.arns import Scope
from wildsage.store.database import Database
from wildsage.store.objects import Objects

home = Path(sys.argv[1])
database = Database("sqlite:///:memory:")
database.migrate()
objects = Objects(database, home / "objects")
objects.create_bucket(Scope(), "bucket")
objects.put("bucket", "before", b"x" * 1000)
resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, 500_000))
try:
    objects.put("bucket", "big", b"x" * 1_000_000)
except OSError as error:
    print(errno.errorcode[error.errno])
objects.put("bucket", "after", b"y" * 1000)
print([stored.key for stored in objects.list("bucket")])
print(sum(path.is_file() for path in (home / "objects").rglob("*")))
"""


def test_kill_9_under_writers(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _WRITERS, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(150)]
        os.kill(process.pid, signal.SIGKILL)
        lines += process.stdout.readlines()
    promised: dict[str, str] = {}
    uncertain: set[str] = set()
    for verb, key, *digest in (line.split() for line in lines):
        if verb == "put":
            promised[key] = digest[0]
        elif verb == "deleting":
            uncertain.add(key)
        else:
            promised.pop(key, None)
    _check(tmp_path, promised, uncertain)


def _check(home: Path, promised: dict[str, str], uncertain: set[str]) -> None:
    database = Database(f"sqlite:///{home / 'test.db'}")
    objects = Objects(database, home / "objects")
    objects.sweep()
    found = {stored.key: stored for stored in objects.list("bucket")}
    for key, digest in promised.items():
        if key not in uncertain:
            assert hashlib.md5(found[key].path.read_bytes()).hexdigest() == digest
    for stored in found.values():  # whatever else is visible is whole
        assert stored.path.stat().st_size == stored.size
    named = {stored.path for stored in found.values()}
    named |= {objects._bodies.path(u.body) for u in objects.uploads.under_way("bucket")}
    assert {path for path in (home / "objects").rglob("*") if path.is_file()} == named
    database.close()


def test_a_full_disk(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _FULL, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split("\n")[:3] == ["EFBIG", "['after', 'before']", "2"]
