"""How the XGBoost container checks hyperparameters and channels: its own order and its own words.

The texts are those of aws/sagemaker-xgboost-container (sagemaker_algorithm_toolkit). They differ
from the first-party containers' texts in `wildsage.algorithms.spec`, whose declarations serve here.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from wildsage.algorithms.spec import AlgorithmSpec, Choice, Hyperparameter, Integer, Real, base_type
from wildsage.contract.failure import ClientError

CSV, LIBSVM, PARQUET, RECORDIO = "csv", "libsvm", "parquet", "recordio-protobuf"
# The order is that of the container's error text.
FORMATS = {
    "csv": CSV,
    "libsvm": LIBSVM,
    "parquet": PARQUET,
    "recordio-protobuf": RECORDIO,
    "text/csv": CSV,
    "text/libsvm": LIBSVM,
    "text/x-libsvm": LIBSVM,
    "application/x-parquet": PARQUET,
    "application/x-recordio-protobuf": RECORDIO,
}
CONTENT_TYPES = tuple(FORMATS)
DEFAULT_CONTENT_TYPE = "text/libsvm"


@dataclass(frozen=True, slots=True)
class WordList(Hyperparameter):
    """Words separated by commas."""

    words: tuple[str, ...] = ()

    @property
    def range_text(self) -> str:
        return f"comma-separated list of {', '.join(self.words)}"


@dataclass(frozen=True, slots=True)
class IntegerTuple(Hyperparameter):
    """A tuple as Python writes it: (1, 0, -1)."""

    values: tuple[int, ...] = ()

    @property
    def range_text(self) -> str:
        return f"tuple of {', '.join(map(str, self.values))}"


@dataclass(frozen=True, slots=True)
class NestedIntegers(Hyperparameter):
    """A list of lists of whole numbers: [[1, 2], [3, 4]]."""

    minimum: int = 1

    @property
    def range_text(self) -> str:
        return "nested list of integers"


@dataclass(frozen=True)
class XGBoostSpec(AlgorithmSpec):
    """The declaration, validated in the container's dialect; the library supplies the defaults."""

    hyperparameter_aliases: tuple[tuple[str, str], ...] = ()

    def validate(self, raw: Mapping[str, str]) -> dict[str, Any]:
        """The hyperparameters that were given, typed."""
        aliases = dict(self.hyperparameter_aliases)
        given = {aliases.get(name, name): str(value) for name, value in raw.items()}
        declared = {parameter.name: parameter for parameter in self.hyperparameters}
        for name, parameter in declared.items():
            if parameter.required and name not in given:
                raise ClientError(f"Missing required hyperparameter: {name}")
        values = {}
        for name, text in given.items():
            if name not in declared and name.startswith("_"):
                continue  # the platform's own
            if name not in declared:
                raise ClientError(f"Extraneous hyperparameter found: {name}")
            values[name] = _parse(declared[name], text)
        for name, value in values.items():
            _check_range(declared[name], value)
        for rule in self.rules:
            rule(values)
        return values

    def default_configuration(self) -> dict[str, str]:
        """None: the library supplies the defaults, so that each booster gets those it knows."""
        return {}

    def validate_channels(self, entries: Mapping[str, Mapping[str, str]]) -> None:
        """Refuse channels that are missing, unknown, or of a kind that cannot be read."""
        declared = {channel.name: channel for channel in self.channels}
        for name, channel in declared.items():
            if channel.required and name not in entries:
                raise ClientError(f"Missing required channel: {name}")
        for name, entry in entries.items():
            if name not in declared:
                raise ClientError(f"Extraneous channel found: {name}")
            _check_channel(name, declared[name].content_types, entry)


def data_format(content_type: str | None) -> str:
    """csv, libsvm, parquet or recordio-protobuf; libsvm where nothing is said."""
    if not content_type:
        return LIBSVM
    kind = FORMATS.get(base_type(content_type))
    if kind is None:
        accepted = ", ".join(CONTENT_TYPES)
        raise ClientError(f"{content_type} is not an accepted ContentType: {accepted}.")
    if kind == CSV and content_type_parameters(content_type).get("label_size", "1") != "1":
        raise ClientError(
            f"{content_type} is not an accepted csv ContentType. "
            "Optional parameter label_size must be equal to 1"
        )
    return kind


def content_type_parameters(content_type: str) -> dict[str, str]:
    """{"label_size": "1"} of `text/csv; label_size=1`."""
    words = (word.partition("=") for word in content_type.lower().split(";")[1:])
    return {name.strip(): value.strip().strip('"') for name, _, value in words}


def _check_channel(name: str, content_types: tuple[str, ...], entry: Mapping[str, str]) -> None:
    content_type = entry.get("ContentType") or DEFAULT_CONTENT_TYPE
    if name != "code":
        kind = data_format(content_type)
        pipe_of_libsvm = entry.get("TrainingInputMode") == "Pipe" and kind == LIBSVM
    else:
        pipe_of_libsvm = False
    if pipe_of_libsvm or base_type(content_type) not in content_types:
        shown = {"ContentType": content_type, **{k: v for k, v in entry.items() if v}}
        raise ClientError(f"Channel configuration for '{name}' channel is not supported: {shown}")


def _parse(parameter: Hyperparameter, text: str) -> Any:
    try:
        if isinstance(parameter, Integer):
            return int(text)
        if isinstance(parameter, Real):
            return float(text)
        if isinstance(parameter, WordList):
            return text.split(",")
        if isinstance(parameter, IntegerTuple | NestedIntegers):
            return _literal(parameter, text)
    except (ValueError, SyntaxError) as error:
        raise ClientError(
            f"Hyperparameter {parameter.name}: could not parse value", caused_by="ValueError"
        ) from error
    return text


def _literal(parameter: IntegerTuple | NestedIntegers, text: str) -> Any:
    value = ast.literal_eval(text.strip())
    if isinstance(parameter, IntegerTuple):
        return value if isinstance(value, tuple) else (value,)
    if not isinstance(value, list) or not all(isinstance(group, list) for group in value):
        raise ValueError(text)
    return value


def _check_range(parameter: Hyperparameter, value: Any) -> None:
    name = parameter.name
    if isinstance(parameter, Integer | Real) and not parameter.contains(value):
        raise ClientError(f"Hyperparameter {name}: {value} is not in {interval(parameter)}")
    if isinstance(parameter, Choice) and value not in parameter.choices:
        raise ClientError(f"Hyperparameter {name}: {value} is not in {list(parameter.choices)}")
    if isinstance(parameter, IntegerTuple) and any(item not in parameter.values for item in value):
        accepted = list(parameter.values)
        raise ClientError(f"Hyperparameter {name}: value {value} not in range {accepted}")
    if isinstance(parameter, NestedIntegers) and not _all_integers(parameter, value):
        accepted_from = f"[{parameter.minimum}, +inf)"
        raise ClientError(f"Hyperparameter {name}: value {value} not in range {accepted_from}")
    if isinstance(parameter, WordList) and parameter.words:
        _check_words(parameter, value)


def _all_integers(parameter: NestedIntegers, value: list[list[Any]]) -> bool:
    items = [item for group in value for item in group]
    return all(isinstance(item, int) and item >= parameter.minimum for item in items)


def _check_words(parameter: WordList, value: list[str]) -> None:
    if any(word not in parameter.words for word in value):
        accepted = list(parameter.words)
        raise ClientError(f"Hyperparameter {parameter.name}: value {value} not in range {accepted}")


def interval(parameter: Integer | Real) -> str:
    """`[0, 1]`, `(0, 1]`, `[1, +inf)`: the way the container writes a range."""
    low, high = parameter.minimum, parameter.maximum
    left = "(-inf" if low is None else f"{'(' if parameter.exclusive_minimum else '['}{low}"
    right = "+inf)" if high is None else f"{high}{')' if parameter.exclusive_maximum else ']'}"
    return f"{left}, {right}"
