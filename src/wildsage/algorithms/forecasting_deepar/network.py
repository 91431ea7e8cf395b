"""The network as PyTorch trains it: LSTM layers over lags and calendar, a likelihood on top.

On a CPU a layer is one compiled call each way (`kernels`); elsewhere, on a GPU, the same arithmetic
is a loop of PyTorch's own operations. All parameters are stretches of one vector, so that a step of
the optimizer, a sum over hosts and a copy are one operation each.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from wildsage.algorithms.forecasting_deepar import kernels

Shapes = dict[str, tuple[int, ...]]


class _Layer(torch.autograd.Function):
    """One layer's hidden values (steps, units, rows) on a CPU."""

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, weights: Tensor, added: Tensor, keep: Tensor) -> Tensor:
        steps, width, rows = inputs.shape
        units = len(weights) // 4
        stacked = torch.zeros(steps + 1, width + units, rows)
        gates = torch.empty(steps, 4 * units, rows)
        cells = torch.zeros(steps + 1, units, rows)
        kernels.layer_forward(
            _array(inputs),
            _array(weights),
            _array(added),
            _array(keep),
            _array(stacked),
            _array(gates),
            _array(cells),
        )
        ctx.save_for_backward(weights, keep, stacked, gates, cells)
        ctx.wanted = inputs.requires_grad
        return stacked[1:, width:]

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        weights, keep, stacked, gates, cells = ctx.saved_tensors
        steps, units, rows = gradients[0].shape
        inputs_gradient = torch.empty(steps if ctx.wanted else 0, stacked.shape[1] - units, rows)
        weights_gradient, added_gradient = torch.zeros_like(weights), torch.zeros(4 * units, rows)
        kernels.layer_backward(
            _array(gradients[0]),
            _array(weights),
            _array(keep),
            _array(stacked),
            _array(gates),
            _array(cells),
            _array(inputs_gradient),
            _array(weights_gradient),
            _array(added_gradient),
        )
        return inputs_gradient if ctx.wanted else None, weights_gradient, added_gradient, None


def _array(tensor: Tensor) -> np.ndarray:
    made: np.ndarray = tensor.detach().contiguous().numpy()
    return made


def layer(inputs: Tensor, weights: Tensor, added: Tensor, keep: Tensor) -> Tensor:
    """One layer over all steps, on whatever device its arguments are.

    `inputs` (steps, width, rows); `weights` (4 units, width + units) and `added` (4 units, rows)
    with the rows of the three logistic gates halved; `keep` (steps or none, units, rows).
    """
    if inputs.device.type == "cpu":
        result: Tensor = _Layer.apply(inputs, weights, added, keep)  # type: ignore[no-untyped-call]
        return result
    return layer_by_steps(inputs, weights, added, keep)


def layer_by_steps(inputs: Tensor, weights: Tensor, added: Tensor, keep: Tensor) -> Tensor:
    """The same with PyTorch's operations."""
    units, width = len(weights) // 4, inputs.shape[1]
    given = weights[:, :width] @ inputs + added
    recurrent = weights[:, width:]
    hidden = cell = inputs.new_zeros(units, inputs.shape[2])
    outputs = []
    for t, gates in enumerate(given):
        i, f, u, o = (gates + recurrent @ hidden).tanh().chunk(4)
        cell = 0.5 * ((1 + f) * cell + (1 + i) * u)
        new = 0.5 * (1 + o) * cell.tanh()
        hidden = torch.where(keep[t].bool(), hidden, new) if len(keep) else new
        outputs.append(hidden)
    return torch.stack(outputs)


class Network:
    """Outputs (steps, n, rows) of windows: the parameters of the likelihood at each step.

    `weights_N` (4 units, inputs + units) take a layer's inputs and its own hidden values, `statics`
    (4 units, 1 + embeddings) what does not change over time. `direct` (n, inputs) leads past the
    layers: a linear autoregression that they need not learn, and that goes on where they saturate.
    """

    def __init__(
        self,
        width: int,
        cardinality: list[int],
        embedding: int,
        units: int,
        layers: int,
        outputs: int,
        device: torch.device | None = None,
    ) -> None:
        self.layers, self.units = layers, units
        statics = 1 + embedding * len(cardinality)
        widths = [width, *[units] * (layers - 1)]
        self.shapes: Shapes = {
            **{f"weights_{n}": (4 * units, w + units) for n, w in enumerate(widths)},
            **{f"bias_{n}": (4 * units, 1) for n in range(layers)},
            "statics": (4 * units, statics),
            **{f"embedding_{n}": (count, embedding) for n, count in enumerate(cardinality)},
            "head": (outputs, units),
            "direct": (outputs, width),
            "head_bias": (outputs, 1),
        }
        self.cats = len(cardinality)
        self.flat = torch.zeros(sum(map(math.prod, self.shapes.values())), device=device)
        self._halves = torch.full((4 * units, 1), 0.5, device=device)
        self._halves[2 * units : 3 * units] = 1

    def parts(self, flat: Tensor | None = None) -> dict[str, Tensor]:
        """The parameters by name, as views of the vector."""
        flat = self.flat if flat is None else flat
        pieces = torch.split(flat, [math.prod(shape) for shape in self.shapes.values()])
        return {
            name: piece.view(shape)
            for (name, shape), piece in zip(self.shapes.items(), pieces, strict=True)
        }

    def initialise(self, seed: int) -> None:
        """Small numbers, orthogonal recurrent matrices, and forget gates that begin half open."""
        random = torch.Generator().manual_seed(seed)
        units = self.units
        with torch.no_grad():
            for name, part in self.parts().items():
                made = 2 * torch.rand(part.shape, generator=random) - 1
                if name.startswith("weights"):
                    made /= math.sqrt(part.shape[1] - units)
                    made[:, -units:] = _orthogonal(units, random)
                elif name == "statics":
                    made /= math.sqrt(part.shape[1])
                elif name.startswith("embedding"):
                    made = torch.randn(part.shape, generator=random)
                elif name == "head":
                    made *= 0.5 / math.sqrt(units)
                else:
                    made.zero_()
                    if name.startswith("bias"):
                        made[units : 2 * units] = 1
                part.copy_(made)

    def __call__(
        self,
        parts: dict[str, Tensor],
        inputs: Tensor,
        size: Tensor,
        cats: Tensor,
        keeps: list[Tensor],
    ) -> Tensor:
        """`size` (rows,) is the logarithm of the scale, `keeps` the zoneout of each layer."""
        embedded = [parts[f"embedding_{n}"][cats[:, n]] for n in range(self.cats)]
        statics = torch.cat([size[:, None], *embedded], dim=1).t()
        added = parts["statics"] @ statics
        hidden = inputs
        for n in range(self.layers):
            added = (added + parts[f"bias_{n}"]).expand(-1, inputs.shape[2]) * self._halves
            hidden = layer(hidden, parts[f"weights_{n}"] * self._halves, added, keeps[n])
            added = torch.zeros_like(parts["bias_0"])
        return parts["head"] @ hidden + parts["direct"] @ inputs + parts["head_bias"]

    def arrays(self, flat: Tensor) -> dict[str, np.ndarray]:
        """The parameters as NumPy arrays of their own."""
        return {name: part.cpu().numpy().copy() for name, part in self.parts(flat).items()}


def _orthogonal(units: int, random: torch.Generator) -> Tensor:
    """An orthogonal matrix for each gate, one below the other."""
    blocks = [torch.linalg.qr(torch.randn(units, units, generator=random))[0] for _ in range(4)]
    return torch.cat(blocks)
