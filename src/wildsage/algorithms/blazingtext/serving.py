"""Answers to inference requests: vectors for words, labels for texts.

A JSON request is `{"instances": ["...", ...], "configuration": {"k": 2}}`, its answer a list of
objects. JSON lines have `{"source": "...", "k": 2}` each. The answer has the request's content
type.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson

from wildsage.algorithms.blazingtext.classifier import TextClassifier
from wildsage.algorithms.blazingtext.word2vec import Word2Vec
from wildsage.algorithms.requests import InferenceRequest, PayloadError, as_objects
from wildsage.algorithms.spec import JSONLINES

Columns = Mapping[str, np.ndarray | list[Any]]


@dataclass(frozen=True, slots=True)
class Question:
    """The instances of a request, and how many labels each wants."""

    instances: list[str]
    counts: list[int]

    def __len__(self) -> int:
        return len(self.instances)


def decode(body: bytes, request: InferenceRequest) -> Question:
    try:
        if request.content_type == JSONLINES:
            return _decode_lines(body)
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise PayloadError(str(error)) from error
    if not isinstance(document, dict) or not isinstance(document.get("instances"), list):
        raise PayloadError("a JSON request is an object with a list of 'instances'")
    configuration = document.get("configuration") or {}
    if not isinstance(configuration, dict):
        raise PayloadError("'configuration' is an object")
    instances = [_text(instance) for instance in document["instances"]]
    return Question(instances, [_count(configuration.get("k", 1))] * len(instances))


def _decode_lines(body: bytes) -> Question:
    objects = [orjson.loads(line) for line in body.splitlines() if line.strip()]
    if not all(isinstance(item, dict) and "source" in item for item in objects):
        raise PayloadError("each line is an object with a 'source'")
    return Question(
        [_text(item["source"]) for item in objects], [_count(item.get("k", 1)) for item in objects]
    )


def _text(instance: Any) -> str:
    if not isinstance(instance, str):
        raise PayloadError("an instance is a text")
    return instance


def _count(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise PayloadError("'k' is a positive integer")
    return value


def encode(columns: Columns, request: InferenceRequest) -> tuple[str, bytes]:
    objects = as_objects(columns)
    if request.accept == JSONLINES:
        return request.accept, b"\n".join(map(orjson.dumps, objects))
    return request.accept, orjson.dumps(objects)


class WordModel:
    """A vector for each word: zeros for unknown ones, unless subwords were learned."""

    decode = staticmethod(decode)
    encode = staticmethod(encode)

    def __init__(self, words: Word2Vec) -> None:
        self.words = words

    def predict(self, question: Any, request: InferenceRequest) -> Columns:
        return {"vector": self.words.transform(question.instances), "word": question.instances}


class TextModel:
    """The most probable labels of each text."""

    decode = staticmethod(decode)
    encode = staticmethod(encode)

    def __init__(self, texts: TextClassifier) -> None:
        self.texts = texts

    def predict(self, question: Any, request: InferenceRequest) -> Columns:
        found = self.texts.top(question.instances, question.counts)
        labels, chances = [pair[0] for pair in found], [pair[1] for pair in found]
        if request.accept == JSONLINES:
            return {"prob": chances, "label": labels}
        return {"label": labels, "prob": chances}
