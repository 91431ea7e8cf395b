"""The handler between the model server and a model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from wildsage.algorithms import registry
from wildsage.algorithms.requests import InferenceRequest, PayloadError
from wildsage.algorithms.rows import Batch
from wildsage.algorithms.serve import ModelHandler
from wildsage.serving.handler import InvocationError


class Doubling:
    feature_dim = 2

    def predict(self, batch: Batch, request: InferenceRequest) -> dict[str, np.ndarray]:
        return {"score": batch.dense()[:, 0] * 2}


class OwnFormats(Doubling):
    """A model with formats of its own."""

    def decode(self, body: bytes, request: InferenceRequest) -> Batch:
        if body == b"bad":
            raise PayloadError("bad")
        return Batch(np.full((1, 2), len(body), np.float32))

    def encode(self, columns: Mapping[str, Any], request: InferenceRequest) -> tuple[str, bytes]:
        return "text/plain", repr(columns["score"].tolist()).encode()


HANDLER = ModelHandler(registry.spec("kmeans"), Doubling())


def test_answers() -> None:
    reply = HANDLER(b"1,2\n3,4", "text/csv", "", None)
    assert (reply.status, reply.content_type) == (200, "application/json")
    assert reply.body == b'{"predictions":[{"score":2.0},{"score":6.0}]}'
    assert HANDLER.execution_parameters()["BatchStrategy"] == "MULTI_RECORD"


def test_an_empty_body_is_no_content() -> None:
    assert HANDLER(b"", "text/csv", "", None).status == 204


@pytest.mark.parametrize(
    ("body", "content_type", "accept", "status", "text"),
    [
        (b"x", "text/csv", "", 400, "unable to evaluate payload provided"),
        (b"1,2,3", "text/csv", "", 400, "unable to evaluate payload provided"),
        (b"1,2", "image/png", "", 415, "Unsupported content-type image/png"),
        (b"1,2", "text/csv", "image/png", 406, "Accept type image/png is not supported"),
    ],
)
def test_refusals(body: bytes, content_type: str, accept: str, status: int, text: str) -> None:
    with pytest.raises(InvocationError) as caught:
        HANDLER(body, content_type, accept, None)
    assert (caught.value.status, str(caught.value)) == (status, text)


def test_what_may_be_sent_may_not_always_be_asked_for() -> None:
    handler = ModelHandler(registry.spec("ipinsights"), HANDLER.model)
    with pytest.raises(InvocationError) as caught:
        handler(b"a,192.0.2.1", "text/csv", "text/csv", None)
    assert caught.value.status == 406


def test_models_may_have_formats_of_their_own() -> None:
    handler = ModelHandler(registry.spec("kmeans"), OwnFormats())
    reply = handler(b"12345", "text/csv", "", None)
    assert (reply.content_type, reply.body) == ("text/plain", b"[10.0]")
    with pytest.raises(InvocationError):
        handler(b"bad", "text/csv", "", None)
