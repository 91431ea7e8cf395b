"""lda as a training job and a model: channels, log lines, artifact, errors, answers."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from algorithms.lda.helpers_lda import WORDS, distance, made
from wildsage.algorithms import registry
from wildsage.algorithms.example import encode_csv
from wildsage.algorithms.instances import Instance, run_gang
from wildsage.algorithms.lda import LDA
from wildsage.algorithms.serve import handler
from wildsage.contract.failure import ClientError
from wildsage.formats import recordio
from wildsage.formats.matrix import SparseMatrix
from wildsage.serving.handler import InvocationError

SPEC = registry.spec("lda")
RECORDIO = "application/x-recordio-protobuf"
ROWS, TRUTH, _ = made()
SPARSE = SparseMatrix.from_dense(ROWS)
TEST = made(100, seed=0)[0]


def job(folder: Path, content: bytes, content_type: str | None = None, **changes: Any) -> Instance:
    mode, host = changes.pop("mode", "File"), changes.pop("host", "algo-1")
    raw = {"num_topics": 5, "feature_dim": WORDS, "mini_batch_size": len(ROWS), **changes}
    instance = Instance(folder, {name: str(value) for name, value in raw.items()}, host=host)
    instance.add_channel("train", content, content_type, mode=mode)
    return instance


def topics_of(instance: Instance) -> tuple[np.ndarray, np.ndarray]:
    with np.load(instance.paths.model / "model_algo-1") as arrays:
        return arrays["alpha"], arrays["beta"]


def test_a_job_learns_what_the_library_learns(tmp_path: Path) -> None:
    instance = job(tmp_path, recordio.encode(SPARSE))
    instance.add_channel("test", recordio.encode(TEST), None)
    instance.run(SPEC)
    alpha, beta = topics_of(instance)
    assert beta.dtype == alpha.dtype == np.float32
    assert distance(beta, TRUTH) < 0.2
    model = LDA(5, mini_batch_size=len(ROWS)).fit(ROWS)
    np.testing.assert_array_equal(beta, model.components_)
    found = re.findall(r"#quality_metric: host=\S+, test pwll <score>=(\S+)", instance.log)
    assert [float(value) for value in found] == [pytest.approx(model.score(TEST), rel=1e-5)]
    assert re.search(r"#test_score \(algo-1\) : \('pwll', -\d", instance.log)
    assert "#progress_metric: host=algo-1, completed 100.0 % of epochs" in instance.log
    assert "ALS restart 0:" in instance.log


@pytest.mark.parametrize("mode", ["File", "Pipe", "FastFile"])
@pytest.mark.parametrize("rows", [ROWS, SPARSE], ids=["dense", "sparse"])
def test_all_modes_give_the_same(tmp_path: Path, mode: str, rows: Any) -> None:
    instance = job(tmp_path, recordio.encode(rows[:100]), RECORDIO, mode=mode, _seed=4)
    instance.run(SPEC)
    model = LDA(5, mini_batch_size=len(ROWS), seed=4).fit(ROWS[:100])
    np.testing.assert_array_equal(topics_of(instance)[1], model.components_)


def test_a_first_column_is_a_label(tmp_path: Path) -> None:
    rows = ROWS[:100]
    content = encode_csv(rows, np.arange(len(rows), dtype=np.float32))
    instance = job(tmp_path, content, "text/csv")
    instance.run(SPEC)
    model = LDA(5, mini_batch_size=len(ROWS)).fit(rows)
    np.testing.assert_array_equal(topics_of(instance)[1], model.components_)


def test_restarts_act(tmp_path: Path) -> None:
    logs = []
    for count in (1, 3):
        instance = job(tmp_path / str(count), recordio.encode(ROWS[:80]), max_restarts=count)
        instance.run(SPEC)
        logs.append(re.findall(r"ALS restart \d", instance.log))
    assert len(logs[0]) == 1 < len(logs[1])


def refusal(instance: Instance) -> str:
    with pytest.raises(ClientError) as error:
        instance.run(SPEC)
    return error.value.text


@pytest.mark.parametrize("name", ["train", "test"])
def test_csv_does_not_come_through_a_pipe(name: str) -> None:
    entries = {"train": {"ContentType": RECORDIO, "TrainingInputMode": "Pipe"}}
    SPEC.validate_channels(entries)
    entries[name] = {"ContentType": "text/csv;label_size=0", "TrainingInputMode": "Pipe"}
    with pytest.raises(ClientError, match="'Pipe' is not valid for the 'TrainingInputMode'"):
        SPEC.validate_channels(entries)
    entries[name]["TrainingInputMode"] = "FastFile"
    SPEC.validate_channels(entries)


def test_negative_counts_are_refused(tmp_path: Path) -> None:
    text = refusal(job(tmp_path, recordio.encode(-SPARSE.to_dense())))
    assert text.startswith("Unable to read data channel 'train'. Found negative values.")


def test_counts_that_are_too_large_are_refused(tmp_path: Path) -> None:
    text = refusal(job(tmp_path, recordio.encode(ROWS * np.float32(1e30))))
    assert text.startswith("Unable to read data channel 'train'. Found values above 1e+09.")


@pytest.mark.parametrize("channel", ["train", "test"])
def test_documents_without_words_are_refused(tmp_path: Path, channel: str) -> None:
    empty = recordio.encode(np.zeros((4, WORDS), np.float32))
    instance = job(tmp_path, empty if channel == "train" else recordio.encode(ROWS))
    if channel == "test":
        instance.add_channel("test", empty, None)
    assert f"Unable to read data channel '{channel}'. Found no words." in refusal(instance)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"alpha0": 0}, "'alpha0' hyperparameter"),
        ({"tol": 0}, "'tol' hyperparameter"),
        ({"num_topics": 0}, "'num_topics' hyperparameter"),
        ({"max_restarts": 0}, "'max_restarts' hyperparameter"),
        ({"max_iterations": "many"}, "'max_iterations' hyperparameter"),
        ({"feature_dim": 12}, "doesn't match train data dimensionality '60'"),
    ],
    ids=str,
)
def test_bad_hyperparameters_are_refused(
    tmp_path: Path, change: dict[str, Any], words: str
) -> None:
    assert words in refusal(job(tmp_path, recordio.encode(ROWS), **change))


def test_one_instance_only(tmp_path: Path) -> None:
    content = recordio.encode(ROWS)
    gang = [job(tmp_path / host, content, host=host) for host in ("algo-1", "algo-2")]
    with pytest.raises(ClientError, match="single instance"):
        run_gang(SPEC, gang)


def test_answers(tmp_path: Path) -> None:
    instance = job(tmp_path, recordio.encode(SPARSE))
    instance.run(SPEC)
    alpha, beta = topics_of(instance)
    wanted = LDA.from_topics(alpha, beta).transform(TEST)
    answer = handler("lda", instance.paths)
    reply = answer(recordio.encode(SparseMatrix.from_dense(TEST)), RECORDIO, RECORDIO, None)
    mixtures = [r.labels["topic_mixture"].values for r in recordio.decode_records(reply.body)]
    np.testing.assert_allclose(np.array(mixtures), wanted, atol=1e-6)
    document = {"instances": [{"features": TEST[0].tolist()}]}
    reply = answer(json.dumps(document).encode(), "application/json", "application/json", None)
    [prediction] = json.loads(reply.body)["predictions"]
    assert list(prediction) == ["topic_mixture"]
    np.testing.assert_allclose(prediction["topic_mixture"], wanted[0], atol=1e-6)


def test_requests_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    instance = job(tmp_path, recordio.encode(ROWS[:50]))
    instance.run(SPEC)
    answer = handler("lda", instance.paths)
    for row in (-TEST[0], TEST[0][:4], TEST[0] * 1e30, TEST[0] * np.nan):
        body = ",".join(str(value) for value in row).encode()
        with pytest.raises(InvocationError) as error:
            answer(body, "text/csv", "application/json", None)
        assert error.value.status == 400
