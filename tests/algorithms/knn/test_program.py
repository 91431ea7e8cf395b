"""knn as a program: log lines, labels, several instances, errors, answers, the model's files."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pytest
from sklearn.datasets import load_digits

from wildsage.algorithms import registry, serve
from wildsage.algorithms.base import Batch, InferenceRequest
from wildsage.algorithms.example import channel_formats, encode_json
from wildsage.algorithms.instances import Instance, run_gang
from wildsage.algorithms.knn import program
from wildsage.contract.failure import ClientError
from wildsage.formats import recordio
from wildsage.serving.handler import InvocationError

SPEC = registry.spec("knn")
DIGITS = load_digits()
ORDER = np.random.default_rng(0).permutation(len(DIGITS.data))
ROWS = DIGITS.data.astype(np.float32)[ORDER]
LABELS = DIGITS.target.astype(np.float32)[ORDER]
GIVEN = {"k": "3", "feature_dim": "64", "predictor_type": "classifier", "sample_size": "2000"}
RECORDIO = "application/x-recordio-protobuf"


def instance(
    folder: Path,
    change: dict[str, str] | None = None,
    labels: np.ndarray | None = LABELS,
    *,
    kind: str = RECORDIO,
    test_labels: np.ndarray | None = None,
    share: slice = slice(1500),
    **where: Any,
) -> Instance:
    """A job on digits; `share` says which rows are this host's."""
    made = Instance(folder, {**GIVEN, **(change or {})}, host=where.pop("host", "algo-1"))
    told = labels if test_labels is None else test_labels
    for name, rows, own in (("train", share, labels), ("test", slice(1500, None), told)):
        formats = channel_formats(ROWS[rows], None if own is None else own[rows])
        key = next(key for key in formats if key.startswith(kind))
        sharded = name == "train" and where.get("distribution")
        made.add_channel(name, formats[key], key, distribution=sharded or "FullyReplicated")
    return made


def trained(folder: Path, *arguments: Any, **options: Any) -> Instance:
    made = instance(folder, *arguments, **options)
    made.run(SPEC)
    return made


def metric(log: str, name: str) -> float:
    definition = next(m for m in SPEC.metrics if m.name == name)
    found = re.search(definition.regex, log)
    assert found is not None
    return float(found[1])


def ask(model: Instance, rows: np.ndarray, accept: str = "application/json") -> Any:
    reply = serve.handler("knn", model.paths)(encode_json(rows), "application/json", accept, None)
    assert reply.status == 200
    return reply.body


def test_log_lines(tmp_path: Path) -> None:
    log = trained(tmp_path, {"sample_size": "1000", "mini_batch_size": "400"}).log
    head = r"\[\d\d/\d\d/\d{4} \d\d:\d\d:\d\d INFO \d+\] "
    for line in (
        r"\.\.\.Got reservoir sample from algo-1: data=\(1000, 64\), labels=\(1000,\), NaNs=0",
        r"Training index\.\.\.",
        r"Adding data to index\.\.\.",
        r"#quality_metric: host=algo-1, test accuracy <score>=0\.9\d+",
        r"#test_score \(algo-1\) : \('accuracy', 0\.9\d+\)",
        r"#test_score \(algo-1\) : \('macro_f_1\.000', 0\.9\d+\)",
        r"#progress_metric: host=algo-1, completed 100\.0 % of epochs",
    ):
        assert re.search(f"^{head}{line}$", log, re.MULTILINE), line
    assert metric(log, "test:accuracy") > 0.96 and metric(log, "test:macro_f_1.000") > 0.96
    assert '"Total Batches Seen": {"sum": 4.0' in log
    assert '"Algorithm": "AWS/KNN"' in log


def test_a_regressor_reports_its_error(tmp_path: Path) -> None:
    made = trained(tmp_path, {"predictor_type": "regressor"}, kind="text/csv")
    assert 0.05 < metric(made.log, "test:mse") < 1
    assert re.search(r"#test_score \(algo-1\) : \('mse', 0\.\d+\)", made.log)
    assert "accuracy" not in made.log


@pytest.mark.parametrize("kind", [RECORDIO, "text/csv"])
def test_label_vectors(tmp_path: Path, kind: str) -> None:
    pairs = np.stack([LABELS, LABELS % 2], axis=1)
    made = trained(tmp_path, {}, pairs, kind=kind)
    assert "labels=(1500, 2)" in made.log and metric(made.log, "test:accuracy") > 0.97
    verbose = json.loads(ask(made, ROWS[:2], "application/json; verbose=true"))["predictions"]
    assert verbose[0]["predicted_label"] == pairs[0].tolist()
    assert np.shape(verbose[0]["labels"]) == (3, 2)
    body = ask(made, ROWS[:1], f"{RECORDIO}; verbose=true")
    values = recordio.decode_records(body)[0].labels
    assert [len(v.values) for v in values.values()] == [2, 3, 6]
    with pytest.raises(ClientError, match="label size equal 2. Label size on test dataset found"):
        instance(tmp_path / "wrong", {}, pairs, test_labels=LABELS).run(SPEC)


def test_answers(tmp_path: Path) -> None:
    made = trained(tmp_path)
    rows = ROWS[1500:1502]
    plain = json.loads(ask(made, rows))
    assert plain == {"predictions": [{"predicted_label": v} for v in LABELS[1500:1502].tolist()]}
    assert b'"predicted_label":' in ask(made, rows) and b".0}" in ask(made, rows)
    verbose = json.loads(ask(made, rows, "application/json; verbose=true"))["predictions"]
    for row, answer in zip(rows, verbose, strict=True):
        apart = np.sort(np.linalg.norm(ROWS[:1500] - row, axis=1))[:3]
        np.testing.assert_allclose(answer["distances"], apart, rtol=1e-5)
        assert list(answer) == ["predicted_label", "distances", "labels"]
        assert len(answer["labels"]) == 3
    lines = ask(made, rows, "application/jsonlines; verbose=true").splitlines()
    assert [json.loads(line) for line in lines] == verbose
    record = recordio.decode_records(ask(made, rows, f"{RECORDIO}; verbose=true"))[0]
    assert set(record.labels) == {"predicted_label", "distances", "labels"}
    assert ask(made, rows[:1], "text/csv").decode() == str(LABELS[1500])


def test_the_files_may_be_edited(tmp_path: Path) -> None:
    reduce = {"dimension_reduction_type": "fjlt", "dimension_reduction_target": "30"}
    made = trained(tmp_path, {**reduce, "_seed": "3"})
    file = made.paths.model / "model_algo-1.json"
    about = json.loads(file.read_text())
    assert about == {
        "k": 3,
        "predictor_type": "classifier",
        "feature_dim": 64,
        "dimension_reduction": {"type": "fjlt", "seed": 3, "target_dim": 30, "input_dim": 64},
        "normalize": False,
        "version": "1.0",
    }
    assert faiss.read_index(str(made.paths.model / "model_algo-1")).d == 30
    labels = np.fromfile(made.paths.model / "model_algo-1.labels", "<f4")
    np.testing.assert_array_equal(labels, LABELS[:1500])
    file.write_text(json.dumps({**about, "k": 7, "predictor_type": "regressor"}))
    answer = json.loads(ask(made, ROWS[:1], "application/json; verbose=true"))["predictions"][0]
    assert len(answer["labels"]) == 7
    assert answer["predicted_label"] == pytest.approx(np.mean(answer["labels"]))
    for wrong in ({"k": 0}, {"predictor_type": "oracle"}, {"dimension_reduction": {"type": "x"}}):
        file.write_text(json.dumps({**about, **wrong}))
        with pytest.raises(ValueError, match="k must|predictor_type must|Unknown type"):
            program.load(made.paths.model)
    (made.paths.model / "model_algo-1.labels").write_bytes(b"\0" * 44)
    with pytest.raises(ValueError, match="11 labels do not suit"):
        program.load(made.paths.model)


@pytest.mark.parametrize(
    ("change", "width"),
    [
        ({"index_type": "faiss.IVFPQ", "faiss_index_pq_m": "12"}, 64),
        (
            {
                "index_type": "faiss.IVFPQ",
                "faiss_index_pq_m": "12",
                "dimension_reduction_type": "sign",
                "dimension_reduction_target": "40",
            },
            48,
        ),
        ({"index_type": "faiss.IVFFlat", "faiss_index_ivf_nlists": "11"}, 64),
        ({"index_metric": "COSINE", "index_type": "faiss.IVFFlat"}, 64),
    ],
    ids=str,
)
def test_indices(tmp_path: Path, change: dict[str, str], width: int) -> None:
    made = trained(tmp_path, change)
    index = faiss.read_index(str(made.paths.model / "model_algo-1"))
    inner = faiss.extract_index_ivf(index)
    assert index.d == width and index.ntotal == 1500
    assert inner.nlist == int(change.get("faiss_index_ivf_nlists", 38))
    assert metric(made.log, "test:accuracy") > 0.95
    assert f"looks into {inner.nprobe} of its lists" in made.log
    if change.get("index_metric"):
        answer = json.loads(ask(made, ROWS[:1], "application/json; verbose=true"))
        assert answer["predictions"][0]["distances"][0] == pytest.approx(0, abs=1e-6)


def test_nprobe_by_hand(tmp_path: Path) -> None:
    made = trained(tmp_path, {"index_type": "faiss.IVFFlat", "_faiss_index_nprobe": "2"})
    index: Any = faiss.read_index(str(made.paths.model / "model_algo-1"))
    assert index.nprobe == 2


# --- several instances ---------------------------------------------------------------------------


def gang(folder: Path, change: dict[str, str], distribution: str, count: int = 2) -> list[Instance]:
    names = [f"algo-{number + 1}" for number in range(count)]
    shares = (
        [slice(n * 1500 // count, (n + 1) * 1500 // count) for n in range(count)]
        if distribution == "ShardedByS3Key"
        else [slice(1500)] * count
    )
    made = [
        instance(folder / name, change, share=share, distribution=distribution, host=name)
        for name, share in zip(names, shares, strict=True)
    ]
    run_gang(SPEC, made)
    return made


def test_hosts_with_all_data_draw_the_sample_that_one_draws(tmp_path: Path) -> None:
    change = {"sample_size": "400", "mini_batch_size": "300"}
    one = trained(tmp_path / "one", change)
    three = gang(tmp_path / "three", change, "FullyReplicated", 3)[0]
    first, second = (
        np.fromfile(m.paths.model / "model_algo-1.labels", "<f4") for m in (one, three)
    )
    assert len(first) == 400
    np.testing.assert_array_equal(np.sort(first), np.sort(second))
    verbose = [ask(m, ROWS[1500:1600], "application/json; verbose=true") for m in (one, three)]
    first, second = (
        np.array([a["distances"] for a in json.loads(v)["predictions"]]) for v in verbose
    )
    np.testing.assert_allclose(first, second, rtol=1e-5)
    assert metric(three.log, "test:accuracy") == pytest.approx(metric(one.log, "test:accuracy"))


def test_hosts_with_shards_join_their_rows(tmp_path: Path) -> None:
    one = trained(tmp_path / "one")
    two = gang(tmp_path / "two", {}, "ShardedByS3Key")[0]
    assert json.loads(ask(one, ROWS[1500:])) == json.loads(ask(two, ROWS[1500:]))
    sampled = gang(tmp_path / "sampled", {"sample_size": "600"}, "ShardedByS3Key")[0]
    assert faiss.read_index(str(sampled.paths.model / "model_algo-1")).ntotal == 600
    assert metric(sampled.log, "test:accuracy") > 0.93


# --- bad input -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"k": "0"}, "The value '0' is not valid for the 'k' hyperparameter which expects"),
        ({"k": "1501"}, "must not be greater than the number of sampled training records '1500'"),
        ({"predictor_type": "oracle"}, "accepts one of the following: 'classifier', 'regressor'"),
        ({"sample_size": "-1"}, "'sample_size' hyperparameter which expects"),
        ({"index_type": "faiss.HNSW"}, "'faiss.Flat', 'faiss.IVFFlat', 'faiss.IVFPQ'"),
        ({"index_metric": "l2"}, "'L2', 'INNER_PRODUCT', 'COSINE'"),
        ({"index_type": "faiss.IVFPQ"}, "No value(s) were specified for 'faiss_index_pq_m'"),
        ({"faiss_index_pq_m": "5"}, "'faiss_index_pq_m' hyperparameter which accepts one of"),
        (
            {"index_type": "faiss.IVFPQ", "faiss_index_pq_m": "4", "index_metric": "COSINE"},
            "The value 'COSINE' is not valid for the 'index_metric' hyperparameter when training",
        ),
        ({"dimension_reduction_type": "sign"}, "specified for 'dimension_reduction_target'"),
        (
            {"dimension_reduction_type": "sign", "dimension_reduction_target": "64"},
            "must be less than feature_dim '64'",
        ),
        (
            {
                "dimension_reduction_type": "sign",
                "dimension_reduction_target": "70",
                "feature_dim": "auto",
            },
            "must be less than feature_dim '64'",
        ),
        (
            {"index_type": "faiss.IVFFlat", "faiss_index_ivf_nlists": "1501"},
            "which must not be greater than the number of sampled training records '1500'",
        ),
        ({"feature_dim": "63"}, "hyperparameter '63' doesn't match train data dimensionality '64'"),
        ({"mini_batch_siz": "5"}, "Additional hyperparameters are not allowed ('mini_batch_siz'"),
    ],
    ids=str,
)
def test_bad_hyperparameters(tmp_path: Path, change: dict[str, str], words: str) -> None:
    with pytest.raises(ClientError) as caught:
        trained(tmp_path, change)
    assert words in caught.value.text


def test_labels_are_needed(tmp_path: Path) -> None:
    with pytest.raises(ClientError, match="Labeled train data required with label size equal 1"):
        trained(tmp_path / "train", {}, None)
    made = instance(tmp_path / "test")
    (made.paths.channel("test") / "part-0").write_bytes(recordio.encode(ROWS))
    with pytest.raises(ClientError, match="Label size on test dataset found to be 0"):
        made.run(SPEC)


def test_the_width_may_be_left_to_the_data(tmp_path: Path) -> None:
    made = trained(tmp_path, {"feature_dim": "auto"})
    assert json.loads((made.paths.model / "model_algo-1.json").read_text())["feature_dim"] == 64
    handler = serve.handler("knn", made.paths)
    with pytest.raises(Exception, match="unable to evaluate payload provided"):
        handler(encode_json(ROWS[:1, :5]), "application/json", "application/json", None)
    batch = Batch(ROWS[:2])
    answer = program.load(made.paths.model).predict(batch, InferenceRequest())
    assert answer["predicted_label"].tolist() == LABELS[:2].tolist()


@pytest.mark.parametrize("index_type", ["faiss.Flat", "faiss.IVFFlat"])
def test_values_whose_squares_float32_does_not_hold_are_refused(
    tmp_path: Path, index_type: str
) -> None:
    job = Instance(tmp_path, {**GIVEN, "index_type": index_type})
    job.add_channel("train", recordio.encode(ROWS * np.float32(1e20), LABELS), None)
    with pytest.raises(ClientError, match="values are too large"):
        job.run(SPEC)
    usual = trained(tmp_path / "usual", {"index_metric": "L2"})
    for value in (1e20, float("nan"), float("inf")):
        body = recordio.encode(np.full((1, ROWS.shape[1]), value, np.float32))
        with pytest.raises(InvocationError, match="unable to evaluate payload provided"):
            serve.handler("knn", usual.paths)(body, RECORDIO, "application/json", None)
