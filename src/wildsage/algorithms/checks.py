"""The contract kit: what every built-in algorithm must keep to. `CHECKS` lists it all.

Each check takes an algorithm's name and works on its `example`; a broken rule is an AssertionError
that says which. `tests/algorithms/test_contract.py` runs every check on every registered algorithm.
"""

from __future__ import annotations

import io
import json
import math
import re
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import chdir, contextmanager, redirect_stdout
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import numpy as np

from wildsage.algorithms import registry, serve
from wildsage.algorithms.example import Example
from wildsage.algorithms.instances import Instance, run_gang
from wildsage.algorithms.spec import (
    CSV,
    JSON,
    JSONLINES,
    RECORDIO,
    AlgorithmSpec,
    Boolean,
    Choice,
    Hyperparameter,
    Integer,
    IntegerList,
    JsonList,
    Real,
    as_text,
    base_type,
)
from wildsage.contract.failure import ClientError, ContractError
from wildsage.formats import recordio
from wildsage.serving.handler import Handler, InvocationError, Reply

PACKAGE = Path(__file__).parent


def example_of(name: str) -> Example:
    """The algorithm's own small example."""
    made = import_module(f"{registry.ALGORITHMS[name]}.example").example()
    assert isinstance(made, Example), f"{name}: example() must return an Example"
    return made


# --- the declaration -----------------------------------------------------------------------------


def spec_is_complete(name: str) -> None:
    """Title, images, channels and readable regexes; tuned metrics have a direction."""
    spec = registry.spec(name)
    assert spec.name == name, f"the spec's name is {spec.name!r}, the registry's {name!r}"
    assert spec.title and spec.image_names and spec.tags and spec.channels
    names = [parameter.name for parameter in spec.hyperparameters]
    assert len(names) == len(set(names)), "a hyperparameter is declared twice"
    for metric in spec.metrics:
        assert re.compile(metric.regex).groups == 1, f"{metric.name}: one group gives the value"
        assert not metric.tunable or metric.maximize is not None, f"{metric.name}: no direction"
    described = [p.name for p in spec.hyperparameters if not p.hidden and not p.description]
    assert not described, f"hyperparameters without a description: {described}"


def readme_names_everything(name: str) -> None:
    """README.md names every hyperparameter, channel and metric, and shows how to load the model."""
    readme = _folder(name) / "README.md"
    assert readme.exists(), f"{name} has no README.md"
    text, spec = readme.read_text(encoding="utf-8"), registry.spec(name)
    visible = [p.name for p in spec.hyperparameters if not p.hidden]
    wanted = [*visible, *(c.name for c in spec.channels), *(m.name for m in spec.metrics)]
    missing = [word for word in wanted if f"`{word}`" not in text]
    assert not missing, f"README.md does not name {missing}"


def defaults_are_valid(name: str) -> None:
    """A default written out as text is read back as the same value."""
    for parameter in registry.spec(name).hyperparameters:
        text = parameter.default_text()
        if text is not None:
            value = parameter.parse(text)
            same = value == parameter.default
            assert same, f"{parameter.name}: default {parameter.default!r} is read as {value!r}"


def every_hyperparameter_is_accepted(name: str) -> None:
    """Each one with another valid value; `Example.variations` helps where it cannot stand alone."""
    spec, example = registry.spec(name), example_of(name)
    for parameter in spec.hyperparameters:
        values = example.variations.get(parameter.name) or {parameter.name: valid_value(parameter)}
        spec.validate({**example.hyperparameters, **values})


def bad_hyperparameters_are_refused(name: str) -> None:
    """Unknown, missing and malformed ones, by name; hidden ones are let through."""
    spec, given = registry.spec(name), dict(example_of(name).hyperparameters)
    spec.validate({**given, "_a_hidden_one": "1"})
    _refused(spec, {**given, "no_such_parameter": "1"}, "no_such_parameter")
    for parameter in spec.hyperparameters:
        if parameter.required:
            rest = {key: text for key, text in given.items() if key != parameter.name}
            _refused(spec, rest, parameter.name)
        if isinstance(parameter, Integer | Real | Choice | Boolean | JsonList):
            _refused(spec, {**given, parameter.name: "no such value"}, parameter.name)


def _refused(spec: AlgorithmSpec, values: dict[str, str], word: str) -> None:
    try:
        spec.validate(values)
    except ClientError as error:
        assert word in str(error), f"the error does not name {word!r}: {error}"
        return
    raise AssertionError(f"{values} was accepted in spite of {word!r}")


def channels_are_checked(name: str) -> None:
    """A missing required channel, an unknown one and an unknown content type are refused."""
    spec = registry.spec(name)
    entries = {c.name: {"ContentType": c.content_types[0]} for c in spec.channels if c.required}
    for channel in spec.channels:
        modes = {"TrainingInputMode": channel.modes[0]}
        distribution = {"S3DistributionType": channel.distribution[0]}
        entries.get(channel.name, {}).update({**modes, **distribution})
    spec.validate_channels(entries)
    broken: list[dict[str, dict[str, str]]] = [
        {**entries, "no_such_channel": {}},
        {**entries, spec.channels[0].name: {"ContentType": "application/no-such-type"}},
    ]
    broken += [{k: v for k, v in entries.items() if k != required} for required in entries]
    for channels in broken:
        try:
            spec.validate_channels(channels)
        except ClientError:
            continue
        raise AssertionError(f"channels were accepted: {channels}")


def declaration_is_light(name: str) -> None:
    """The server reads declarations: neither NumPy nor anything larger may come with them."""
    code = (
        "import sys; from wildsage.algorithms import registry; "
        f"registry.spec({name!r}); __import__(registry.ALGORITHMS[{name!r}]); "
        "heavy = {'numpy', 'torch', 'scipy', 'numba', 'xgboost', 'pyarrow', 'faiss', 'sklearn'};"
        "sys.exit(', '.join(heavy & set(sys.modules)) or 0)"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ended.returncode == 0, f"importing the declaration brings {ended.stderr.strip()}"


def valid_value(parameter: Hyperparameter) -> str:
    """Some value that the hyperparameter takes, if possible not its default."""
    if isinstance(parameter, Choice):
        return next((c for c in parameter.choices if c != parameter.default), parameter.choices[0])
    if isinstance(parameter, Boolean):
        return "false" if parameter.default is True else "true"
    if isinstance(parameter, Integer | Real):
        return as_text(_number_in_range(parameter))
    if isinstance(parameter, IntegerList):
        return as_text(parameter.default) if isinstance(parameter.default, list) else "3,2"
    if isinstance(parameter, JsonList):
        return json.dumps(list(parameter.choices[:1]))
    return parameter.default_text() or ""


def _number_in_range(parameter: Integer | Real) -> float:
    low = parameter.minimum if parameter.minimum is not None else 0
    high = parameter.maximum if parameter.maximum is not None else low + 2
    candidates = [(low + high) / 2, low, high]
    if isinstance(parameter, Integer):
        candidates = [math.ceil(number) for number in candidates]
    return next(number for number in candidates if parameter.contains(number))


def readme_example_runs(name: str) -> None:
    """The first Python example of README.md, which trains on real data and asserts its score."""
    first = _python_blocks(name)[0]
    assert "assert " in first, "the example asserts nothing"
    _execute(first)


def readme_loads_the_model(name: str) -> None:
    """README.md reads the model out of `model.tar.gz` without this package."""
    loaders = [block for block in _python_blocks(name) if "model.tar.gz" in block]
    assert loaders, "README.md does not show how to load the model"
    assert "wildsage" not in loaders[0], "the loader needs this package"
    with trained(name, _train_formats(name)[0]) as instance, chdir(instance.folder):
        with tarfile.open("model.tar.gz", "w:gz") as archive:
            for path in sorted(instance.paths.model.iterdir()):
                archive.add(path, arcname=path.name)
        _execute(loaders[0])


def _python_blocks(name: str) -> list[str]:
    text = (_folder(name) / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert blocks, "README.md has no Python example"
    return blocks


def _execute(code: str) -> None:
    with redirect_stdout(io.StringIO()):
        exec(compile(code, "README.md", "exec"), {"__name__": "readme"})


# --- training ------------------------------------------------------------------------------------


def trains_and_answers(name: str) -> None:
    """The example in every content type of its channels; all give the same answers."""
    answers = {}
    for content_type in _train_formats(name):
        with trained(name, content_type) as instance:
            assert list(instance.paths.model.rglob("*")), "no model was written"
            answers[content_type] = _answer(name, instance)
    first, *others = answers.values()
    for content_type, other in zip(list(answers)[1:], others, strict=True):
        _same(first, other, f"{content_type} gives other answers than {next(iter(answers))}")


def metrics_are_in_the_log(name: str) -> None:
    """With all channels given, at least one declared metric can be read out of the log."""
    spec = registry.spec(name)
    with trained(name, _train_formats(name)[0]) as instance:
        found = [m.name for m in spec.metrics if re.search(m.regex, instance.log)]
        assert found or not spec.metrics, (
            f"no metric of {[m.name for m in spec.metrics]} in the log"
        )


def pipe_equals_file(name: str) -> None:
    """Where both are declared, a model trained from pipes answers like one trained from files."""
    spec = registry.spec(name)
    if not all("Pipe" in channel.modes for channel in spec.channels if channel.required):
        return
    content_type = _train_formats(name)[0]
    with trained(name, content_type) as by_file, trained(name, content_type, mode="Pipe") as piped:
        _same(_answer(name, by_file), _answer(name, piped), "Pipe mode gives other answers")


def same_seed_same_model(name: str) -> None:
    """Trained twice on the same data, a model gives the same answers to the last bit."""
    content_type = _train_formats(name)[0]
    with trained(name, content_type) as first, trained(name, content_type) as second:
        assert _answer(name, first) == _answer(name, second), "two trainings differ"


def stopping_saves_the_model(name: str) -> None:
    """A job that is asked to stop still leaves a model that loads."""
    with trained(name, _train_formats(name)[0], stopping=lambda: True) as instance:
        _answer(name, instance)


def hosts_share_the_work(name: str) -> None:
    """Where several instances are allowed, two train together, and the first writes the model."""
    if not registry.spec(name).distributed:
        return
    example, content_type = example_of(name), _train_formats(name)[0]
    with tempfile.TemporaryDirectory() as folder:
        gang = [
            instance_of(name, example, Path(folder) / host, content_type, host=host)
            for host in ("algo-1", "algo-2")
        ]
        run_gang(registry.spec(name), gang)
        _answer(name, gang[0])
        written = [path for path in gang[1].paths.model.rglob("*") if path.is_file()]
        assert not written, f"the second host wrote {written}"


# --- bad data ------------------------------------------------------------------------------------


def bad_data_are_refused(name: str) -> None:
    """Tables: NaN, infinity, a wrong width, text and nothing at all, each with AWS's words."""
    example = example_of(name)
    formats = example.channels["train"]
    csv_type = next((kind for kind in formats if base_type(kind) == CSV), None)
    if not example.is_tabular or csv_type is None:
        return
    content, spec = formats[csv_type], registry.spec(name)
    line = content.splitlines()[0].decode()
    first, *rest = line.rsplit(",", 1)
    cases = {
        ",".join((first, "nan")): "Found missing (NaN) values",
        ",".join((first, "inf")): "Found infinite floating point values",
        ",".join((first, "word")): "Please verify the data matches the requested content-type",
        ",".join((first, *rest, *rest)): "Please verify the data matches",
    }
    for bad, words in cases.items():
        _fails(name, {csv_type: content + bad.encode() + b"\n"}, words)
    _fails(name, {csv_type: b""}, "Unable to read data channel 'train'")
    width = spec.hyperparameter("feature_dim")
    if width is not None and width.required:
        _fails(name, {csv_type: line.encode() + b",1\n"}, "doesn't match train data dimensionality")
    if RECORDIO in formats:
        _fails(name, {RECORDIO: content}, "Requested content-type is 'application/x-recordio")


def _fails(name: str, formats: dict[str, bytes], words: str) -> None:
    example = example_of(name)
    content_type = next(iter(formats))
    example = replace(example, channels={"train": formats})
    with tempfile.TemporaryDirectory() as folder:
        instance = instance_of(name, example, Path(folder), content_type)
        try:
            instance.run(registry.spec(name))
        except ClientError as error:
            assert words in error.text, f"expected {words!r} in {error.text!r}"
            return
        except ContractError as error:
            raise AssertionError(f"not a ClientError: {error.text}") from error
    raise AssertionError(f"trained in spite of bad data: {words}")


# --- serving -------------------------------------------------------------------------------------


def every_format_is_answered(name: str) -> None:
    """Every content type with every Accept: as many results as records, under the right names."""
    spec, example = registry.spec(name), example_of(name)
    with trained(name, _train_formats(name)[0]) as instance:
        handler = serve.handler(name, instance.paths)
        assert isinstance(handler.execution_parameters(), dict)
        for content_type in spec.content_types:
            body = example.request_of(content_type)
            for accept in spec.accepts:
                reply = handler(body, content_type, accept, None)
                answer = content_type if spec.answers_in_kind else accept
                _check_reply(spec, example, reply, answer)


def _check_reply(spec: AlgorithmSpec, example: Example, reply: Reply, accept: str) -> None:
    assert reply.status == 200 and reply.body, f"{accept}: {reply}"
    assert base_type(reply.content_type) == base_type(accept), f"{accept}: {reply.content_type}"
    count = {
        JSON: lambda: len(_results(spec, reply)),
        JSONLINES: lambda: len([json.loads(line) for line in reply.body.splitlines()]),
        RECORDIO: lambda: len(recordio.decode_records(reply.body)),
        CSV: lambda: len(reply.body.splitlines()),
    }.get(base_type(accept), lambda: example.records)()
    assert count == example.records, f"{accept}: {count} results for {example.records} records"
    if accept == JSON:
        names = set(_results(spec, reply)[0])
        assert names == set(example.answers), f"the answer names {names}"
    if accept == RECORDIO:
        record = recordio.decode_records(reply.body)[0]
        assert not record.features and set(record.labels) == set(example.answers), record


def _results(spec: AlgorithmSpec, reply: Reply) -> list[dict[str, object]]:
    """The list in a JSON answer, under the response key; without a key it is the answer."""
    document = json.loads(reply.body)
    results: list[dict[str, object]] = (
        document[spec.response_key] if spec.response_key else document
    )
    return results


def bad_requests_are_refused(name: str) -> None:
    """Garbage is 4xx, an unknown content type 415, an unknown Accept 406; nothing is a crash."""
    spec, example = registry.spec(name), example_of(name)
    with trained(name, _train_formats(name)[0]) as instance:
        handler = serve.handler(name, instance.paths)
        good_type = spec.content_types[0]
        body = example.request_of(good_type)
        for content_type in spec.content_types:
            status = _status(handler, b"\xff\x00 garbage", content_type, spec.accepts[0])
            assert 400 <= status < 500, f"{content_type}: garbage gives {status}"
        assert _status(handler, body, "application/no-such-type", spec.accepts[0]) == 415
        expected = 200 if spec.answers_in_kind else 406
        assert _status(handler, body, good_type, "application/no-such-type") == expected


def _status(handler: Handler, body: bytes, content_type: str, accept: str) -> int:
    try:
        return handler(body, content_type, accept, None).status
    except InvocationError as error:
        return error.status


# --- the library ---------------------------------------------------------------------------------


def estimator_keeps_conventions(name: str) -> None:
    """Parameters are kept as given, copied by `get_params` and changed by `set_params`."""
    example = example_of(name)
    if example.estimator is None:
        return
    estimator = example.estimator()
    parameters = estimator.get_params()
    twin = type(estimator)(**parameters)
    for key, value in parameters.items():
        assert getattr(twin, key) is value, f"__init__ changes {key}"
    learned = [key for key in vars(twin) if key.endswith("_") and not key.startswith("_")]
    assert not learned, f"{learned} exist before fit"
    assert twin.set_params(**parameters) is twin
    assert type(estimator).__name__ in repr(estimator)
    try:
        twin.set_params(no_such_parameter=1)
    except ValueError:
        return
    raise AssertionError("set_params takes parameters that do not exist")


# --- tools ---------------------------------------------------------------------------------------


def _folder(name: str) -> Path:
    return PACKAGE / registry.ALGORITHMS[name].rpartition(".")[2]


def _train_formats(name: str) -> list[str]:
    return list(example_of(name).channels["train"])


def instance_of(
    name: str,
    example: Example,
    folder: Path,
    content_type: str,
    *,
    mode: str = "File",
    host: str = "algo-1",
) -> Instance:
    """An instance with the example's channels: in `content_type` where they have it."""
    instance = Instance(folder, dict(example.hyperparameters), host=host)
    spec = registry.spec(name)
    for channel, formats in example.channels.items():
        declared = spec.channel(channel)
        assert declared is not None, f"the example has a channel {channel!r} that is not declared"
        kind = content_type if content_type in formats else _alike(content_type, formats)
        instance.add_channel(
            channel,
            formats[kind],
            kind,
            mode=mode if mode in declared.modes else "File",
            distribution=declared.distribution[0],
        )
    return instance


def _alike(content_type: str, formats: Mapping[str, bytes]) -> str:
    """The channel's content type of the same sort, else its first."""
    wanted = base_type(content_type)
    return next((kind for kind in formats if base_type(kind) == wanted), next(iter(formats)))


@contextmanager
def trained(
    name: str,
    content_type: str,
    *,
    mode: str = "File",
    stopping: Callable[[], bool] = lambda: False,
) -> Iterator[Instance]:
    """An instance on which the example has been trained."""
    with tempfile.TemporaryDirectory() as folder:
        instance = instance_of(name, example_of(name), Path(folder), content_type, mode=mode)
        instance.run(registry.spec(name), stopping=stopping)
        yield instance


def _answer(name: str, instance: Instance) -> bytes:
    """The loaded model's answer to the example's request."""
    spec, example = registry.spec(name), example_of(name)
    with redirect_stdout(io.StringIO()):
        handler = serve.handler(name, instance.paths)
        content_type = spec.content_types[0]
        reply = handler(example.request_of(content_type), content_type, spec.accepts[0], None)
    assert reply.status == 200, reply
    return reply.body


def _same(left: bytes, right: bytes, message: str) -> None:
    """Equal answers, numbers within float32's rounding."""
    if left == right:
        return
    numbers = re.compile(rb"-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")
    one, two = (np.array(numbers.findall(body), np.float64) for body in (left, right))
    close = len(one) == len(two) and np.allclose(one, two, rtol=1e-3, atol=1e-3)
    assert close, f"{message}: {left[:300]!r} and {right[:300]!r}"


CHECKS: tuple[Callable[[str], None], ...] = (
    spec_is_complete,
    readme_names_everything,
    readme_example_runs,
    readme_loads_the_model,
    defaults_are_valid,
    every_hyperparameter_is_accepted,
    bad_hyperparameters_are_refused,
    channels_are_checked,
    declaration_is_light,
    trains_and_answers,
    metrics_are_in_the_log,
    pipe_equals_file,
    same_seed_same_model,
    stopping_saves_the_model,
    hosts_share_the_work,
    bad_data_are_refused,
    every_format_is_answered,
    bad_requests_are_refused,
    estimator_keeps_conventions,
)
