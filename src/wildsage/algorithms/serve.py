"""A built-in algorithm's model behind the model server: headers and bytes in, a reply out.

Statuses and texts as the first-party containers give them: an empty body is 204, a body that
cannot be read 400 `unable to evaluate payload provided`, an unknown content type 415, an unknown
Accept 406.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from wildsage.algorithms import registry, requests
from wildsage.algorithms.base import Model
from wildsage.algorithms.requests import (
    InferenceRequest,
    PayloadError,
    UnsupportedAccept,
    UnsupportedType,
)
from wildsage.algorithms.rows import Batch, Features, all_finite
from wildsage.algorithms.spec import AlgorithmSpec
from wildsage.contract.paths import Paths
from wildsage.formats.matrix import SparseMatrix
from wildsage.serving.handler import Handler, InvocationError, Reply

UNABLE = "unable to evaluate payload provided"
MAX_PAYLOAD_MB = 6


@dataclass
class ModelHandler:
    """Answers requests from one loaded model."""

    spec: AlgorithmSpec
    model: Model

    def __call__(
        self, body: bytes, content_type: str, accept: str, attributes: str | None
    ) -> Reply:
        if not body:
            return Reply(204)
        request = self._parse(content_type, accept, attributes)
        try:
            answer_type, answer = respond(self.model, body, request)
        except PayloadError as error:
            print(f"{UNABLE}: {error}", flush=True)
            raise InvocationError(400, UNABLE) from error
        return Reply(200, answer_type, answer)

    def _parse(self, content_type: str, accept: str, attributes: str | None) -> InferenceRequest:
        try:
            request = InferenceRequest.parse(self.spec, content_type, accept, attributes)
        except UnsupportedAccept as error:
            raise InvocationError(406, f"Accept type {accept} is not supported") from error
        except UnsupportedType as error:
            raise InvocationError(415, f"Unsupported content-type {content_type}") from error
        request.feature_dim = getattr(self.model, "feature_dim", None)
        return request

    def execution_parameters(self) -> dict[str, Any]:
        return {
            "MaxConcurrentTransforms": 1,
            "BatchStrategy": "MULTI_RECORD",
            "MaxPayloadInMB": MAX_PAYLOAD_MB,
        }


def respond(model: Model, body: bytes, request: InferenceRequest) -> tuple[str, bytes]:
    """(content type, body) of a model's answer; PayloadError where the body does not fit."""
    decode = getattr(model, "decode", requests.decode)
    encode = getattr(model, "encode", requests.encode)
    batch = decode(body, request)
    width = request.feature_dim
    if width is not None and hasattr(batch, "width") and batch.width != width:
        raise PayloadError(f"the model takes {width} features, the request has {batch.width}")
    if isinstance(batch, Batch) and width is not None and not _is_finite(batch.features):
        raise PayloadError("the request has missing (NaN) or infinite values")
    columns = model.predict(batch, request)
    answer_type, answer = encode(columns, request)
    return answer_type, answer


def _is_finite(features: Features) -> bool:
    return all_finite(features.data if isinstance(features, SparseMatrix) else features)


def handler(name: str, paths: Paths) -> Handler:
    """The handler of an algorithm's model in the instance's model folder.

    A program may bring its own `handler(paths)` where the model does not answer in the usual way.
    """
    program = registry.program(name)
    own = getattr(program, "handler", None)
    if own is not None:
        made: Handler = own(paths)
        return made
    return ModelHandler(registry.spec(name), program.load(paths.model))
