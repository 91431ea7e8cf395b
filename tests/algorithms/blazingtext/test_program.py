"""Training jobs: artifacts, log lines to the byte, formats, and what bad input gets."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from algorithms.blazingtext.helpers_blazingtext import (
    PLAIN,
    TEXTS,
    WORDS,
    job,
    labelled,
    record,
    sentences,
    separation,
)
from wildsage.algorithms import checks, registry
from wildsage.algorithms.blazingtext import TextClassifier, Word2Vec, evaluation
from wildsage.algorithms.blazingtext import example as examples
from wildsage.algorithms.instances import Instance, run_gang
from wildsage.contract.failure import AlgorithmError, ClientError, ContractError

SPEC = registry.spec("blazingtext")
SUPERVISED_CHECKS = (
    checks.trains_and_answers,
    checks.metrics_are_in_the_log,
    checks.pipe_equals_file,
    checks.same_seed_same_model,
    checks.stopping_saves_the_model,
    checks.every_format_is_answered,
    checks.bad_requests_are_refused,
    checks.estimator_keeps_conventions,
)


@pytest.mark.parametrize("check", SUPERVISED_CHECKS, ids=lambda check: check.__name__)
def test_supervised_mode_keeps_the_contract(
    check: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(examples, "example", examples.supervised_example)
    check("blazingtext")


# --- words ---------------------------------------------------------------------------------------


def test_log_and_artifacts_of_word_vectors() -> None:
    hyperparameters = {**WORDS, "evaluation": "true"}
    lists = {"train": (sentences(), PLAIN), "wordsim": (examples.pairs(), PLAIN)}
    with job(hyperparameters, **lists) as instance:
        names = sorted(path.name for path in instance.paths.model.iterdir())
        result = json.loads((instance.paths.model / "eval.json").read_text())
    assert names == ["eval.json", "vectors.bin", "vectors.txt"]
    assert result["part-0"].keys() == {"not_found", "spearmans_rho", "total_pairs"}
    expected = [
        r"\[\d\d/\d\d/\d{4} \d\d:\d\d:\d\d INFO \d+\] Running single machine CPU BlazingText "
        r"training using batch_skipgram mode\.",
        r"\[.* INFO \d+\] Processing /.*/part-0 \. File size: 0\.\d+ MB",
        r"Read 0M words",
        r"Number of words:  25",
        r"##### Alpha: 0\.0475  Progress: 5\.00%  Million Words/sec: \d+\.\d\d #####",
        r"##### Alpha: 0\.0000  Progress: 100\.00%  Million Words/sec: \d+\.\d\d #####",
        r"Training finished!",
        r"Average throughput in Million words/sec: \d+\.\d\d",
        r"Total training time in seconds: \d+\.\d\d",
        r"Evaluating word embeddings\.\.\.\.",
        r"Vectors read from: /.*/model/vectors\.txt ",
        r"\[.* INFO \d+\] #mean_rho: -?[\d.e-]+",
    ]
    lines = instance.log.splitlines()
    for line in expected:
        assert any(re.fullmatch(line, found) for found in lines), line
    assert sum("Alpha" in line for line in lines) == 20
    metric = next(m for m in SPEC.metrics if m.name == "train:mean_rho")
    assert float(re.findall(metric.regex, instance.log)[0]) == result["mean_rho"]


def test_without_a_list_the_log_says_that_nothing_was_evaluated(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(evaluation, "installed_pairs", dict)
    with job({**WORDS, "evaluation": "True"}, train=sentences()) as instance:
        assert not (instance.paths.model / "eval.json").exists()
    assert "Word embeddings are not evaluated" in instance.log
    assert "#mean_rho" not in instance.log


@pytest.mark.parametrize("mode", ["cbow", "skipgram"])
def test_subwords_by_a_job(mode: str) -> None:
    change = {"mode": mode, "subwords": "True", "buckets": "100", "min_char": "2", "max_char": "4"}
    with job({**WORDS, **change}, train=sentences()) as instance:
        model = Word2Vec.load(instance.paths.model / "vectors.bin")
    assert (model.min_char, model.max_char, model.buckets) == (2, 4, 100)
    assert model.transform(["harbours"]).any()


def gang(folder: Path, hyperparameters: dict[str, str], content: bytes) -> list[Instance]:
    made = []
    for host in ("algo-1", "algo-2"):
        made.append(Instance(folder / host, dict(hyperparameters), host=host))
        made[-1].add_channel("train", content, PLAIN)
    return made


def test_two_hosts_learn_what_one_learns() -> None:
    change = {"learning_rate": "0.2", "epochs": "10", "sampling_threshold": "0.01"}
    hyperparameters = {**WORDS, **change}
    content = sentences(400)
    with job(hyperparameters, train=content) as alone:
        one = Word2Vec.load(alone.paths.model / "vectors.bin")
        with tempfile.TemporaryDirectory() as folder:
            hosts = gang(Path(folder), hyperparameters, content)
            run_gang(SPEC, hosts)
            two = Word2Vec.load(hosts[0].paths.model / "vectors.bin")
        assert one.words_ == two.words_
        assert separation(two) > 0.9 * separation(one) > 0.4
    assert "using batch_skipgram on 2 hosts." in hosts[0].log
    assert re.search(r"^Alpha: 0\.0000  Progress: 100\.00%  Million", hosts[0].log, re.MULTILINE)


@pytest.mark.parametrize("mode", ["cbow", "skipgram", "supervised"])
def test_other_modes_take_one_host(mode: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        hosts = gang(Path(folder), {"mode": mode}, sentences())
        with pytest.raises(ContractError, match=f"not supported in {mode} mode"):
            run_gang(SPEC, hosts)


# --- texts ---------------------------------------------------------------------------------------


def test_log_and_artifact_of_texts() -> None:
    channels = {"train": labelled(), "validation": labelled(60, seed=1)}
    change = {"early_stopping": "True", "epochs": "20", "min_epochs": "2", "patience": "2"}
    with job({**TEXTS, **change}, **channels) as instance:
        names = [path.name for path in instance.paths.model.iterdir()]
        model = TextClassifier.load(instance.paths.model / "model.bin")
    assert names == ["model.bin"]
    assert model.predict(["sea ship deck"]).tolist() == ["__label__0"]
    log = instance.log
    assert "training using supervised mode." in log
    assert "-------------- End of epoch: 1\n" in log
    assert "Validation accuracy improved! Storing best weights...\n" in log
    assert "Validation accuracy has not improved for last 2 epochs.\n" in log
    assert re.search(r"^Validation accuracy: (1|0\.\d+)$", log, re.MULTILINE)
    assert "Training finished.\nAverage throughput in Million words/sec: " in log
    assert re.search(r"^#train_accuracy: [01]\.\d{4}\nNumber of train examples: 200$", log, re.M)
    assert re.search(
        r"^#validation_accuracy: [01]\.\d{4}\nNumber of validation examples: 60$", log, re.M
    )
    for name in ("train:accuracy", "validation:accuracy"):
        metric = next(m for m in SPEC.metrics if m.name == name)
        assert float(re.findall(metric.regex, log)[0]) > 0.9
    assert "End of epoch: 20" not in log


def probabilities(hyperparameters: dict[str, str], content: tuple[bytes, str]) -> np.ndarray:
    with job(hyperparameters, train=content) as instance:
        model = TextClassifier.load(instance.paths.model / "model.bin")
        return model.predict_proba(["sea ship", "bread oven"])


def manifest() -> list[tuple[str, object]]:
    texts, themes = examples.themed_sentences(100)
    labels: list[object] = [[theme, "all"] if theme else theme for theme in themes]
    return list(zip(texts, labels, strict=True))


def test_augmented_manifests_are_read_like_text() -> None:
    lines = [
        " ".join(f"__label__{name}" for name in (label if isinstance(label, list) else [label]))
        + " "
        + text
        for text, label in manifest()
    ]
    expected = probabilities(TEXTS, ("\n".join(lines).encode(), PLAIN))
    objects = [json.dumps({"source": text, "label": label}) for text, label in manifest()]
    by_lines = probabilities(TEXTS, ("\n".join(objects).encode(), "application/jsonlines"))
    assert np.array_equal(by_lines, expected)
    for turn in (1, -1):
        records = b"".join(
            b"".join([record(text.encode()), record(json.dumps(label).encode())][::turn])
            for text, label in manifest()
        )
        wrapped = probabilities(TEXTS, (records, "application/x-recordio"))
        assert np.array_equal(wrapped, expected)


@pytest.mark.parametrize("mime", [PLAIN, "application/jsonlines"])
def test_wrapped_objects_of_a_pipe_are_unwrapped(mime: str) -> None:
    objects = [json.dumps({"source": text, "label": label}) for text, label in manifest()]
    content = labelled(100) if mime == PLAIN else "\n".join(objects).encode()
    with tempfile.TemporaryDirectory() as folder:
        instance = Instance(Path(folder), dict(TEXTS))
        payload = record(content)
        instance.add_channel("train", payload, mime, mode="Pipe", record_wrapper="RecordIO")
        instance.run(SPEC)
    assert "Number of train examples: 100" in instance.log


# --- bad input -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hyperparameters", "train", "words"),
    [
        (WORDS, b"", "Unable to read data channel 'train'"),
        (WORDS, b" \n \n", "Please verify the correct data channel configuration is provided"),
        ({**WORDS, "min_count": "9999"}, sentences(), "Empty vocabulary"),
        (TEXTS, sentences(), "No labels were found in data channel 'train'"),
        (TEXTS, b"", "Unable to read data channel 'train'"),
        ({**WORDS, "_threads": "none"}, sentences(), "'_threads'"),
        (TEXTS, (b"not json", "application/jsonlines"), "matches the requested content-type"),
        (TEXTS, (b'{"label": 1}', "application/jsonlines"), "matches the requested content-type"),
        (
            TEXTS,
            (b'{"source": "a", "label": {"b": 1}}', "application/jsonlines"),
            "matches the requested content-type",
        ),
        (TEXTS, (b"no records", "application/x-recordio"), "matches the requested content-type"),
        (TEXTS, (record(b"alone"), "application/x-recordio"), "a source without a label"),
        (
            TEXTS,
            (record(b"sea") + record(b'{"label": 1}'), "application/x-recordio"),
            "is not a label",
        ),
        ({**TEXTS, "learning_rate": "1e30"}, labelled(), "Training diverged"),
        ({**WORDS, "mode": "cbow", "learning_rate": "1e30"}, sentences(), "Training diverged"),
        ({**WORDS, "mode": "skipgram", "learning_rate": "1e30"}, sentences(), "Training diverged"),
    ],
)
def test_bad_data_are_refused(
    hyperparameters: dict[str, str], train: bytes | tuple[bytes, str], words: str
) -> None:
    with pytest.raises(ClientError) as caught, job(hyperparameters, train=train):
        pass
    assert words in caught.value.text


def test_validation_without_known_labels_is_refused() -> None:
    with (
        pytest.raises(ClientError, match="'validation'"),
        job(TEXTS, train=labelled(), validation=b"__label__other sea ship"),
    ):
        pass


@pytest.mark.parametrize("content", [b"nothing of use", b"sea ship nan"])
def test_a_list_without_pairs_is_refused(content: bytes) -> None:
    hyperparameters = {**WORDS, "evaluation": "true"}
    with (
        pytest.raises(ClientError, match="two words and a number"),
        job(hyperparameters, train=sentences(), wordsim=content),
    ):
        pass


def test_labels_may_have_any_bytes() -> None:
    records = b"".join(map(record, [b"sea ship", b"\xff", b"bread oven", b"b\xe9"])) * 5
    with job(TEXTS, train=(records, "application/x-recordio")) as instance:
        model = TextClassifier.load(instance.paths.model / "model.bin")
    assert len(model.classes_) == 2


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"mode": "glove"}, "accepts one of the following: 'batch_skipgram', 'skipgram', 'cbow'"),
        ({"mode": "batch_skipgram", "subwords": "True"}, "'subwords' hyperparameter is not supp"),
        ({"mode": "cbow", "subwords": "True", "min_char": "7"}, "must not be greater than"),
        ({"mode": "cbow", "learning_rate": "0"}, "a number greater than 0"),
        ({"mode": "cbow", "epochs": "0"}, "an integer greater than 1"),
    ],
)
def test_bad_hyperparameters_are_refused(change: dict[str, str], words: str) -> None:
    with pytest.raises(ClientError, match=words):
        SPEC.validate(change)


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AlgorithmError, match=r"no model.bin"):
        registry.program("blazingtext").load(tmp_path)
