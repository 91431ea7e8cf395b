"""Several instances, each a process of its own, give one model on the first."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import xgboost

from algorithms.xgboost.helpers_xgboost import Input, as_csv, booster, classes, lay_out
from wildsage.contract.paths import Paths

HOSTS = ("algo-1", "algo-2")
HYPERPARAMETERS = {
    "num_round": "4",
    "objective": "binary:logistic",
    "eval_metric": "logloss,accuracy",
    "nthread": "1",
}


def launch(base: Path, host: str, channels: dict[str, Input]) -> subprocess.Popen[str]:
    """One instance of the gang, on a loopback address of its own."""
    root = base / host
    lay_out(root, HYPERPARAMETERS, channels, hosts=HOSTS, host=host)
    # The test's own process number keeps gangs of parallel test runs apart.
    net = f"127.{os.getpid() // 250 % 250 + 1}.{os.getpid() % 250 + 1}"
    environment = {
        **os.environ,
        "SAGEMAKER_BASE_DIR": str(root),
        "WILDSAGE_HOST_ADDRESSES": f"algo-1={net}.1,algo-2={net}.2",
        "TRAINING_JOB_NAME": base.name,
        "OMP_NUM_THREADS": "1",
    }
    command = [sys.executable, "-m", "wildsage.algorithms", "train", "xgboost"]
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def run(base: Path, *channels: dict[str, Input]) -> list[tuple[int, str]]:
    """(exit code, output) of every instance."""
    processes = [launch(base, h, c) for h, c in zip(HOSTS, channels, strict=True)]
    try:
        outputs = [process.communicate(timeout=60)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
    return [(p.returncode, output) for p, output in zip(processes, outputs, strict=True)]


def test_two_instances_boost_one_model(tmp_path: Path) -> None:
    features, labels = classes(rows=400)
    validation = Input({"v.csv": as_csv(features[:50], labels[:50])})
    shards = [
        {"train": Input({"a": as_csv(features[rows], labels[rows])}), "validation": validation}
        for rows in (slice(200), slice(200, 400))
    ]
    (code, output), (other_code, other_output) = run(tmp_path, *shards)
    assert (code, other_code) == (0, 0), output + other_output
    assert output.count("#011train-logloss:") == 4
    assert "#011train-logloss" not in other_output
    assert not Paths(tmp_path / "algo-2").model.exists()
    model = booster(Paths(tmp_path / "algo-1"))
    assert model.num_boosted_rounds() == 4
    right = (model.predict(xgboost.DMatrix(features)) > 0.5) == labels
    alone = xgboost.train(
        {"objective": "binary:logistic"}, xgboost.DMatrix(features[:200], label=labels[:200]), 4
    )
    alone_right = (alone.predict(xgboost.DMatrix(features)) > 0.5) == labels
    # It has learned from both halves.
    assert np.mean(right[200:]) > np.mean(alone_right[200:])


def test_an_instance_without_data_steps_aside(tmp_path: Path) -> None:
    features, labels = classes(rows=100)
    data = as_csv(features, labels)
    results = run(tmp_path, {"train": Input({})}, {"train": Input({"a": data})})
    assert [code for code, _ in results] == [0, 0], results
    assert "Host algo-1 does not have training data. Will broadcast to cluster" in results[0][1]
    # The model is written where the data was.
    model = booster(Paths(tmp_path / "algo-2"))
    matrix = xgboost.DMatrix(features, label=labels)
    expected = xgboost.train({"objective": "binary:logistic"}, matrix, 4).predict(matrix)
    np.testing.assert_array_equal(model.predict(matrix), expected)


def test_bad_data_on_one_instance_fails_all_with_its_text(tmp_path: Path) -> None:
    features, labels = classes(rows=100)
    good = Input({"a": as_csv(features, labels)})
    bad = Input({"a": as_csv(features, labels + 3)})
    results = run(tmp_path, {"train": good}, {"train": bad})
    assert [code for code, _ in results] == [2, 2], results
    for host in HOSTS:
        failure = Paths(tmp_path / host).failure.read_text()
        assert failure == "label must be in [0,1] for logistic regression"
