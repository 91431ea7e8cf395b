"""factorization-machines as a job: hyperparameters, log, modes, instances, bad input, answers."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from algorithms.factorization_machines.helpers_machines import (
    SPEC,
    WIDTH,
    differ,
    interacting,
    job,
    model_of,
    ran,
)
from wildsage.algorithms import serve
from wildsage.algorithms.factorization_machines import batches
from wildsage.algorithms.instances import run_gang
from wildsage.contract.failure import ClientError
from wildsage.formats import recordio, records

TABLE, LABELS = interacting()
CLASSES = (LABELS > 0.5).astype(np.float32)


def test_learns_what_interacts(tmp_path: Path) -> None:
    test = interacting(200, seed=1)
    ended = ran(job(tmp_path, TABLE, LABELS, test=test, epochs=60))
    rmse = float(_last(ended.log, r"test rmse <loss>=(\S+)"))
    assert rmse < 0.15 * test[1].std()
    wanted = float(np.sqrt(np.mean((model_of(ended).scores(test[0]) - test[1]) ** 2)))
    assert rmse == pytest.approx(wanted, rel=1e-4)


ACTING: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    # name: (its change, what else is set in both jobs)
    "num_factors": ({"num_factors": 2}, {}),
    "epochs": ({"epochs": 2}, {}),
    "mini_batch_size": ({"mini_batch_size": 40}, {}),
    "clip_gradient": ({"clip_gradient": 0.01}, {}),
    "eps": ({"eps": 0.1}, {}),
    "rescale_grad": ({"rescale_grad": 0.001}, {"eps": 0.01}),
    "use_bias": ({"use_bias": "false"}, {}),
    "use_linear": ({"use_linear": "false"}, {}),
    "_optimizer": ({"_optimizer": "adagrad"}, {}),
    "_learning_rate": ({"_learning_rate": 0.5}, {}),
    "_wd": ({"_wd": 10}, {}),
}
for _group in ("bias", "linear", "factors"):
    _uniform = {f"{_group}_init_method": "uniform"}
    _constant = {f"{_group}_init_method": "constant"}
    ACTING |= {
        f"{_group}_lr": ({f"{_group}_lr": 0.2}, {}),
        f"{_group}_wd": ({f"{_group}_wd": 0.5}, {}),
        f"{_group}_init_method": (_uniform, {}),
        f"{_group}_init_sigma": ({f"{_group}_init_sigma": 0.5}, {}),
        f"{_group}_init_scale": ({f"{_group}_init_scale": 0.5}, _uniform),
        f"{_group}_init_value": ({f"{_group}_init_value": 0.5}, _constant),
    }


@pytest.mark.parametrize("name", ACTING)
def test_every_hyperparameter_acts(name: str, tmp_path: Path) -> None:
    change, both = ACTING[name]
    rows = slice(0, 80)
    one = model_of(ran(job(tmp_path / "a", TABLE[rows], LABELS[rows], **both)))
    other = model_of(ran(job(tmp_path / "b", TABLE[rows], LABELS[rows], **both, **change)))
    if one.factors.shape == other.factors.shape:
        assert differ(one, other) > 1e-4


def test_all_that_is_declared_is_tested_to_act() -> None:
    passive = {"feature_dim", "predictor_type", "batch_metrics_publish_interval"}
    visible = {p.name for p in SPEC.hyperparameters if not p.hidden}
    assert visible - passive <= set(ACTING)


def test_batches_are_reported_at_the_interval(tmp_path: Path) -> None:
    ended = ran(job(tmp_path, TABLE, LABELS, batch_metrics_publish_interval=7, epochs=2))
    found = re.findall(r"epoch=(\d), batch=(\d+) train rmse <loss>=\d", ended.log)
    assert found == [(e, b) for e in "01" for b in ("0", "7", "14")]


@pytest.mark.parametrize("kind", ["regressor", "binary_classifier"])
def test_every_metric_finds_its_line(kind: str, tmp_path: Path) -> None:
    labels = LABELS if kind == "regressor" else CLASSES
    ended = ran(job(tmp_path, TABLE, labels, test=(TABLE, labels), predictor_type=kind))
    other = "binary" if kind == "regressor" else "rmse|mse|absolute"
    for metric in SPEC.metric_definitions():
        if not re.search(other, metric["Name"]):
            float(_last(ended.log, metric["Regex"]))


def test_the_log_of_a_classifier_to_the_byte(tmp_path: Path) -> None:
    ended = ran(job(tmp_path, TABLE, CLASSES, test=(TABLE, CLASSES),
                    predictor_type="binary_classifier"))  # fmt: skip
    number = r"\d+\.\d+(e-\d+)?"
    for line in (
        rf"#quality_metric: host=algo-1, epoch=0, batch=0 train binary_f_1.000 <score>={number}",
        rf"#quality_metric: host=algo-1, epoch=0, train binary_classification_accuracy "
        rf"<score>={number}",
        r"#progress_metric: host=algo-1, completed 100 % of epochs",
        rf"#throughput_metric: host=algo-1, train throughput={number} records/second",
        rf"#test_score \(algo-1\) : \('binary_classification_cross_entropy', {number}\)",
        rf"#quality_metric: host=algo-1, test binary_classification_cross_entropy "
        rf"<loss>={number}",
        rf"#quality_metric: host=algo-1, test binary_f_1.000 <score>={number}",
    ):
        assert re.search(rf"INFO \d+\] {line}\n", ended.log), line


def test_dense_records_give_the_model_of_sparse_ones(tmp_path: Path) -> None:
    one = ran(job(tmp_path / "a", TABLE, LABELS))
    other = ran(job(tmp_path / "b", TABLE, LABELS, sparse=False))
    assert differ(model_of(one), model_of(other)) < 1e-4


def test_more_rows_than_are_kept_are_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches.Rows, "budget", 100)
    test = interacting(200, seed=1)
    for mode in ("File", "Pipe"):
        ended = ran(job(tmp_path / mode, TABLE, LABELS, test=test, epochs=40, mode=mode))
        assert float(_last(ended.log, r"test rmse <loss>=(\S+)")) < 0.15 * test[1].std()


def test_two_instances_learn_as_well_as_one(tmp_path: Path) -> None:
    halves = [(slice(0, 200), "algo-1"), (slice(200, 400), "algo-2")]
    test = interacting(200, seed=1)
    gang = [
        job(tmp_path / host, TABLE[rows], LABELS[rows], test=test, host=host, epochs=60,
            mini_batch_size=10)
        for rows, host in halves
    ]  # fmt: skip
    run_gang(SPEC, gang)
    wanted = model_of(gang[0]).scores(test[0]) - test[1]
    assert np.sqrt(np.mean(wanted**2)) < 0.1 * test[1].std()
    assert not gang[1].paths.model.exists()


# --- bad input -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "words"),
    [(np.nan, r"Found missing \(NaN\) values"), (np.inf, "Found infinite floating point values")],
)
@pytest.mark.parametrize("sparse", [True, False])
def test_values_that_are_no_numbers(value: float, words: str, sparse: bool, tmp_path: Path) -> None:
    table = TABLE.copy()
    table[3, 2] = value
    with pytest.raises(ClientError, match=words):
        ran(job(tmp_path, table, LABELS, sparse=sparse))


def test_a_wrong_width(tmp_path: Path) -> None:
    words = "The value of feature_dim hyperparameter '20' doesn't match train data dimensionality"
    with pytest.raises(ClientError, match=words):
        ran(job(tmp_path, TABLE, LABELS, feature_dim=20))


def test_labels_that_are_missing_or_wrong(tmp_path: Path) -> None:
    bare = job(tmp_path / "a", TABLE, LABELS)
    (bare.paths.channel("train") / "part-0").write_bytes(recordio.encode(TABLE))
    with pytest.raises(ClientError, match="Labeled train data required with label size equal 1"):
        ran(bare)
    with pytest.raises(ClientError, match="Labels of a binary_classifier must be 0 or 1"):
        ran(job(tmp_path / "b", TABLE, CLASSES * 2, predictor_type="binary_classifier"))


def test_an_empty_channel_and_text(tmp_path: Path) -> None:
    for name, content in (("a", b""), ("b", b"1,2,3\n" * 20)):
        instance = job(tmp_path / name, TABLE, LABELS)
        (instance.paths.channel("train") / "part-0").write_bytes(content)
        with pytest.raises(ClientError, match="Unable to read data channel 'train'"):
            ran(instance)


def test_a_key_beyond_the_width(tmp_path: Path) -> None:
    bad = records.Record(
        features={"values": records.Tensor(np.ones(1, np.float32), np.array([WIDTH]), (WIDTH,))},
        labels={"values": records.Tensor(np.ones(1, np.float32))},
    )
    instance = job(tmp_path, TABLE, LABELS)
    frame = recordio.frame(records.serialize(bad))
    (instance.paths.channel("train") / "part-0").write_bytes(frame * 3)
    with pytest.raises(ClientError, match="Unable to read data channel 'train'"):
        ran(instance)


# --- answers -------------------------------------------------------------------------------------


def test_answers_of_both_types(tmp_path: Path) -> None:
    sparse = {"keys": [0, 7], "shape": [WIDTH], "values": [1, 1]}
    body = json.dumps({"instances": [{"data": {"features": sparse}}]}).encode()
    for kind, labels in (("regressor", LABELS), ("binary_classifier", CLASSES)):
        instance = ran(job(tmp_path / kind, TABLE, labels, predictor_type=kind))
        handler = serve.handler("factorization-machines", instance.paths)
        reply = handler(body, "application/json", "application/json", None)
        (answer,) = json.loads(reply.body)["predictions"]
        if kind == "regressor":
            assert set(answer) == {"score"}
        else:
            assert answer["predicted_label"] == (answer["score"] >= 0.5)


def _last(log: str, regex: str) -> str:
    found = re.findall(regex, log)
    assert found, regex
    return str(found[-1])
