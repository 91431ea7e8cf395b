"""A trained linear model: how it is written, read and asked.

The artifact `model_algo-1` is a NumPy `.npz`, which is a zip file: the arrays `weight` (features,
outputs) and `bias` (outputs,) on raw features, and the text `manifest.json` beside them.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wildsage.algorithms.linear_learner.evaluation import Evaluator
from wildsage.algorithms.linear_learner.losses import make_loss
from wildsage.algorithms.linear_learner.metrics import Figures, final_metrics
from wildsage.algorithms.linear_learner.scaling import Features, Scaler
from wildsage.algorithms.linear_learner.sources import Source

Array = NDArray[Any]
FORMAT = "wildsage-linear-learner-1"


@dataclass(slots=True)
class LinearModel:
    """`threshold` is on the margin, weight . x + bias; a manifest says it on the score as well."""

    predictor_type: str
    loss: str
    weight: Array
    bias: Array
    threshold: float = 0.0
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def feature_dim(self) -> int:
        return len(self.weight)

    def margins(self, features: Features) -> Array:
        """(rows, outputs) in float64."""
        product = (
            features.dot(self.weight)
            if not isinstance(features, np.ndarray)
            else (features.astype(np.float64) @ self.weight)
        )
        return np.asarray(product + self.bias)

    def probabilities(self, margins: Array) -> Array:
        """Scores: the positive class's probability, or one per class; margins where there are
        none."""
        if self.loss == "logistic":
            return sigmoid(margins)
        if self.loss == "softmax_loss":
            shifted = np.exp(margins - margins.max(axis=1, keepdims=True))
            return np.asarray(shifted / shifted.sum(axis=1, keepdims=True))
        return margins

    def answers(self, features: Features) -> dict[str, Array]:
        """`score` and, for classifiers, `predicted_label`, one per row."""
        margins = self.margins(features)
        scores = self.probabilities(margins).astype(np.float32)
        if self.predictor_type == "regressor":
            return {"score": scores[:, 0]}
        if self.predictor_type == "binary_classifier":
            labels = (margins[:, 0] >= self.threshold).astype(np.int64)
            return {"score": scores[:, 0], "predicted_label": labels}
        return {"score": scores, "predicted_label": margins.argmax(axis=1)}

    def metrics(self, source: Source, hyperparameters: Mapping[str, Any]) -> Figures:
        """The figures of the final log block on other rows."""
        outputs = np.vstack([self.weight, self.bias])
        width = self.feature_dim
        scaler = Scaler(np.zeros(width), np.ones(width))
        evaluator = Evaluator(source, scaler, make_loss(hyperparameters), hyperparameters)
        return final_metrics(evaluator, outputs, self.threshold)

    def manifest(self) -> dict[str, Any]:
        threshold = np.array([[self.threshold]])
        return {
            "format": FORMAT,
            "predictor_type": self.predictor_type,
            "loss": self.loss,
            "feature_dim": self.feature_dim,
            "num_classes": int(self.weight.shape[1]) if self.weight.shape[1] > 1 else None,
            "margin_threshold": self.threshold,
            "threshold": float(self.probabilities(threshold)[0, 0])
            if self.predictor_type == "binary_classifier"
            else None,
            **self.details,
        }

    def save(self, path: Path) -> None:
        np.savez(path.with_suffix(".npz"), weight=self.weight, bias=self.bias)
        path.with_suffix(".npz").replace(path)
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr("manifest.json", json.dumps(self.manifest(), indent=2))

    @classmethod
    def load(cls, path: Path) -> LinearModel:
        with np.load(path) as archive:
            manifest: Mapping[str, Any] = json.loads(archive["manifest.json"])
            if manifest.get("format") != FORMAT:
                raise ValueError(f"{path.name} is not a linear-learner model")
            return cls(
                manifest["predictor_type"],
                manifest["loss"],
                archive["weight"],
                archive["bias"],
                manifest["margin_threshold"],
            )


def sigmoid(margins: Array) -> Array:
    return np.asarray(0.5 * (1 + np.tanh(margins / 2)))
