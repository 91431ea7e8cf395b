"""The training job: channels, log lines, hosts, bad input; the model behind the server."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from algorithms.ntm.helpers_ntm import SPEC, WORDS, add, add_files, add_recordio, counts, instance
from wildsage.algorithms import serve
from wildsage.algorithms.instances import run_gang
from wildsage.algorithms.ntm import NTM
from wildsage.algorithms.ntm.model import TopicModel
from wildsage.contract.failure import ClientError
from wildsage.serving.handler import InvocationError


def lines(log: str) -> list[str]:
    """The log without the time, level and thread in front of its lines."""
    return [re.sub(r"^\[\S+ \S+ \w+ \d+\] ", "", line) for line in log.splitlines()]


def test_writes_the_documented_lines(tmp_path: Path) -> None:
    job = add(add(instance(tmp_path), "train", counts()), "validation", counts(40, seed=1))
    job = add(job, "test", counts(30, seed=2))
    words = "".join(f"word{number}\n" for number in range(WORDS))
    add_files(job, "auxiliary", {"vocab.txt": words.encode()})
    job.run(SPEC)
    log = lines(job.log)
    expected = [
        r"# Starting training for epoch 1",
        r"# Finished training epoch 1 on 120 examples from 3 batches, each of size 40\.",
        r"Metrics for Training:",
        r"Loss \(name: value\) total: [\d.]+",
        r"Loss \(name: value\) kld: [\d.]+",
        r"Loss \(name: value\) recons: [\d.]+",
        r"Loss \(name: value\) logppx: [\d.]+",
        r"#quality_metric: host=algo-1, epoch=1, train total_loss <loss>=[\d.]+",
        r"Metrics for Inference:",
        r"#quality_metric: host=algo-1, epoch=1, validation total_loss <loss>=[\d.]+",
        r"#progress_metric: host=algo-1, completed 50\.0 % of epochs",
        r"#throughput_metric: host=algo-1, train throughput=[\d.]+ records/second",
        r"# Starting training for epoch 2",
        r"Best model based on early stopping at epoch [12]\. Best loss: [\d.]+",
        r"Topics from epoch:final \(num_topics:2\) \[npmi -?[\d.]+, tu [\d.]+\]:",
        r"\[-?[\d.]+, [\d.]+\] (word\d+ ?){12}",
        r"#quality_metric: host=algo-1, validation total_loss <loss>=[\d.]+",
        r"#validation_score \(algo-1\) : \('total_loss', [\d.]+\)",
        r"#quality_metric: host=algo-1, test total_loss <loss>=[\d.]+",
    ]
    position = 0
    for pattern in expected:
        found = [n for n in range(position, len(log)) if re.fullmatch(pattern, log[n])]
        assert found, f"{pattern} does not follow line {position}: {log}"
        position = found[0] + 1
    assert all(re.search(metric.regex, job.log) for metric in SPEC.metrics)
    assert TopicModel.load(job.paths.model / "model_algo-1").vocabulary is not None


def test_the_best_loss_is_the_validation_metric(tmp_path: Path) -> None:
    job = add(add(instance(tmp_path), "train", counts()), "validation", counts(40, seed=1))
    job.run(SPEC)
    best = re.search(r"Best loss: (\S+)", job.log)
    final = re.search(r"algo-1, validation total_loss <loss>=(\S+)", job.log)
    assert best and final and float(best[1]) == float(final[1])


def test_coherence_by_embeddings(tmp_path: Path) -> None:
    job = add(instance(tmp_path), "train", counts())
    vectors = "".join(f"w{n} {int(n < 6)} {int(n >= 6)}\n" for n in range(WORDS))
    words = "".join(f"w{n}\n" for n in range(WORDS))
    files = {"vocab.txt": words.encode(), "embeddings.txt": vectors.encode()}
    add_files(job, "auxiliary", files).run(SPEC)
    assert re.search(r"Topics from epoch:final \(num_topics:2\) \[wetc 0\.45, tu 0\.50\]:", job.log)


def test_is_the_library_on_files_and_pipes(tmp_path: Path) -> None:
    rows = counts()
    by_file = add_recordio(instance(tmp_path / "file"), "train", rows)
    by_pipe = add_recordio(instance(tmp_path / "pipe"), "train", rows, mode="Pipe")
    library = NTM(2, epochs=2, mini_batch_size=40).fit(rows).components_
    for job in (by_file, by_pipe):
        job.run(SPEC)
        topics = TopicModel.load(job.paths.model / "model_algo-1").topics()
        np.testing.assert_array_equal(topics, library)


@pytest.mark.parametrize("norm", ["false", "true"])
def test_hosts_learn_together(tmp_path: Path, norm: str) -> None:
    rows, held = counts(200), counts(60, seed=1)
    shared: dict[str, Any] = {"epochs": 6, "num_patience_epochs": 6, "batch_norm": norm}
    alone = add(instance(tmp_path / "alone", mini_batch_size=40, **shared), "train", rows)
    alone.run(SPEC)
    parts = {"algo-1": rows[:120], "algo-2": rows[120:]}
    gang = []
    for host, part in parts.items():
        job = instance(tmp_path / host, host=host, mini_batch_size=20, **shared)
        add(job, "train", part, distribution="ShardedByS3Key")
        gang.append(add(job, "validation", held, distribution="ShardedByS3Key"))
    run_gang(SPEC, gang)
    one, two = (
        NTM.from_model(TopicModel.load(job.paths.model / "model_algo-1")).perplexity(held)
        for job in (alone, gang[0])
    )
    assert two == pytest.approx(one, rel=0.05)
    losses = re.findall(r"host=(algo-\d), validation total_loss <loss>=(\S+)", gang[0].log)
    assert len(losses) == 2 and losses[0][1] == losses[1][1]


def test_stops_when_asked(tmp_path: Path) -> None:
    job = add(instance(tmp_path, epochs=50), "train", counts())
    asked = iter([False] * 8)
    job.run(SPEC, stopping=lambda: next(asked, True))
    assert "# Finished training epoch 5 " not in job.log
    assert (job.paths.model / "model_algo-1").exists()


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (-counts(), "Unable to read data channel 'train'. Found negative values."),
        (np.zeros((5, WORDS)), "The documents in data channel 'train' have no words."),
        (counts()[:, :5], "doesn't match train data dimensionality '5'"),
        (np.full((5, WORDS), np.nan), "Found missing (NaN) values"),
    ],
)
def test_bad_documents_fail_the_job(tmp_path: Path, rows: np.ndarray, words: str) -> None:
    with pytest.raises(ClientError, match=re.escape(words)):
        add(instance(tmp_path), "train", rows).run(SPEC)


@pytest.mark.parametrize("channel", ["validation", "test"])
def test_documents_without_words_judge_nothing(tmp_path: Path, channel: str) -> None:
    job = add(instance(tmp_path), "train", counts())
    words = f"The documents in data channel '{channel}' have no words."
    with pytest.raises(ClientError, match=re.escape(words)):
        add(job, channel, np.zeros((5, WORDS))).run(SPEC)


def test_a_loss_out_of_bounds_fails_the_job(tmp_path: Path) -> None:
    job = instance(tmp_path, optimizer="sgd", learning_rate=1, epochs=30, num_patience_epochs=30)
    rows = counts() * np.float32(1e30)
    with pytest.raises(ClientError, match="The loss is not finite"):
        add(job, "train", rows).run(SPEC)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"num_topics": 1}, "'num_topics' hyperparameter which expects one of the following"),
        ({"clip_gradient": 0}, "clip_gradient"),
        ({"encoder_layers": "30,none"}, "encoder_layers"),
        ({"mini_batch_size": 10001}, "an integer between 1 and 10000"),
    ],
)
def test_bad_hyperparameters(changes: dict[str, Any], words: str) -> None:
    raw = {"feature_dim": 5, "num_topics": 2, **changes}
    with pytest.raises(ClientError, match=words):
        SPEC.validate({name: str(value) for name, value in raw.items()})


def test_hyperparameters_as_the_sdk_sends_them() -> None:
    sent = {"feature_dim": "5", "num_topics": "2", "encoder_layers": "[300, 100]"}
    sent |= {"batch_norm": "True", "clip_gradient": "5", "_kvstore": "auto_cpu"}
    values = SPEC.validate(sent)
    assert (values["encoder_layers"], values["batch_norm"]) == ([300, 100], True)


def test_answers_sparse_requests_and_refuses_bad_counts(tmp_path: Path) -> None:
    job = add(instance(tmp_path), "train", counts())
    job.run(SPEC)
    handler = serve.handler("ntm", job.paths)
    json_type = "application/json"

    def ask(*features: Any) -> Any:
        body = {"instances": [{"data": {"features": one}} for one in features]}
        reply = handler(json.dumps(body).encode(), json_type, json_type, None)
        return json.loads(reply.body)["predictions"]

    sparse = {"keys": [0, 3], "shape": [WORDS], "values": [2, 1]}
    dense = {"values": [2, 0, 0, 1, *[0] * (WORDS - 4)]}
    one, two = ask(sparse, sparse)
    assert one == two and sum(one["topic_weights"]) == pytest.approx(1)
    assert ask(dense)[0]["topic_weights"] == pytest.approx(one["topic_weights"], rel=1e-5)
    with pytest.raises(InvocationError, match="unable to evaluate payload provided"):
        ask({"values": [-1] * WORDS})
