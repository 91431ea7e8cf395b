"""The model of an endpoint or a batch transform: bytes in, bytes out, as the container's server.

Environment: `SAGEMAKER_INFERENCE_OUTPUT` (what to tell of each prediction),
`SAGEMAKER_INFERENCE_ENSEMBLE`, `SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT`, `SAGEMAKER_BATCH`,
`MAX_CONTENT_LENGTH`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wildsage.algorithms.spec import CSV, base_type
from wildsage.algorithms.xgboost import requests, responses
from wildsage.algorithms.xgboost.log import info
from wildsage.algorithms.xgboost.names import LIBSVM_ATTRIBUTE
from wildsage.algorithms.xgboost.predicting import Ensemble, load_ensemble
from wildsage.serving.handler import InvocationError, Reply

_MAX_CONTENT_LENGTH = 6 * 1024 * 1024


@dataclass(frozen=True)
class Options:
    """What the environment says about answers."""

    output_keys: tuple[str, ...] = ()
    ensemble: bool = True
    default_accept: str = CSV
    batch: bool = False
    max_content_length: int = _MAX_CONTENT_LENGTH

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Options:
        known = os.environ if environment is None else environment
        keys = known.get("SAGEMAKER_INFERENCE_OUTPUT")
        return cls(
            tuple(keys.replace(" ", "").lower().split(",")) if keys is not None else (),
            known.get("SAGEMAKER_INFERENCE_ENSEMBLE", "true") == "true",
            known.get("SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT", CSV),
            bool(known.get("SAGEMAKER_BATCH")),
            int(known.get("MAX_CONTENT_LENGTH", _MAX_CONTENT_LENGTH)),
        )


class XGBoostHandler:
    """Answers requests from the models of one folder."""

    def __init__(self, ensemble: Ensemble, options: Options | None = None) -> None:
        self.ensemble = ensemble
        self.options = options or Options()
        booster = ensemble.first.booster
        self._as_trained = booster.attr(LIBSVM_ATTRIBUTE) is not None
        info(f"Model objective : {ensemble.first.objective}")

    @classmethod
    def load(cls, folder: Path, options: Options | None = None) -> XGBoostHandler:
        options = options or Options.from_environment()
        return cls(load_ensemble(folder, every=options.ensemble), options)

    def __call__(
        self, body: bytes, content_type: str, accept: str, attributes: str | None
    ) -> Reply:
        if not body:
            return Reply(204)
        width = self.ensemble.first.num_features
        rows = requests.decode(body, content_type, width, as_trained=self._as_trained)
        try:
            predictions = self.ensemble.predict(rows)
        except ValueError as error:
            raise InvocationError(400, f"Unable to evaluate payload provided: {error}") from error
        answer = self._accept(accept)
        return Reply(200, answer, self._encode(predictions, answer))

    def _encode(self, predictions: Any, accept: str) -> bytes:
        options, model = self.options, self.ensemble.first
        if not options.output_keys:
            return responses.encode(predictions, accept, batch=options.batch)
        keys = options.output_keys
        selected = responses.select(predictions, keys, model.objective, model.num_class)
        return responses.encode_selected(selected, keys, accept, batch=options.batch)

    def _accept(self, accept: str) -> str:
        mime = base_type(accept)
        if mime in ("", "*/*"):
            return self.options.default_accept
        if mime not in responses.ACCEPTS:
            shown = accept.partition(";")[0].strip()
            raise InvocationError(
                406,
                f"Accept type {shown} is not supported. "
                f"Please use supported accept types: {list(responses.ACCEPTS)}.",
            )
        return mime

    def execution_parameters(self) -> dict[str, Any]:
        return {
            "MaxConcurrentTransforms": os.cpu_count() or 1,
            "BatchStrategy": "MULTI_RECORD",
            "MaxPayloadInMB": self.options.max_content_length // (1024 * 1024),
        }
