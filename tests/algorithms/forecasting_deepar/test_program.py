"""Training jobs: files, log lines, metrics, several hosts, and what bad input gets."""

from __future__ import annotations

import gzip
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from algorithms.forecasting_deepar.helpers_deepar import cut, lines, seasonal
from wildsage.algorithms import registry
from wildsage.algorithms.forecasting_deepar import DeepAR
from wildsage.algorithms.forecasting_deepar.weights import Weights
from wildsage.algorithms.instances import Instance, run_gang
from wildsage.contract.failure import ClientError

SPEC = registry.spec("forecasting-deepar")
STEPS = 7
GIVEN = {
    "time_freq": "D",
    "context_length": "7",
    "prediction_length": str(STEPS),
    "epochs": "2",
    "mini_batch_size": "4",
    "num_cells": "8",
}


def _instance(
    folder: Path, train: bytes, content_type: str | None = "json", **changed: str
) -> Instance:
    instance = Instance(folder, {**GIVEN, **changed})
    instance.add_channel("train", train, content_type)
    return instance


def _fails(folder: Path, records: list[Any], words: str, **changed: str) -> None:
    instance = _instance(folder, lines(records), **changed)
    with pytest.raises(ClientError, match=words):
        instance.run(SPEC)
    assert not instance.paths.model.exists()


def test_the_log_is_that_of_the_original(tmp_path: Path) -> None:
    records = seasonal(8)
    instance = _instance(tmp_path, lines(cut(records, STEPS)), early_stopping_patience="5")
    instance.add_channel("test", lines(records), "json")
    instance.run(SPEC)
    number = r"-?\d+(\.\d+)?(e-?\d+)?"
    for pattern in (
        r"Using early stopping with patience 5$",
        r"\[cardinality=auto\] `cat` field was NOT found in the file `\S+/train/part-0` and will "
        r"NOT be used for training\.$",
        r"Training set statistics:$",
        r"Real time series$",
        r"number of time series: 8$",
        r"contains missing values: no$",
        r"Small number of time series\. Doing 5 passes over dataset with prob 1\.0 per epoch\.$",
        rf"Epoch\[1\] Batch\[5\] avg_epoch_loss={number}$",
        rf"#quality_metric: host=algo-1, epoch=0, batch=5 train loss <loss>={number}$",
        rf"Epoch\[0\] Batch \[5\]#011Speed: {number} samples/sec#011loss={number}$",
        r"processed a total of 40 examples$",
        rf"#throughput_metric: host=algo-1, train throughput={number} records/second$",
        r"#progress_metric: host=algo-1, completed 50\.0 % of epochs$",
        rf"#quality_metric: host=algo-1, epoch=1, train loss <loss>={number}$",
        r"best epoch loss so far$",
        rf"Final loss: {number} \(occurred at epoch \d\)$",
        rf"#quality_metric: host=algo-1, train final_loss <loss>={number}$",
        r"Evaluating model accuracy on testset using 100 samples$",
        rf"#test_score \(algo-1, RMSE\): {number}$",
        rf"#test_score \(algo-1, mean_absolute_QuantileLoss\): {number}$",
        rf"#test_score \(algo-1, mean_wQuantileLoss\): {number}$",
        rf"#test_score \(algo-1, wQuantileLoss\[0\.9\]\): {number}$",
        rf"#quality_metric: host=algo-1, test RMSE <loss>={number}$",
        rf"#quality_metric: host=algo-1, test mean_wQuantileLoss <loss>={number}$",
    ):
        line = rf"^\[\d\d/\d\d/\d{{4}} \d\d:\d\d:\d\d INFO \d+\] {pattern}"
        assert re.search(line, instance.log, re.MULTILINE), pattern
    found = [metric.name for metric in SPEC.metrics if re.search(metric.regex, instance.log)]
    assert found == [metric.name for metric in SPEC.metrics]


def test_metrics_are_those_of_the_forecast(tmp_path: Path) -> None:
    records = seasonal(6)
    changed = {"num_eval_samples": "40", "test_quantiles": "[0.2, 0.75]"}
    instance = _instance(tmp_path, lines(cut(records, STEPS)), **changed)
    short = [{"start": "2024-01-01", "target": [1.0] * STEPS}]  # nothing to forecast from
    instance.add_channel("test", lines(records + short), "json")
    instance.run(SPEC)
    drawn = DeepAR.load(instance.paths.model).samples(cut(records, STEPS), 40)
    actual = np.array([record["target"][-STEPS:] for record in records])
    scores = dict(re.findall(r"#test_score \(algo-1, (\S+)\): (\S+)", instance.log))
    rmse = np.sqrt(np.mean((drawn.mean(axis=1) - actual) ** 2))
    assert float(scores["RMSE"]) == pytest.approx(rmse, rel=1e-4)
    for quantile in (0.2, 0.75):
        error = actual - np.quantile(drawn, quantile, axis=1)
        loss = 2 * np.maximum(quantile * error, (quantile - 1) * error).sum()
        told = float(scores[f"wQuantileLoss[{quantile}]"])
        assert told == pytest.approx(loss / np.abs(actual).sum(), rel=1e-4)
    assert set(scores) >= {"mean_wQuantileLoss", "mean_absolute_QuantileLoss"}
    assert "wQuantileLoss[0.5]" not in scores


def test_endings_tell_the_format(tmp_path: Path) -> None:
    records = seasonal(8)
    instance = _instance(tmp_path, lines(records[:2]), None)
    folder = instance.paths.channel("train")
    (folder / "part-0").rename(folder / "a.json")
    (folder / "b.json.gz").write_bytes(gzip.compress(lines(records[2:5])))
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    (folder / "deeper").mkdir()
    pq.write_table(pa.Table.from_pylist(records[5:]), folder / "deeper" / "c.parquet")
    (folder / "_SUCCESS").write_bytes(b"")
    (folder / ".hidden.json").write_bytes(b"nonsense")
    instance.run(SPEC)
    assert "number of time series: 8\n" in instance.log
    (folder / "d.txt").write_bytes(lines(records))
    with pytest.raises(ClientError, match=r"format of the file 'd.txt' cannot be told"):
        instance.run(SPEC)


def test_parquet_keeps_all_fields(tmp_path: Path) -> None:
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    records = [
        {**r, "cat": [n % 3], "dynamic_feat": [[0.5 * k for k in range(len(r["target"]))]]}
        for n, r in enumerate(seasonal(6))
    ]
    records[0]["target"][4] = None
    models = []
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(records), sink, compression="gzip")
    for kind, content in (("json", lines(records)), ("parquet", sink.getvalue().to_pybytes())):
        instance = _instance(tmp_path / kind, content, kind)
        instance.run(SPEC)
        models.append(Weights.load(instance.paths.model))
    assert models[0].cardinality == [3] and len(models[0].layout.dynamic_mean) == 1
    for name, array in models[0].arrays.items():
        np.testing.assert_array_equal(array, models[1].arrays[name])


def test_categories_and_features_can_be_ignored(tmp_path: Path) -> None:
    records = [{**r, "cat": [1], "dynamic_feat": [[1] * len(r["target"])]} for r in seasonal(6)]
    instance = _instance(tmp_path, lines(records), cardinality="", num_dynamic_feat="ignore")
    instance.add_channel("test", lines(records), "json")
    instance.run(SPEC)
    model = Weights.load(instance.paths.model)
    assert model.cardinality == [] and len(model.layout.dynamic_mean) == 0


@pytest.mark.parametrize("distribution", ["FullyReplicated", "ShardedByS3Key"])
def test_hosts_train_one_model(tmp_path: Path, distribution: str) -> None:
    records = seasonal(8)
    sharded = distribution == "ShardedByS3Key"
    single = _instance(tmp_path / "single", lines(records))
    single.add_channel("test", lines(records), "json")
    single.run(SPEC)
    gang = []
    for number in range(2):
        instance = Instance(tmp_path / str(number), dict(GIVEN), host=f"algo-{number + 1}")
        part = records[number::2] if sharded else records
        instance.add_channel("train", lines(part), "json", distribution=distribution)
        instance.add_channel("test", lines(records), "json")
        gang.append(instance)
    run_gang(SPEC, gang)
    assert not gang[1].paths.model.exists()
    told = [float(v) for v in re.findall(r"test RMSE <loss>=(\S+)", gang[0].log)]
    assert len(told) == 2 and told[0] == told[1]
    alone = float(re.findall(r"test RMSE <loss>=(\S+)", single.log)[0])
    assert told[0] == pytest.approx(alone, rel=0.25 if sharded else 0.02)
    if not sharded:
        one, two = (Weights.load(instance.paths.model) for instance in (single, gang[0]))
        for name, array in one.arrays.items():
            np.testing.assert_allclose(array, two.arrays[name], rtol=1e-2, atol=1e-3)


def test_a_host_may_have_no_series(tmp_path: Path) -> None:
    records = [
        {**r, "cat": [1], "dynamic_feat": [[1.0] * len(r["target"])] * 2} for r in seasonal(6)
    ]
    gang = []
    for number, part in enumerate((records, [])):
        instance = Instance(tmp_path / str(number), dict(GIVEN), host=f"algo-{number + 1}")
        instance.add_channel("train", lines(part), "json", distribution="ShardedByS3Key")
        gang.append(instance)
    run_gang(SPEC, gang)
    assert Weights.load(gang[0].paths.model).cardinality == [2]


def test_early_stopping(tmp_path: Path) -> None:
    changed = {"epochs": "50", "learning_rate": "1e-9", "early_stopping_patience": "1"}
    instance = _instance(tmp_path, lines(seasonal(8)), **changed)
    instance.run(SPEC)
    assert "loss did not improve" in instance.log
    assert instance.log.count("processed a total of") < 50


GOOD = seasonal(6)


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        ({"start": "2024-01-01"}, r"record 7 of the file 'part-0': the field 'target' is missing"),
        ({"target": [1.0]}, "the field 'start' is missing"),
        ({"start": "01/02/2024", "target": [1.0]}, "format YYYY-MM-DD HH:MM:SS"),
        ({"start": "2024-01-01", "target": ["many"]}, "contains a value that is no number"),
        ({"start": "2024-01-01", "target": [1, 2], "dynamic_feat": [[1]]}, "length of the target"),
        ({"start": "2024-01-01", "target": [1], "cat": [0]}, "'cat' must have the same number"),
        ({"start": "2024-01-01", "target": [1], "dynamic_feat": [[1]]}, "'dynamic_feat' must have"),
        ([1, 2], "a time series is an object"),
    ],
)
def test_bad_records_are_named(tmp_path: Path, bad: Any, words: str) -> None:
    _fails(tmp_path, [*GOOD, bad], words)


def test_lines_that_are_no_json(tmp_path: Path) -> None:
    instance = _instance(tmp_path, lines(GOOD) + b"nonsense\n")
    with pytest.raises(ClientError, match="Line 7 of the file 'part-0' is not valid JSON"):
        instance.run(SPEC)
    instance = _instance(tmp_path / "d", b"[" * 100_000)
    with pytest.raises(ClientError, match="not valid JSON: it is nested too deeply"):
        instance.run(SPEC)
    instance = _instance(tmp_path / "p", b"nonsense", "parquet")
    with pytest.raises(ClientError, match="not a valid Parquet file"):
        instance.run(SPEC)
    instance = _instance(tmp_path / "g", gzip.compress(lines(GOOD))[:200])
    with pytest.raises(ClientError, match="Please verify the data matches the requested"):
        instance.run(SPEC)


def test_embeddings_that_do_not_fit(tmp_path: Path) -> None:
    instance = _instance(tmp_path, lines([{**record, "cat": [10**12]} for record in GOOD]))
    with pytest.raises(MemoryError):
        instance.run(SPEC)


def test_too_little_data(tmp_path: Path) -> None:
    _fails(tmp_path / "few", GOOD[:2], "must be at least 300, but it is")
    _fails(
        tmp_path / "short", GOOD, "shorter than the prediction_length 90", prediction_length="90"
    )
    instance = _instance(tmp_path / "none", b"")
    with pytest.raises(ClientError, match="Unable to read data channel 'train'"):
        instance.run(SPEC)


def test_declared_shapes_are_checked(tmp_path: Path) -> None:
    records = [
        {**r, "cat": [n % 3, 0], "dynamic_feat": [[1] * len(r["target"])]}
        for n, r in enumerate(GOOD)
    ]
    _fails(
        tmp_path / "1", records, "which must be less than the cardinality 2", cardinality="[2, 1]"
    )
    _fails(tmp_path / "2", records, "is for 1 categorical features", cardinality="[3]")
    _fails(tmp_path / "3", records, "num_dynamic_feat is 2, but", num_dynamic_feat="2")
    instance = _instance(tmp_path / "4", lines(records))
    instance.add_channel("test", lines([{**r, "cat": [7, 0]} for r in records]), "json")
    with pytest.raises(ClientError, match="series of channel 'test' do not fit"):
        instance.run(SPEC)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("time_freq", "Y"),
        ("time_freq", "0D"),
        ("likelihood", "poisson"),
        ("cardinality", "[0]"),
        ("cardinality", "three"),
        ("num_dynamic_feat", "0"),
        ("dropout_rate", "1"),
        ("early_stopping_patience", "0"),
        ("test_quantiles", "[1.5]"),
        ("test_quantiles", "0.5"),
        ("learning_rate", "0"),
    ],
)
def test_bad_hyperparameters(name: str, value: str) -> None:
    with pytest.raises(ClientError, match=f"is not valid for the '{name}' hyperparameter"):
        SPEC.validate({**GIVEN, name: value})


def test_good_hyperparameters() -> None:
    values = SPEC.validate(
        {
            **GIVEN,
            "likelihood": "student-t",
            "cardinality": "[2, 3]",
            "num_dynamic_feat": "",
            "early_stopping_patience": "",
            "learning_rate": "5E-4",
            "test_quantiles": "[0.1, 0.9]",
        }
    )
    assert values["likelihood"] == "student-T" and values["cardinality"] == [2, 3]
    assert values["num_dynamic_feat"] == "ignore" and values["early_stopping_patience"] is None
    assert values["test_quantiles"] == [0.1, 0.9]
