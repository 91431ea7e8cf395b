"""A trained Object2Vec in NumPy: encoders, comparison, scores, and the file they are kept in.

The file is a NumPy archive. `enc0_embedding` (tokens × dimensions) and the layers of each encoder:
`enc0_conv_weight_<n>` (width × inputs × outputs) for hcnn; `enc0_lstm_<n>_forward_input`, `_state`
and `_bias` (gates in the order input, forget, cell, output), and `_backward_`, for bilstm;
`enc0_projection_weight` for pooled_embedding. `mlp_weight_<n>` (inputs × outputs): the last one
gives the scores. `settings` is JSON.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from wildsage.algorithms.object2vec.pairs import Sequences

Arrays = Mapping[str, np.ndarray]
AT_ONCE = 256
ACTIVATIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "tanh": np.tanh,
    "relu": lambda values: np.maximum(values, 0),
    "linear": np.asarray,
}


def layer_count(network: str, layers: int | str) -> int:
    """What `auto` means."""
    if layers == "auto":
        return 4 if network == "hcnn" else 1
    return int(layers)


def shares(total: int, parts: int) -> list[int]:
    """A size cut into parts as equal as can be; none is zero."""
    return [max(1, total // parts + (number < total % parts)) for number in range(parts)]


def positions(lengths: np.ndarray) -> np.ndarray:
    """Row i lists the places of sequence i's tokens in a run of all, and -1 after its end."""
    width = np.arange(int(lengths.max(initial=1)))
    begins = np.cumsum(lengths) - lengths
    places: np.ndarray = np.where(width < lengths[:, None], begins[:, None] + width, -1)
    return places


@dataclass(slots=True)
class Encoder:
    """One side: `arrays` by names without the side's."""

    network: str
    enc_dim: int
    max_seq_len: int
    vocab_size: int
    arrays: dict[str, np.ndarray]

    def encode(self, sequences: Sequences) -> np.ndarray:
        """The embedding of each sequence."""
        parts = []
        for begin in range(0, len(sequences), AT_ONCE):
            rows = np.arange(begin, min(begin + AT_ONCE, len(sequences)))
            parts.append(self._encode(sequences.take(rows)))
        return np.concatenate(parts)

    def _encode(self, sequences: Sequences) -> np.ndarray:
        tokens = self.arrays["embedding"][sequences.tokens]
        encode = {"hcnn": self._hcnn, "bilstm": self._bilstm, "pooled_embedding": self._pooled}
        return encode[self.network](tokens, sequences.lengths)[:, : self.enc_dim]

    def _pooled(self, tokens: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        begins = np.cumsum(lengths) - lengths
        means = np.add.reduceat(tokens, begins, axis=0) / lengths[:, None].astype(np.float32)
        return np.asarray(means @ self.arrays["projection_weight"] + self.arrays["projection_bias"])

    def _hcnn(self, tokens: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        begins = np.cumsum(lengths) - lengths
        pooled = []
        for number in range(self._count("conv_weight_")):
            weight = self.arrays[f"conv_weight_{number}"]
            spread, inside = _spread(tokens, lengths, len(weight) // 2, (len(weight) - 1) // 2)
            convolved = sum(
                spread[offset : len(spread) - len(weight) + 1 + offset] @ weight[offset]
                for offset in range(len(weight))
            )
            tokens = np.maximum(convolved[inside] + self.arrays[f"conv_bias_{number}"], 0)
            pooled.append(np.maximum.reduceat(tokens, begins, axis=0))
        return np.hstack(pooled)

    def _bilstm(self, tokens: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        order = np.argsort(-lengths, kind="stable")
        places, falling = positions(lengths)[order], lengths[order]
        backward = np.full_like(places, -1)
        for row, length in enumerate(falling):
            backward[row, :length] = places[row, :length][::-1]
        for number in range(self._count("lstm_", "_forward_input")):
            sides = [
                self._lstm(f"lstm_{number}_{name}", tokens, falling, found)
                for name, found in (("forward", places), ("backward", backward))
            ]
            tokens = np.hstack(sides)
        pooled: np.ndarray = np.maximum.reduceat(tokens, np.cumsum(lengths) - lengths, axis=0)
        return pooled

    def _lstm(
        self, name: str, tokens: np.ndarray, lengths: np.ndarray, places: np.ndarray
    ) -> np.ndarray:
        """The states at each token, of sequences sorted by falling length."""
        taken = tokens @ self.arrays[f"{name}_input"] + self.arrays[f"{name}_bias"]
        recurrent = self.arrays[f"{name}_state"]
        size = recurrent.shape[0]
        state = np.zeros((len(lengths), size), np.float32)
        cell = np.zeros_like(state)
        states = np.zeros((len(tokens), size), np.float32)
        for step in range(places.shape[1]):
            active = int((lengths > step).sum())
            at = places[:active, step]
            gates = taken[at] + state[:active] @ recurrent
            keep = _sigmoid(gates[:, : 2 * size])
            cell[:active] = keep[:, size:] * cell[:active] + keep[:, :size] * np.tanh(
                gates[:, 2 * size : 3 * size]
            )
            state[:active] = _sigmoid(gates[:, 3 * size :]) * np.tanh(cell[:active])
            states[at] = state[:active]
        return states

    def _count(self, start: str, end: str = "") -> int:
        return sum(name.startswith(start) and name.endswith(end) for name in self.arrays)


def _sigmoid(values: np.ndarray) -> np.ndarray:
    squashed: np.ndarray = 0.5 * (1 + np.tanh(0.5 * values))
    return squashed


def _spread(
    tokens: np.ndarray, lengths: np.ndarray, before: int, after: int
) -> tuple[np.ndarray, np.ndarray]:
    """The tokens with zeros before and after each sequence, and where they were put."""
    gap = before + after
    places = np.arange(len(tokens)) + np.repeat(np.arange(len(lengths)) * gap, lengths)
    spread = np.zeros((len(tokens) + len(lengths) * gap, tokens.shape[1]), tokens.dtype)
    spread[places + before] = tokens
    return spread, places


@dataclass(slots=True)
class PairModel:
    """Both encoders, and what compares their embeddings."""

    encoders: tuple[Encoder, Encoder]
    layers: Sequence[tuple[np.ndarray, np.ndarray]]
    comparators: Sequence[str]
    activation: str
    classifies: bool

    def compare(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        parts: dict[str, list[np.ndarray]] = {
            "hadamard": [first * second],
            "concat": [first, second],
            "abs_diff": [np.abs(first - second)],
        }
        return np.hstack([part for name in self.comparators for part in parts[name]])

    def scores(self, first: Sequences, second: Sequences) -> np.ndarray:
        """Probabilities of the classes, or one number, for each pair."""
        state = self.compare(self.encoders[0].encode(first), self.encoders[1].encode(second))
        activate = ACTIVATIONS[self.activation]
        for weight, bias in self.layers[:-1]:
            state = activate(state @ weight + bias)
        weight, bias = self.layers[-1]
        state = state @ weight + bias
        if not self.classifies:
            return np.asarray(state)
        powers = np.exp(state - state.max(axis=1, keepdims=True))
        probabilities: np.ndarray = powers / powers.sum(axis=1, keepdims=True)
        return probabilities

    def save(self, path: Path) -> None:
        arrays: dict[str, np.ndarray] = {}
        one, two = self.encoders
        tied = one.arrays["embedding"] is two.arrays["embedding"]
        for side, encoder in (("enc0", one), ("enc1", two)):
            arrays |= {
                f"{side}_{name}": array
                for name, array in encoder.arrays.items()
                if not (tied and side == "enc1" and name == "embedding")
            }
        for number, (weight, bias) in enumerate(self.layers):
            arrays[f"mlp_weight_{number}"], arrays[f"mlp_bias_{number}"] = weight, bias
        arrays["settings"] = np.array(json.dumps(self._settings(tied)))
        with open(path, "wb") as file:
            np.savez(file, allow_pickle=False, **arrays)

    def _settings(self, tied: bool) -> dict[str, Any]:
        names = ("network", "enc_dim", "max_seq_len", "vocab_size")
        return {
            "encoders": [{name: getattr(e, name) for name in names} for e in self.encoders],
            "comparator_list": list(self.comparators),
            "mlp_activation": self.activation,
            "output_layer": "softmax" if self.classifies else "mean_squared_error",
            "tied_token_embedding_weight": tied,
        }

    @classmethod
    def load(cls, path: Path) -> PairModel:
        with np.load(path, allow_pickle=False) as kept:
            arrays = {name: kept[name] for name in kept.files}
        settings = json.loads(str(arrays.pop("settings")))
        if settings["tied_token_embedding_weight"]:
            arrays["enc1_embedding"] = arrays["enc0_embedding"]
        one, two = (
            Encoder(**given, arrays=_of(arrays, f"enc{number}_"))
            for number, given in enumerate(settings["encoders"])
        )
        mlp = _of(arrays, "mlp_")
        layers = [(mlp[f"weight_{n}"], mlp[f"bias_{n}"]) for n in range(len(mlp) // 2)]
        return cls(
            (one, two),
            layers,
            settings["comparator_list"],
            settings["mlp_activation"],
            settings["output_layer"] == "softmax",
        )


def _of(arrays: Arrays, start: str) -> dict[str, np.ndarray]:
    return {k.removeprefix(start): array for k, array in arrays.items() if k.startswith(start)}
