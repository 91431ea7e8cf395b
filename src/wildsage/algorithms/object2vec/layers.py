"""The encoders' layers on a processor: forward and back by hand, between products and kernels.

The products are PyTorch's; what lies between them is done by `kernels`, in place, in one pass. A
token that occurs many times in a batch meets the first weights once. `network` has the same layers
out of PyTorch's own parts, for GPUs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from wildsage.algorithms.object2vec import kernels, winograd
from wildsage.algorithms.object2vec.pairs import Sequences

Array = np.ndarray


@dataclass(slots=True)
class Ragged:
    """Sequences of places in a table of embeddings."""

    places: Array
    offsets: Array

    @classmethod
    def of(cls, sequences: Sequences, places: Array) -> Ragged:
        return cls(places, sequences.offsets)

    @property
    def lengths(self) -> Array:
        return np.diff(self.offsets)

    def __len__(self) -> int:
        return len(self.offsets) - 1


class Means(torch.autograd.Function):
    """The mean of each sequence's rows."""

    @staticmethod
    def forward(ctx: Any, rows: Any, ragged: Ragged) -> Any:
        ctx.ragged, ctx.shape = ragged, rows.shape
        result = rows.new_empty(len(ragged), rows.shape[1])
        kernels.means(_numpy(rows), ragged.places, ragged.offsets, result.numpy())
        return result

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        of_rows = gradients[0].new_empty(ctx.shape)
        gradient = _numpy(gradients[0])
        kernels.means_back(gradient, ctx.ragged.places, ctx.ragged.offsets, of_rows.numpy())
        return of_rows, None


class Convolutions(torch.autograd.Function):
    """Layers of convolution and relu, the largest values of each; weights and biases in turn."""

    @staticmethod
    def forward(ctx: Any, rows: Any, ragged: Ragged, *parameters: Any) -> Any:
        weights, biases = parameters[::2], parameters[1::2]
        filters = len(weights[0])
        gap, before = filters - 1, filters // 2
        count = len(ragged.places) + len(ragged) * gap
        count += count % 2  # `winograd` takes rows by two
        states: list[Any] = []
        chosen, found = [], []
        for number, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
            buffer = rows.new_empty(count, weight.shape[2])
            buffer[-1] = 0
            if number:
                _convolve(states[-1], weight, buffer[before : before + count - gap])
            else:
                spread = (rows @ _beside(weight)).view(len(rows), filters, -1).numpy()
                kernels.gather(spread, ragged.places, ragged.offsets, before, buffer.numpy())
            largest = rows.new_empty(len(ragged), weight.shape[2])
            where = np.empty(largest.shape, np.int32)
            kernels.activate(
                buffer.numpy(),
                _numpy(bias),
                ragged.offsets,
                gap,
                before,
                largest.numpy(),
                where,
            )
            states.append(buffer)
            chosen.append(where)
            found.append(largest)
        ctx.ragged, ctx.states, ctx.chosen = ragged, states, chosen
        ctx.save_for_backward(rows, *weights)
        return torch.cat(found, 1)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        rows, *weights = ctx.saved_tensors
        ragged: Ragged = ctx.ragged
        filters = len(weights[0])
        gap, before = filters - 1, filters // 2
        parts = gradients[0].split([weight.shape[2] for weight in weights], 1)
        answers: list[Any] = []
        above = torch.zeros_like(ctx.states[-1])
        for number in reversed(range(len(weights))):
            of_bias = torch.empty(weights[number].shape[2])
            kernels.activate_back(
                above.numpy(),
                ctx.states[number].numpy(),
                _numpy(parts[number]),
                ctx.chosen[number],
                of_bias.numpy(),
            )
            if number:
                inner = above[before : before + len(above) - gap]
                of_weight, above = _convolve_back(ctx.states[number - 1], weights[number], inner)
            else:
                of_spread = rows.new_empty(len(rows), filters, above.shape[1])
                places, offsets = ragged.places, ragged.offsets
                kernels.gather_back(above.numpy(), places, offsets, before, of_spread.numpy())
                flat = of_spread.view(len(rows), -1)
                of_weight = (rows.T @ flat).view(rows.shape[1], filters, -1).permute(1, 0, 2)
                of_rows = flat @ _beside(weights[0]).T
            answers[:0] = [of_weight, of_bias]
        return of_rows, None, *answers


def _beside(weight: torch.Tensor) -> torch.Tensor:
    """The filter's places beside each other: inputs × (places · outputs)."""
    return weight.permute(1, 0, 2).reshape(weight.shape[1], -1)


def _convolve(rows: torch.Tensor, weight: torch.Tensor, result: torch.Tensor) -> None:
    if winograd.suits(weight):
        winograd.convolve(rows, weight, result)
        return
    torch.mm(rows[: len(result)], weight[0], out=result)
    for offset in range(1, len(weight)):
        result.addmm_(rows[offset : offset + len(result)], weight[offset])


def _convolve_back(
    rows: torch.Tensor, weight: torch.Tensor, gradient: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    if winograd.suits(weight):
        return winograd.convolve_back(rows, weight, gradient)
    of_weight, of_rows = torch.empty_like(weight), torch.zeros_like(rows)
    for offset in range(len(weight)):
        part = slice(offset, offset + len(gradient))
        torch.mm(rows[part].T, gradient, out=of_weight[offset])
        of_rows[part].addmm_(gradient, weight[offset].T)
    return of_weight, of_rows


class LargestOf(torch.autograd.Function):
    """The largest value of each column in each sequence's rows."""

    @staticmethod
    def forward(ctx: Any, rows: Any, ragged: Ragged) -> Any:
        largest = rows.new_empty(len(ragged), rows.shape[1])
        where = np.empty(largest.shape, np.int32)
        kernels.largest_of(_numpy(rows), ragged.offsets, largest.numpy(), where)
        ctx.where, ctx.shape = torch.from_numpy(where.astype(np.int64)), rows.shape
        return largest

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        of_rows = gradients[0].new_zeros(ctx.shape)
        return of_rows.scatter_(0, ctx.where, gradients[0]), None


@dataclass(slots=True)
class Steps:
    """One direction through sequences, those of falling length first, all of a step together.

    Token n of that order is the ragged one `tokens[n]`; step t is `begins[t]` to `begins[t + 1]`.
    """

    tokens: Array
    begins: Array

    @classmethod
    def of(cls, ragged: Ragged) -> tuple[Steps, Steps]:
        """Forward and backward."""
        lengths = ragged.lengths
        falling = np.argsort(-lengths, kind="stable")
        steps = np.arange(int(lengths.max(initial=1)))[:, None]
        there = steps < lengths[falling]
        begins = np.concatenate(([0], np.cumsum(there.sum(axis=1))))
        first, last = ragged.offsets[falling], ragged.offsets[falling + 1] - 1
        return cls((first + steps)[there], begins), cls((last - steps)[there], begins)

    def blocks(self) -> list[tuple[int, int]]:
        edges = self.begins.tolist()
        return list(zip(edges[:-1], edges[1:], strict=True))

    def before(self) -> Array:
        """The token before each one, from the second step on."""
        counts = np.diff(self.begins)[1:]
        shift = np.repeat(self.begins[1:-1] - self.begins[:-2], counts)
        previous: Array = np.arange(self.begins[1], self.begins[-1]) - shift
        return previous


class Lstm(torch.autograd.Function):
    """An LSTM's states at all tokens, in one direction. Weights as PyTorch has them."""

    @staticmethod
    def forward(
        ctx: Any, rows: Any, into: Any, recurrent: Any, bias: Any, places: Array, steps: Steps
    ) -> Any:
        size = recurrent.shape[1]
        order = torch.from_numpy(places[steps.tokens].astype(np.int64))
        gates = torch.addmm(bias, rows, into.T).index_select(0, order)
        cells, squashed, states = (rows.new_empty(len(order), size) for _ in range(3))
        arrays = gates.numpy(), cells.numpy(), squashed.numpy(), states.numpy()
        held, last = np.zeros((int(steps.begins[1]), size), np.float32), 0
        for begin, end in steps.blocks():
            if begin:
                gates[begin:end].addmm_(states[last : last + end - begin], recurrent.T)
                held = arrays[1][last : last + end - begin]
            let_through, cell, tanh, state = (array[begin:end] for array in arrays)
            kernels.lstm_step(let_through, cell, tanh, state, held)
            last = begin
        ctx.places, ctx.steps, ctx.arrays = order, steps, (gates, cells, squashed, states)
        ctx.save_for_backward(rows, into, recurrent)
        result = torch.empty_like(states)
        result[torch.from_numpy(steps.tokens)] = states
        return result

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        rows, into, recurrent = ctx.saved_tensors
        gates, cells, squashed, states = ctx.arrays
        steps: Steps = ctx.steps
        above = gradients[0].index_select(0, torch.from_numpy(steps.tokens))
        later = above.new_zeros(int(steps.begins[1]), above.shape[1])
        arrays = [tensor.numpy() for tensor in (gates, squashed, cells, above, later)]
        _through_time(arrays, gates, later, recurrent, steps)
        known = states.index_select(0, torch.from_numpy(steps.before()))
        of_recurrent = gates[int(steps.begins[1]) :].T @ known
        of_spread = gates.new_zeros(len(rows), gates.shape[1])
        kernels.add_rows(arrays[0], ctx.places.numpy(), of_spread.numpy())
        of_rows = of_spread @ into
        return of_rows, of_spread.T @ rows, of_recurrent, gates.sum(0), None, None


def _through_time(
    arrays: Sequence[Array],
    gates: torch.Tensor,
    later: torch.Tensor,
    recurrent: torch.Tensor,
    steps: Steps,
) -> None:
    """Gradients of the gates' inputs in place of the gates, from the last step to the first."""
    let_through, squashed, cells, above, of_later = arrays
    of_cell, blocks = np.zeros_like(of_later), steps.blocks()
    nothing = np.zeros_like(of_later)
    for number in reversed(range(len(blocks))):
        begin, end = blocks[number]
        count, last = end - begin, blocks[number - 1][0]
        kernels.lstm_step_back(
            let_through[begin:end],
            squashed[begin:end],
            cells[last : last + count] if number else nothing[:count],
            above[begin:end],
            of_later[:count],
            of_cell[:count],
        )
        torch.mm(gates[begin:end], recurrent, out=later[:count])


def _numpy(tensor: torch.Tensor) -> Array:
    array: Array = tensor.detach().contiguous().numpy()
    return array


means: Any = Means.apply
convolutions: Any = Convolutions.apply
largest_of: Any = LargestOf.apply
lstm: Any = Lstm.apply
