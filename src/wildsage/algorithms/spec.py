"""What an algorithm declares once: validation, metrics, tuning and documentation follow.

`Integer`, `Real`, `Choice`, `Boolean`, `Text`, `IntegerList` and `JsonList` describe
hyperparameters, `Channel` an input, `Metric` a line of the log. The error texts are those of the
first-party containers, whose hyperparameters are checked by a JSON schema
(aws/sagemaker-rl-container, vw_serving/sagemaker/integration.py, ConfigValidator). Nothing heavy
is imported here: the server reads these declarations to refuse a bad job at once.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field
from typing import Any, Literal

from wildsage.contract.failure import ClientError

RECORDIO = "application/x-recordio-protobuf"
CSV = "text/csv"
JSON = "application/json"
JSONLINES = "application/jsonlines"
AUTO = "auto"

_TRUE_FALSE = {"true": True, "false": False}
_INTEGER = re.compile(r"[+-]?\d+\Z")


@dataclass(frozen=True, slots=True)
class Tunable:
    """The range that a tuning job searches by default."""

    minimum: float | None = None
    maximum: float | None = None
    scale: Literal["Auto", "Linear", "Logarithmic", "ReverseLogarithmic"] = "Auto"
    values: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Hyperparameter:
    """The base of all: a name, and a default that stands where the user gives no value."""

    name: str
    default: Any = field(default=None, kw_only=True)
    required: bool = field(default=False, kw_only=True)
    auto: bool = field(default=False, kw_only=True)
    tunable: Tunable | None = field(default=None, kw_only=True)
    description: str = field(default="", kw_only=True)

    @property
    def hidden(self) -> bool:
        return self.name.startswith("_")

    @property
    def type_name(self) -> str:
        """The `Type` of DescribeAlgorithm."""
        return "FreeText"

    @property
    def range_text(self) -> str:
        """What values it takes, for documentation."""
        return "text"

    def parse(self, text: str) -> Any:
        """The typed value of `text`; raises ClientError with AWS's words."""
        if self.auto and text == AUTO:
            return AUTO
        return self.convert(text)

    def convert(self, text: str) -> Any:
        return text

    def default_text(self) -> str | None:
        """The default as it stands in the container's default-input.json."""
        return None if self.default is None else as_text(self.default)

    def refuse_pattern(self, text: str, pattern: str) -> ClientError:
        matching = f"a string which matches the pattern '{pattern}'"
        return self.refuse(text, f"expects one of the following: {matching}")

    def refuse(self, text: str, expectation: str) -> ClientError:
        return ClientError(
            f"The value '{text}' is not valid for the '{self.name}' hyperparameter "
            f"which {expectation}",
            caused_by="ValidationError",
        )


@dataclass(frozen=True, slots=True)
class _Number(Hyperparameter):
    minimum: float | None = None
    maximum: float | None = None
    exclusive_minimum: bool = False
    exclusive_maximum: bool = False

    def contains(self, value: float) -> bool:
        low, high = self.minimum, self.maximum
        above = low is None or value > low or (value == low and not self.exclusive_minimum)
        below = high is None or value < high or (value == high and not self.exclusive_maximum)
        return above and below and abs(value) < math.inf  # so no NaN either

    @property
    def range_text(self) -> str:
        left = "(" if self.exclusive_minimum or self.minimum is None else "["
        right = ")" if self.exclusive_maximum or self.maximum is None else "]"
        low = "-inf" if self.minimum is None else as_text(self.minimum)
        high = "inf" if self.maximum is None else as_text(self.maximum)
        interval = f"{left}{low}, {high}{right}"
        return f"auto or {interval}" if self.auto else interval

    def refuse_number(self, text: str) -> ClientError:
        """Numbers may be text or numbers to the schema, and the message names both."""
        pattern = f"a string which matches the pattern '{self.pattern()}'"
        return self.refuse(
            text, f"expects one of the following: {pattern}; or {self.description_of_range()}"
        )

    def description_of_range(self) -> str:
        low, high = self.minimum, self.maximum
        article = "an integer" if isinstance(self, Integer) else "a number"
        if low is not None and high is not None:
            return f"{article} between {as_text(low)} and {as_text(high)}"
        if low is not None:
            return f"{article} greater than {as_text(low)}"
        return f"{article} less than {as_text(high)}" if high is not None else article

    def pattern(self) -> str:
        return _pattern(self.number_pattern(), self.auto)

    def number_pattern(self) -> str:
        sign = "" if self.minimum is not None and self.minimum >= 0 else "[-+]?"
        return sign + r"[0-9]*\.?[0-9]+([eE][-+]?[0-9]+)?"


def _pattern(body: str, auto: bool) -> str:
    return f"^({body}|auto)$" if auto else f"^({body})$"


@dataclass(frozen=True, slots=True)
class Integer(_Number):
    """A whole number within bounds."""

    @property
    def type_name(self) -> str:
        return "Integer"

    def convert(self, text: str) -> int:
        if not _INTEGER.match(text.strip()) or not self.contains(int(text)):
            raise self.refuse_number(text)
        return int(text)

    def number_pattern(self) -> str:
        if self.minimum is not None and self.minimum >= 1:
            return "[1-9][0-9]*"
        return "0|[1-9][0-9]*" if self.minimum == 0 else "-?[0-9]+"


@dataclass(frozen=True, slots=True)
class Real(_Number):
    """A number within bounds; `exclusive_minimum` and `exclusive_maximum` open an end."""

    @property
    def type_name(self) -> str:
        return "Continuous"

    def convert(self, text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            raise self.refuse_number(text) from None
        if not self.contains(value):
            raise self.refuse_number(text)
        return value


@dataclass(frozen=True, slots=True)
class Choice(Hyperparameter):
    """One of a few words; `aliases` are accepted and mean another word."""

    choices: tuple[str, ...] = ()
    aliases: Mapping[str, str] | None = None

    @property
    def type_name(self) -> str:
        return "Categorical"

    @property
    def range_text(self) -> str:
        return ", ".join((*([AUTO] if self.auto else []), *self.choices))

    def convert(self, text: str) -> str:
        value = (self.aliases or {}).get(text, text)
        if value not in self.choices:
            raise self.refuse(text, f"accepts one of the following: {_quoted(self._accepted())}")
        return value

    def _accepted(self) -> tuple[str, ...]:
        return (*([AUTO] if self.auto else []), *self.choices)


@dataclass(frozen=True, slots=True)
class Boolean(Hyperparameter):
    """true or false in any case; the SDK sends Python's `True`."""

    @property
    def type_name(self) -> str:
        return "Categorical"

    @property
    def range_text(self) -> str:
        return "auto, true, false" if self.auto else "true, false"

    def convert(self, text: str) -> bool:
        value = _TRUE_FALSE.get(text.lower())
        if value is None:
            accepted = ("true", "false", *([AUTO] if self.auto else []))
            raise self.refuse(text, f"accepts one of the following: {_quoted(accepted)}")
        return value


@dataclass(frozen=True, slots=True)
class Text(Hyperparameter):
    """Any text, or what `pattern` matches as a whole."""

    pattern: str | None = None

    def convert(self, text: str) -> str:
        if self.pattern is not None and not re.fullmatch(self.pattern, text):
            raise self.refuse_pattern(text, self.pattern)
        return text


@dataclass(frozen=True, slots=True)
class IntegerList(Hyperparameter):
    """Whole numbers separated by commas, with or without brackets, as in `300, 100`."""

    minimum: int | None = None
    maximum: int | None = None

    @property
    def range_text(self) -> str:
        return "auto or comma-separated integers" if self.auto else "comma-separated integers"

    def convert(self, text: str) -> list[int]:
        words = [word.strip() for word in text.strip().strip("[]").split(",")]
        item = Integer(self.name, minimum=self.minimum, maximum=self.maximum)
        if words == [""] or not all(
            _INTEGER.match(word) and item.contains(int(word)) for word in words
        ):
            number = item.number_pattern()
            pattern = _pattern(rf"({number})(\s*,\s*({number}))*", self.auto)
            raise self.refuse_pattern(text, pattern)
        return [int(word) for word in words]


@dataclass(frozen=True, slots=True)
class JsonList(Hyperparameter):
    """A JSON list, of some words only where `choices` are given."""

    choices: tuple[Any, ...] = ()

    @property
    def range_text(self) -> str:
        return f"JSON list of {', '.join(map(str, self.choices))}" if self.choices else "JSON list"

    def convert(self, text: str) -> list[Any]:
        try:
            value = json.loads(text)
        except ValueError:
            raise ClientError(
                f"Hyperparameter must be valid json, but found {self.name}: {text}",
                caused_by="ValueError",
            ) from None
        if not isinstance(value, list):
            raise ClientError(
                f"Expected list type for hyperparameter: {self.name}, "
                f"found value: {value} of type: {type(value)}"
            )
        if self.choices and (invalid := [item for item in value if item not in self.choices]):
            raise ClientError(self._unsupported(invalid))
        return value

    def _unsupported(self, invalid: list[Any]) -> str:
        # "hyperparamter" is AWS's spelling.
        return (
            f"The list of values for hyperparameter '{self.name}' contains invalid value: "
            f"{invalid}. The supported values are: {list(self.choices)}. Please provide "
            f"supported values for hyperparamter '{self.name}' and try again."
        )


@dataclass(frozen=True, slots=True)
class Channel:
    """An input of a training job."""

    name: str
    content_types: tuple[str, ...] = (RECORDIO, CSV)
    modes: tuple[str, ...] = ("File", "Pipe")
    distribution: tuple[str, ...] = ("FullyReplicated", "ShardedByS3Key")
    required: bool = False
    default_content_type: str = RECORDIO
    description: str = ""

    def validate(self, entry: Mapping[str, str]) -> None:
        """Refuse an entry of inputdataconfig.json that the algorithm cannot read."""
        mime = base_type(entry.get("ContentType") or self.default_content_type)
        if mime not in self.content_types:
            raise ClientError(f"No iterator has been registered for ContentType {(mime, '1.0')}")
        mode = entry.get("TrainingInputMode") or "File"
        self._check(
            "TrainingInputMode",
            mode,
            (*self.modes, *(["FastFile"] if "File" in self.modes else [])),
        )
        distribution = entry.get("S3DistributionType") or self.distribution[0]
        self._check("S3DistributionType", distribution, self.distribution)

    def _check(self, field: str, value: str, accepted: Sequence[str]) -> None:
        if value not in accepted:
            raise Choice(field, choices=tuple(accepted)).refuse(
                value, f"accepts one of the following: {_quoted(accepted)}"
            )


@dataclass(frozen=True, slots=True)
class Metric:
    """A figure that is read out of the log: `tunable` ones may be a tuning job's objective."""

    name: str
    regex: str
    maximize: bool | None = None
    tunable: bool = True


def quality(
    split: str, name: str, kind: Literal["loss", "score"], *, epoch: bool = False
) -> Metric:
    """The metric behind `#quality_metric: host=..., [epoch=..., ]<split> <name> <kind>=<value>`."""
    where = r"epoch=\S+, " if epoch else ""
    return Metric(
        f"{split}:{name}" + (":epoch" if epoch else ""),
        rf"#quality_metric: host=\S+, {where}{split} {name} <{kind}>=(\S+)",
        maximize=kind == "score",
        tunable=not epoch,
    )


PROGRESS = Metric("train:progress", r"#progress_metric: host=\S+, completed (\S+) %", tunable=False)
THROUGHPUT = Metric(
    "train:throughput",
    r"#throughput_metric: host=\S+, train throughput=(\S+) records/second",
    tunable=False,
)

Rule = Callable[[Mapping[str, Any]], None]


@dataclass(frozen=True)
class AlgorithmSpec:
    """An algorithm's declaration."""

    name: str
    title: str
    image_names: tuple[str, ...]
    hyperparameters: tuple[Hyperparameter, ...]
    channels: tuple[Channel, ...]
    metrics: tuple[Metric, ...] = ()
    tags: tuple[str, ...] = ("1", "latest")
    response_key: str = "predictions"
    content_types: tuple[str, ...] = (CSV, JSON, JSONLINES, RECORDIO)
    accepts: tuple[str, ...] = (JSON, JSONLINES, RECORDIO, CSV)
    distributed: bool = True
    gpu: bool = False
    paper: str = ""
    log_name: str = ""
    rules: tuple[Rule, ...] = ()
    first_lines: tuple[str, ...] = (
        "Docker entrypoint called with argument(s): {command}",
        "Running default environment configuration script",
    )
    announces_configuration: bool = True
    # The answer has the request's content type, whatever Accept says.
    answers_in_kind: bool = False
    # Hyperparameters that the SDK's estimator class always sends and the algorithm has no use for.
    ignored: tuple[str, ...] = ()

    def validate(self, raw: Mapping[str, str]) -> dict[str, Any]:
        """Typed hyperparameters with defaults filled in; raises ClientError with AWS's texts."""
        declared = {parameter.name: parameter for parameter in self.hyperparameters}
        raw = {name: text for name, text in raw.items() if name not in self.ignored}
        self._refuse_unexpected([name for name in raw if name not in declared and name[:1] != "_"])
        self._require([p.name for p in self.hyperparameters if p.required and p.name not in raw])
        values = {name: copy(parameter.default) for name, parameter in declared.items()}
        values |= {name: text for name, text in raw.items() if name not in declared}
        values |= {name: declared[name].parse(str(raw[name])) for name in declared if name in raw}
        for rule in self.rules:
            rule(values)
        return values

    def validate_channels(self, entries: Mapping[str, Mapping[str, str]]) -> None:
        """Refuse channels (of inputdataconfig.json) that are unknown, missing or unreadable."""
        declared = {channel.name: channel for channel in self.channels}
        if extra := [name for name in entries if name not in declared]:
            raise ClientError(_unexpected("data channels", extra), caused_by="ValidationError")
        if missing := [c.name for c in self.channels if c.required and c.name not in entries]:
            raise ClientError(
                f"No value(s) were specified for {_quoted(missing)} "
                "which are required data channel(s)",
                caused_by="ValidationError",
            )
        for name, entry in entries.items():
            declared[name].validate(entry)

    def metric_definitions(self) -> list[dict[str, str]]:
        """The MetricDefinitions that DescribeTrainingJob returns for this algorithm."""
        standard = (PROGRESS, THROUGHPUT) if self.announces_configuration else ()
        return [{"Name": m.name, "Regex": m.regex} for m in (*standard, *self.metrics)]

    def default_configuration(self) -> dict[str, str]:
        """The defaults as text, as the container's default-input.json has them."""
        texts = {p.name: p.default_text() for p in self.hyperparameters if not p.required}
        return {name: text for name, text in texts.items() if text is not None}

    def channel(self, name: str) -> Channel | None:
        return next((channel for channel in self.channels if channel.name == name), None)

    def hyperparameter(self, name: str) -> Hyperparameter | None:
        return next(
            (parameter for parameter in self.hyperparameters if parameter.name == name), None
        )

    def _refuse_unexpected(self, names: list[str]) -> None:
        if names:
            raise ClientError(_unexpected("hyperparameters", names), caused_by="ValidationError")

    def _require(self, missing: list[str]) -> None:
        if missing:
            raise ClientError(
                f"No value(s) were specified for {_quoted(missing)} "
                "which are required hyperparameter(s)",
                caused_by="ValidationError",
            )


def base_type(content_type: str) -> str:
    """`text/csv` of `text/csv; label_size=0`."""
    return content_type.partition(";")[0].strip().lower()


def as_text(value: Any) -> str:
    """A value as a hyperparameter's text."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return json.dumps(list(value))
    return f"{value:g}" if isinstance(value, float) and value == int(value) else str(value)


def _quoted(names: Iterable[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)


def _unexpected(kind: str, names: list[str]) -> str:
    verb = "was" if len(names) == 1 else "were"
    return f"Additional {kind} are not allowed ({_quoted(names)} {verb} unexpected)"
