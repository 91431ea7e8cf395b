"""randomcutforest as a training job and as an endpoint's model."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wildsage.algorithms import registry, serve
from wildsage.algorithms.example import encode_csv, encode_sparse_json
from wildsage.algorithms.instances import Instance, run_gang
from wildsage.algorithms.randomcutforest import RandomCutForest, memory
from wildsage.algorithms.randomcutforest.program import figures_of
from wildsage.algorithms.reporting import AlgorithmLog
from wildsage.algorithms.spec import CSV, JSON, JSONLINES, RECORDIO
from wildsage.contract.failure import ClientError
from wildsage.formats import recordio
from wildsage.formats.matrix import SparseMatrix
from wildsage.serving.handler import InvocationError

SPEC = registry.spec("randomcutforest")
RNG = np.random.default_rng(0)
ROWS = RNG.normal(size=(2500, 3)).astype(np.float32)
TEST = np.concatenate([RNG.normal(size=(300, 3)), RNG.normal(size=(6, 3)) + 12]).astype(np.float32)
LABELS = (np.arange(306) >= 300).astype(np.float32)
VALUES = {"feature_dim": "3", "num_trees": "50", "num_samples_per_tree": "40"}


def instance(folder: Path, rows: Any = ROWS, host: str = "algo-1", **values: str) -> Instance:
    made = Instance(folder, VALUES | values, host=host)
    made.add_channel("train", recordio.encode(rows), None, distribution="ShardedByS3Key")
    return made


def scores_of(done: Instance, rows: Any = TEST) -> Any:
    reply = serve.handler("randomcutforest", done.paths)(encode_csv(rows), CSV, JSON, None)
    return np.array([answer["score"] for answer in json.loads(reply.body)["scores"]])


def test_the_log_reads_as_the_real_one(tmp_path: Path) -> None:
    job = instance(tmp_path)
    job.run(SPEC)
    lines = [re.sub(r"^\[\S+ \S+ INFO \d+\] ", "", line) for line in job.log.splitlines()]
    assert "#metrics" in job.log
    patterns = [
        r"Verifying hyperparamemters\.\.\.",
        r"Hyperparameters are correct\.",
        r"Validating that feature_dim agrees with dimensions in training data\.\.\.",
        r"feature_dim is correct\.",
        r"Validating memory limits\.\.\.",
        r"Available memory in bytes: \d+",
        r"Estimated sample size in bytes: 24000",
        r"Estimated memory needed to build the forest in bytes: \d+",
        r"Memory limits validated\.",
        r"Initializing Sampler\.\.\.",
        r"Sampler correctly initialized\.",
        r'#metrics .*"initialize.time".*',
        r'#metrics .*"Meta": "init_train_data_iter".*',
        r"Sampling training data\.\.\.",
        r"Sampling training data completed\.",
        r'#metrics .*"update.time".*"epochs".*',
        r"Early stop condition met\. Stopping training\.",
        r"#progress_metric: host=algo-1, completed 100 % epochs",
        r'#metrics .*"epoch": 0, "Meta": "training_data_iter".*"Total Records Seen": \{"sum": 2500',
        r"#throughput_metric: host=algo-1, train throughput=\S+ records/second",
        r"Master node: building Random Cut Forest\.\.\.",
        r"Gathering samples\.\.\.",
        r"2000 samples gathered",
        r"Building Random Cut Forest\.\.\.",
        r"Random Cut Forest built: ",
        r"",
        r"ForestInfo\{num_trees: 50, num_samples_in_forest: 2000, num_samples_per_tree: 40, sam",
        r'#metrics .*"fit_model.time".*"finalize.time".*"model.bytes".*',
        r"Master node: Serializing the RandomCutForest model",
        r'#metrics .*"serialize_model.time".*',
        r"Test data is not provided\.",
        r'#metrics .*"setuptime".*"totaltime".*',
    ]
    begin = lines.index("Verifying hyperparamemters...")
    for line, pattern in zip(lines[begin:], patterns, strict=True):
        assert re.match(pattern, line), f"{line!r} is not {pattern!r}"
        assert pattern or not line


def test_test_rows_give_the_metrics(tmp_path: Path) -> None:
    job = instance(tmp_path)
    job.add_channel("test", encode_csv(TEST, LABELS), "text/csv;label_size=1")
    job.run(SPEC)
    scores = scores_of(job)
    found = scores > scores.mean() + 3 * scores.std()
    expected = figures_of(LABELS == 1, found)
    assert expected["f1"] > 0.8
    for metric in SPEC.metrics:
        values = re.findall(metric.regex, job.log)
        assert [float(value) for value in values] == [expected[metric.name.split(":")[1]]]
    assert re.search(r"\] #quality_metric: host=algo-1, test f1 <score>=0\.\d+\n|=1\.0\n", job.log)
    assert re.search(r"\] #test_score \(algo-1\) : \('f1', \d\.\d+\)\n", job.log)


@pytest.mark.parametrize(
    ("chosen", "reported"),
    [("accuracy", {"accuracy"}), ("precision_recall_fscore", {"precision", "recall", "f1"})],
)
def test_eval_metrics_choose(chosen: str, reported: set[str], tmp_path: Path) -> None:
    job = instance(tmp_path, eval_metrics=json.dumps([chosen]))
    job.add_channel("test", recordio.encode(TEST, LABELS), None)
    job.run(SPEC)
    found = re.findall(r"#quality_metric: host=\S+, test (\S+) <score>=", job.log)
    assert set(found) == reported


def test_figures() -> None:
    def figures(labels: list[int], found: list[int]) -> list[float]:
        return list(figures_of(np.array(labels) == 1, np.array(found) == 1).values())

    assert figures([1, 1, 0, 0], [1, 0, 1, 0]) == [0.5, 0.5, 0.5, 0.5]
    assert figures([0, 0], [0, 0]) == [1, 0, 0, 0]
    assert figures([1, 0], [0, 0]) == [0.5, 0, 0, 0]
    assert figures([1, 0], [1, 0]) == [1, 1, 1, 1]


def test_the_job_is_the_library(tmp_path: Path) -> None:
    job = instance(tmp_path)
    job.run(SPEC)
    library = RandomCutForest(50, 40).fit(ROWS)
    np.testing.assert_array_equal(scores_of(job), library.anomaly_score(TEST))


@pytest.mark.parametrize(
    "values", [{"num_trees": "60"}, {"num_samples_per_tree": "10"}, {"_seed": "3"}]
)
def test_hyperparameters_act(values: dict[str, str], tmp_path: Path) -> None:
    plain, changed = instance(tmp_path / "plain"), instance(tmp_path / "changed", **values)
    plain.run(SPEC)
    changed.run(SPEC)
    assert not np.allclose(scores_of(plain), scores_of(changed))


def test_two_hosts_score_as_one(tmp_path: Path) -> None:
    one = instance(tmp_path / "one", ROWS, num_trees="200")
    one.run(SPEC)
    gang = [
        instance(tmp_path / host, part, host, num_trees="200")
        for host, part in (("algo-1", ROWS[:500]), ("algo-2", ROWS[500:]))
    ]
    run_gang(SPEC, gang)
    assert "2500 samples gathered" in gang[0].log
    assert "Samples sent to the master node." in gang[1].log
    alone, together = scores_of(one), scores_of(gang[0])
    assert abs(together.mean() - alone.mean()) < 0.03
    assert np.corrcoef(alone, together)[0, 1] > 0.97


def test_hosts_give_rows_in_proportion(tmp_path: Path) -> None:
    """One host's rows are all at 100, three times as many as the other's."""
    parts = (("algo-1", np.zeros((1000, 1))), ("algo-2", np.full((3000, 1), 100.0)))
    gang = [
        instance(tmp_path / host, part.astype(np.float32), host, feature_dim="1")
        for host, part in parts
    ]
    run_gang(SPEC, gang)
    with np.load(gang[0].paths.model / "model_algo-1") as arrays:
        points, masses = arrays["points"][arrays["leaf_rows"], 0], arrays["masses"]
        assert len(arrays["points"]) == 2000
    share = masses[points == 100].sum() / masses.sum()
    assert share == pytest.approx(0.75, abs=0.03)


def test_sparse_and_dense_requests_are_answered_alike(tmp_path: Path) -> None:
    sparse_rows = np.where(np.abs(ROWS) > 1, ROWS, 0).astype(np.float32)
    job = instance(tmp_path, SparseMatrix.from_dense(sparse_rows))
    job.run(SPEC)
    handler = serve.handler("randomcutforest", job.paths)
    matrix = SparseMatrix.from_dense(sparse_rows[:4])
    expected = scores_of(job, sparse_rows[:4])
    for body, kind in ((encode_sparse_json(matrix), JSON), (recordio.encode(matrix), RECORDIO)):
        answer = json.loads(handler(body, kind, JSON, None).body)
        np.testing.assert_allclose([item["score"] for item in answer["scores"]], expected)


def test_answers_have_the_documented_form(tmp_path: Path) -> None:
    job = instance(tmp_path)
    job.run(SPEC)
    handler, body = serve.handler("randomcutforest", job.paths), encode_csv(TEST[:2])
    scores = scores_of(job, TEST[:2]).tolist()
    replies = {kind: handler(body, CSV, kind, None).body for kind in (JSON, JSONLINES, RECORDIO)}
    assert json.loads(replies[JSON]) == {"scores": [{"score": score} for score in scores]}
    assert replies[JSONLINES].decode() == "\n".join(f'{{"score":{score!r}}}' for score in scores)
    records = recordio.decode_records(replies[RECORDIO])
    answered = np.concatenate([record.labels["score"].values for record in records])
    np.testing.assert_array_equal(answered, np.float32(scores))


def test_requests_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    job = instance(tmp_path)
    job.run(SPEC)
    handler = serve.handler("randomcutforest", job.paths)
    for body in (b"1,2\n", b"1,2,nan\n", b"1,2,inf\n", b"a,b,c\n"):
        with pytest.raises(InvocationError) as error:
            handler(body, CSV, JSON, None)
        assert error.value.status == 400


# --- bad input -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"feature_dim": "0"}, "an integer between 1 and 10000"),
        ({"feature_dim": "10001"}, "an integer between 1 and 10000"),
        ({"num_trees": "49"}, "an integer between 50 and 1000"),
        ({"num_trees": "1001"}, "an integer between 50 and 1000"),
        ({"num_samples_per_tree": "0"}, "an integer between 1 and 2048"),
        ({"num_samples_per_tree": "2049"}, "an integer between 1 and 2048"),
        ({"mini_batch_size": "500"}, "an integer between 1000 and 1000"),
        ({"eval_metrics": '["f2"]'}, "eval_metrics"),
    ],
)
def test_hyperparameters_out_of_range(values: dict[str, str], words: str) -> None:
    with pytest.raises(ClientError, match=words):
        SPEC.validate(VALUES | values)


def test_what_the_sdk_sends_is_taken() -> None:
    sent = {
        "num_samples_per_tree": "512",
        "num_trees": "50",
        "feature_dim": "1",
        "mini_batch_size": "1000",
        "eval_metrics": '["accuracy"]',
    }
    assert SPEC.validate(sent)["num_samples_per_tree"] == 512


@pytest.mark.parametrize(
    ("channel", "distribution"), [("train", "FullyReplicated"), ("test", "ShardedByS3Key")]
)
def test_channels_are_distributed_in_one_way_only(channel: str, distribution: str) -> None:
    entries = {"train": {"S3DistributionType": "ShardedByS3Key"}, "test": {}}
    SPEC.validate_channels(entries)
    entries[channel] = {"S3DistributionType": distribution}
    with pytest.raises(ClientError, match="S3DistributionType"):
        SPEC.validate_channels(entries)


@pytest.mark.parametrize(
    ("content", "content_type", "words"),
    [
        (encode_csv(TEST), "text/csv;label_size=0", "Label size on test dataset found to be 0"),
        (encode_csv(TEST, TEST[:, :2]), "text/csv;label_size=2", "found to be 2"),
        (encode_csv(TEST, LABELS + 1), "text/csv;label_size=1", "Found the label"),
        (recordio.encode(TEST), None, "Labeled test data required with label size equal 1"),
        (recordio.encode(TEST[:, :2], LABELS), None, "doesn't match test data dimensionality '2'"),
        (b"", None, "Unable to read data channel 'test'"),
    ],
)
def test_test_rows_that_cannot_be_used(
    content: bytes, content_type: str | None, words: str, tmp_path: Path
) -> None:
    job = instance(tmp_path)
    job.add_channel("test", content, content_type)
    with pytest.raises(ClientError, match=words):
        job.run(SPEC)


def test_a_forest_too_large_for_the_machine_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(memory, "available_bytes", lambda: 100_000)
    job = instance(tmp_path)
    with pytest.raises(ClientError, match=r"^Out of Memory\. Please use a larger instance type"):
        job.run(SPEC)
    assert "Available memory in bytes: 100000\n" in job.log
    assert "Memory limits validated" not in job.log


def test_available_memory_is_the_least_of_all_bounds(tmp_path: Path) -> None:
    free = memory.available_bytes(tmp_path)
    assert free is not None and free > 1 << 20
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "memory.current").write_text("1000\n")
    assert memory.available_bytes(tmp_path) is not None
    (tmp_path / "memory.max").write_text("51000\n")
    assert memory.available_bytes(tmp_path) == 50_000


def test_an_unknown_bound_is_no_bound(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(memory, "available_bytes", lambda: None)
    lines: list[str] = []
    memory.validate(AlgorithmLog(write=lines.append), 1000, 2048, 10000)
    assert not any("Available" in line for line in lines) and "validated" in lines[-1]
