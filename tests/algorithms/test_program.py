"""`python -m wildsage.algorithms`: from configuration to model, log, failure and exit code."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wildsage.algorithms import __main__ as program
from wildsage.contract.paths import Paths
from wildsage.formats import recordio

ROWS = np.random.default_rng(0).normal(size=(300, 5)).astype(np.float32)


@pytest.fixture
def paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Paths:
    monkeypatch.setenv("SAGEMAKER_BASE_DIR", str(tmp_path))
    paths = Paths(tmp_path)
    paths.config.mkdir(parents=True)
    configure(paths, {"k": "3", "feature_dim": "5"}, {"train": {"TrainingInputMode": "File"}})
    paths.channel("train").mkdir(parents=True)
    (paths.channel("train") / "rows").write_bytes(recordio.encode(ROWS))
    return paths


def configure(paths: Paths, hyperparameters: Any, channels: Any) -> None:
    paths.hyperparameters.write_text(json.dumps(hyperparameters))
    paths.input_data_config.write_text(json.dumps(channels))


@pytest.fixture(autouse=True)
def kept_signals() -> Any:
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


def test_training(paths: Paths, capsys: pytest.CaptureFixture[str]) -> None:
    assert program.main(["train", "kmeans"]) == 0
    assert np.load(paths.model / "model_algo-1")["centroids"].shape == (3, 5)
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == [
        "Docker entrypoint called with argument(s): train",
        "Running default environment configuration script",
    ]
    assert "Reading default configuration from /opt/amazon/lib/python3." in lines[2]
    assert "resources/default-input.json: {'init_method': 'random', 'mini_batch_size'" in lines[2]
    assert lines[3].endswith(
        f"Merging with provided configuration from {paths.hyperparameters}: "
        "{'k': '3', 'feature_dim': '5'}"
    )
    assert "] Final configuration: {'init_method': 'random'" in lines[4]
    assert "('application/x-recordio-protobuf', '1.0')" in lines[7]
    assert '"setuptime"' in lines[-1] and '"totaltime"' in lines[-1]


@pytest.mark.parametrize(
    ("hyperparameters", "text"),
    [
        (
            {"k": "3"},
            "No value(s) were specified for 'feature_dim' which are required hyperparameter(s) "
            "(caused by ValidationError)",
        ),
        ({"k": "3", "feature_dim": "4"}, "Incorrect configuration or train dataset provided."),
        ({"k": "500", "feature_dim": "5"}, "The number of training records in the first batch"),
    ],
)
def test_client_errors(
    paths: Paths, hyperparameters: Any, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    configure(paths, hyperparameters, {"train": {}})
    assert program.main(["train", "kmeans"]) == 2
    assert paths.failure.read_text().startswith(text)
    assert f"] Customer Error: {text}" in capsys.readouterr().out
    assert not paths.model.exists()


def test_unknown_channels_are_refused(paths: Paths) -> None:
    configure(paths, {"k": "3", "feature_dim": "5"}, {"train": {}, "validation": {}})
    assert program.main(["train", "kmeans"]) == 2
    assert "('validation' was unexpected)" in paths.failure.read_text()


def test_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert program.main(["dance"]) == 2
    assert "usage" in capsys.readouterr().err


def test_bad_hyperparameters_end_it_before_numpy(paths: Paths) -> None:
    configure(paths, {}, {})
    code = (
        "import sys; from wildsage.algorithms.__main__ import main; "
        "code = main(['train', 'kmeans']); assert 'numpy' not in sys.modules; sys.exit(code)"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ended.returncode == 2, ended.stderr


def test_sigterm_saves_the_model(paths: Paths) -> None:
    """Between two parts of a pipe the job is told to stop: it keeps what it has learned."""
    configure(paths, {"k": "3", "feature_dim": "5"}, {"train": {"TrainingInputMode": "Pipe"}})
    pipe = paths.pipe("train", 0)
    os.mkfifo(pipe)

    def feed() -> None:
        with open(pipe, "wb", buffering=0) as out:
            out.write(recordio.encode(ROWS))
            os.kill(os.getpid(), signal.SIGTERM)
            out.write(recordio.encode(ROWS))

    feeder = threading.Thread(target=feed)
    feeder.start()
    assert program.main(["train", "kmeans"]) == 0
    feeder.join()
    assert (paths.model / "model_algo-1").exists()
