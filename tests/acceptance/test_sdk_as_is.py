"""SDK v2 as installed and nothing else: no hook, no argument, no file; variables alone.


Slow, because the SDK itself sleeps 5 s in fit and 30 s in deploy; it earns the proof that the
shortened sleeps of `wildsage exec` are a convenience and nothing depends on them.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from acceptance.conftest import AUDIT
from wildsage.testing import LocalServer

pytestmark = pytest.mark.acceptance

SCRIPT = """
import sys
assert type(sys.modules["time"]).__name__ == "module"
import numpy as np, sagemaker, sagemaker.session, time
assert sagemaker.session.time is time
session = sagemaker.Session()
role = sagemaker.get_execution_role()
assert role == "arn:aws:iam::000000000000:role/SageMakerRole", role
kmeans = sagemaker.KMeans(role, 1, "ml.c5.xlarge", k=2, output_path=None)
rows = np.repeat(np.array([[0, 0], [9, 9]], "float32"), 50, axis=0)
kmeans.fit(kmeans.record_set(rows))
predictor = kmeans.deploy(1, "ml.m5.large")
labels = [a.label["closest_cluster"].float32_tensor.values[0] for a in predictor.predict(rows)]
predictor.delete_endpoint()
assert len(set(labels[:50])) == 1 and len(set(labels)) == 2, labels

generic = sagemaker.estimator.Estimator(
    kmeans.training_image_uri(), role, 1, "ml.c5.xlarge",
    hyperparameters={"k": 2, "feature_dim": 2},
)
uri = session.upload_string_as_file_body("0,0\\n0,1\\n9,9\\n", session.default_bucket(), "x/a.csv")
generic.fit({"train": sagemaker.inputs.TrainingInput(uri, content_type="text/csv;label_size=0")})
print("telemetry was sent by", generic.__class__.__name__)
"""


def test_the_sdk_trains_deploys_and_predicts(server: LocalServer, tmp_path: Path) -> None:
    script, audit = tmp_path / "script.py", tmp_path / "hosts"
    script.write_text(SCRIPT)
    home = str(server.settings.home)
    command = [sys.executable, "-m", "wildsage", "exec", "--home", home, "--as-is", "--"]
    variables = {"HOME": str(tmp_path), "PYTHONPATH": str(AUDIT), "WILDSAGE_AUDIT_LOG": str(audit)}
    before = set(tmp_path.iterdir())
    done = subprocess.run(
        [*command, sys.executable, "-W", "ignore", str(script)],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "telemetry was sent by Estimator" in done.stdout
    assert set(audit.read_text().split()) <= {"127.0.0.1", "localhost"}
    assert not (tmp_path / ".aws").exists()
    assert {p.name for p in set(tmp_path.iterdir()) - before} <= {"hosts", ".cache", ".config"}
