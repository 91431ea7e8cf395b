"""A trained topic model in NumPy: documents to topic weights, and the file it is kept in.

The file is a NumPy archive: `projection_weight` (words × topics) and `projection_bias` (words) make
the topics, softmax(projection_weight + projection_bias) over the words; `encoder_weight_0`,
`encoder_bias_0`, ... are the encoder's layers, `mean_*` and `log_sigma_*` its two heads;
`logit_scale` and `logit_shift` turn a head's output into the logits of the topic weights.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from wildsage.formats.matrix import SparseMatrix

Layer = tuple[np.ndarray, np.ndarray]


def _sigmoid(values: np.ndarray) -> np.ndarray:
    squashed: np.ndarray = 0.5 * (1 + np.tanh(0.5 * values))
    return squashed


ACTIVATIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "sigmoid": _sigmoid,
    "tanh": np.tanh,
    "relu": lambda values: np.maximum(values, 0),
}


def softmax(values: np.ndarray, axis: int = -1) -> np.ndarray:
    powers = np.exp(values - values.max(axis=axis, keepdims=True))
    shares: np.ndarray = powers / powers.sum(axis=axis, keepdims=True)
    return shares


def encoder_input(documents: SparseMatrix) -> np.ndarray:
    """What the encoder sees of the counts: logarithms, each document of unit length."""
    logs = np.log1p(documents.data)
    rows = documents.row_numbers()
    lengths = np.sqrt(np.bincount(rows, logs * logs, len(documents)))
    values: np.ndarray = (logs / np.maximum(lengths, 1e-12)[rows]).astype(np.float32)
    return values


@dataclass(slots=True)
class TopicModel:
    """All weights; `layers` are (inputs × outputs, biases)."""

    projection_weight: np.ndarray
    projection_bias: np.ndarray
    layers: Sequence[Layer]
    mean: Layer
    log_sigma: Layer
    logit_scale: np.ndarray
    logit_shift: np.ndarray
    activation: str
    vocabulary: np.ndarray | None = None

    @property
    def feature_dim(self) -> int:
        return int(self.projection_weight.shape[0])

    def topics(self) -> np.ndarray:
        """The probability of each word in each topic, topics × words."""
        return np.ascontiguousarray(
            softmax(self.projection_weight + self.projection_bias[:, None], axis=0).T
        )

    def hidden(self, documents: SparseMatrix) -> np.ndarray:
        """The output of the encoder's last layer."""
        activate = ACTIVATIONS[self.activation]
        values = SparseMatrix(
            encoder_input(documents), documents.indices, documents.indptr, documents.shape
        )
        (first, bias), *others = self.layers
        state = activate(values.dot(first) + bias)
        for weight, bias in others:
            state = activate(state @ weight + bias)
        return state

    def topic_weights(self, documents: SparseMatrix) -> np.ndarray:
        """The share of each topic in each document."""
        mean = self.hidden(documents) @ self.mean[0] + self.mean[1]
        return softmax(mean * self.logit_scale + self.logit_shift)

    def save(self, path: Path) -> None:
        arrays = {
            "projection_weight": self.projection_weight,
            "projection_bias": self.projection_bias,
            "mean_weight": self.mean[0],
            "mean_bias": self.mean[1],
            "log_sigma_weight": self.log_sigma[0],
            "log_sigma_bias": self.log_sigma[1],
            "logit_scale": self.logit_scale,
            "logit_shift": self.logit_shift,
            "activation": np.array(self.activation),
        }
        for number, (weight, bias) in enumerate(self.layers):
            arrays[f"encoder_weight_{number}"] = weight
            arrays[f"encoder_bias_{number}"] = bias
        if self.vocabulary is not None:
            arrays["vocabulary"] = self.vocabulary
        with open(path, "wb") as file:
            np.savez(file, allow_pickle=False, **arrays)

    @classmethod
    def load(cls, path: Path) -> TopicModel:
        with np.load(path, allow_pickle=False) as kept:
            count = sum(name.startswith("encoder_weight_") for name in kept.files)
            layers = [
                (kept[f"encoder_weight_{n}"], kept[f"encoder_bias_{n}"]) for n in range(count)
            ]
            return cls(
                kept["projection_weight"],
                kept["projection_bias"],
                layers,
                (kept["mean_weight"], kept["mean_bias"]),
                (kept["log_sigma_weight"], kept["log_sigma_bias"]),
                kept["logit_scale"],
                kept["logit_shift"],
                str(kept["activation"]),
                kept["vocabulary"] if "vocabulary" in kept.files else None,
            )
