"""Declarations: validation with AWS's texts, metric definitions, defaults."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from wildsage.algorithms import registry
from wildsage.algorithms.registry import UnknownAlgorithm
from wildsage.algorithms.spec import (
    AlgorithmSpec,
    Boolean,
    Channel,
    Choice,
    Integer,
    IntegerList,
    JsonList,
    Metric,
    Real,
    Text,
    quality,
)
from wildsage.contract.failure import ClientError


def no_conflict(values: Mapping[str, Any]) -> None:
    if values["loss"] == "b" and not values["bias"]:
        raise ClientError("loss b needs a bias")


SPEC = AlgorithmSpec(
    name="test",
    title="Test",
    image_names=("test",),
    hyperparameters=(
        Integer("k", minimum=1, required=True),
        Integer("dim", minimum=1, maximum=10, required=True),
        Integer("zero", minimum=0, default="auto", auto=True),
        Integer("any", default=-3),
        Integer("low", maximum=5, default=1),
        Real("rate", minimum=0, maximum=1, exclusive_minimum=True, default=0.5),
        Real("free", default=None),
        Choice("loss", choices=("a", "b"), default="a", aliases={"bee": "b"}),
        Boolean("bias", default=True, auto=True),
        Text("name", pattern=r"[a-z]+", default="x"),
        IntegerList("layers", minimum=1, default="auto", auto=True),
        JsonList("metrics", choices=("msd", "ssd"), default=["msd"]),
        JsonList("anything", default=None),
        Text("_kvstore", default="auto"),
    ),
    channels=(
        Channel("train", modes=("File",), distribution=("ShardedByS3Key",), required=True),
        Channel("test", modes=("File", "Pipe")),
    ),
    metrics=(
        quality("test", "msd", "loss"),
        quality("train", "auc", "score", epoch=True),
        Metric("own", r"own=(\S+)", maximize=True),
    ),
    rules=(no_conflict,),
)
REQUIRED = {"k": "3", "dim": "4"}
NUMBERS = "which expects one of the following: a string which matches the pattern"


def refusal(values: dict[str, str]) -> str:
    with pytest.raises(ClientError) as caught:
        SPEC.validate({**REQUIRED, **values})
    return str(caught.value)


def test_values_are_typed_and_defaults_filled_in() -> None:
    given = {"rate": "1e-3", "loss": "bee", "bias": "False", "layers": "[30, 20]"}
    given |= {"metrics": '["ssd"]', "zero": "auto", "_hidden": "7", "any": "-12", "bias": "true"}
    values = SPEC.validate({**REQUIRED, **given})
    assert values["rate"] == 0.001 and values["loss"] == "b" and values["bias"] is True
    assert values["layers"] == [30, 20] and values["metrics"] == ["ssd"]
    assert (values["k"], values["any"], values["zero"], values["_hidden"]) == (3, -12, "auto", "7")
    assert (values["free"], values["name"], values["_kvstore"]) == (None, "x", "auto")


def test_defaults_are_not_shared() -> None:
    SPEC.validate(REQUIRED)["metrics"].append("changed")
    assert SPEC.validate(REQUIRED)["metrics"] == ["msd"]


def test_all_missing_names_are_listed() -> None:
    with pytest.raises(ClientError) as caught:
        SPEC.validate({})
    assert str(caught.value) == (
        "No value(s) were specified for 'k', 'dim' which are required hyperparameter(s) "
        "(caused by ValidationError)"
    )


def test_misspelt_names_are_unexpected() -> None:
    assert refusal({"mini_batch_siz": "3"}) == (
        "Additional hyperparameters are not allowed ('mini_batch_siz' was unexpected) "
        "(caused by ValidationError)"
    )
    assert "('a', 'b' were unexpected)" in refusal({"a": "", "b": ""})


@pytest.mark.parametrize(
    ("name", "text", "rest"),
    [
        ("k", "0", "'^([1-9][0-9]*)$'; or an integer greater than 1"),
        ("k", "1.5", "'^([1-9][0-9]*)$'; or an integer greater than 1"),
        ("dim", "11", "'^([1-9][0-9]*)$'; or an integer between 1 and 10"),
        ("zero", "-1", "'^(0|[1-9][0-9]*|auto)$'; or an integer greater than 0"),
        ("any", "x", "'^(-?[0-9]+)$'; or an integer"),
        ("low", "6", "'^(-?[0-9]+)$'; or an integer less than 5"),
        ("rate", "0", r"'^([0-9]*\.?[0-9]+([eE][-+]?[0-9]+)?)$'; or a number between 0 and 1"),
        ("rate", "nan", r"'^([0-9]*\.?[0-9]+([eE][-+]?[0-9]+)?)$'; or a number between 0 and 1"),
        ("free", "inf", r"'^([-+]?[0-9]*\.?[0-9]+([eE][-+]?[0-9]+)?)$'; or a number"),
        ("free", "", r"'^([-+]?[0-9]*\.?[0-9]+([eE][-+]?[0-9]+)?)$'; or a number"),
    ],
)
def test_numbers_out_of_range(name: str, text: str, rest: str) -> None:
    assert refusal({name: text}) == (
        f"The value '{text}' is not valid for the '{name}' hyperparameter {NUMBERS} {rest} "
        "(caused by ValidationError)"
    )


@pytest.mark.parametrize(
    ("name", "text", "rest"),
    [
        ("loss", "c", "which accepts one of the following: 'a', 'b'"),
        ("bias", "maybe", "which accepts one of the following: 'true', 'false', 'auto'"),
        ("name", "X1", f"{NUMBERS} '[a-z]+'"),
        ("layers", "3,0", rf"{NUMBERS} '^(([1-9][0-9]*)(\s*,\s*([1-9][0-9]*))*|auto)$'"),
        ("layers", "", rf"{NUMBERS} '^(([1-9][0-9]*)(\s*,\s*([1-9][0-9]*))*|auto)$'"),
    ],
)
def test_words_and_lists(name: str, text: str, rest: str) -> None:
    assert refusal({name: text}) == (
        f"The value '{text}' is not valid for the '{name}' hyperparameter {rest} "
        "(caused by ValidationError)"
    )


def test_json() -> None:
    assert refusal({"metrics": "msd"}) == (
        "Hyperparameter must be valid json, but found metrics: msd (caused by ValueError)"
    )
    assert "Expected list type for hyperparameter: metrics" in refusal({"metrics": "3"})
    assert "contains invalid value: ['x']. The supported values are: ['msd', 'ssd']" in refusal(
        {"metrics": '["msd", "x"]'}
    )
    assert SPEC.validate({**REQUIRED, "anything": "[1, null]"})["anything"] == [1, None]


def test_rules_across_hyperparameters() -> None:
    assert refusal({"loss": "b", "bias": "false"}) == "loss b needs a bias"


def test_channels() -> None:
    train = {"ContentType": "text/csv; label_size=0", "S3DistributionType": "ShardedByS3Key"}
    SPEC.validate_channels({"train": train})
    SPEC.validate_channels({"train": {"TrainingInputMode": "FastFile"}, "test": {}})
    cases: list[tuple[dict[str, dict[str, str]], str]] = [
        ({}, "No value(s) were specified for 'train' which are required data channel(s)"),
        (
            {"train": train, "x": {}},
            "Additional data channels are not allowed ('x' was unexpected)",
        ),
        (
            {"train": {"ContentType": "csv"}},
            "No iterator has been registered for ContentType ('csv', '1.0')",
        ),
        (
            {"train": {"TrainingInputMode": "Pipe"}},
            "The value 'Pipe' is not valid for the 'TrainingInputMode' hyperparameter which "
            "accepts one of the following: 'File', 'FastFile'",
        ),
        (
            {"train": {"S3DistributionType": "FullyReplicated"}},
            "The value 'FullyReplicated' is not valid for the 'S3DistributionType' hyperparameter "
            "which accepts one of the following: 'ShardedByS3Key'",
        ),
    ]
    for channels, words in cases:
        with pytest.raises(ClientError) as caught:
            SPEC.validate_channels(channels)
        assert str(caught.value).startswith(words)


def test_metric_definitions() -> None:
    assert SPEC.metric_definitions() == [
        {"Name": "train:progress", "Regex": r"#progress_metric: host=\S+, completed (\S+) %"},
        {
            "Name": "train:throughput",
            "Regex": r"#throughput_metric: host=\S+, train throughput=(\S+) records/second",
        },
        {"Name": "test:msd", "Regex": r"#quality_metric: host=\S+, test msd <loss>=(\S+)"},
        {
            "Name": "train:auc:epoch",
            "Regex": r"#quality_metric: host=\S+, epoch=\S+, train auc <score>=(\S+)",
        },
        {"Name": "own", "Regex": r"own=(\S+)"},
    ]


def test_default_configuration_is_text() -> None:
    defaults = SPEC.default_configuration()
    assert defaults["metrics"] == '["msd"]' and defaults["bias"] == "true"
    assert defaults["rate"] == "0.5" and "k" not in defaults and "free" not in defaults


def test_documentation_texts() -> None:
    texts = {p.name: (p.type_name, p.range_text) for p in SPEC.hyperparameters}
    assert texts["dim"] == ("Integer", "[1, 10]")
    assert texts["zero"] == ("Integer", "auto or [0, inf)")
    assert texts["rate"] == ("Continuous", "(0, 1]")
    assert texts["loss"] == ("Categorical", "a, b")
    assert texts["bias"] == ("Categorical", "auto, true, false")
    assert texts["name"] == ("FreeText", "text")
    assert texts["layers"] == ("FreeText", "auto or comma-separated integers")
    assert texts["metrics"][1] == "JSON list of msd, ssd" and texts["anything"][1] == "JSON list"


def test_lookup() -> None:
    assert SPEC.channel("test") is SPEC.channels[1] and SPEC.channel("x") is None
    assert SPEC.hyperparameter("k") is SPEC.hyperparameters[0]
    assert registry.find_image("kmeans") == "kmeans" and registry.find_image("nothing") is None
    with pytest.raises(UnknownAlgorithm):
        registry.spec("nothing")
