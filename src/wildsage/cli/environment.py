"""The environment that points unmodified AWS clients at this server (design, section 3).

AWS_ENDPOINT_URL      boto3 and every SDK above it, without a detour
HTTPS_PROXY + CA      hosts that clients hard-code (`https://sts.<region>.amazonaws.com`): the proxy
                      answers `*.amazonaws.com` itself and tunnels every other host untouched
AWS_ACCESS_KEY_ID ... a session of the role SageMakerRole, so that get_execution_role() works
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from pathlib import Path

from wildsage import presence
from wildsage.arns import Scope
from wildsage.cli import CommandError
from wildsage.presence import Presence
from wildsage.services.iam.credentials import assume
from wildsage.services.iam.entities import ROLE as ROLE_KIND
from wildsage.settings import Settings
from wildsage.store.changes import Changes
from wildsage.store.database import Database
from wildsage.store.home import living_holder
from wildsage.store.resources import Resources
from wildsage.wire.context import Credential

ROLE = "SageMakerRole"
SESSION = "wildsage"
HOOKS = Path(__file__).with_name("hooks")
SESSION_SECONDS = 30 * 24 * 3600


def require_server(settings: Settings) -> Presence:
    """The server that lives in this home, or a `CommandError` that says how to start one."""
    found = presence.read(settings.home)
    if found is None or living_holder(settings.home) is None:
        raise CommandError(f"no server runs on {settings.home}; start one with `wildsage up`")
    return found


def client_environment(
    settings: Settings,
    server: Presence,
    current: Mapping[str, str] | None = None,
    *,
    as_is: bool = False,
) -> dict[str, str]:
    """Variables to set in a client's environment, laid over `current`.

    `as_is` leaves out the hook that shortens SDK v2's sleeps (`hooks/sitecustomize.py`).
    """
    current = os.environ if current is None else current
    credential = _session_credential(settings)
    bundle = str(settings.certificates / "bundle.pem")
    return {
        "AWS_ENDPOINT_URL": server.url,
        "AWS_ACCESS_KEY_ID": credential.access_key,
        "AWS_SECRET_ACCESS_KEY": credential.secret_key,
        "AWS_SESSION_TOKEN": credential.session_token or "",
        "AWS_REGION": settings.region,
        "AWS_DEFAULT_REGION": settings.region,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CA_BUNDLE": bundle,
        "REQUESTS_CA_BUNDLE": bundle,
        "CURL_CA_BUNDLE": bundle,
        "SSL_CERT_FILE": bundle,
        "HTTPS_PROXY": server.proxy_url,
        "https_proxy": server.proxy_url,
        "NO_PROXY": merged_no_proxy(current),
        "no_proxy": merged_no_proxy(current),
        **({} if as_is else {"PYTHONPATH": hooked_path(current)}),
    }


def hooked_path(current: Mapping[str, str]) -> str:
    """The user's PYTHONPATH behind the folder of our hook."""
    before = [f for f in current.get("PYTHONPATH", "").split(os.pathsep) if f and f != str(HOOKS)]
    return os.pathsep.join([str(HOOKS), *before])


def add_as_is_flag(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--as-is", action="store_true", help="do not shorten the sleeps of the SageMaker SDK v2"
    )


def merged_no_proxy(current: Mapping[str, str]) -> str:
    """Loopback never takes the proxy; what the user had stays, save what AWS hosts match."""
    mine = ["127.0.0.1", "localhost", "::1"]
    theirs = (current.get("no_proxy") or current.get("NO_PROXY") or "").split(",")
    kept = [h.strip() for h in theirs if h.strip() and h.strip() != "*" and "amazonaws" not in h]
    return ",".join(dict.fromkeys(mine + kept))


def _session_credential(settings: Settings) -> Credential:
    """A session of the role, made in the store itself: who may read the home needs no key."""
    database = Database(settings.database_url)
    try:
        resources = Resources(database, Changes())
        role = resources.get(ROLE_KIND, Scope(settings.account, ""), ROLE)
        return assume(resources, role, SESSION, SESSION_SECONDS)
    finally:
        database.close()
