"""A server of S3 alone, for the tests: `python serve.py HOME` prints its port and serves."""

from __future__ import annotations

import socket
import sys
from pathlib import Path
from types import SimpleNamespace

import uvicorn

from wildsage.store.database import Database
from wildsage.store.objects import Objects
from wildsage.wire.app import WireApp
from wildsage.wire.context import Credential, Principal

ACCOUNT = "000000000000"
USER = Principal(f"arn:aws:iam::{ACCOUNT}:user/me", "AIDAME", ACCOUNT, "AKIDME")
OTHER = Principal("arn:aws:iam::111111111111:user/other", "AIDAOTHER", "1" * 12, "AKIDOTHER")
CREDENTIALS = {
    principal.access_key: Credential(principal.access_key, "secret", None, principal, None)
    for principal in (USER, OTHER)
}


def main(home: Path) -> None:
    database = Database(f"sqlite:///{home / 'test.db'}")
    database.migrate()
    objects = Objects(database, home / "objects")
    objects.sweep()
    app = WireApp(
        services={"s3": "wildsage.services.s3"},
        platform=SimpleNamespace(objects=objects),
        credentials=lambda access_key: CREDENTIALS.get(access_key),
        record=lambda record: None,
    )
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(128)
    print(listener.getsockname()[1], flush=True)
    config = uvicorn.Config(app, log_level="warning", access_log=False, ws="none", lifespan="off")
    uvicorn.Server(config).run(sockets=[listener])
    objects.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
