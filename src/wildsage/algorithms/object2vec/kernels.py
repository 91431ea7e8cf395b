"""The loops over ragged sequences, compiled: what PyTorch takes several passes over memory for.

Sequence s has the tokens `offsets[s]` to `offsets[s + 1]`. Convolutions work on a buffer in which
`gap` rows of zeros lie between the sequences, `before` of them ahead of each: its token at place p
is row `p + s * gap + before`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from wildsage.algorithms.compiling import compiled

Array = NDArray[Any]
ZERO, ONE, HALF = np.float32(0), np.float32(1), np.float32(0.5)
LOWEST = np.float32(-np.inf)


@compiled
def number(tokens: Array, slots: Array, different: Array, places: Array) -> int:
    """Number the different tokens in the order of their coming; `slots` is -1 before and after."""
    count = 0
    for position in range(len(tokens)):
        token = tokens[position]
        slot = slots[token]
        if slot < 0:
            slot = count
            slots[token] = slot
            different[slot] = token
            count += 1
        places[position] = slot
    for slot in range(count):
        slots[different[slot]] = -1
    return count


@compiled
def means(rows: Array, places: Array, offsets: Array, result: Array) -> None:
    """The mean of each sequence's rows."""
    width = rows.shape[1]
    for s in range(len(offsets) - 1):
        share = ONE / np.float32(offsets[s + 1] - offsets[s])
        for column in range(width):
            result[s, column] = ZERO
        for position in range(offsets[s], offsets[s + 1]):
            row = places[position]
            for column in range(width):
                result[s, column] += rows[row, column]
        for column in range(width):
            result[s, column] *= share


@compiled
def means_back(gradient: Array, places: Array, offsets: Array, of_rows: Array) -> None:
    width = of_rows.shape[1]
    of_rows[:] = ZERO
    for s in range(len(offsets) - 1):
        share = ONE / np.float32(offsets[s + 1] - offsets[s])
        for position in range(offsets[s], offsets[s + 1]):
            row = places[position]
            for column in range(width):
                of_rows[row, column] += share * gradient[s, column]


@compiled
def gather(spread: Array, places: Array, offsets: Array, before: int, buffer: Array) -> None:
    """A convolution whose products are known: `spread[u, o]` is token u under place o of it."""
    filters, width = spread.shape[1], spread.shape[2]
    gap = filters - 1
    for s in range(len(offsets) - 1):
        begin, end = offsets[s], offsets[s + 1]
        for position in range(begin, end):
            row = position + s * gap + before
            for column in range(width):
                buffer[row, column] = ZERO
            for offset in range(filters):
                other = position + offset - before
                if begin <= other < end:
                    token = places[other]
                    for column in range(width):
                        buffer[row, column] += spread[token, offset, column]


@compiled
def gather_back(gradient: Array, places: Array, offsets: Array, before: int, of: Array) -> None:
    filters, width = of.shape[1], of.shape[2]
    gap = filters - 1
    of[:] = ZERO
    for s in range(len(offsets) - 1):
        begin, end = offsets[s], offsets[s + 1]
        for position in range(begin, end):
            row = position + s * gap + before
            for offset in range(filters):
                other = position + offset - before
                if begin <= other < end:
                    token = places[other]
                    for column in range(width):
                        of[token, offset, column] += gradient[row, column]


@compiled
def activate(
    buffer: Array, bias: Array, offsets: Array, gap: int, before: int, largest: Array, where: Array
) -> None:
    """Bias, relu and zeros between the sequences, in place; the largest of each and its row."""
    width = buffer.shape[1]
    for s in range(len(offsets) - 1):
        first = offsets[s] + s * gap
        last = offsets[s + 1] + (s + 1) * gap
        begin, end = first + before, last - gap + before
        for row in range(first, begin):
            for column in range(width):
                buffer[row, column] = ZERO
        for row in range(end, last):
            for column in range(width):
                buffer[row, column] = ZERO
        for column in range(width):
            largest[s, column] = ZERO
            where[s, column] = begin
        for row in range(begin, end):
            for column in range(width):
                value = max(buffer[row, column] + bias[column], ZERO)
                buffer[row, column] = value
                better = value > largest[s, column]
                largest[s, column] = value if better else largest[s, column]
                where[s, column] = np.int32(row) if better else where[s, column]


@compiled
def activate_back(
    gradient: Array, buffer: Array, of_largest: Array, where: Array, of_bias: Array
) -> None:
    """Add what comes back through the largest, in place, and stop where relu does."""
    width = buffer.shape[1]
    for s in range(len(of_largest)):
        for column in range(width):
            gradient[where[s, column], column] += of_largest[s, column]
    of_bias[:] = ZERO
    for row in range(len(buffer)):
        for column in range(width):
            value = gradient[row, column] if buffer[row, column] > ZERO else ZERO
            gradient[row, column] = value
            of_bias[column] += value


@compiled
def largest_of(rows: Array, offsets: Array, largest: Array, where: Array) -> None:
    """The largest of each sequence's rows, and which."""
    width = rows.shape[1]
    for s in range(len(offsets) - 1):
        for column in range(width):
            largest[s, column] = LOWEST
            where[s, column] = offsets[s]
        for row in range(offsets[s], offsets[s + 1]):
            for column in range(width):
                value = rows[row, column]
                better = value > largest[s, column]
                largest[s, column] = value if better else largest[s, column]
                where[s, column] = np.int32(row) if better else where[s, column]


@compiled
def lazy_adam(
    table: Array, mean: Array, square: Array, rows: Array, gradient: Array, scales: Array
) -> None:
    """`scales`: rate, both shares that are kept, both corrections, the least divisor, decay."""
    rate, keep, keep_square, grown, grown_square, least, decay = scales
    width = table.shape[1]
    for position in range(len(rows)):
        row = rows[position]
        for column in range(width):
            value = gradient[position, column] + decay * table[row, column]
            one = keep * mean[row, column] + (ONE - keep) * value
            two = keep_square * square[row, column] + (ONE - keep_square) * value * value
            mean[row, column], square[row, column] = one, two
            table[row, column] -= rate * grown * one / (np.sqrt(two) * grown_square + least)


# --- LSTM ----------------------------------------------------------------------------------------


@compiled
def tanh(value: Any) -> Any:
    """A rational function, exact to a few units in the last place: unlike the library's, it is
    computed for many values at once."""
    x = min(max(value, np.float32(-7.9)), np.float32(7.9))
    s = x * x
    above = np.float32(-2.76076847742355e-16)
    above = above * s + np.float32(2.00018790482477e-13)
    above = above * s + np.float32(-8.60467152213735e-11)
    above = above * s + np.float32(5.12229709037114e-08)
    above = above * s + np.float32(1.48572235717979e-05)
    above = above * s + np.float32(6.37261928875436e-04)
    above = above * s + np.float32(4.89352455891786e-03)
    below = np.float32(1.19825839466702e-06)
    below = below * s + np.float32(1.18534705686654e-04)
    below = below * s + np.float32(2.26843463243900e-03)
    below = below * s + np.float32(4.89352518554385e-03)
    return x * above / below


@compiled
def lstm_step(gates: Array, cell: Array, squashed: Array, state: Array, held: Array) -> None:
    """One step of some sequences. `gates` (input, forget, cell, output) are replaced by what they
    let through, `cell` is written out of `held`, `squashed` is its tanh."""
    size = cell.shape[1]
    for row in range(len(gates)):
        for column in range(size):
            enter = HALF + HALF * tanh(HALF * gates[row, column])
            keep = HALF + HALF * tanh(HALF * gates[row, size + column])
            new = tanh(gates[row, 2 * size + column])
            leave = HALF + HALF * tanh(HALF * gates[row, 3 * size + column])
            value = keep * held[row, column] + enter * new
            gates[row, column], gates[row, size + column] = enter, keep
            gates[row, 2 * size + column], gates[row, 3 * size + column] = new, leave
            cell[row, column], squashed[row, column] = value, tanh(value)
            state[row, column] = leave * squashed[row, column]


@compiled
def lstm_step_back(
    gates: Array,
    squashed: Array,
    held: Array,
    of_state: Array,
    of_later: Array,
    of_cell: Array,
) -> None:
    """Replace what the gates let through by the gradients of what they were made of. `of_later` is
    the gradient of the state that the next step has used; `of_cell` is read and written."""
    size = held.shape[1]
    for row in range(len(gates)):
        for column in range(size):
            enter, keep = gates[row, column], gates[row, size + column]
            new, leave = gates[row, 2 * size + column], gates[row, 3 * size + column]
            known = squashed[row, column]
            above = of_state[row, column] + of_later[row, column]
            inside = of_cell[row, column] + above * leave * (ONE - known * known)
            gates[row, column] = inside * new * enter * (ONE - enter)
            gates[row, size + column] = inside * held[row, column] * keep * (ONE - keep)
            gates[row, 2 * size + column] = inside * enter * (ONE - new * new)
            gates[row, 3 * size + column] = above * known * leave * (ONE - leave)
            of_cell[row, column] = inside * keep


@compiled
def add_rows(gradient: Array, places: Array, result: Array) -> None:
    """Add each row to the one that its place names."""
    for position in range(len(places)):
        row = places[position]
        for column in range(result.shape[1]):
            result[row, column] += gradient[position, column]
