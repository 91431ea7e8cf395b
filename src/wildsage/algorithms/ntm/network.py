"""The network under training, in PyTorch: encoder, latent logits, mixture of topics.

A document's words go through an encoder whose first layer reads only the words that occur; its two
heads are the mean and the log deviation of a normal variable, which scale and shift turn into the
logits of the topic weights. Words come from the mixture of the topics. Both products with the
vocabulary are sparse, forward and backward: a step costs what the documents' words cost, and one
softmax per topic.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from wildsage.algorithms.descent import Descent
from wildsage.algorithms.ntm import kernels
from wildsage.algorithms.ntm.model import TopicModel, encoder_input
from wildsage.algorithms.ntm.starting import Start
from wildsage.formats.matrix import SparseMatrix

# The encoder sees half of the words that it is to explain, so that it does not learn by heart.
SEEN = 0.5
# The share of a word's overall frequency that the bias takes: topics rank words by relevance
# (Sievert and Shirley, 2014) rather than by probability, which common words lead.
RELEVANCE = 0.4
SIGMOID_GAIN = 4.0
# The share of chance in the encoder's inner layers, which begin by passing topics on.
CHANCE = 0.1
# Near the prior's deviation, or the first divergence is so large that topics are given up for it.
FIRST_LOG_SIGMA = -0.3
ACTIVATIONS = {"sigmoid": torch.sigmoid, "tanh": torch.tanh, "relu": torch.relu}


@dataclass(slots=True)
class Batch:
    """Documents; `counts` and `values`, what the encoder sees, are of each word that occurs."""

    indptr: np.ndarray
    indices: np.ndarray
    counts: torch.Tensor
    values: torch.Tensor
    by_word: ByWord | None

    @classmethod
    def of(cls, documents: SparseMatrix, device: torch.device) -> Batch:
        return cls(
            documents.indptr.astype(np.int64, copy=False),
            documents.indices.astype(np.int32, copy=False),
            torch.from_numpy(documents.data.astype(np.float32)).to(device),
            torch.from_numpy(encoder_input(documents)).to(device),
            None if device.type == "cpu" else ByWord.of(documents, device),
        )

    def __len__(self) -> int:
        return len(self.indptr) - 1


@dataclass(slots=True)
class ByWord:
    """What a GPU needs: documents by row and, for the gradients, by word."""

    words: torch.Tensor
    offsets: torch.Tensor
    rows: torch.Tensor
    order: torch.Tensor
    word_rows: torch.Tensor
    word_offsets: torch.Tensor

    @classmethod
    def of(cls, documents: SparseMatrix, device: torch.device) -> ByWord:
        words = documents.indices.astype(np.int64)
        rows = documents.row_numbers()
        order = np.argsort(words, kind="stable")
        ends = np.cumsum(np.bincount(words, minlength=documents.shape[1]))

        def tensor(array: np.ndarray) -> torch.Tensor:
            return torch.from_numpy(np.ascontiguousarray(array)).to(device)

        return cls(
            tensor(words),
            tensor(documents.indptr[:-1].astype(np.int64)),
            tensor(rows),
            tensor(order),
            tensor(rows[order]),
            tensor(np.concatenate(([0], ends[:-1]))),
        )


def _sums(index: torch.Tensor, table: torch.Tensor, offsets: torch.Tensor, by: Any) -> torch.Tensor:
    """The sum of `by` times the table's rows, for each run of the index."""
    summed: torch.Tensor = functional.embedding_bag(
        index, table, offsets, mode="sum", per_sample_weights=by
    )
    return summed


def _numpy(tensor: torch.Tensor) -> np.ndarray:
    array: np.ndarray = tensor.detach().contiguous().numpy()
    return array


class SparseProduct(torch.autograd.Function):
    """Documents × weight."""

    @staticmethod
    def forward(ctx: Any, weight: Any, values: Any, batch: Batch) -> Any:
        ctx.batch, ctx.values, ctx.shape = batch, values, weight.shape
        if batch.by_word is not None:
            return _sums(batch.by_word.words, weight, batch.by_word.offsets, values)
        result = weight.new_empty(len(batch), weight.shape[1])
        told = _numpy(values), _numpy(weight), result.numpy()
        kernels.product(batch.indptr, batch.indices, *told)
        return result

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        batch, by_word, gradient = ctx.batch, ctx.batch.by_word, gradients[0].contiguous()
        if by_word is not None:
            values = ctx.values[by_word.order]
            return _sums(by_word.word_rows, gradient, by_word.word_offsets, values), None, None
        of_weight = gradient.new_empty(ctx.shape)
        told = _numpy(ctx.values), gradient.numpy(), of_weight.numpy()
        kernels.product_back(batch.indptr, batch.indices, *told)
        return of_weight, None, None


class Mixture(torch.autograd.Function):
    """The probability of each word that occurs: topic weights × topics, at the occurring words."""

    @staticmethod
    def forward(ctx: Any, weights: Any, topics: Any, batch: Batch) -> Any:
        ctx.batch = batch
        ctx.save_for_backward(weights, topics)
        if batch.by_word is not None:
            return (weights[batch.by_word.rows] * topics[batch.by_word.words]).sum(1)
        likely = torch.empty_like(batch.counts)
        told = _numpy(weights), _numpy(topics), likely.numpy()
        kernels.mixture(batch.indptr, batch.indices, *told)
        return likely

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        (weights, topics), batch = ctx.saved_tensors, ctx.batch
        by_word, gradient = batch.by_word, gradients[0]
        if by_word is not None:
            of_weights = _sums(by_word.words, topics, by_word.offsets, gradient)
            values = gradient[by_word.order]
            of_topics = _sums(by_word.word_rows, weights, by_word.word_offsets, values)
            return of_weights, of_topics, None
        of_weights = torch.empty_like(weights, memory_format=torch.contiguous_format)
        of_topics = torch.empty_like(topics, memory_format=torch.contiguous_format)
        told = (_numpy(tensor) for tensor in (gradient, weights, topics, of_weights, of_topics))
        kernels.mixture_back(batch.indptr, batch.indices, *told)
        return of_weights, of_topics, None


_product: Any = SparseProduct.apply
_mixture: Any = Mixture.apply


class Network(torch.nn.Module):
    """Encoder and topics. `forward` gives each document's reconstruction loss and divergence."""

    bias: torch.Tensor

    def __init__(
        self,
        words: int,
        topics: int,
        sizes: Sequence[int],
        activation: str,
        batch_norm: bool,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.activation = activation
        self.generator = generator
        gain = SIGMOID_GAIN if activation == "sigmoid" else 1.0
        self.first = torch.nn.Parameter(torch.randn(words, sizes[0], generator=generator))
        self.first_bias = torch.nn.Parameter(torch.zeros(sizes[0]))
        pairs = zip(sizes[:-1], sizes[1:], strict=True)
        self.others = torch.nn.ModuleList(self._linear(i, o, gain) for i, o in pairs)
        self.mean = self._linear(sizes[-1], topics, 1.0)
        self.log_sigma = self._linear(sizes[-1], topics, 0.1)
        self.weight = torch.nn.Parameter(torch.zeros(words, topics))
        self.scale = torch.nn.Parameter(torch.ones(topics))
        self.shift = torch.nn.Parameter(torch.zeros(topics))
        self.register_buffer("bias", torch.zeros(words))
        norms = [torch.nn.BatchNorm1d(size) for size in sizes] if batch_norm else []
        self.norms = torch.nn.ModuleList(norms)

    def _linear(self, inputs: int, outputs: int, gain: float) -> torch.nn.Linear:
        layer = torch.nn.Linear(inputs, outputs)
        torch.nn.init.xavier_uniform_(layer.weight, gain=gain, generator=self.generator)
        torch.nn.init.zeros_(layer.bias)
        return layer

    @property
    def device(self) -> torch.device:
        return self.first.device

    def begin(self, start: Start, scale: np.ndarray, shift: np.ndarray) -> None:
        """Take over topics, and word weights that tell of them."""
        bias = RELEVANCE * np.log(start.frequencies)
        with torch.no_grad():
            self.bias.copy_(torch.from_numpy(bias))
            self.weight.copy_(torch.from_numpy(np.log(start.topics) - bias[:, None]))
            self.scale.copy_(torch.from_numpy(scale))
            self.shift.copy_(torch.from_numpy(shift))
            self._begin_first(start.topics)
            self._begin_others(start.topics.shape[1])

    def take_topics(self, topics: np.ndarray) -> None:
        """Words × topics, columns that add up to one, in place of its own."""
        with torch.no_grad():
            logs = torch.from_numpy(np.log(topics)).to(self.device)
            self.weight.copy_(logs - self.bias[:, None])

    def _begin_first(self, topics: np.ndarray) -> None:
        """What a word says about the topics, once at half and once at full strength."""
        count, width = topics.shape[1], self.first.shape[1]
        told = np.log(topics / topics.sum(axis=1, keepdims=True) + 0.3 / count)
        told -= told.mean(axis=1, keepdims=True)
        told /= max(float(told.std()), 1e-6)
        known = torch.from_numpy(told.astype(np.float32))
        if width < count:
            mixing = torch.randn(count, width, generator=self.generator) / count**0.5
            self.first.copy_(known @ mixing)
            return
        for number, strength in enumerate((0.5, 1.0)[: width // count]):
            self.first[:, number * count : (number + 1) * count] = strength * known

    def _begin_others(self, topics: int) -> None:
        """What the first layer says about each topic is passed on to the mean of this topic."""
        gain, middle = (SIGMOID_GAIN, 0.5) if self.activation == "sigmoid" else (1.0, 0.0)
        inner: list[Any] = list(self.others)
        for layer in inner:
            layer.weight.mul_(CHANCE)
        for layer in (*inner, self.mean):
            for number in range(min(layer.weight.shape) // topics):
                block = slice(number * topics, (number + 1) * topics)
                layer.weight[block, block].diagonal().add_(gain)
            layer.bias.copy_(-middle * layer.weight.sum(1))

    def encode(self, batch: Batch, values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and log deviation of the latent variable."""
        activate = ACTIVATIONS[self.activation]
        state = _product(self.first, values, batch) + self.first_bias
        norms: list[Any] = list(self.norms)
        state = activate(norms[0](state) if norms else state)
        for number, layer in enumerate(self.others):
            state = layer(state)
            state = activate(norms[number + 1](state) if norms else state)
        return self.mean(state), self.log_sigma(state).clamp(-8.0, 4.0)

    def forward(self, batch: Batch, values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(reconstruction loss, divergence) of the batch, in nats."""
        mean, log_sigma = self.encode(batch, values)
        sigma = log_sigma.exp()
        noise = torch.randn(mean.shape, generator=self.generator).to(mean.device)
        logits = (mean + sigma * noise) * self.scale + self.shift
        topics = torch.softmax(self.weight + self.bias[:, None], 0)
        likely = _mixture(torch.softmax(logits, 1), topics, batch)
        loss = -(batch.counts * torch.log(likely + 1e-12)).sum()
        divergence = 0.5 * (mean * mean + sigma * sigma - 1 - 2 * log_sigma).sum()
        return loss, divergence

    def thinned(self, batch: Batch) -> torch.Tensor:
        """What the encoder sees while it learns: some of the words."""
        seen = torch.rand(batch.values.shape, generator=self.generator) < SEEN
        return batch.values * seen.to(batch.values.device) / SEEN

    def export(self) -> TopicModel:
        """The weights in NumPy, batch normalisation folded into its layers."""

        def array(tensor: torch.Tensor) -> np.ndarray:
            return np.ascontiguousarray(tensor.detach().cpu().numpy()).astype(np.float32)

        def layer(linear: Any) -> tuple[np.ndarray, np.ndarray]:
            return array(linear.weight.T), array(linear.bias)

        layers = [(array(self.first), array(self.first_bias)), *map(layer, self.others)]
        norms: list[Any] = list(self.norms)
        for number, norm in enumerate(norms):
            factor = array(norm.weight / torch.sqrt(norm.running_var + norm.eps))
            weight, bias = layers[number]
            moved = (bias - array(norm.running_mean)) * factor + array(norm.bias)
            layers[number] = (weight * factor, moved)
        return TopicModel(
            array(self.weight),
            array(self.bias),
            layers,
            layer(self.mean),
            layer(self.log_sigma),
            array(self.scale),
            array(self.shift),
            self.activation,
        )


def best_device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def descent_of(kind: str, parameters: Any, rate: float, decay: float) -> Descent:
    """Adadelta's rate is in thousandths: the documented default, 0.001, is its usual step of 1."""
    return Descent(kind, list(parameters), rate * 1000 if kind == "adadelta" else rate, decay)
