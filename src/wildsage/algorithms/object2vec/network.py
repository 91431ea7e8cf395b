"""The network under training, in PyTorch: two encoders, a comparison, a perceptron.

Sequences lie one after the other, with no padding: convolutions run over all of a batch's tokens at
once, with zeros between the sequences. On a processor the encoders are those of `layers`; those
here do the same on a GPU. Linear layers of the perceptron are multiplied with each other before
they meet the batch (`_chained`): their gradients have then the rank of the output, and cost next to
nothing. What the network is given of the tables are the rows of a batch's different tokens.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from wildsage.algorithms.object2vec import kernels, layers
from wildsage.algorithms.object2vec.layers import Ragged
from wildsage.algorithms.object2vec.model import (
    Encoder,
    PairModel,
    layer_count,
    positions,
    shares,
)
from wildsage.algorithms.object2vec.pairs import Pairs

EMBEDDING_SCALE = 0.1
ACTIVATIONS: dict[str, Any] = {"tanh": torch.tanh, "relu": torch.relu}


class Convolution(torch.autograd.Function):
    """A convolution along rows: one product for each place under the filter, nothing copied."""

    @staticmethod
    def forward(ctx: Any, rows: Any, weight: Any, bias: Any) -> Any:
        ctx.save_for_backward(rows, weight)
        count = len(rows) - len(weight) + 1
        result = torch.addmm(bias, rows[:count], weight[0])
        for offset in range(1, len(weight)):
            result.addmm_(rows[offset : offset + count], weight[offset])
        return result

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        rows, weight = ctx.saved_tensors
        gradient = gradients[0].contiguous()
        count = len(gradient)
        of_rows = torch.zeros_like(rows) if ctx.needs_input_grad[0] else None
        of_weight = torch.empty_like(weight)
        for offset in range(len(weight)):
            torch.mm(rows[offset : offset + count].T, gradient, out=of_weight[offset])
            if of_rows is not None:
                of_rows[offset : offset + count].addmm_(gradient, weight[offset].T)
        return of_rows, of_weight, gradient.sum(0)


class LargestOfEach(torch.autograd.Function):
    """The largest value of each column in each group of rows, which `places` lists."""

    @staticmethod
    def forward(ctx: Any, rows: Any, places: Any) -> Any:
        largest, which = rows[places].max(1)
        ctx.chosen, ctx.shape = places.gather(1, which), rows.shape
        return largest

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        of_rows = gradients[0].new_zeros(ctx.shape)
        return of_rows.scatter_add_(0, ctx.chosen, gradients[0]), None


_convolution: Any = Convolution.apply
_largest: Any = LargestOfEach.apply


class TorchEncoder(torch.nn.Module):
    """Sequences of embeddings to one embedding each."""

    def __init__(self, side: str, settings: Mapping[str, Any], generator: torch.Generator) -> None:
        super().__init__()
        self.network = settings[f"{side}_network"]
        self.enc_dim = settings["enc_dim"]
        self.max_seq_len = settings[f"{side}_max_seq_len"]
        self.vocab_size = settings[f"{side}_vocab_size"]
        width = settings[f"{side}_token_embedding_dim"]
        layers = layer_count(self.network, settings[f"{side}_layers"])
        if self.network == "pooled_embedding":
            self.projection = torch.nn.Linear(width, self.enc_dim)
        elif self.network == "hcnn":
            self._add_convolutions(width, settings[f"{side}_cnn_filter_width"], layers)
        else:
            half = (self.enc_dim + 1) // 2
            self.lstm = torch.nn.LSTM(width, half, layers, bidirectional=True)
        _initialise(self, generator)

    def _add_convolutions(self, width: int, filter_width: int, layers: int) -> None:
        sizes = shares(self.enc_dim, layers)
        inputs = [width, *sizes[:-1]]
        self.weights = torch.nn.ParameterList(
            torch.nn.Parameter(torch.empty(filter_width, i, o))
            for i, o in zip(inputs, sizes, strict=True)
        )
        self.biases = torch.nn.ParameterList(torch.nn.Parameter(torch.zeros(o)) for o in sizes)

    def forward(self, rows: torch.Tensor, ragged: Ragged) -> torch.Tensor:
        """The embedding of each sequence; its places are among `rows`."""
        encode = self.on_gpu if rows.is_cuda else self.on_processor
        return encode(rows, ragged)[:, : self.enc_dim]

    def on_processor(self, rows: torch.Tensor, ragged: Ragged) -> torch.Tensor:
        encoded: torch.Tensor
        if self.network == "pooled_embedding":
            encoded = self.projection(layers.means(rows, ragged))
        elif self.network == "hcnn":
            pairs = zip(self.weights, self.biases, strict=True)
            encoded = layers.convolutions(rows, ragged, *(p for pair in pairs for p in pair))
        else:
            encoded = self._both_ways(rows, ragged)
        return encoded

    def _both_ways(self, rows: torch.Tensor, ragged: Ragged) -> torch.Tensor:
        places, ways = ragged.places, layers.Steps.of(ragged)
        for number in range(self.lstm.num_layers):
            found = []
            for ending, steps in zip(("", "_reverse"), ways, strict=True):
                into, recurrent, one, other = (
                    getattr(self.lstm, f"{kind}_l{number}{ending}")
                    for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
                )
                found.append(layers.lstm(rows, into, recurrent, one + other, places, steps))
            rows, places = torch.cat(found, 1), np.arange(len(places), dtype=np.int32)
        largest: torch.Tensor = layers.largest_of(rows, ragged)
        return largest

    def on_gpu(self, rows: torch.Tensor, ragged: Ragged) -> torch.Tensor:
        places = torch.from_numpy(ragged.places.astype(np.int64)).to(rows.device)
        encoded: torch.Tensor
        if self.network == "pooled_embedding":
            offsets = torch.from_numpy(ragged.offsets[:-1]).to(rows.device)
            encoded = self.projection(functional.embedding_bag(places, rows, offsets, mode="mean"))
        elif self.network == "hcnn":
            encoded = self._convolved(functional.embedding(places, rows), ragged)
        else:
            encoded = self._recurrent(functional.embedding(places, rows), ragged)
        return encoded

    def _convolved(self, tokens: torch.Tensor, ragged: Ragged) -> torch.Tensor:
        lengths, filter_width = ragged.lengths, self.weights[0].shape[0]
        gap = filter_width - 1
        before = filter_width // 2
        starts = np.arange(len(lengths)) * gap
        places = np.arange(int(lengths.sum())) + np.repeat(starts, lengths)
        device = tokens.device
        inside = torch.from_numpy(places + before).to(device)
        padded = positions(lengths)
        padded = np.where(padded < 0, padded[:, :1], padded)
        groups = torch.from_numpy(places[padded]).to(device)
        blank = tokens.new_zeros(len(places) + len(lengths) * gap, tokens.shape[1])
        state = blank.index_copy(0, inside, tokens)
        mask = tokens.new_zeros(len(state), 1)
        mask[inside] = 1
        outputs = mask[before : len(mask) - (gap - before)]
        found = []
        for weight, bias in zip(self.weights, self.biases, strict=True):
            convolved = torch.relu(_convolution(state, weight, bias)) * outputs
            found.append(_largest(convolved, groups))
            state = functional.pad(convolved, (0, 0, before, gap - before))
        return torch.cat(found, 1)

    def _recurrent(self, tokens: torch.Tensor, ragged: Ragged) -> torch.Tensor:
        lengths = torch.from_numpy(ragged.lengths)
        places = torch.from_numpy(np.maximum(positions(ragged.lengths), 0)).to(tokens.device)
        packed = torch.nn.utils.rnn.pack_padded_sequence(
            tokens[places], lengths, batch_first=True, enforce_sorted=False
        )
        states, _ = torch.nn.utils.rnn.pad_packed_sequence(
            self.lstm(packed)[0], batch_first=True, padding_value=-torch.inf
        )
        return states.amax(1)

    def export(self, embedding: np.ndarray) -> Encoder:
        """The encoder in NumPy."""
        arrays = {"embedding": embedding}
        if self.network == "pooled_embedding":
            arrays["projection_weight"] = _array(self.projection.weight.T)
            arrays["projection_bias"] = _array(self.projection.bias)
        elif self.network == "hcnn":
            for number, weight in enumerate(self.weights):
                arrays[f"conv_weight_{number}"] = _array(weight)
                arrays[f"conv_bias_{number}"] = _array(self.biases[number])
        else:
            arrays |= self._lstm_arrays()
        return Encoder(self.network, self.enc_dim, self.max_seq_len, self.vocab_size, arrays)

    def _lstm_arrays(self) -> dict[str, np.ndarray]:
        """PyTorch's gates stand as input, forget, cell, output, which is what `model` expects."""
        arrays = {}
        for number in range(self.lstm.num_layers):
            for name, ending in (("forward", ""), ("backward", "_reverse")):
                own = {
                    kind: getattr(self.lstm, f"{kind}_l{number}{ending}")
                    for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
                }
                start = f"lstm_{number}_{name}"
                arrays[f"{start}_input"] = _array(own["weight_ih"].T)
                arrays[f"{start}_state"] = _array(own["weight_hh"].T)
                arrays[f"{start}_bias"] = _array(own["bias_ih"] + own["bias_hh"])
        return arrays


def _array(tensor: torch.Tensor) -> np.ndarray:
    return np.ascontiguousarray(tensor.detach().cpu().numpy())


def _initialise(module: torch.nn.Module, generator: torch.Generator) -> None:
    """Glorot's bounds for what multiplies, zeros for what adds."""
    for parameter in module.parameters():
        if parameter.dim() < 2:
            torch.nn.init.zeros_(parameter)
            continue
        *filters, fan_in, fan_out = parameter.shape
        bound = (6 / ((fan_in + fan_out) * int(np.prod(filters)))) ** 0.5
        torch.nn.init.uniform_(parameter, -bound, bound, generator=generator)


class Network(torch.nn.Module):
    """Encoders, comparison, perceptron. The embeddings are given from outside, as two tables."""

    def __init__(self, settings: Mapping[str, Any], generator: torch.Generator) -> None:
        super().__init__()
        self.comparators: Sequence[str] = settings["comparator_list"]
        self.activation = settings["mlp_activation"]
        self.classifies = settings["output_layer"] == "softmax"
        self.dropout = settings["dropout"]
        self.generator = generator
        self.encoders = torch.nn.ModuleList(
            TorchEncoder(side, settings, generator) for side in ("enc0", "enc1")
        )
        compared = {"hadamard": 1, "concat": 2, "abs_diff": 1}
        inputs = settings["enc_dim"] * sum(compared[name] for name in self.comparators)
        outputs = settings["num_classes"] if self.classifies else 1
        sizes = [inputs, *[settings["mlp_dim"]] * settings["mlp_layers"], outputs]
        pairs = zip(sizes[:-1], sizes[1:], strict=True)
        self.layers = torch.nn.ModuleList(torch.nn.Linear(i, o) for i, o in pairs)
        _initialise(self.layers, generator)

    def encode(self, side: int, rows: torch.Tensor, ragged: Ragged) -> torch.Tensor:
        encoded: torch.Tensor = self.encoders[side](rows, ragged)
        return encoded

    def score(self, first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        """Logits, or the number that is regressed."""
        parts = {
            "hadamard": lambda: [first * second],
            "concat": lambda: [first, second],
            "abs_diff": lambda: [(first - second).abs()],
        }
        state = torch.cat([part for name in self.comparators for part in parts[name]()], 1)
        state = self._dropped(state)
        if self.activation == "linear" and not (self.dropout and self.training):
            return self._chained(state)
        *hidden, last = self.layers
        for layer in hidden:
            state = layer(state)
            if self.activation != "linear":
                state = ACTIVATIONS[self.activation](state)
            state = self._dropped(state)
        scored: torch.Tensor = last(state)
        return scored

    def _chained(self, state: torch.Tensor) -> torch.Tensor:
        """The product of all layers, from the output on, times the state."""
        layers: list[Any] = list(self.layers)
        weight, bias = layers[-1].weight, layers[-1].bias
        for layer in reversed(layers[:-1]):
            bias = bias + weight @ layer.bias
            weight = weight @ layer.weight
        return functional.linear(state, weight, bias)

    def _dropped(self, state: torch.Tensor) -> torch.Tensor:
        if not (self.dropout and self.training):
            return state
        if self.dropout == 1:
            return torch.zeros_like(state)
        kept = torch.rand(state.shape, generator=self.generator) >= self.dropout
        thinned: torch.Tensor = state * kept.to(state.device) / (1 - self.dropout)
        return thinned

    def losses(self, scores: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Each pair's loss."""
        losses: torch.Tensor
        if self.classifies:
            losses = functional.cross_entropy(scores, labels.long(), reduction="none")
        else:
            losses = torch.square(scores[:, 0] - labels)
        return losses

    def export(self, tables: Sequence[np.ndarray]) -> PairModel:
        layers: list[Any] = list(self.layers)
        encoders: list[Any] = list(self.encoders)
        one, two = (e.export(t) for e, t in zip(encoders, tables, strict=True))
        return PairModel(
            (one, two),
            [(_array(layer.weight.T), _array(layer.bias)) for layer in layers],
            list(self.comparators),
            self.activation,
            self.classifies,
        )


class Numbering:
    """The different tokens of a batch, and all its tokens as places among them."""

    def __init__(self, vocab_size: int) -> None:
        self.slots = np.full(vocab_size, -1, np.int32)

    def of(self, *tokens: np.ndarray) -> tuple[np.ndarray, list[np.ndarray]]:
        joined = np.concatenate(tokens) if len(tokens) > 1 else tokens[0]
        different, places = np.empty(len(joined), np.int64), np.empty(len(joined), np.int32)
        count = kernels.number(joined, self.slots, different, places)
        return different[:count], np.split(places, np.cumsum([len(t) for t in tokens[:-1]]))


def numbered(
    pairs: Pairs, numberings: Sequence[Numbering]
) -> tuple[list[np.ndarray], list[Ragged]]:
    """(the different tokens of each table, each side's sequences of places among them)."""
    sides = pairs.first, pairs.second
    if len(numberings) == 1:
        different, places = numberings[0].of(*(side.tokens for side in sides))
        tables = [different]
    else:
        found = [n.of(side.tokens) for n, side in zip(numberings, sides, strict=True)]
        tables = [different for different, _ in found]
        places = [one for _, (one,) in found]
    return tables, [Ragged.of(side, place) for side, place in zip(sides, places, strict=True)]


def best_device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def first_table(
    size: int, width: int, generator: torch.Generator, device: torch.device
) -> torch.Tensor:
    table = torch.empty(size, width)
    torch.nn.init.uniform_(table, -EMBEDDING_SCALE, EMBEDDING_SCALE, generator=generator)
    return table.to(device)
