"""What bad hyperparameters and bad data get: the texts of AWS."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from algorithms.linear_learner.helpers_linear import (
    SPEC,
    Input,
    binary,
    csv,
    csv_input,
    lay_out,
    multiclass,
    run_job,
)
from wildsage.contract.failure import ClientError

X, Y = binary(60)


def refused(raw: dict[str, str]) -> str:
    with pytest.raises(ClientError) as caught:
        SPEC.validate(raw)
    return str(caught.value)


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (
            {},
            "No value(s) were specified for 'predictor_type' which are required "
            "hyperparameter(s) (caused by ValidationError)",
        ),
        (
            {"predictor_type": "binary"},
            "The value 'binary' is not valid for the 'predictor_type' hyperparameter which "
            "accepts one of the following: 'binary_classifier', 'multiclass_classifier', "
            "'regressor' (caused by ValidationError)",
        ),
        (
            {"predictor_type": "regressor", "mini_batch_siz": "5"},
            "Additional hyperparameters are not allowed ('mini_batch_siz' was unexpected) "
            "(caused by ValidationError)",
        ),
        (
            {"predictor_type": "multiclass_classifier"},
            "No value(s) were specified for 'num_classes' which are required "
            "hyperparameter(s) (caused by ValidationError)",
        ),
    ],
)
def test_hyperparameters(raw: dict[str, str], text: str) -> None:
    assert refused(raw) == text


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("epochs", "0"),
        ("mini_batch_size", "1.5"),
        ("learning_rate", "0"),
        ("wd", "-1"),
        ("momentum", "1"),
        ("lr_scheduler_factor", "1"),
        ("target_recall", "1"),
        ("quantile", "0"),
        ("f_beta", "-2"),
        ("positive_example_weight_mult", "often"),
        ("positive_example_weight_mult", "0"),
        ("use_bias", "maybe"),
        ("optimizer", "adagrad"),
        ("feature_dim", "0"),
        ("num_classes", "1000001"),
    ],
)
def test_values_out_of_range(name: str, value: str) -> None:
    text = refused({"predictor_type": "regressor", name: value})
    assert f"The value '{value}' is not valid for the '{name}' hyperparameter" in text
    assert text.endswith("(caused by ValidationError)")


@pytest.mark.parametrize("value", ["auto", "balanced", "0.25", "1e3"])
def test_words_for_the_weight_of_positives(value: str) -> None:
    found = SPEC.validate(
        {"predictor_type": "binary_classifier", "positive_example_weight_mult": value}
    )
    assert str(found["positive_example_weight_mult"]) in (value, "1000.0")


def test_two_classes_are_not_multiclass() -> None:
    text = refused({"predictor_type": "multiclass_classifier", "num_classes": "2"})
    assert "'2' is not valid for the 'num_classes'" in text


def test_a_loss_of_another_predictor_type() -> None:
    text = refused({"predictor_type": "regressor", "loss": "logistic"})
    assert "accepts one of the following: 'auto', 'squared_loss'" in text


def failed(base: Path, channels: dict[str, Input], **raw: Any) -> str:
    raw = {"predictor_type": "binary_classifier", **raw}
    with pytest.raises(ClientError) as caught:
        run_job(lay_out(base, raw, channels))
    return caught.value.text


def test_labels_missing(tmp_path: Path) -> None:
    text = failed(tmp_path, {"train": Input(csv(X), "text/csv;label_size=0")})
    assert text == (
        "Labeled train data required with label size equal 1. Label size on train dataset found "
        "to be 0. Please provide a properly labeled labeled train dataset."
    )


def test_labels_that_are_not_0_or_1(tmp_path: Path) -> None:
    text = failed(tmp_path, {"train": csv_input(X, Y + 1)})
    assert "must be 0 or 1. Label 2 was found in the train dataset" in text


@pytest.mark.parametrize("label", [3, -1, 0.5])
def test_labels_beyond_num_classes(label: float, tmp_path: Path) -> None:
    features, labels = multiclass(60)
    labels[7] = label
    text = failed(
        tmp_path,
        {"train": csv_input(features, labels)},
        predictor_type="multiclass_classifier",
        num_classes=3,
    )
    assert f"from 0 to num_classes - 1 = 2. Label {label:g} was found in the train" in text


def test_feature_dim(tmp_path: Path) -> None:
    assert failed(tmp_path, {"train": csv_input(X, Y)}, feature_dim=10) == (
        "Incorrect configuration or train dataset provided. The value of feature_dim "
        "hyperparameter '10' doesn't match train data dimensionality '5'. Please set feature_dim "
        "to the number of features in train dataset."
    )


def test_channels_of_different_width(tmp_path: Path) -> None:
    channels = {"train": csv_input(X, Y), "validation": csv_input(X[:, :4], Y)}
    text = failed(tmp_path, channels)
    assert "doesn't match validation data dimensionality '4'" in text


@pytest.mark.parametrize(
    ("value", "words"), [(np.nan, "missing (NaN) values"), (np.inf, "infinite floating point")]
)
def test_missing_and_infinite_values(value: float, words: str, tmp_path: Path) -> None:
    features = X.copy()
    features[3, 2] = value
    text = failed(tmp_path, {"train": csv_input(features, Y)})
    assert text.startswith(f"Unable to read data channel 'train'. Found {words}")


def test_an_empty_channel(tmp_path: Path) -> None:
    text = failed(tmp_path, {"train": Input(b"")})
    assert "Please verify the correct data channel configuration is provided." in text


def test_words_in_a_csv(tmp_path: Path) -> None:
    text = failed(tmp_path, {"train": Input(b"label,a,b\n1,2,3\n")})
    assert "Please verify the data matches the requested content-type." in text


def test_the_wrong_content_type(tmp_path: Path) -> None:
    text = failed(tmp_path, {"train": Input(csv(X, Y), "csv")})
    assert text.startswith("No iterator has been registered for ContentType ('csv', '1.0')")
