"""The command line against a live server."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from acceptance.helpers_jobs import blobs, csv, make_bucket, train, training_request
from wildsage.testing import LocalServer

pytestmark = pytest.mark.acceptance


def wildsage(server: LocalServer, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [
            sys.executable,
            "-m",
            "wildsage",
            words[0],
            "--home",
            str(server.settings.home),
            *words[1:],
        ],
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_status_says_what_there_is(server: LocalServer) -> None:
    said = wildsage(server, "status")
    assert said.returncode == 0
    assert server.url in said.stdout
    assert "training jobs:" in said.stdout


def test_the_shell_reads_what_env_prints(server: LocalServer) -> None:
    home = server.settings.home
    python = (
        f"{sys.executable} -c 'import boto3; print(boto3.client(\"sts\").get_caller_identity())'"
    )
    script = f'eval "$({sys.executable} -m wildsage env --home {home})" && {python}'
    said = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=60)
    assert "assumed-role/SageMakerRole/wildsage" in said.stdout, said.stderr


def test_exec_hands_on_the_exit_status(server: LocalServer) -> None:
    assert wildsage(server, "exec", "--", "sh", "-c", "exit 7").returncode == 7
    assert "cannot run" in wildsage(server, "exec", "--", "no-such-program").stderr


def test_logs_prints_a_job_s_log(server: LocalServer) -> None:
    make_bucket(server, "cli-logs", train__a=csv(blobs()))
    train(server, training_request("logged", "cli-logs"))
    said = wildsage(server, "logs", "logged")
    assert "Docker entrypoint called with argument(s): train" in said.stdout
    assert wildsage(server, "logs", "nosuch").returncode == 1


def test_doctor_names_what_is_missing(server: LocalServer) -> None:
    said = wildsage(server, "doctor").stdout
    assert "Python" in said
    assert "disk" in said


def test_other_hosts_keep_the_trust_they_had(server: LocalServer) -> None:
    bundle = Path(server.variables["AWS_CA_BUNDLE"]).read_text()
    before = os.environ.get("WILDSAGE_TEST_OLD_BUNDLE") or default_bundle()
    assert Path(before).read_text().strip()[:2000] in bundle


def default_bundle() -> str:
    names = ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "CURL_CA_BUNDLE")
    mine = {str(Path(os.environ[n])) for n in names if n in os.environ}
    system = "/etc/ssl/certs/ca-certificates.crt"
    return next((p for p in mine if "wildsage" not in p), system)
