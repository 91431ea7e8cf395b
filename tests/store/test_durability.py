"""What was acknowledged is there after kill -9."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from wildsage.arns import Scope
from wildsage.store.changes import Changes
from wildsage.store.database import Database
from wildsage.store.logs import Logs
from wildsage.store.resources import Resources

WRITE = """
import sys
from itertools import count
from pathlib import Path
from wildsage.arns import Scope
from wildsage.store.changes import Changes
from wildsage.store.database import Database
from wildsage.store.logs import Logs
from wildsage.store.resources import Resources

home = Path(sys.argv[1])
database = Database(f"sqlite:///{home / 'wildsage.db'}")
database.migrate()
resources, logs, scope = Resources(database, Changes()), Logs(database, home / "logs"), Scope()
logs.create_group(scope, "group")
logs.create_stream(scope, "group", "stream")
for n in count():
    resources.create("model", scope, f"{n}", arn=f"arn:{n}", status="A", document={"n": n})
    resources.update(resources.get("model", scope, f"{n}"), status="B")
    logs.put_events(scope, "group", "stream", [(1_700_000_000_000 + n, f"event {n}")])
    print(n, flush=True)
"""


def acknowledged(process: subprocess.Popen[str], enough: int) -> Iterator[int]:
    """What the writer said was written, before and after it was killed."""
    assert process.stdout is not None
    for line in process.stdout:
        if not line.endswith("\n"):
            return
        yield int(line)
        if int(line) == enough:
            os.kill(process.pid, signal.SIGKILL)


def test_acknowledged_rows_and_events_survive_a_kill(tmp_path: Path) -> None:
    command = [sys.executable, "-c", WRITE, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        last = max(acknowledged(process, enough=25))
    database = Database(f"sqlite:///{tmp_path / 'wildsage.db'}")
    resources, logs = Resources(database, Changes()), Logs(database, tmp_path / "logs")
    found = {r.name: (r.status, r.document) for r in resources.all("model")}
    page = logs.get_events(Scope(), "group", "stream", start_from_head=True)
    wanted = range(last + 1)
    assert {str(n): ("B", {"n": n}) for n in wanted}.items() <= found.items()
    assert [e.message for e in page.events][: last + 1] == [f"event {n}" for n in wanted]
    assert database.migrate() == []
    database.close()
