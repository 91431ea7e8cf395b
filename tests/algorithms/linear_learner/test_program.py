"""linear-learner as a training job: channels, modes, log, artifact, instances, interruptions."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from algorithms.linear_learner.helpers_linear import (
    RECORDIO,
    SPEC,
    Input,
    Ran,
    binary,
    csv_input,
    lay_out,
    multiclass,
    recordio_input,
    regression,
    run_job,
)
from wildsage.algorithms.linear_learner import LinearLearner, program
from wildsage.contract.cluster import Cluster
from wildsage.contract.paths import Paths
from wildsage.formats import recordio
from wildsage.formats.matrix import SparseMatrix

Array = NDArray[Any]
DATA = {
    "binary_classifier": binary(500),
    "regressor": regression(500),
    "multiclass_classifier": multiclass(500),
}


def hyperparameters(kind: str, **more: Any) -> dict[str, Any]:
    classes = {"num_classes": 3} if kind == "multiclass_classifier" else {}
    return {"predictor_type": kind, "mini_batch_size": 100, **classes, **more}


def three_channels(kind: str) -> dict[str, Input]:
    features, labels = DATA[kind]
    parts = {"train": slice(0, 300), "validation": slice(300, 400), "test": slice(400, 500)}
    return {name: csv_input(features[rows], labels[rows]) for name, rows in parts.items()}


@pytest.mark.parametrize("kind", DATA)
def test_train_validation_and_test(kind: str, tmp_path: Path) -> None:
    ran = run_job(lay_out(tmp_path, hyperparameters(kind), three_channels(kind)))
    features, labels = DATA[kind]
    answers = ran.model.answers(features[400:])
    if kind == "regressor":
        figure, text = np.mean((answers["score"] - labels[400:]) ** 2), "test mse <loss>="
    else:
        name = kind.replace("classifier", "classification").removesuffix("_classification")
        figure = np.mean(answers["predicted_label"] == labels[400:])
        name = "binary_classification" if name == "binary" else "multiclass"
        text = f"test {name}_accuracy <score>="
    assert ran.value(text) == pytest.approx(figure, rel=1e-4)


@pytest.mark.parametrize("kind", DATA)
def test_every_metric_finds_its_line(kind: str, tmp_path: Path) -> None:
    """With a validation channel, final figures are of validation and test; without, of train."""
    full = run_job(lay_out(tmp_path / "full", hyperparameters(kind), three_channels(kind)))
    alone = {"train": three_channels(kind)["train"]}
    bare = run_job(lay_out(tmp_path / "bare", hyperparameters(kind), alone))
    other = {"binary_classifier": "multiclass|macro|dcg|mse|absolute|rmse|mae|r2"}
    other["multiclass_classifier"] = "binary|:precision|:recall|roc|mse|absolute|rmse|mae|r2"
    other["regressor"] = "binary|multiclass|macro|dcg|:precision|:recall|roc"
    lines = full.lines + bare.lines
    for metric in SPEC.metric_definitions():
        if not re.search(other[kind], metric["Name"]):
            found = [m for line in lines if (m := re.search(metric["Regex"], line))]
            assert found, metric
            float(found[-1][1])


def test_the_log_reads_as_the_real_one(tmp_path: Path) -> None:
    kind = "binary_classifier"
    ran = run_job(lay_out(tmp_path, hyperparameters(kind, epochs=2), three_channels(kind)))
    patterns = [
        r"\] Checkpoint loading and saving are disabled\.",
        r"\] Scaling model computed with parameters: \{'stdev_weight': \[",
        r'#metrics \{.*"model": 0\}, "Metrics": \{"train_binary_classification_cross_entropy_obj',
        r"\] #quality_metric: host=algo-1, epoch=0, train binary_classification_cross_entropy_"
        r"objective <loss>=\d",
        r'#metrics \{.*"epoch": 0, "model": 31\}, "Metrics": \{"validation_binary_class',
        r"\] #quality_metric: host=algo-1, epoch=0, validation binary_classification_cross_"
        r"entropy_objective <loss>=\d",
        r"\] #early_stopping_criteria_metric: host=algo-1, epoch=0, criteria=sampled_accuracy, "
        r"value=0\.\d",
        r"\] Epoch 0: Loss improved\. Updating best model",
        r"\] #progress_metric: host=algo-1, completed 50 % of epochs",
        r'#metrics \{.*"Meta": "training_data_iter", "epoch": 0\}',
        r"\] #throughput_metric: host=algo-1, train throughput=\d+\.\d+ records/second",
        r"\] #progress_metric: host=algo-1, completed 100 % of epochs",
        r"\] #validation_score \(algo-1\) : \('binary_classification_accuracy', 0\.\d+\)",
        r"\] #quality_metric: host=algo-1, validation binary_f_1\.000 <score>=0\.\d+",
        r'\] Best model found for hyperparameters: \{"optimizer": "adam", "learning_rate": ',
        r'\] Saved checkpoint to ".*/model/model_algo-1"',
        r"\] #test_score \(algo-1\) : \('roc_auc_score', 0\.\d+\)",
        r"\] #quality_metric: host=algo-1, test binary_classification_accuracy <score>=0\.\d+",
        r'#metrics \{.*"Metrics": \{"initialize.time".*"update.time".*"epochs".*"finalize.time"',
    ]
    text = "\n".join(ran.lines)
    position = 0
    for pattern in patterns:
        found = re.compile(pattern).search(text, position)
        assert found, pattern
        position = found.start()


def test_without_a_test_channel_the_log_says_so(tmp_path: Path) -> None:
    channels = {"train": csv_input(*DATA["regressor"])}
    ran = run_job(lay_out(tmp_path, hyperparameters("regressor", epochs=1), channels))
    assert any(line.endswith("] Test data is not provided.") for line in ran.lines)


def test_the_job_trains_the_library_s_model(tmp_path: Path) -> None:
    features, labels = DATA["binary_classifier"]
    paths = lay_out(
        tmp_path,
        hyperparameters("binary_classifier"),
        {"train": recordio_input(features, labels)},
    )
    fitted = LinearLearner(mini_batch_size=100).fit(features, labels)
    model = run_job(paths).model
    np.testing.assert_allclose(model.weight, fitted.coef_.T, rtol=1e-5)
    assert model.threshold == pytest.approx(fitted.threshold_)


def test_csv_recordio_and_sparse_recordio_are_the_same_data(tmp_path: Path) -> None:
    features, labels = DATA["binary_classifier"]
    features = np.where(np.abs(features) > 0.5, features, 0)
    sparse = Input(recordio.encode(SparseMatrix.from_dense(features), labels), RECORDIO)
    inputs = [csv_input(features, labels), recordio_input(features, labels), sparse]
    chosen = hyperparameters("binary_classifier", num_models=1, epochs=40)
    chosen["early_stopping_patience"] = 99
    models = [
        run_job(lay_out(tmp_path / str(number), chosen, {"train": given})).model
        for number, given in enumerate(inputs)
    ]
    np.testing.assert_allclose(models[0].weight, models[1].weight, atol=1e-5)
    np.testing.assert_allclose(models[0].weight, models[2].weight, atol=1e-2)


# --- pipes ---------------------------------------------------------------------------------------


@contextmanager
def feeding(paths: Paths, channel: str, content: bytes, epochs: int = 30) -> Iterator[list[int]]:
    """Writes `content` into the FIFO of every epoch that is opened; yields the epochs begun."""
    begun: list[int] = []
    done = threading.Event()
    for epoch in range(epochs):
        os.mkfifo(paths.pipe(channel, epoch))

    def feed() -> None:
        for epoch in range(epochs):
            descriptor = os.open(paths.pipe(channel, epoch), os.O_WRONLY)
            if done.is_set():
                os.close(descriptor)
                return
            begun.append(epoch)
            try:
                with open(descriptor, "wb", buffering=0) as pipe:
                    view = memoryview(content)
                    while view:
                        view = view[pipe.write(view) :]
            except BrokenPipeError:
                pass

    thread = threading.Thread(target=feed)
    thread.start()
    try:
        yield begun
    finally:
        done.set()
        for epoch in range(len(begun), epochs):
            os.close(os.open(paths.pipe(channel, epoch), os.O_RDONLY | os.O_NONBLOCK))
        thread.join(10)


def pipe_job(base: Path, given: Input, **more: Any) -> tuple[Ran, list[int]]:
    paths = lay_out(base, hyperparameters("binary_classifier", **more), {"train": given})
    with feeding(paths, "train", given.content) as begun:
        return run_job(paths), begun


def test_a_pipe_that_fits_is_read_once(tmp_path: Path) -> None:
    features, labels = DATA["binary_classifier"]
    ran, begun = pipe_job(tmp_path / "pipe", recordio_input(features, labels, "Pipe"), num_models=2)
    assert begun == [0]
    file = {"train": recordio_input(features, labels)}
    chosen = hyperparameters("binary_classifier", num_models=2)
    same = run_job(lay_out(tmp_path / "file", chosen, file)).model
    np.testing.assert_array_equal(ran.model.weight, same.weight)


def test_a_pipe_that_does_not_fit_is_read_once_an_epoch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(program, "memory_budget", lambda: 1000)
    features, labels = DATA["binary_classifier"]
    given = recordio_input(features, labels, "Pipe")
    more = {"epochs": 4, "num_models": 2, "num_point_for_scaler": 100, "wd": 0.01}
    ran, begun = pipe_job(tmp_path, given, **more)
    # The look at the first rows, four epochs, the choice, the threshold, the final figures.
    assert begun == list(range(len(begun)))
    assert 6 <= len(begun) <= 9
    answers = ran.model.answers(features)
    assert np.mean(answers["predicted_label"] == labels) > 0.7


# --- several instances ---------------------------------------------------------------------------


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def gang(base: Path, kind: str, **more: Any) -> list[Ran]:
    """Two instances with half of the rows each."""
    features, labels = DATA[kind]
    hosts = ("algo-1", "algo-2")
    # Uneven shards: one host is out of rows before the other.
    shards = (slice(0, 290), slice(290, 500))
    addresses = {"algo-1": f"127.0.0.1:{free_port()}"}
    results: dict[int, Ran] = {}

    def run(rank: int) -> None:
        given = {"train": csv_input(features[shards[rank]], labels[shards[rank]])}
        paths = lay_out(
            base / hosts[rank], hyperparameters(kind, **more), given, hosts, hosts[rank]
        )
        cluster = Cluster(hosts, hosts[rank], addresses, connect_seconds=20)
        try:
            results[rank] = run_job(paths, cluster)
        finally:
            cluster.close()

    threads = [threading.Thread(target=run, args=(rank,)) for rank in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return [results[rank] for rank in range(2)]


@pytest.mark.parametrize("kind", DATA)
def test_two_instances_train_the_model_of_one(kind: str, tmp_path: Path) -> None:
    more = {"num_models": 2, "num_point_for_scaler": 500, "wd": 0.01, "epochs": 40}
    more["early_stopping_patience"] = 99
    first, second = gang(tmp_path, kind, **more)
    alone = {"train": csv_input(*DATA[kind])}
    one = run_job(lay_out(tmp_path / "one", hyperparameters(kind, **more), alone))
    np.testing.assert_allclose(first.model.weight, one.model.weight, atol=5e-3)
    assert first.model.threshold == pytest.approx(one.model.threshold, abs=5e-3)
    assert not second.paths.model.exists()
    assert any("host=algo-2, epoch=0, train" in line for line in second.lines)


def test_two_instances_take_mini_batches_together(tmp_path: Path) -> None:
    more = {"num_models": 1, "optimizer": "adam", "learning_rate": 0.05, "epochs": 20}
    first, _ = gang(tmp_path, "binary_classifier", **more)
    features, labels = DATA["binary_classifier"]
    assert np.mean(first.model.answers(features)["predicted_label"] == labels) > 0.75


# --- interruptions -------------------------------------------------------------------------------


def test_a_stopped_job_leaves_a_model(tmp_path: Path) -> None:
    kind = "binary_classifier"
    paths = lay_out(tmp_path, hyperparameters(kind), three_channels(kind))
    reads = iter(range(1000))
    ran = run_job(paths, stopping=lambda: next(reads) > 4)
    assert ran.model.weight.shape == (5, 1)
    assert not any("epoch=2, train" in line for line in ran.lines)


def test_an_interrupted_spot_job_goes_on_from_its_checkpoint(tmp_path: Path) -> None:
    kind = "binary_classifier"
    chosen = hyperparameters(kind, optimizer="adam", learning_rate=0.01, epochs=4, num_models=2)
    channels = {"train": three_channels(kind)["train"]}
    whole = run_job(lay_out(tmp_path / "whole", chosen, channels))
    paths = lay_out(tmp_path / "spot", chosen | {"epochs": 2}, channels)
    paths.checkpoints.mkdir()
    first = run_job(paths)
    assert any("Saving model for epoch: 1" in line for line in first.lines)
    second = run_job(lay_out(tmp_path / "spot", chosen, channels))
    assert any("Loaded checkpoint from" in line for line in second.lines)
    assert not any("epoch=1, train" in line for line in second.lines)
    np.testing.assert_allclose(second.model.weight, whole.model.weight, rtol=1e-6)


def test_the_program_as_a_process(tmp_path: Path) -> None:
    kind = "binary_classifier"
    paths = lay_out(tmp_path, hyperparameters(kind, epochs=2), three_channels(kind))
    environment = {**os.environ, "SAGEMAKER_BASE_DIR": str(tmp_path)}
    command = [sys.executable, "-m", "wildsage.algorithms", "train", "linear-learner"]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 0, ended.stderr
    lines = ended.stdout.splitlines()
    assert lines[0] == "Docker entrypoint called with argument(s): train"
    assert any("#quality_metric: host=algo-1, test roc_auc_score <score>=" in x for x in lines)
    assert Ran(paths).model.feature_dim == 5
