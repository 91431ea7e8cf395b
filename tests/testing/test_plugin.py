"""The fixture that other people's tests use."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.acceptance

SUITE = """
import boto3

def test_one(wildsage_server):
    assert boto3.client("sts").get_caller_identity()["Account"] == "000000000000"
    assert wildsage_server.client("s3").list_buckets()["Buckets"] == []

def test_two(wildsage_server):
    session = wildsage_server.boto3_session("eu-west-1")
    assert session.client("sagemaker").list_models()["Models"] == []
"""


def test_a_suite_of_somebody_else_s(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text('pytest_plugins = ["wildsage.testing.plugin"]')
    (tmp_path / "test_mine.py").write_text(SUITE)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)],
        cwd=tmp_path,
        env=os.environ,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert "2 passed" in done.stdout, done.stdout + done.stderr
