"""Requests and answers to the byte, for words, texts, and models that fastText made."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from wildsage.algorithms import serve
from wildsage.algorithms.blazingtext import TextClassifier, Word2Vec
from wildsage.algorithms.blazingtext.example import themed_sentences
from wildsage.contract.paths import Paths
from wildsage.serving.handler import Handler, InvocationError

JSON, LINES = "application/json", "application/jsonlines"
SENTENCES, THEMES = themed_sentences(100)


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> Handler:
    folder = tmp_path_factory.mktemp("words")
    (folder / "model").mkdir()
    Word2Vec(vector_dim=3, min_count=1).fit(SENTENCES).save(folder / "model" / "vectors.bin")
    return serve.handler("blazingtext", Paths(folder))


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Handler:
    folder = tmp_path_factory.mktemp("texts")
    (folder / "model").mkdir()
    model = TextClassifier(vector_dim=4, min_count=1, buckets=50, learning_rate=0.5)
    # Any name will do: a model made by fastText can be hosted.
    model.fit(SENTENCES, THEMES).save(folder / "model" / "langid.bin")
    return serve.handler("blazingtext", Paths(folder))


def ask(handler: Handler, body: str, kind: str = JSON, accept: str = "") -> str:
    reply = handler(body.encode(), kind, accept, None)
    assert (reply.status, reply.content_type) == (200, kind)
    return reply.body.decode()


def test_words_get_vectors_and_unknown_ones_zeros(words: Handler) -> None:
    found = json.loads(ask(words, '{"instances": ["sea", "unheard"]}'))
    assert [list(answer) for answer in found] == [["vector", "word"]] * 2
    assert len(found[0]["vector"]) == 3 and any(found[0]["vector"])
    assert found[1] == {"vector": [0.0, 0.0, 0.0], "word": "unheard"}


def test_words_line_by_line(words: Handler) -> None:
    lines = ask(words, '{"source": "sea"}\n{"source": "unheard"}', LINES).split("\n")
    assert json.loads(lines[1]) == {"vector": [0.0, 0.0, 0.0], "word": "unheard"}


def test_texts_get_labels(texts: Handler) -> None:
    (found,) = json.loads(ask(texts, '{"instances": ["sea ship wave"]}'))
    assert list(found) == ["label", "prob"]
    assert found["label"] == ["__label__0"] and found["prob"][0] > 0.5


def test_as_many_labels_as_asked_for(texts: Handler) -> None:
    body = '{"instances": ["sea ship", "oven"], "configuration": {"k": 2}}'
    first, second = json.loads(ask(texts, body))
    assert first["label"] == ["__label__0", "__label__1"]
    assert second["label"] == ["__label__1", "__label__0"]
    assert sum(first["prob"]) == pytest.approx(1)
    lines = ask(texts, '{"source": "sea", "k": 5}\n{"source": "oven"}', LINES).split("\n")
    assert list(json.loads(lines[0])) == ["prob", "label"]
    assert [len(json.loads(line)["label"]) for line in lines] == [2, 1]


def test_the_answer_has_the_requests_content_type(texts: Handler) -> None:
    assert ask(texts, '{"source": "sea"}', LINES, accept=JSON).startswith('{"prob":[')


def test_a_text_may_have_line_ends_or_nothing(texts: Handler) -> None:
    both = json.loads(ask(texts, json.dumps({"instances": ["sea\nship", "sea ship", ""]})))
    assert both[0] == both[1]
    assert len(both[2]["label"]) == 1


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ('["sea"]', JSON),
        ('{"instances": "sea"}', JSON),
        ('{"instances": [1]}', JSON),
        ('{"instances": ["sea"], "configuration": {"k": 0}}', JSON),
        ('{"instances": ["sea"], "configuration": [2]}', JSON),
        ('{"source": 1}', LINES),
        ('{"text": "sea"}', LINES),
        ('{"source": "sea", "k": true}', LINES),
        ("not json", LINES),
    ],
)
def test_bad_requests(texts: Handler, body: str, kind: str) -> None:
    with pytest.raises(InvocationError) as caught:
        texts(body.encode(), kind, "", None)
    assert caught.value.status == 400


def test_a_damaged_model_is_not_served(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "model.bin").write_bytes(b"\0" * 100)
    with pytest.raises(ValueError, match="not a model file"):
        serve.handler("blazingtext", Paths(tmp_path))
