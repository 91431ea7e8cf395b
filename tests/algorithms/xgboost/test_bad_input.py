"""What bad input gets: the container's texts, as a client error."""

from __future__ import annotations

import builtins
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from algorithms.xgboost.helpers_xgboost import Input, as_csv, as_libsvm, classes, lay_out, train
from wildsage.algorithms.xgboost.spec import SPEC
from wildsage.contract.failure import ClientError

FEATURES, LABELS = classes(rows=40)
GOOD = as_csv(FEATURES, LABELS)
LOGISTIC = {"num_round": "1", "objective": "binary:logistic"}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "Missing required hyperparameter: num_round"),
        (
            {"num_round": "x"},
            "Hyperparameter num_round: could not parse value (caused by ValueError)",
        ),
        (
            {"num_round": "1.5"},
            "Hyperparameter num_round: could not parse value (caused by ValueError)",
        ),
        ({"num_round": "0"}, "Hyperparameter num_round: 0 is not in [1, +inf)"),
        ({"num_round": "1", "num_rounds": "1"}, "Extraneous hyperparameter found: num_rounds"),
        ({"num_round": "1", "eta": "1.5"}, "Hyperparameter eta: 1.5 is not in [0, 1]"),
        ({"num_round": "1", "learning_rate": "2"}, "Hyperparameter eta: 2.0 is not in [0, 1]"),
        ({"num_round": "1", "subsample": "0"}, "Hyperparameter subsample: 0.0 is not in (0, 1]"),
        ({"num_round": "1", "sketch_eps": "1"}, "Hyperparameter sketch_eps: 1.0 is not in (0, 1)"),
        (
            {"num_round": "1", "booster": "tree"},
            "Hyperparameter booster: tree is not in ['gbtree', 'gblinear', 'dart']",
        ),
        (
            {"num_round": "1", "updater": "grow,prune"},
            "Hyperparameter updater: value ['grow', 'prune'] not in range ['grow_colmaker', ",
        ),
        (
            {"num_round": "1", "objective": "multi:softmax"},
            "Require input for parameter 'num_class' for multi-classification",
        ),
        (
            {"num_round": "1", "eval_metric": "rmse,nope"},
            "Hyperparameter eval_metric: value ['rmse', 'nope'] not in range ['accuracy', ",
        ),
        (
            {"num_round": "1", "eval_metric": "auc"},
            "Metric 'auc' can only be applied for classification and ranking problems.",
        ),
        (
            {"num_round": "1", "eval_metric": "aft-nloglik"},
            "Metric 'aft-nloglik' can only be applied for 'survival:aft' objective.",
        ),
        (
            {"num_round": "1", "eval_metric": "rmse@3"},
            "Metric 'rmse@3' is not supported. Parameter 'eval_metric' with customized threshold "
            "should be one of these options: 'error', 'ndcg', 'map'.",
        ),
        (
            {"num_round": "1", "eval_metric": "ndcg@x"},
            "Threshold value 't' in 'ndcg@t' expects float input.",
        ),
        (
            {"num_round": "1", "eval_metric": "<function f>"},
            "User defined evaluation metric <function f> is not supported yet.",
        ),
        (
            {"num_round": "1", "monotone_constraints": "(1, 2)"},
            "Hyperparameter monotone_constraints: value (1, 2) not in range [-1, 0, 1]",
        ),
        (
            {"num_round": "1", "monotone_constraints": "(1, 0)"},
            "monotone_constraints can be used only when the tree_method parameter is set to "
            "either 'exact' or 'hist'.",
        ),
        (
            {"num_round": "1", "interaction_constraints": "[[0]]"},
            "Hyperparameter interaction_constraints: value [[0]] not in range [1, +inf)",
        ),
        (
            {"num_round": "1", "interaction_constraints": "[1, 2]"},
            "Hyperparameter interaction_constraints: could not parse value (caused by ValueError)",
        ),
        (
            {"num_round": "1", "updater": "refresh,grow_colmaker", "process_type": "update"},
            "process_type 'update' can only be used with updater 'refresh' and 'prune'",
        ),
        (
            {"num_round": "1", "updater": "grow_colmaker", "booster": "gblinear"},
            "Linear updater should be one of these options: 'shotgun', 'coord_descent'.",
        ),
        (
            {"num_round": "1", "updater": "grow_colmaker,distcol"},
            "Only one tree grow plugin can be selected. Choose one from thefollowing: "
            "'grow_colmaker', 'distcol', 'grow_histmaker', 'grow_skmaker'",
        ),
        (
            {"num_round": "1", "seed": "9999999999"},
            "Hyperparameter seed: 9999999999 is not in (-2147483648, 2147483647)",
        ),
        (
            {"num_round": "1", "_tuning_objective_metric": "validation:nope"},
            "Hyperparameter _tuning_objective_metric: validation:nope is not in "
            "['validation:accuracy', ",
        ),
    ],
)
def test_hyperparameters(given: Mapping[str, str], message: str) -> None:
    with pytest.raises(ClientError) as caught:
        SPEC.validate(given)
    assert str(caught.value).startswith(message)


def test_good_hyperparameters_come_out_typed_and_without_defaults() -> None:
    assert SPEC.validate(
        {
            "num_round": "10",
            "reg_alpha": "1",
            "monotone_constraints": "(1,0,-1)",
            "tree_method": "hist",
            "eval_metric": "rmse,mae",
            "silent": "0",
        }
    ) == {
        "num_round": 10,
        "alpha": 1.0,
        "monotone_constraints": (1, 0, -1),
        "tree_method": "hist",
        "eval_metric": ["rmse", "mae"],
        "silent": 0,
    }


ENTRY = {"ContentType": "text/csv", "TrainingInputMode": "File"}


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({}, "Missing required channel: train"),
        ({"train": ENTRY, "test": ENTRY}, "Extraneous channel found: test"),
        (
            {"train": {"ContentType": "text/csv;label_size=0"}},
            "text/csv;label_size=0 is not an accepted csv ContentType. "
            "Optional parameter label_size must be equal to 1",
        ),
        (
            {"train": {"ContentType": "application/json"}},
            "application/json is not an accepted ContentType: csv, libsvm, parquet, "
            "recordio-protobuf, text/csv, text/libsvm, text/x-libsvm, application/x-parquet, "
            "application/x-recordio-protobuf.",
        ),
        (
            {"train": {"ContentType": "libsvm", "TrainingInputMode": "Pipe"}},
            "Channel configuration for 'train' channel is not supported: "
            "{'ContentType': 'libsvm', 'TrainingInputMode': 'Pipe'}",
        ),
    ],
)
def test_channels(entries: Mapping[str, Mapping[str, str]], message: str) -> None:
    with pytest.raises(ClientError) as caught:
        SPEC.validate_channels(entries)
    assert str(caught.value) == message


def numbers(*values: float) -> np.ndarray:
    return np.resize(np.array(values, np.float32), len(LABELS))


@pytest.mark.parametrize(
    ("channels", "hyperparameters", "message"),
    [
        (
            {"train": Input({"train.csv": b"1,2,3\n"}, None)},
            LOGISTIC,
            "First line '1,2,3...' of file 'train.csv' is not 'LIBSVM' format. "
            "Please ensure the file is in 'LIBSVM' format.",
        ),
        (
            {"train": Input({"a": b"1\n2\n"})},
            LOGISTIC,
            "Could not determine delimiter on line 1:\nCould not determine delimiter",
        ),
        (
            {"train": Input({"a": b"label,x,y\n" + GOOD})},
            LOGISTIC,
            "Failed to load csv data with exception:\ncould not convert string to float: 'label'",
        ),
        (
            {"train": Input({"a": b"1,2,3\n1,2\n"})},
            LOGISTIC,
            "Failed to load csv data with exception:\nrows differ in their number of columns",
        ),
        (
            {"train": Input({"a": b"nan,2,3\n1,2,4\n"})},
            LOGISTIC,
            "Failed to load csv data with exception:\nLabel contains NaN, infinity or a value too "
            "large.",
        ),
        (
            {"train": Input({"a": b"0 0:1 1:2\n1 1:x\n"}, "libsvm")},
            LOGISTIC,
            "Failed to load libsvm data with exception:\ncould not convert string to float: 'x'",
        ),
        (
            {"train": Input({"a": b"not parquet at all"}, "parquet")},
            LOGISTIC,
            "Failed to load parquet data with exception:\n",
        ),
        (
            {"train": Input({"a": b"not recordio at all"}, "recordio-protobuf")},
            LOGISTIC,
            "Failed to load recordio-protobuf data with exception:\n",
        ),
        (
            {"train": Input({})},
            LOGISTIC,
            "No data in training channel path /opt/ml/input/data/train",
        ),
        (
            {"train": Input({"a": b""})},
            LOGISTIC,
            "No data in training channel path /opt/ml/input/data/train",
        ),
        (
            {"train": Input({"a": GOOD}), "validation": Input({})},
            LOGISTIC,
            "No data in validation channel path /opt/ml/input/data/validation",
        ),
        (
            {"train": Input({"a": GOOD, ".DS_Store": b"x"})},
            LOGISTIC,
            "Hidden file found in the data path! Remove that before training.",
        ),
        (
            {"train": Input({"a": as_csv(FEATURES, numbers(0, 1, 2))})},
            LOGISTIC,
            "label must be in [0,1] for logistic regression",
        ),
        (
            {"train": Input({"a": as_libsvm(FEATURES, numbers(0, 1, 2))}, "libsvm")},
            {"num_round": "1", "objective": "multi:softmax", "num_class": "2"},
            "SoftmaxMultiClassObj: label must be in [0, num_class).",
        ),
        (
            {"train": Input({"a": as_csv(FEATURES, numbers(1, -1))})},
            {"num_round": "1", "objective": "count:poisson"},
            "Check failed: label_correct PoissonRegression: label must be nonnegative",
        ),
        (
            {"train": Input({"a": as_csv(FEATURES, numbers(0, 1, 2))})},
            {
                "num_round": "1",
                "objective": "multi:softmax",
                "num_class": "3",
                "eval_metric": "precision",
            },
            "Target is multiclass but average='binary'.",
        ),
        (
            {"train": Input({"a": GOOD})},
            {**LOGISTIC, "base_score": "3"},
            "base_score must be in (0,1) for the logistic loss.",
        ),
        (
            {"train": Input({"a": GOOD})},
            {**LOGISTIC, "use_dask_gpu_training": "true"},
            "Some configurations unsuitable for Dask GPU training were found: ",
        ),
    ],
)
def test_data(
    channels: dict[str, Input],
    hyperparameters: dict[str, str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    outcome = train(lay_out(tmp_path, hyperparameters, channels), monkeypatch, capsys)
    assert outcome.code == 2
    assert message in outcome.failure
    assert "Stack trace" not in outcome.failure
    assert any("Customer Error: " in line for line in outcome.lines)
    assert not outcome.paths.model.exists()


def test_files_too_deep_are_left_out_with_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data = Input({"a/b/c.csv": GOOD, "a/b/c/d.csv": b"nonsense"})
    outcome = train(lay_out(tmp_path, LOGISTIC, {"train": data}), monkeypatch, capsys)
    assert outcome.code == 0
    assert any("exceed the limit 3. Files in deeper" in line for line in outcome.lines)


def test_the_same_file_in_both_channels_is_suspicious(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data = Input({"a.csv": GOOD})
    paths = lay_out(tmp_path, LOGISTIC, {"train": data, "validation": data})
    outcome = train(paths, monkeypatch, capsys)
    assert outcome.code == 0
    shown = "Suspected identical files found. (/opt/ml/input/data/train/a.csv and"
    assert any(shown in line for line in outcome.lines)


def test_without_the_library_the_job_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    known = builtins.__import__

    def without_xgboost(
        name: str,
        globals: Mapping[str, object] | None = None,
        locals: Mapping[str, object] | None = None,
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> Any:
        if name == "xgboost":
            raise ImportError(name)
        return known(name, globals, locals, fromlist, level)

    monkeypatch.delitem(sys.modules, "xgboost", raising=False)
    monkeypatch.setattr(builtins, "__import__", without_xgboost)
    paths = lay_out(tmp_path, LOGISTIC, {"train": Input({"a": GOOD})})
    outcome = train(paths, monkeypatch, capsys)
    assert outcome.code == 2
    assert "pip install wildsage[xgboost]" in outcome.failure


def test_the_declaration_is_light() -> None:
    import subprocess

    code = (
        "import sys; import wildsage.algorithms.xgboost.spec; "
        "print([m for m in ('numpy', 'scipy', 'xgboost') if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
