"""ipinsights as a job and as a library: quality, hyperparameters, log, bad input, answers."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone

from algorithms.ipinsights.helpers_ipinsights import (
    SPEC,
    auc,
    csv,
    intrusions,
    job,
    model_of,
    ran,
    visits,
)
from wildsage.algorithms import serve
from wildsage.algorithms.instances import run_gang
from wildsage.algorithms.ipinsights import IPInsights, program
from wildsage.contract.failure import ClientError
from wildsage.serving.handler import InvocationError

TRAIN = csv(visits())


def asked(
    instance: Any, body: bytes, kind: str = "text/csv", accept: str = "application/json"
) -> Any:
    handler = serve.handler("ipinsights", instance.paths)
    return json.loads(handler(body, kind, accept, None).body)


def test_intruders_are_told_from_visitors(tmp_path: Path) -> None:
    ended = ran(job(tmp_path, TRAIN, epochs=10))
    scores = [
        np.array([p["dot_product"] for p in asked(ended, csv(pairs))["predictions"]])
        for pairs in (visits(200, seed=9), intrusions())
    ]
    assert auc(*scores) > 0.99
    stranger = asked(ended, b"nobody,20.0.1.1")["predictions"][0]
    assert stranger == {"dot_product": 0.0}


ACTING: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    # name: (its change, what else is set in both jobs)
    "num_entity_vectors": ({"num_entity_vectors": 3}, {}),
    "vector_dim": ({"vector_dim": 4}, {}),
    "epochs": ({"epochs": 3}, {}),
    "learning_rate": ({"learning_rate": 0.01}, {}),
    "mini_batch_size": ({"mini_batch_size": 50}, {}),
    "num_ip_encoder_layers": ({"num_ip_encoder_layers": 2}, {}),
    "random_negative_sampling_rate": ({"random_negative_sampling_rate": 3}, {}),
    "shuffled_negative_sampling_rate": ({"shuffled_negative_sampling_rate": 3}, {}),
    "weight_decay": ({"weight_decay": 0.1}, {}),
}


@pytest.mark.parametrize("name", ACTING)
def test_every_hyperparameter_acts(name: str, tmp_path: Path) -> None:
    change, both = ACTING[name]
    first = ran(job(tmp_path / "a", TRAIN[:4000], **both))
    second = ran(job(tmp_path / "b", TRAIN[:4000], **both, **change))
    one, other = (
        asked(i, TRAIN[:100].rpartition(b"\n")[0])["predictions"] for i in (first, second)
    )
    assert abs(one[0]["dot_product"] - other[0]["dot_product"]) > 1e-4


def test_all_that_is_declared_is_tested_to_act() -> None:
    visible = {p.name for p in SPEC.hyperparameters if not p.hidden}
    assert visible - {"batch_metrics_publish_interval"} == set(ACTING)


def test_the_sum_of_the_rates_is_checked() -> None:
    given = {"num_entity_vectors": "9", "vector_dim": "8"}
    for random, shuffled in ((0, 0), (300, 300)):
        rates = {
            "random_negative_sampling_rate": str(random),
            "shuffled_negative_sampling_rate": str(shuffled),
        }
        with pytest.raises(ClientError, match="must be between 1 and 500"):
            SPEC.validate(given | rates)


def test_the_log_to_the_byte(tmp_path: Path) -> None:
    ended = ran(
        job(tmp_path, TRAIN, validation=csv(visits(100, 3)), batch_metrics_publish_interval=4)
    )
    number = r"\d+\.\d+(e-\d+)?"
    for epoch in (0, 1):
        for line in (
            rf"epoch={epoch}, batch=4 train binary_classification_accuracy <score>={number}",
            rf"epoch={epoch}, batch=8 train binary_classification_cross_entropy <loss>={number}",
            rf"epoch={epoch}, train binary_classification_cross_entropy <loss>={number}",
            rf"epoch={epoch}, validation discriminator_auc <score>={number}",
        ):
            assert re.search(rf"INFO \d+\] #quality_metric: host=algo-1, {line}\n", ended.log), line
    for metric in SPEC.metric_definitions():
        assert re.search(metric["Regex"], ended.log), metric
    values = re.findall(r"discriminator_auc <score>=(\S+)", ended.log)
    assert float(values[-1]) > 0.9


def test_more_pairs_than_are_kept_are_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = ran(job(tmp_path / "a", TRAIN, epochs=4))
    monkeypatch.setattr(program.PairSource.__init__, "__defaults__", (10,))
    again = ran(job(tmp_path / "b", TRAIN, epochs=4))
    assert (model_of(kept).prefix_keys == model_of(again).prefix_keys).all()
    assert again.log.count("#throughput_metric") == 4


def test_two_instances(tmp_path: Path) -> None:
    test = csv(visits(100, 3))
    gang = [
        job(tmp_path / host, csv(visits(500, seed)), validation=test, host=host, epochs=4)
        for host, seed in (("algo-1", 0), ("algo-2", 7))
    ]
    run_gang(SPEC, gang)
    values = re.findall(r"host=(\S+), epoch=3, validation discriminator_auc <score>=(\S+)",
                        gang[0].log)  # fmt: skip
    assert {host for host, _ in values} == {"algo-1", "algo-2"}
    assert all(float(value) > 0.9 for _, value in values)
    assert not gang[1].paths.model.exists()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "Please verify the correct data channel configuration is provided"),
        (b"\n\n", "Please verify the correct data channel configuration is provided"),
        (b"anna,1.2.3.4\nbob\n", "in line 2 there are not two columns"),
        (b"anna,1.2.3.4\n\n,1.1.1.1", "in line 3 the entity is missing"),
        (b"entity,address\n", "in line 1 the second column is not an IPv4 address"),
        (b"\xff\x00\x01,\x02\n", "in line 1 the second column is not an IPv4 address"),
    ],
)
def test_bad_lines(content: bytes, words: str, tmp_path: Path) -> None:
    with pytest.raises(ClientError) as raised:
        ran(job(tmp_path, content))
    assert "Unable to read data channel 'train'" in raised.value.text
    assert words in raised.value.text


def test_answers_in_every_form(tmp_path: Path) -> None:
    ended = ran(job(tmp_path, TRAIN))
    pair = list(visits(1)[0])
    forms = {
        "text/csv": f'"{pair[0]}",{pair[1]}\n'.encode(),
        "application/json": json.dumps({"instances": [{"features": pair}]}).encode(),
        "application/jsonlines": json.dumps({"data": {"features": {"values": pair}}}).encode(),
    }
    plain = [asked(ended, body, kind)["predictions"] for kind, body in forms.items()]
    assert plain[0] == plain[1] == plain[2]
    verbose = asked(ended, forms["text/csv"], accept="application/json;verbose=True")
    (answer,) = verbose["predictions"]
    assert set(answer) == {"dot_product", "entity_embedding", "ip_embedding"}
    product = np.dot(answer["entity_embedding"], answer["ip_embedding"])
    assert product == pytest.approx(answer["dot_product"], rel=1e-4)
    line = asked(ended, forms["text/csv"], accept="application/jsonlines")
    assert line == plain[0][0]


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("text/csv", b"anna;1.2.3.4"),
        ("text/csv", b"anna,1.2.3.400"),
        ("application/json", b'{"instances": [{"features": ["anna"]}]}'),
        ("application/json", b'{"instances": [{"features": ["anna", 7]}]}'),
        ("application/json", b'{"nothing": 1}'),
        ("application/json", b"[1]"),
        ("application/jsonlines", b"{"),
    ],
)
def test_bad_requests(kind: str, body: bytes, tmp_path: Path) -> None:
    handler = serve.handler("ipinsights", ran(job(tmp_path, csv(visits(100)))).paths)
    with pytest.raises(InvocationError) as raised:
        handler(body, kind, "application/json", None)
    assert raised.value.status == 400


# --- the library ---------------------------------------------------------------------------------


def test_the_library() -> None:
    given: dict[str, Any] = {"epochs": 8, "mini_batch_size": 100, "learning_rate": 0.02}
    made = clone(IPInsights(1000, 8, **given)).fit(visits())
    again = IPInsights(1000, 8, **given).fit(np.array(visits()))
    usual, unusual = visits(200, seed=9), intrusions()
    assert auc(made.score_samples(usual), made.score_samples(unusual)) > 0.99
    assert (made.score_samples(usual) == again.score_samples(usual)).all()
    assert made.predict(usual).mean() > 0.7 and made.predict(unusual).mean() < -0.7
    entities, addresses = made.embed(usual)
    assert (entities * addresses).sum(axis=1) == pytest.approx(made.score_samples(usual), abs=1e-4)
    assert len(made.history_) == 8


def test_wrong_input() -> None:
    with pytest.raises(ValueError, match="Expected rows of an entity and an address"):
        IPInsights().fit(["anna"])
    with pytest.raises(ValueError, match=r"'1\.2\.3' is not an IPv4 address"):
        IPInsights().fit([("anna", "1.2.3")])
    with pytest.raises(ValueError, match="for the 'vector_dim' hyperparameter"):
        IPInsights(vector_dim=2).fit(visits(5))
    with pytest.raises(ValueError, match="not fitted yet"):
        IPInsights().score_samples(visits(5))
