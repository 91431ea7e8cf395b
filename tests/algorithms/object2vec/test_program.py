"""The training job: channels, log lines, embeddings, bad input; the model behind the server."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from algorithms.object2vec.helpers_object2vec import JSONLINES, SPEC, job
from wildsage.algorithms import serve
from wildsage.algorithms.instances import Instance
from wildsage.algorithms.object2vec.example import TOKENS, lines, records
from wildsage.algorithms.object2vec.model import PairModel
from wildsage.contract.failure import ClientError
from wildsage.serving.handler import Handler, InvocationError

JSON = "application/json"


def test_writes_the_documented_lines(tmp_path: Path) -> None:
    instance = job(tmp_path)
    instance.add_channel("validation", lines(records(30, seed=1)), JSONLINES)
    instance.add_channel("test", lines(records(30, seed=2)), JSONLINES)
    instance.run(SPEC)
    for pattern in (
        r"#quality_metric: host=algo-1, epoch=0, train cross_entropy <loss>=[\d.]+$",
        r"#quality_metric: host=algo-1, epoch=1, train accuracy <score>=[\d.]+$",
        r"#quality_metric: host=algo-1, epoch=0, validation accuracy <score>=[\d.]+$",
        r"#early_stopping_criteria_metric: host=algo-1, epoch=0, criteria=loss, value=[\d.]+$",
        r"#progress_metric: host=algo-1, completed 100\.0 % of epochs$",
        r"#throughput_metric: host=algo-1, train throughput=[\d.]+ records/second$",
        r"#quality_metric: host=algo-1, validation cross_entropy <loss>=[\d.]+$",
        r"#quality_metric: host=algo-1, test accuracy <score>=[\d.]+$",
        r"#test_score \(algo-1\) : \('cross_entropy', [\d.]+\)$",
    ):
        assert re.search(pattern, instance.log, re.MULTILINE), pattern
    unmatched = [m.name for m in SPEC.metrics if not re.search(m.regex, instance.log)]
    assert all("mean_squared_error" in name for name in unmatched)


def test_regression_reports_the_mean_squared_error(tmp_path: Path) -> None:
    instance = job(tmp_path, output_layer="mean_squared_error")
    instance.add_channel("test", lines(records(30, seed=2)), JSONLINES)
    instance.run(SPEC)
    assert re.search(r"algo-1, test mean_squared_error <loss>=[\d.]+", instance.log)
    answer = ask(serve.handler("object2vec", instance.paths), {"in0": [1], "in1": [2]})
    assert len(answer[0]["scores"]) == 1


@pytest.mark.parametrize("frozen", ["true", "false"])
def test_pretrained_embeddings(tmp_path: Path, frozen: str) -> None:
    names = {"enc0_pretrained_embedding_file": "vectors.txt", "enc0_vocab_file": "vocab.json"}
    more = {"enc0_freeze_pretrained_embedding": frozen, "enc0_token_embedding_dim": 4}
    instance = job(tmp_path, **names, **more)
    rows = np.arange(TOKENS * 4).reshape(TOKENS, 4) / 50
    text = "".join(f"t{n} {' '.join(map(str, row))}\n" for n, row in enumerate(rows[:-1]))
    add_files(instance, {"vectors.txt": text, "vocab.json": json.dumps(numbers())})
    instance.run(SPEC)
    model = PairModel.load(instance.paths.model / "model_algo-1")
    for encoder in model.encoders:
        same = np.allclose(encoder.arrays["embedding"][:-1], rows[:-1], atol=1e-6)
        assert same == (frozen == "true")
        np.testing.assert_allclose(encoder.arrays["embedding"][:-1], rows[:-1], atol=0.1)


def numbers() -> dict[str, int]:
    return {f"t{n}": n for n in range(TOKENS)}


def add_files(instance: Instance, files: dict[str, str]) -> None:
    instance.add_channel("auxiliary", b"", "text/plain")
    folder = instance.paths.channel("auxiliary")
    (folder / "part-0").unlink()
    for name, text in files.items():
        (folder / name).write_text(text)


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"vocab.txt": "t0\nt1"}, "Unable to find 'vectors.txt' in data channel 'auxiliary'"),
        ({"vectors.txt": "t0 1 2"}, "Unable to find 'vocab.txt'"),
        ({"vectors.txt": "t0 1 2", "vocab.txt": "t0"}, "have 2 dimensions"),
        ({"vectors.txt": "x 1 2", "vocab.txt": "t0"}, "has no token of 'vocab.txt'"),
        ({"vectors.txt": "t0 1 x", "vocab.txt": "t0"}, "must hold a token and its vector"),
        ({"vectors.txt": "t0 1 2", "vocab.txt": '{"t0": 99}'}, "not less than vocab_size=20"),
        ({"vectors.txt": "t0 1 2", "vocab.txt": '{"t0": "a"}'}, "must give each token its number"),
    ],
)
def test_bad_embeddings_fail_the_job(tmp_path: Path, files: dict[str, str], words: str) -> None:
    names = {"enc0_pretrained_embedding_file": "vectors.txt", "enc0_vocab_file": "vocab.txt"}
    instance = job(tmp_path, **names)
    add_files(instance, files)
    with pytest.raises(ClientError, match=re.escape(words)):
        instance.run(SPEC)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('{"label": 0, "in0": [1], "in1": [20]}', 'Vocab id "20" is not less than vocab_size=20'),
        ('{"label": 0, "in0": [-1], "in1": [2]}', 'Vocab id "-1" is negative'),
        ('{"label": 2, "in0": [1], "in1": [2]}', "The label 2 is not an integer from 0 to 1"),
        ('{"label": 0.5, "in0": [1], "in1": [2]}', "The label 0.5 is not an integer from 0 to 1"),
        ('{"in0": [1], "in1": [2]}', "A line has no 'label' that is a number"),
        ('{"label": true, "in0": [1], "in1": [2]}', "A line has no 'label' that is a number"),
        ('{"label": 1, "in0": [1]}', "A line has no list of tokens named 'in1'"),
        ('{"label": 1, "in0": 1, "in1": [2]}', "A line has no list of tokens named 'in0'"),
        ('{"label": 1, "in0": [], "in1": [2]}', "A sequence of in0 is empty"),
        ('{"label": 1, "in0": [1.5], "in1": [2]}', "The tokens of in0 must be integers"),
        ('{"label": 1, "in0": ["a"], "in1": [2]}', "The tokens of in0 must be integers"),
        ('{"label": 1, "in0": [99999999999], "in1": [2]}', "A token of in0 is too large"),
        ("[1]", "A line is not a JSON object"),
        ("label,in0", "A line is not JSON"),
        ("", "Unable to read data channel 'train'"),
    ],
)
def test_bad_pairs_fail_the_job(tmp_path: Path, line: str, words: str) -> None:
    raw = {"enc0_max_seq_len": "6", "enc0_vocab_size": str(TOKENS), "epochs": "1"}
    instance = Instance(tmp_path, raw)
    instance.add_channel("train", line.encode(), JSONLINES)
    with pytest.raises(ClientError, match=re.escape(words)):
        instance.run(SPEC)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"enc1_network": "hcnn"}, "'enc1_max_seq_len', 'enc1_vocab_size' which are required"),
        ({"comparator_list": "hadamard, cosine"}, "accepts a comma-separated list"),
        ({"comparator_list": "concat, concat"}, "accepts a comma-separated list"),
        ({"enc0_layers": "5"}, "enc0_layers"),
        ({"enc0_vocab_file": "../x"}, "enc0_vocab_file"),
        ({"enc0_pretrained_embedding_file": "x"}, "A value of 'enc0_vocab_file' is required"),
        ({"tied_token_embedding_weight": "true", "enc1_vocab_size": "9"}, "must be equal when"),
        ({"token_embedding_storage_type": "row_sparse", "optimizer": "rmsprop"}, "'optimizer'"),
    ],
)
def test_bad_hyperparameters(changes: dict[str, str], words: str) -> None:
    with pytest.raises(ClientError, match=re.escape(words)):
        SPEC.validate({"enc0_max_seq_len": "6", "enc0_vocab_size": "20", **changes})


def ask(handler: Handler, *instances: Any, content_type: str = JSON) -> list[dict[str, Any]]:
    body = json.dumps({"instances": instances}).encode()
    reply = handler(body, content_type, JSON, None)
    found: list[dict[str, Any]] = json.loads(reply.body)["predictions"]
    return found


def test_answers_pairs_and_single_objects(tmp_path: Path) -> None:
    instance = job(tmp_path)
    instance.run(SPEC)
    handler = serve.handler("object2vec", instance.paths)
    pair, one, two = ask(
        handler, {"in0": [1, 2], "in1": [3]}, {"in0": [1, 2]}, {"in1": [1, 2, 3, 4, 5, 6]}
    )
    assert sum(pair["scores"]) == pytest.approx(1) and len(pair["scores"]) == 2
    assert len(one["embeddings"]) == len(two["embeddings"]) == 13
    short = f"{JSON}; infer_max_seqlens=1,2"
    assert ask(handler, {"in0": [1, 2]}, content_type=short) == ask(handler, {"in0": [1]})
    body = b'{"in0": [1, 2], "in1": [3]}\n{"in0": [1, 2]}\n'
    reply = handler(body, JSONLINES, JSONLINES, None)
    answers = [json.loads(line) for line in reply.body.splitlines()]
    assert answers[0]["scores"] == pytest.approx(pair["scores"])
    assert answers[1]["embeddings"] == pytest.approx(one["embeddings"], abs=1e-6)


@pytest.mark.parametrize(
    "body",
    [
        '{"instances": []}',
        '{"instances": [{}]}',
        '{"instances": [{"in0": []}]}',
        '{"instances": [{"in0": 1}]}',
        '{"instances": [{"in0": [20]}]}',
        '{"instances": [{"in0": ["a"]}]}',
        "[]",
        '{"instances": [1]}',
    ],
)
def test_bad_requests(tmp_path: Path, body: str) -> None:
    instance = job(tmp_path, epochs=1)
    instance.run(SPEC)
    handler = serve.handler("object2vec", instance.paths)
    with pytest.raises(InvocationError, match="unable to evaluate payload provided"):
        handler(body.encode(), JSON, JSON, None)
    with pytest.raises(InvocationError, match="unable to evaluate payload provided"):
        handler(b'{"instances":[{"in0":[1]}]}', f"{JSON};infer_max_seqlens=0,1", JSON, None)
