"""Compiled arithmetic of the recurrent network: a layer forth and back, and sample paths.

A layer's loop over time is one call: a matrix product and a few passes over flat arrays per step,
without an interpreter in between. Rows (series or paths) do not touch one another, so callers split
them over threads; every call releases the interpreter's lock.

Arrays have the rows last: (units, rows), so that each gate of a step is one contiguous stretch,
whatever the number of units, and loops over it become vector instructions. Gates stand in the order
input, forget, candidate, output. tanh is a rational function of two short polynomials (error below
3e-7). The logistic function is (1 + tanh(x / 2)) / 2: callers give the weights of the three gates
halved, and one pass of tanh serves all four.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from wildsage.algorithms.compiling import compiled
from wildsage.algorithms.forecasting_deepar.sampling import draw

_LIMIT = np.float32(7.99881172180175781)
_HALF = np.float32(0.5)
_ONE = np.float32(1)
_A0, _A1, _A2, _A3 = map(
    np.float32, (4.89352455891786e-03, 6.37261928875436e-04, 1.48572235717979e-05, 5.12229709e-08)
)
_A4, _A5, _A6 = map(
    np.float32, (-8.60467152213735e-11, 2.00018790482477e-13, -2.76076847742355e-16)
)
_B0, _B1, _B2, _B3 = map(
    np.float32,
    (4.89352518554385e-03, 2.26843463243900e-03, 1.18534705686654e-04, 1.19825839466702e-06),
)


@njit(inline="always")
def _tanh(x):  # type: ignore[no-untyped-def]
    x = max(min(x, _LIMIT), -_LIMIT)
    y = x * x
    above = (((((_A6 * y + _A5) * y + _A4) * y + _A3) * y + _A2) * y + _A1) * y + _A0
    below = ((_B3 * y + _B2) * y + _B1) * y + _B0
    return x * above / below


@compiled
def _squash(gates: Any, added: Any) -> None:
    """tanh of the sum, into `gates`; both are flat."""
    for n in range(gates.size):
        gates[n] = _tanh(gates[n] + added[n])


@compiled
def _advance(gates: Any, before: Any, after: Any, hidden: Any) -> None:
    """The new cells and hidden values from squashed gates; all flat."""
    size = before.size
    i, f, u, o = gates[:size], gates[size : 2 * size], gates[2 * size : 3 * size], gates[3 * size :]
    for n in range(size):
        cell = _HALF * ((_ONE + f[n]) * before[n] + (_ONE + i[n]) * u[n])
        after[n] = cell
        hidden[n] = _HALF * (_ONE + o[n]) * _tanh(cell)


# --- one layer over time -------------------------------------------------------------------------


@compiled
def layer_forward(
    inputs: Any, weights: Any, added: Any, keep: Any, stacked: Any, gates: Any, cells: Any
) -> None:
    """A layer over all steps, for training.

    `inputs` (steps, width, rows) are stacked upon the hidden values in `stacked` (steps + 1,
    width + units, rows), which `weights` (4 units, width + units) multiply; `added` (4 units, rows)
    is the same in every step. `keep` (steps, units, rows) is 1 where zoneout keeps the old hidden
    value; it may be empty. `gates` (steps, 4 units, rows) and `cells` (steps + 1, units, rows) are
    what the way back needs.
    """
    steps, width = inputs.shape[0], inputs.shape[1]
    flat_added = added.reshape(-1)
    for t in range(steps):
        stacked[t, :width] = inputs[t]
        np.dot(weights, stacked[t], gates[t])
        flat = gates[t].reshape(-1)
        _squash(flat, flat_added)
        new = stacked[t + 1][width:].reshape(-1)
        _advance(flat, cells[t].reshape(-1), cells[t + 1].reshape(-1), new)
        if keep.shape[0]:
            old, kept = stacked[t][width:].reshape(-1), keep[t].reshape(-1)
            for n in range(new.size):
                new[n] = old[n] if kept[n] else new[n]


@compiled
def layer_backward(
    gradient: Any,
    weights: Any,
    keep: Any,
    stacked: Any,
    gates: Any,
    cells: Any,
    inputs_gradient: Any,
    weights_gradient: Any,
    added_gradient: Any,
) -> None:
    """The way back through `layer_forward`, from the `gradient` (steps, units, rows) of the hidden
    values. `inputs_gradient` may be empty where nobody asks for it.
    """
    steps, units, rows = gradient.shape
    width = stacked.shape[1] - units
    wanted = inputs_gradient.shape[0] > 0
    below = weights if wanted else np.ascontiguousarray(weights[:, width:])
    size = units * rows
    backwards = np.zeros((below.shape[1], rows), np.float32)
    carried = np.zeros(size, np.float32)
    cell_gradient = np.zeros(size, np.float32)
    hidden_gradient = np.empty(size, np.float32)
    step_gates = np.empty((4 * units, rows), np.float32)
    product = np.empty(weights.shape, np.float32)
    for t in range(steps - 1, -1, -1):
        from_above = gradient[t].reshape(-1)
        from_later = backwards[below.shape[1] - units :].reshape(-1)
        for n in range(size):
            hidden_gradient[n] = from_above[n] + from_later[n] + carried[n]
        if keep.shape[0]:
            kept = keep[t].reshape(-1)
            for n in range(size):
                carried[n] = hidden_gradient[n] if kept[n] else np.float32(0)
            for n in range(size):
                hidden_gradient[n] -= carried[n]
        _retreat(
            gates[t].reshape(-1),
            hidden_gradient,
            cells[t].reshape(-1),
            cells[t + 1].reshape(-1),
            cell_gradient,
            step_gates.reshape(-1),
        )
        np.dot(step_gates, stacked[t].T, product)
        weights_gradient += product
        added_gradient += step_gates
        np.dot(below.T, step_gates, backwards)
        if wanted:
            inputs_gradient[t] = backwards[:width]


@compiled
def _retreat(gates: Any, hidden: Any, before: Any, after: Any, cells: Any, out: Any) -> None:
    """Gradients of what went into tanh at one step; `cells` becomes that of the cells before."""
    size = before.size
    i, f, u, o = gates[:size], gates[size : 2 * size], gates[2 * size : 3 * size], gates[3 * size :]
    out_i, out_f = out[:size], out[size : 2 * size]
    out_u, out_o = out[2 * size : 3 * size], out[3 * size :]
    for n in range(size):
        squashed = _tanh(after[n])
        out_o[n] = _HALF * hidden[n] * squashed * (_ONE - o[n] * o[n])
    for n in range(size):
        squashed = _tanh(after[n])
        cells[n] += _HALF * hidden[n] * (_ONE + o[n]) * (_ONE - squashed * squashed)
    for n in range(size):
        out_i[n] = _HALF * cells[n] * u[n] * (_ONE - i[n] * i[n])
    for n in range(size):
        out_f[n] = _HALF * cells[n] * before[n] * (_ONE - f[n] * f[n])
    for n in range(size):
        out_u[n] = _HALF * cells[n] * (_ONE + i[n]) * (_ONE - u[n] * u[n])
    for n in range(size):
        cells[n] *= _HALF * (_ONE + f[n])


# --- forecasting ---------------------------------------------------------------------------------


@compiled
def layer_run(gates: Any, weights: Any, kept: Any, cells: Any, hidden: Any, outputs: Any) -> None:
    """A layer over all steps with zoneout's mean and no way back.

    `gates` (steps, 4 units, rows) holds what the inputs give; `hidden` and `cells` (units, rows)
    leave as the last state.
    """
    recurrent = np.empty(gates.shape[1:], np.float32)
    for t in range(len(gates)):
        np.dot(weights, hidden, recurrent)
        flat = gates[t].reshape(-1)
        _squash(flat, recurrent.reshape(-1))
        _move_on(flat, kept, cells.reshape(-1), hidden.reshape(-1))
        outputs[t] = hidden


@compiled
def _move_on(gates: Any, kept: Any, cells: Any, hidden: Any) -> None:
    size = cells.size
    i, f, u, o = gates[:size], gates[size : 2 * size], gates[2 * size : 3 * size], gates[3 * size :]
    fresh = _HALF * (_ONE - kept)
    for n in range(size):
        cell = _HALF * ((_ONE + f[n]) * cells[n] + (_ONE + i[n]) * u[n])
        cells[n] = cell
        hidden[n] = kept * hidden[n] + fresh * (_ONE + o[n]) * _tanh(cell)


@compiled
def _squash_by_series(gates: Any, shared: Any) -> None:
    """tanh of gates (4 units, rows) plus what the rows of a series share (4 units, series)."""
    series = shared.shape[1]
    each = gates.shape[1] // series
    for j in range(len(gates)):
        for s in range(series):
            stretch, add = gates[j, s * each : (s + 1) * each], shared[j, s]
            for n in range(each):
                stretch[n] = _tanh(stretch[n] + add)


@njit(inline="always")
def _repeat(by_series, by_row):  # type: ignore[no-untyped-def]
    """Each series' column for all of its paths."""
    each = by_row.shape[1] // by_series.shape[1]
    for j in range(len(by_row)):
        for r in range(by_row.shape[1]):
            by_row[j, r] = by_series[j, r // each]


@njit(inline="always")
def _climb(top, upper, biases, above, cell, kept, gates):  # type: ignore[no-untyped-def]
    """One step of all layers but the first; the hidden values of the last."""
    units = len(top)
    for layer in range(1, len(cell)):
        above[layer - 1, :units] = top
        np.dot(upper[layer - 1], above[layer - 1], gates)
        _squash_by_series(gates, biases[layer - 1])
        top = above[layer - 1][units:]
        _move_on(gates.reshape(-1), kept, cell[layer].reshape(-1), top.reshape(-1))
    return top


@njit(inline="always")
def _add(outputs, direct, offsets):  # type: ignore[no-untyped-def]
    """What leads past the layers: of drawn lags by path, and what paths of a series share."""
    each = outputs.shape[1] // offsets.shape[1]
    for n in range(len(outputs)):
        for r in range(outputs.shape[1]):
            outputs[n, r] += direct[n, r] + offsets[n, r // each]


@compiled
def sample_paths(
    kind: Any,
    kept: Any,
    first: Any,
    shared: Any,
    lags: Any,
    weights: Any,
    upper: Any,
    biases: Any,
    head: Any,
    near: Any,
    offsets: Any,
    hidden: Any,
    cells: Any,
    scale: Any,
    states: Any,
    paths: Any,
) -> None:
    """Sample paths of several series at once, step by step; `paths` (steps, series * samples).

    `first` (n, series) are the outputs for the first step, `hidden` and `cells` (layers, units,
    series) the state that gave them. `shared` (steps, 4 units, series) is what all paths of a
    series have in common going into the first layer; what differs are the values `lags` steps back,
    where they are drawn ones. `weights` (4 units, lags + units) are the first layer's for these and
    the hidden values, `upper` (layers - 1, 4 units, 2 units) those of the layers above, for the
    layer below and themselves, with `biases` (layers - 1, 4 units, 1). `head` (n, units) and `near`
    (n, lags) give the outputs, with `offsets` (steps, n, series) to be added.
    """
    steps, rows = paths.shape
    layers, units, series = hidden.shape
    each = rows // series
    order = np.empty(each, np.int64)
    draw(kind, first, each, each, scale, states, order, paths[0])
    if steps == 1:
        return
    count = len(lags)
    inputs = np.zeros((count + units, rows), np.float32)
    above = np.zeros((max(layers - 1, 1), 2 * units, rows), np.float32)
    cell = np.empty((layers, units, rows), np.float32)
    for layer in range(layers):
        _repeat(cells[layer], cell[layer])
        _repeat(hidden[layer], above[layer - 1, units:] if layer else inputs[count:])
    gates = np.empty((4 * units, rows), np.float32)
    outputs = np.empty((len(head), rows), np.float32)
    direct = np.empty((len(head), rows), np.float32)
    for k in range(1, steps):
        for position in range(count):
            if lags[position] <= k:
                inputs[position] = paths[k - lags[position]]
        np.dot(weights, inputs, gates)
        _squash_by_series(gates, shared[k])
        top = inputs[count:]
        _move_on(gates.reshape(-1), kept, cell[0].reshape(-1), top.reshape(-1))
        top = _climb(top, upper, biases, above, cell, kept, gates)
        np.dot(head, top, outputs)
        np.dot(near, inputs[:count], direct)
        _add(outputs, direct, offsets[k])
        draw(kind, outputs, each, 1, scale, states, order, paths[k])
