"""The loops of factorization machines, compiled.

A mini-batch comes grouped by feature (`group`): for each feature that occurs in it, the rows and
values of its occurrences. Both directions then walk over features, so that a feature's weights are
read once, its gradient is summed in the first-level cache, and its optimizer step is taken on the
spot. What a batch does not touch costs nothing.

`state[feature, 0]` are a feature's weights, its factors and then its linear weight;
`state[feature, 1:]` what the optimizer remembers of them (two rows for Adam, one for AdaGrad, none
for SGD), right beside them in memory. `steps` counts a feature's updates, for Adam's bias
correction.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wildsage.algorithms.compiling import compiled, prefetch

Array = NDArray[Any]

SQUARED, LOGISTIC = 0, 1
ADAM, ADAGRAD, SGD = 0, 1, 2
# Columns of the figures: rows, loss, absolute error, right, true and false positives, missed ones.
FIGURES = 7
FACTORS_LR, LINEAR_LR, BIAS_LR, FACTORS_WD, LINEAR_WD, BIAS_WD, CLIP, EPS, RESCALE = range(9)
RATES = 9

ONE, BETA_1, BETA_2 = np.float32(1), np.float32(0.9), np.float32(0.999)
HALF = np.float32(0.5)
LAST_CORRECTION = 20_000
_COUNTS = np.arange(1, LAST_CORRECTION + 1)
# Adam's correction of both moments at a feature's n-th update; 1 from the last one on.
CORRECTIONS = np.concatenate([[1.0], np.sqrt(1 - 0.999**_COUNTS) / (1 - 0.9**_COUNTS)]).astype(
    np.float32
)
AHEAD, LINE = 8, 16  # features to look ahead, and float32 values in a cache line


@compiled
def group(
    indices: Array, data: Array, indptr: Array, order: Array, size: int, slots: Array
) -> tuple[Array, Array, Array, Array, Array]:
    """The rows of `order` in batches of `size`, each grouped by feature.

    `slots` is a scratch of -1 per feature. Returns for batch b the features
    `touched[batches[b]:batches[b + 1]]`; occurrences of touched[t] lie from starts[t] to
    starts[t + 1] in `rows` (numbers within the batch) and `values`.
    """
    count = len(order)
    entries = 0
    for number in range(count):
        prefetch(indptr, order[min(number + AHEAD, count - 1)])
        row = order[number]
        entries += indptr[row + 1] - indptr[row]
    touched, starts = np.empty(entries, np.int32), np.zeros(entries + 1, np.int32)
    rows, values = np.empty(entries, np.int32), np.empty(entries, np.float32)
    owners = np.empty(entries, np.int32)
    batches = np.zeros((count + size - 1) // size + 1, np.int64)
    features, filled = 0, 0
    for batch in range(len(batches) - 1):
        begin, end, first, seen = batch * size, min(count, (batch + 1) * size), features, filled
        for number in range(begin, end):
            prefetch(indptr, order[min(number + 2 * AHEAD, count - 1)])
            row, ahead = order[number], indptr[order[min(number + AHEAD, count - 1)]]
            for offset in (0, LINE - 1):
                prefetch(indices, ahead + offset)
                prefetch(data, ahead + offset)
            for entry in range(indptr[row], indptr[row + 1]):
                feature = indices[entry]
                slot = slots[feature]
                if slot < 0:
                    slot = features
                    slots[feature] = slot
                    touched[slot] = feature
                    starts[slot + 1] = 0
                    features += 1
                starts[slot + 1] += 1
                owners[seen] = slot
                seen += 1
        for slot in range(first, features):  # from counts to where each feature's entries begin
            slots[touched[slot]] = -1
            occurrences = starts[slot + 1]
            starts[slot + 1] = filled
            filled += occurrences
        seen -= filled - starts[first + 1] if features > first else 0
        for number in range(begin, end):
            row = order[number]
            for entry in range(indptr[row], indptr[row + 1]):
                place = starts[owners[seen] + 1]
                starts[owners[seen] + 1] = place + 1
                rows[place] = number - begin
                values[place] = data[entry]
                seen += 1
        batches[batch + 1] = features
    return touched[:features], starts[: features + 1], batches, rows, values


@compiled
def _ask(flat: Array, place: int, values: int) -> None:
    """Have `values` values of a table brought near, from a place on."""
    for offset in range(0, values, LINE):
        prefetch(flat, place + offset)
    prefetch(flat, place + values - 1)


@compiled
def forward(
    state: Array,
    touched: Array,
    starts: Array,
    begin: int,
    end: int,
    rows: Array,
    values: Array,
    sums: Array,
    scores: Array,
) -> None:
    """Adds to each row's `sums` (of its factors) and `scores`; both begin as zeros."""
    factors = state.shape[2] - 1
    flat, stride = state.reshape(-1), state.shape[1] * state.shape[2]
    for number in range(begin, end):
        _ask(flat, touched[min(number + AHEAD, end - 1)] * stride, factors + 1)
        feature = touched[number]
        norm = np.float32(0)
        for f in range(factors):
            norm += state[feature, 0, f] * state[feature, 0, f]
        half, linear = HALF * norm, state[feature, 0, factors]
        for entry in range(starts[number], starts[number + 1]):
            value, row = values[entry], rows[entry]
            scores[row] += value * (linear - half * value)
            for f in range(factors):
                sums[row, f] += value * state[feature, 0, f]


@compiled
def finish_scores(bias: float, sums: Array, scores: Array) -> None:
    """Adds what the sums of factors contribute, and the bias."""
    for row in range(len(scores)):
        square = np.float32(0)
        for f in range(sums.shape[1]):
            square += sums[row, f] * sums[row, f]
        scores[row] += bias + HALF * square


@compiled
def judge(kind: int, scores: Array, labels: Array, figures: Array) -> float:
    """Turns scores into slopes of the loss, counts the figures; the sum of the slopes."""
    slopes = 0.0
    for row in range(len(scores)):
        score, label = float(scores[row]), float(labels[row])
        if kind == LOGISTIC:
            slope = _judge_class(score, label, figures)
        else:
            slope = score - label
            figures[1] += slope * slope
            figures[2] += abs(slope)
        scores[row] = slope
        slopes += slope
    figures[0] += len(scores)
    return slopes


@compiled
def _judge_class(score: float, label: float, figures: Array) -> float:
    """The slope of the logistic loss."""
    shrunk = math.exp(-abs(score))
    chance = (1.0 if score >= 0 else shrunk) / (1.0 + shrunk)
    figures[1] += max(score, 0.0) - score * label + math.log1p(shrunk)
    figures[2] += abs(chance - label)
    if label > 0.5:
        figures[4 if score >= 0 else 6] += 1
        figures[3] += score >= 0
    else:
        figures[5] += score >= 0
        figures[3] += score < 0
    return chance - label


@compiled
def gradients(
    state: Array,
    touched: Array,
    starts: Array,
    begin: int,
    end: int,
    rows: Array,
    values: Array,
    sums: Array,
    slopes: Array,
    found: Array,
) -> None:
    """Into `found` the gradient of each touched feature of a batch, summed over its rows."""
    factors = state.shape[2] - 1
    flat, stride = state.reshape(-1), state.shape[1] * state.shape[2]
    for number in range(begin, end):
        _ask(flat, touched[min(number + AHEAD, end - 1)] * stride, factors)
        feature, place = touched[number], number - begin
        linear, square = np.float32(0), np.float32(0)
        for f in range(factors):
            found[place, f] = 0
        for entry in range(starts[number], starts[number + 1]):
            value, row = values[entry], rows[entry]
            weight = slopes[row] * value
            linear += weight
            square += weight * value
            for f in range(factors):
                found[place, f] += weight * sums[row, f]
        for f in range(factors):
            found[place, f] -= square * state[feature, 0, f]
        found[place, factors] = linear


@compiled
def apply(
    optimizer: int,
    state: Array,
    steps: Array,
    touched: Array,
    found: Array,
    scale: Any,
    rates: Array,
) -> None:
    """One update of each touched feature by its gradient times `scale`."""
    if optimizer == ADAM:
        _adam(state, steps, touched, found, scale, rates)
    elif optimizer == ADAGRAD:
        _adagrad(state, touched, found, scale, rates)
    else:
        _sgd(state, touched, found, scale, rates)


@compiled
def _adam(
    state: Array, steps: Array, touched: Array, found: Array, scale: Any, rates: Array
) -> None:
    factors, clip, eps = state.shape[2] - 1, rates[CLIP], rates[EPS]
    decay, rate = rates[FACTORS_WD], rates[FACTORS_LR]
    flat, stride = state.reshape(-1), state.shape[1] * state.shape[2]
    for number in range(len(touched)):
        _ask(flat, touched[min(number + AHEAD, len(touched) - 1)] * stride, stride)
        feature = touched[number]
        steps[feature] += 1
        correction = CORRECTIONS[min(steps[feature], LAST_CORRECTION)]
        for f in range(factors):
            slope = found[number, f] * scale + decay * state[feature, 0, f]
            slope = min(max(slope, -clip), clip)
            first = BETA_1 * state[feature, 1, f] + (ONE - BETA_1) * slope
            second = BETA_2 * state[feature, 2, f] + (ONE - BETA_2) * slope * slope
            state[feature, 1, f] = first
            state[feature, 2, f] = second
            state[feature, 0, f] -= rate * correction * first / (np.sqrt(second) + eps)
        slope = found[number, factors] * scale + rates[LINEAR_WD] * state[feature, 0, factors]
        slope = min(max(slope, -clip), clip)
        first = BETA_1 * state[feature, 1, factors] + (ONE - BETA_1) * slope
        second = BETA_2 * state[feature, 2, factors] + (ONE - BETA_2) * slope * slope
        state[feature, 1, factors] = first
        state[feature, 2, factors] = second
        step = correction * first / (np.sqrt(second) + eps)
        state[feature, 0, factors] -= rates[LINEAR_LR] * step


@compiled
def _adagrad(state: Array, touched: Array, found: Array, scale: Any, rates: Array) -> None:
    factors, clip, eps = state.shape[2] - 1, rates[CLIP], rates[EPS]
    decay, rate = rates[FACTORS_WD], rates[FACTORS_LR]
    flat, stride = state.reshape(-1), state.shape[1] * state.shape[2]
    for number in range(len(touched)):
        _ask(flat, touched[min(number + AHEAD, len(touched) - 1)] * stride, stride)
        feature = touched[number]
        for f in range(factors):
            slope = found[number, f] * scale + decay * state[feature, 0, f]
            slope = min(max(slope, -clip), clip)
            total = state[feature, 1, f] + slope * slope
            state[feature, 1, f] = total
            state[feature, 0, f] -= rate * slope / (np.sqrt(total) + eps)
        slope = found[number, factors] * scale + rates[LINEAR_WD] * state[feature, 0, factors]
        slope = min(max(slope, -clip), clip)
        total = state[feature, 1, factors] + slope * slope
        state[feature, 1, factors] = total
        state[feature, 0, factors] -= rates[LINEAR_LR] * slope / (np.sqrt(total) + eps)


@compiled
def _sgd(state: Array, touched: Array, found: Array, scale: Any, rates: Array) -> None:
    factors, clip = state.shape[2] - 1, rates[CLIP]
    decay, rate = rates[FACTORS_WD], rates[FACTORS_LR]
    for number in range(len(touched)):
        feature = touched[number]
        for f in range(factors):
            slope = found[number, f] * scale + decay * state[feature, 0, f]
            state[feature, 0, f] -= rate * min(max(slope, -clip), clip)
        slope = found[number, factors] * scale + rates[LINEAR_WD] * state[feature, 0, factors]
        state[feature, 0, factors] -= rates[LINEAR_LR] * min(max(slope, -clip), clip)


@compiled
def step_bias(optimizer: int, bias: Array, gradient: float, scale: Any, rates: Array) -> None:
    """`bias` is the bias itself, its two moments and its number of updates."""
    gradient = gradient * scale + rates[BIAS_WD] * bias[0]
    gradient = min(max(gradient, -rates[CLIP]), rates[CLIP])
    bias[3] += 1
    if optimizer == ADAM:
        bias[1] = BETA_1 * bias[1] + (ONE - BETA_1) * gradient
        bias[2] = BETA_2 * bias[2] + (ONE - BETA_2) * gradient * gradient
        correction = CORRECTIONS[min(int(bias[3]), LAST_CORRECTION)]
        gradient = correction * bias[1] / (math.sqrt(bias[2]) + rates[EPS])
    elif optimizer == ADAGRAD:
        bias[1] += gradient * gradient
        gradient = gradient / (math.sqrt(bias[1]) + rates[EPS])
    bias[0] -= rates[BIAS_LR] * gradient


@compiled
def train(
    kind: int,
    optimizer: int,
    state: Array,
    steps: Array,
    bias: Array,
    rates: Array,
    size: int,
    touched: Array,
    starts: Array,
    batches: Array,
    rows: Array,
    values: Array,
    labels: Array,
    figures: Array,
) -> None:
    """One update per batch; the figures of each, before its update, in a row of `figures`."""
    width = state.shape[2]
    sums, scores = np.zeros((size, width - 1), np.float32), np.zeros(size, np.float32)
    found = np.empty((np.max(np.diff(batches)), width), np.float32)
    for batch in range(len(batches) - 1):
        begin, end = batches[batch], batches[batch + 1]
        own = labels[batch * size : (batch + 1) * size]
        count = len(own)
        sums[:count] = 0
        scores[:count] = 0
        forward(state, touched, starts, begin, end, rows, values, sums, scores)
        finish_scores(bias[0], sums[:count], scores[:count])
        slopes = judge(kind, scores[:count], own, figures[batch])
        scale = rates[RESCALE] if rates[RESCALE] >= 0 else np.float32(1.0 / count)
        gradients(state, touched, starts, begin, end, rows, values, sums, scores, found)
        apply(optimizer, state, steps, touched[begin:end], found, scale, rates)
        step_bias(optimizer, bias, slopes, scale, rates)


@compiled
def merge(touched: Array, found: Array, slots: Array) -> int:
    """Adds up, in place, the gradients of features that stand there twice; how many are left."""
    count = 0
    for number in range(len(touched)):
        feature = touched[number]
        slot = slots[feature]
        if slot < 0:
            slots[feature] = count
            touched[count] = feature
            for f in range(found.shape[1]):
                found[count, f] = found[number, f]
            count += 1
        else:
            for f in range(found.shape[1]):
                found[slot, f] += found[number, f]
    for slot in range(count):
        slots[touched[slot]] = -1
    return count


@compiled
def score(
    weights: Array,
    linear: Array,
    bias: float,
    indices: Array,
    data: Array,
    indptr: Array,
    scores: Array,
) -> None:
    """The score of each row; `weights` has the factors of each feature."""
    factors = weights.shape[1]
    sums = np.zeros(factors, np.float32)
    flat, last = weights.reshape(-1), len(indices) - 1
    for row in range(len(scores)):
        sums[:] = 0
        total = np.float32(0)
        for entry in range(indptr[row], indptr[row + 1]):
            feature, value = indices[entry], data[entry]
            prefetch(flat, indices[min(entry + AHEAD, last)] * factors)
            norm = np.float32(0)
            for f in range(factors):
                part = value * weights[feature, f]
                sums[f] += part
                norm += part * part
            total += value * linear[feature] - HALF * norm
        square = np.float32(0)
        for f in range(factors):
            square += sums[f] * sums[f]
        scores[row] = np.float32(bias) + total + HALF * square
