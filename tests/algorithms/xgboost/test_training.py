"""Training jobs of the xgboost image, from files on disk to the artifact."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xgboost

from algorithms.xgboost.helpers_xgboost import (
    Input,
    Outcome,
    as_csv,
    as_libsvm,
    booster,
    classes,
    lay_out,
    train,
)
from wildsage.algorithms.xgboost import program
from wildsage.algorithms.xgboost.names import LIBSVM_ATTRIBUTE
from wildsage.formats import parquet, recordio
from wildsage.formats.matrix import SparseMatrix

BINARY = {"num_round": "3", "objective": "binary:logistic"}


class Job:
    """A job that a test describes and runs."""

    def __init__(
        self, base: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        self.base, self.monkeypatch, self.capsys = base, monkeypatch, capsys

    def run(self, hyperparameters: dict[str, str], **channels: Input) -> Outcome:
        paths = lay_out(self.base, hyperparameters, channels)
        return train(paths, self.monkeypatch, self.capsys)


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Job:
    return Job(tmp_path / "ml", monkeypatch, capsys)


def native(features: Any, labels: np.ndarray, rounds: int = 3, **parameters: Any) -> np.ndarray:
    """What the library alone predicts for its own training data."""
    matrix = xgboost.DMatrix(features, label=labels)
    parameters = {"objective": "binary:logistic", **parameters}
    return np.asarray(xgboost.train(parameters, matrix, rounds).predict(matrix))


def predictions(outcome: Outcome, features: Any) -> np.ndarray:
    assert outcome.code == 0, outcome.failure
    return np.asarray(booster(outcome.paths).predict(xgboost.DMatrix(features)))


def test_a_csv_job_gives_the_library_s_own_model_and_lines(job: Job) -> None:
    features, labels = classes()
    data = Input({"a.csv": as_csv(features, labels)})
    outcome = job.run({**BINARY, "eval_metric": "auc,logloss"}, train=data, validation=data)
    np.testing.assert_array_equal(predictions(outcome, features), native(features, labels))
    assert len(outcome.evaluations) == 3
    first = outcome.evaluations[0]
    assert first.startswith("[0]#011train-auc:0.") and first.count("#011") == 4
    assert [part.partition(":")[0] for part in first.split("#011")[1:]] == [
        "train-auc",
        "train-logloss",
        "validation-auc",
        "validation-logloss",
    ]
    assert any("Train matrix has 300 rows and 4 columns" in line for line in outcome.lines)


def test_every_content_type_gives_one_model(job: Job) -> None:
    features, labels = classes(rows=120)
    expected = native(features, labels)
    table = np.column_stack((labels, features))
    inputs = {
        "text/csv;label_size=1": as_csv(features, labels),
        "csv": as_csv(features, labels, delimiter="\t"),
        "text/libsvm": as_libsvm(features, labels),
        "application/x-parquet": parquet.encode(table),
        "application/x-recordio-protobuf": recordio.encode(features, labels),
    }
    for content_type, content in inputs.items():
        outcome = job.run(BINARY, train=Input({"data": content}, content_type))
        np.testing.assert_array_equal(predictions(outcome, features), expected, content_type)


def test_files_in_folders_are_read_in_the_order_of_their_names(job: Job) -> None:
    features, labels = classes(rows=90)
    parts = {
        f"{name}.csv": as_csv(features[rows], labels[rows])
        for name, rows in (("b", slice(30, 60)), ("a", slice(30)), ("c/d", slice(60, 90)))
    }
    outcome = job.run(BINARY, train=Input({**parts, "_SUCCESS": b""}))
    np.testing.assert_array_equal(predictions(outcome, features), native(features, labels))


def test_libsvm_is_the_default_and_keeps_indices_as_they_stand(job: Job) -> None:
    features, labels = classes(rows=80)
    outcome = job.run(BINARY, train=Input({"d": as_libsvm(features, labels, first=1)}, None))
    assert outcome.code == 0
    model = booster(outcome.paths)
    assert model.num_features() == 5
    assert model.attr(LIBSVM_ATTRIBUTE) == "0"


def test_weights_in_the_second_column_of_csv_and_behind_the_label_of_libsvm(job: Job) -> None:
    features, labels = classes(rows=100)
    weights = np.linspace(0.1, 3, 100).astype(np.float32)
    matrix = xgboost.DMatrix(features, label=labels, weight=weights)
    expected = xgboost.train({"objective": "binary:logistic"}, matrix, 3).predict(matrix)
    text = as_csv(features, labels, weights)
    outcome = job.run({**BINARY, "csv_weights": "1"}, train=Input({"a": text}))
    np.testing.assert_array_equal(predictions(outcome, features), expected)
    lines = as_libsvm(features, labels).splitlines()
    weighted = b"\n".join(
        line.replace(b" ", b":%r " % weight, 1)
        for line, weight in zip(lines, weights.tolist(), strict=True)
    )
    outcome = job.run(BINARY, train=Input({"a": weighted}, "text/libsvm"))
    np.testing.assert_allclose(predictions(outcome, features), expected, rtol=1e-6)


def test_ranking_data_with_queries(job: Job) -> None:
    features, labels = classes(rows=60)
    lines = as_libsvm(features, labels).splitlines()
    ranked = [line.replace(b" ", b" qid:%d " % (i // 10), 1) for i, line in enumerate(lines)]
    outcome = job.run(
        {"num_round": "3", "objective": "rank:pairwise", "eval_metric": "ndcg@5"},
        train=Input({"a": b"\n".join(ranked)}, "libsvm"),
    )
    assert outcome.code == 0
    assert outcome.evaluations[2].startswith("[2]#011train-ndcg@5:")


def test_missing_values_of_csv_are_missing(job: Job) -> None:
    features, labels = classes(rows=100)
    features[::7, 2] = np.nan
    text = as_csv(features, labels).replace(b"nan", b"")
    outcome = job.run(BINARY, train=Input({"a": text}))
    np.testing.assert_array_equal(predictions(outcome, features), native(features, labels))


def test_pipe_mode(job: Job) -> None:
    features, labels = classes(rows=100)
    inputs = {
        "text/csv": as_csv(features, labels),
        "application/x-recordio-protobuf": recordio.encode(features, labels),
        "application/x-parquet": parquet.encode(np.column_stack((labels, features))),
    }
    for content_type, content in inputs.items():
        paths = lay_out(job.base, BINARY, {"train": Input({}, content_type, "Pipe")})
        pipe = paths.pipe("train", 0)
        pipe.unlink(missing_ok=True)
        os.mkfifo(pipe)
        feeder = threading.Thread(target=pipe.write_bytes, args=(content,))
        feeder.start()
        outcome = train(paths, job.monkeypatch, job.capsys)
        feeder.join()
        np.testing.assert_array_equal(predictions(outcome, features), native(features, labels))


def test_sparse_recordio(job: Job) -> None:
    features, labels = classes(rows=80)
    features[features < 0] = 0
    sparse = SparseMatrix.from_dense(features)
    outcome = job.run(
        BINARY, train=Input({"a": recordio.encode(sparse, labels)}, "recordio-protobuf")
    )
    np.testing.assert_array_equal(
        predictions(outcome, sparse.to_scipy()), native(sparse.to_scipy(), labels)
    )


@pytest.mark.parametrize("kind", ["gbtree", "gblinear", "dart"])
def test_boosters(job: Job, kind: str) -> None:
    features, labels = classes(rows=100)
    settings = {"booster": kind}
    if kind == "gblinear":  # its default updater, shotgun, is not deterministic
        settings["updater"] = "coord_descent"
    outcome = job.run({**BINARY, **settings}, train=Input({"a": as_csv(features, labels)}))
    expected = native(features, labels, 3, **settings)
    np.testing.assert_allclose(predictions(outcome, features), expected, rtol=1e-5)


def test_what_the_library_gave_up_still_trains(job: Job) -> None:
    features, labels = classes(rows=100)
    old = {
        "num_round": "2",
        "objective": "reg:linear",
        "tree_method": "gpu_hist",
        "predictor": "cpu_predictor",
        "sketch_eps": "0.1",
        "silent": "0",
        "dsplit": "row",
        "deterministic_histogram": "true",
    }
    outcome = job.run(old, train=Input({"a": as_csv(features, labels)}))
    expected = native(features, labels, 2, objective="reg:squarederror", tree_method="hist")
    np.testing.assert_array_equal(predictions(outcome, features), expected)
    assert any("reg:linear is now deprecated" in line for line in outcome.lines)


def test_an_updater_of_the_past(job: Job) -> None:
    features, labels = classes(rows=100)
    outcome = job.run(
        {**BINARY, "tree_method": "exact", "num_parallel_tree": "2", "eval_metric": "error@0.4"},
        train=Input({"a": as_csv(features, labels)}),
    )
    assert outcome.code == 0
    assert len(booster(outcome.paths).get_dump()) == 6
    assert outcome.evaluations[0].startswith("[0]#011train-error@0.4:")


def test_constraints_reach_the_library(job: Job) -> None:
    features, labels = classes(rows=200)
    outcome = job.run(
        {
            **BINARY,
            "tree_method": "hist",
            "monotone_constraints": "(-1, 0, 0, 0)",
            "interaction_constraints": "[[1, 2], [3]]",
        },
        train=Input({"a": as_csv(features, labels)}),
    )
    expected = native(
        features,
        labels,
        tree_method="hist",
        monotone_constraints="(-1,0,0,0)",
        interaction_constraints="[[1,2],[3]]",
    )
    np.testing.assert_array_equal(predictions(outcome, features), expected)


def test_survival_from_plain_labels(job: Job) -> None:
    features, labels = classes(rows=100)
    outcome = job.run(
        {"num_round": "2", "objective": "survival:aft", "eval_metric": "aft-nloglik"},
        train=Input({"a": as_csv(features, labels + 1)}),
    )
    assert outcome.code == 0, outcome.failure
    assert "train-aft-nloglik" in outcome.evaluations[1]


def test_early_stopping_keeps_the_best_rounds(job: Job) -> None:
    features, labels = classes(rows=200)
    noise = np.random.default_rng(1).integers(0, 2, 200).astype(np.float32)
    outcome = job.run(
        {**BINARY, "num_round": "60", "early_stopping_rounds": "2", "eval_metric": "error,auc"},
        train=Input({"a": as_csv(features, labels)}),
        validation=Input({"b": as_csv(features, noise)}),
    )
    assert outcome.code == 0
    scores = [float(line.rpartition("validation-auc:")[2]) for line in outcome.evaluations]
    best = int(np.argmax(scores))
    assert len(scores) == best + 3 < 60
    assert booster(outcome.paths).num_boosted_rounds() == best + 1


def test_early_stopping_without_a_metric_goes_by_the_objective_s(job: Job) -> None:
    features, labels = classes(rows=200)
    noise = np.random.default_rng(1).integers(0, 2, 200).astype(np.float32)
    outcome = job.run(
        {**BINARY, "num_round": "60", "early_stopping_rounds": "2"},
        train=Input({"a": as_csv(features, labels)}),
        validation=Input({"b": as_csv(features, noise)}),
    )
    assert outcome.code == 0
    assert booster(outcome.paths).num_boosted_rounds() < 10


def test_a_tuning_job_s_metric_is_reported_and_definitions_find_it(job: Job) -> None:
    import re

    from wildsage.algorithms.xgboost.spec import SPEC

    features, labels = classes(rows=100)
    data = Input({"a": as_csv(features, labels)})
    outcome = job.run(
        {**BINARY, "_tuning_objective_metric": "validation:accuracy"}, train=data, validation=data
    )
    definitions = {entry["Name"]: entry["Regex"] for entry in SPEC.metric_definitions()}
    found = [re.findall(definitions["validation:accuracy"], line) for line in outcome.evaluations]
    assert len(found) == 3 and all(0.5 < float(values[0]) <= 1 for values in found)
    assert re.findall(definitions["train:logloss"], outcome.evaluations[0])


def test_cross_validation_leaves_a_model_for_each_fold_and_the_predictions(job: Job) -> None:
    features, labels = classes(rows=90)
    outcome = job.run(
        {**BINARY, "_kfold": "3", "_num_cv_round": "2", "eval_metric": "accuracy"},
        train=Input({"a": as_csv(features[:60], labels[:60])}),
        validation=Input({"a": as_csv(features[60:], labels[60:])}),
    )
    assert outcome.code == 0, outcome.failure
    names = sorted(path.name for path in outcome.paths.model.iterdir())
    assert names == [f"xgboost-model-{fold}" for fold in range(6)]
    table = np.loadtxt(outcome.paths.output_data / "predictions.csv", delimiter=",")
    np.testing.assert_array_equal(table[:, 0], labels)
    assert ((table[:, 1] > 0.5) == labels).mean() > 0.7
    assert set(table[:, 2]) <= {0.0, 1.0}
    summaries = [line for line in outcome.evaluations if line.startswith("[3]#011train-logloss")]
    assert len(summaries) == 3


def test_checkpoints_are_written_and_resumed(job: Job) -> None:
    features, labels = classes(rows=100)
    data = Input({"a": as_csv(features, labels)})
    folder = job.base / "checkpoints"
    folder.mkdir(parents=True)
    job.run({**BINARY, "num_round": "7"}, train=data)
    names = sorted(path.name for path in folder.iterdir())
    assert names == [f"xgboost-checkpoint.{number}" for number in range(2, 7)]
    (folder / "xgboost-checkpoint.8").write_bytes(b"cut off")
    outcome = job.run({**BINARY, "num_round": "9"}, train=data)
    assert [line.partition("#")[0] for line in outcome.evaluations] == ["[7]", "[8]"]
    np.testing.assert_allclose(
        predictions(outcome, features), native(features, labels, 9), rtol=1e-6
    )


def test_trees_of_a_checkpoint_are_refreshed_with_new_data(job: Job) -> None:
    features, labels = classes(rows=100)
    update = {
        **BINARY,
        "process_type": "update",
        "updater": "refresh",
        "refresh_leaf": "1",
    }
    data = Input({"a": as_csv(features, labels)})
    outcome = job.run(update, train=data)
    assert outcome.code == 2 and "needs a model whose trees can be updated" in outcome.failure
    (job.base / "checkpoints").mkdir(parents=True)
    job.run(BINARY, train=data)
    outcome = job.run(update, train=Input({"a": as_csv(features, 1 - labels)}))
    assert outcome.code == 0, outcome.failure
    assert booster(outcome.paths).num_boosted_rounds() == 3


@pytest.mark.parametrize(("kept", "saved"), [("true", True), ("false", False)])
def test_a_stop_ends_the_training_with_the_rounds_so_far(job: Job, kept: str, saved: bool) -> None:
    from wildsage.algorithms.base import TrainingJob
    from wildsage.algorithms.xgboost.spec import SPEC
    from wildsage.contract.env import TrainingEnvironment

    features, labels = classes(rows=100)
    hyperparameters = {**BINARY, "num_round": "1000", "save_model_on_termination": kept}
    data = {"train": Input({"a": as_csv(features, labels)})}
    environment = TrainingEnvironment.load(lay_out(job.base, hyperparameters, data))
    asked = iter(range(1000))
    running = TrainingJob.create(
        SPEC, environment, SPEC.validate(hyperparameters), stopping=lambda: next(asked) >= 4
    )
    program.train(running)
    files = list(environment.paths.model.glob("*"))
    assert bool(files) == saved
    if saved:
        assert booster(environment.paths).num_boosted_rounds() == 5
