"""The loops of factorization machines, compiled.

A mini-batch is walked twice. Forward, row by row: the sums of a row's factors stay in registers,
and each entry is chained to the entry before it of the same feature. Backward, feature by feature
along these chains: a feature's gradient is summed, and its optimizer step taken on the spot, so
that its weights are read and written once. What a batch does not touch costs nothing. The time goes
into waiting for memory; therefore a feature's numbers lie together and are asked for ahead.

`state[feature, 0]` are a feature's factors, `state[feature, 1:]` what the optimizer remembers of
them (two rows for Adam, one for AdaGrad, none for SGD). `linear[feature]` is its linear weight,
what the optimizer remembers of that, and its number of updates, for Adam's correction.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wildsage.algorithms.compiling import compiled, inlined, prefetch
from wildsage.algorithms.lanes import WIDTH, every, larger, load, root, smaller, store, total, zeros
from wildsage.algorithms.tables import ask

Array = NDArray[Any]

SQUARED, LOGISTIC = 0, 1
ADAM, ADAGRAD, SGD = 0, 1, 2
# Columns of the figures: rows, loss, absolute error, right, true and false positives, missed ones.
FIGURES = 7
FACTORS_LR, LINEAR_LR, BIAS_LR, FACTORS_WD, LINEAR_WD, BIAS_WD, CLIP, EPS, RESCALE = range(9)
RATES = 9
# Columns of `linear`.
LINEAR, COUNT, LINEAR_COLUMNS = 0, 3, 4

ONE, BETA_1, BETA_2 = np.float32(1), np.float32(0.9), np.float32(0.999)
HALF = np.float32(0.5)
LAST_CORRECTION = 20_000
_COUNTS = np.arange(1, LAST_CORRECTION + 1)
# Adam's correction of both moments at a feature's n-th update; 1 from the last one on.
CORRECTIONS = np.concatenate([[1.0], np.sqrt(1 - 0.999**_COUNTS) / (1 - 0.9**_COUNTS)]).astype(
    np.float32
)
AHEAD = 8  # features to look ahead
ROWS_AHEAD, ENTRIES_AHEAD, BOUNDS_AHEAD = 4, 8, 16  # rows: for weights, for entries, for bounds


# --- forward -------------------------------------------------------------------------------------


@compiled
def largest(rows: Any, size: int) -> int:
    """The number of entries of the largest batch."""
    _, _, indptr, order = rows
    most, count = 0, 0
    for number in range(len(order)):
        prefetch(indptr, order[min(number + BOUNDS_AHEAD, len(order) - 1)])
        if number % size == 0:
            count = 0
        count += indptr[order[number] + 1] - indptr[order[number]]
        most = max(most, count)
    return most


@inlined
def _ask_for_row(
    rows: Any, number: int, flat: Array, stride: int, factors: int, linear: Array, heads: Array
) -> None:
    """Bring near what a row that comes soon needs, and the entries of one that comes after it."""
    indices, data, indptr, order = rows
    last = len(order) - 1
    prefetch(indptr, order[min(number + BOUNDS_AHEAD, last)])
    begin = indptr[order[min(number + ENTRIES_AHEAD, last)]]
    for offset in (0, WIDTH - 1):
        prefetch(indices, begin + offset)
        prefetch(data, begin + offset)
    row = order[min(number + ROWS_AHEAD, last)]
    for entry in range(indptr[row], indptr[row + 1]):
        feature = indices[entry]
        ask(flat, feature * stride, factors)
        prefetch(linear, feature * LINEAR_COLUMNS)
        prefetch(heads, feature)


@compiled
def walk(
    state: Array,
    linear: Array,
    rows: Any,
    begin: int,
    end: int,
    heads: Array,
    chains: Any,
    sums: Array,
    scores: Array,
) -> int:
    """The rows numbered `begin` to `end`: their sums of factors, and their scores but for the bias.

    `rows` are column numbers, values, where rows begin, and the order of rows. `heads` is -1 for
    each feature; afterwards it is its last entry's number in the batch. `chains` has, for each
    entry, that of the feature's entry before it (or -1) and its row; its value; and the features in
    the order that they come in, whose number is returned.
    """
    indices, data, indptr, order = rows
    links, values, touched = chains
    factors, stride = state.shape[2], state.shape[1] * state.shape[2]
    flat, flat_linear, flat_sums = state.reshape(-1), linear.reshape(-1), sums.reshape(-1)
    filled, features = 0, 0
    for number in range(begin, end):
        _ask_for_row(rows, number, flat, stride, factors, flat_linear, heads)
        row, place = order[number], number - begin
        score = np.float32(0)
        for entry in range(indptr[row], indptr[row + 1]):
            feature, value = indices[entry], data[entry]
            if heads[feature] < 0:
                touched[features] = feature
                features += 1
            links[filled, 0], links[filled, 1], values[filled] = heads[feature], place, value
            heads[feature] = filled
            filled += 1
            score += value * linear[feature, LINEAR]
        for f in range(0, factors, WIDTH):
            added, squares = zeros(), zeros()
            for entry in range(indptr[row], indptr[row + 1]):
                part = load(flat, indices[entry] * stride + f, factors - f) * data[entry]
                added += part
                squares += part * part
            store(flat_sums, place * factors + f, factors - f, added)
            score += HALF * total(added * added - squares)
        scores[place] = score
    return features


# --- the loss ------------------------------------------------------------------------------------


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
def finish_scores(bias: float, sums: Array, scores: Array) -> None:
    """Adds what the sums of factors contribute, and the bias."""
    for row in range(len(scores)):
        square = np.float32(0)
        for f in range(sums.shape[1]):
            square += sums[row, f] * sums[row, f]
        scores[row] += bias + HALF * square


# --- backward ------------------------------------------------------------------------------------


@inlined
def _gradient(
    flat: Array,
    base: int,
    factors: int,
    entry: int,
    chains: Any,
    slopes: Array,
    sums: Array,
    scratch: Any,
    found: Array,
    place: int,
) -> None:
    """A feature's gradient, summed over its rows: of its factors, then of its linear weight.

    Its chain of entries begins with `entry`, its factors at flat[base], the gradient's place at
    found[place].
    """
    links, values, _ = chains
    weights, owners = scratch
    count, linear, square = 0, np.float32(0), np.float32(0)
    while entry >= 0:
        owner, value = links[entry, 1], values[entry]
        weight = slopes[owner] * value
        linear += weight
        square += weight * value
        weights[count], owners[count] = weight, owner
        count += 1
        entry = links[entry, 0]
    for f in range(0, factors, WIDTH):
        slope = load(flat, base + f, factors - f) * -square
        for number in range(count):
            slope += load(sums, owners[number] * factors + f, factors - f) * weights[number]
        store(found, place + f, factors - f, slope)
    found[place + factors] = linear


@compiled
def gradients(
    state: Array,
    features: int,
    heads: Array,
    chains: Any,
    sums: Array,
    slopes: Array,
    found: Array,
) -> None:
    """Into `found` the gradient of each feature that `walk` has touched; `heads` are -1 again."""
    factors, stride = state.shape[2], state.shape[1] * state.shape[2]
    flat, flat_sums, flat_found = state.reshape(-1), sums.reshape(-1), found.reshape(-1)
    links, _, touched = chains
    scratch = (np.empty(len(links), np.float32), np.empty(len(links), np.int32))
    for number in range(features):
        ask(flat, touched[min(number + AHEAD, features - 1)] * stride, factors)
        feature, place = touched[number], number * (factors + 1)
        row = (flat, feature * stride, factors, heads[feature])
        _gradient(*row, chains, slopes, flat_sums, scratch, flat_found, place)
        heads[feature] = -1


@inlined
def _step(
    optimizer: int,
    flat: Array,
    base: int,
    factors: int,
    linear: Array,
    feature: int,
    found: Array,
    place: int,
    scale: Any,
    rates: Array,
) -> None:
    """One update of a feature, whose factors begin at flat[base], by its gradient times `scale`."""
    if optimizer == ADAM:
        _adam(flat, base, factors, linear, feature, found, place, scale, rates)
    elif optimizer == ADAGRAD:
        _adagrad(flat, base, factors, linear, feature, found, place, scale, rates)
    else:
        _sgd(flat, base, factors, linear, feature, found, place, scale, rates)


@inlined
def _slopes(
    weight: Any, found: Array, place: int, left: int, scale: Any, decay: Any, clip: Any
) -> Any:
    """Gradients of some factors, with the penalty, clipped."""
    slope = load(found, place, left) * scale + weight * decay
    return smaller(larger(slope, every(-clip)), every(clip))


@inlined
def _linear_slope(linear: Array, feature: int, found: Any, scale: Any, rates: Array) -> Any:
    slope = found * scale + rates[LINEAR_WD] * linear[feature, LINEAR]
    return min(max(slope, -rates[CLIP]), rates[CLIP])


@inlined
def _adam(
    flat: Array,
    base: int,
    factors: int,
    linear: Array,
    feature: int,
    found: Array,
    place: int,
    scale: Any,
    rates: Array,
) -> None:
    eps, decay, clip = rates[EPS], rates[FACTORS_WD], rates[CLIP]
    linear[feature, COUNT] = min(linear[feature, COUNT] + ONE, np.float32(LAST_CORRECTION))
    correction = CORRECTIONS[int(linear[feature, COUNT])]
    rate = rates[FACTORS_LR] * correction
    for f in range(0, factors, WIDTH):
        left, at = factors - f, base + f
        weight = load(flat, at, left)
        slope = _slopes(weight, found, place + f, left, scale, decay, clip)
        first = load(flat, at + factors, left) * BETA_1 + slope * (ONE - BETA_1)
        second = load(flat, at + 2 * factors, left) * BETA_2 + slope * slope * (ONE - BETA_2)
        store(flat, at, left, weight - first * rate / (root(second) + every(eps)))
        store(flat, at + factors, left, first)
        store(flat, at + 2 * factors, left, second)
    slope = _linear_slope(linear, feature, found[place + factors], scale, rates)
    linear[feature, 1] = BETA_1 * linear[feature, 1] + (ONE - BETA_1) * slope
    linear[feature, 2] = BETA_2 * linear[feature, 2] + (ONE - BETA_2) * slope * slope
    linear[feature, LINEAR] -= (
        rates[LINEAR_LR] * correction * linear[feature, 1] / (np.sqrt(linear[feature, 2]) + eps)
    )


@inlined
def _adagrad(
    flat: Array,
    base: int,
    factors: int,
    linear: Array,
    feature: int,
    found: Array,
    place: int,
    scale: Any,
    rates: Array,
) -> None:
    eps, decay, clip = rates[EPS], rates[FACTORS_WD], rates[CLIP]
    for f in range(0, factors, WIDTH):
        left, at = factors - f, base + f
        weight = load(flat, at, left)
        slope = _slopes(weight, found, place + f, left, scale, decay, clip)
        squares = load(flat, at + factors, left) + slope * slope
        store(flat, at, left, weight - slope * rates[FACTORS_LR] / (root(squares) + every(eps)))
        store(flat, at + factors, left, squares)
    slope = _linear_slope(linear, feature, found[place + factors], scale, rates)
    linear[feature, 1] += slope * slope
    linear[feature, LINEAR] -= rates[LINEAR_LR] * slope / (np.sqrt(linear[feature, 1]) + eps)


@inlined
def _sgd(
    flat: Array,
    base: int,
    factors: int,
    linear: Array,
    feature: int,
    found: Array,
    place: int,
    scale: Any,
    rates: Array,
) -> None:
    for f in range(0, factors, WIDTH):
        left, at = factors - f, base + f
        weight = load(flat, at, left)
        slope = _slopes(weight, found, place + f, left, scale, rates[FACTORS_WD], rates[CLIP])
        store(flat, at, left, weight - slope * rates[FACTORS_LR])
    linear[feature, LINEAR] -= rates[LINEAR_LR] * _linear_slope(
        linear, feature, found[place + factors], scale, rates
    )


@compiled
def apply(
    optimizer: int,
    state: Array,
    linear: Array,
    touched: Array,
    found: Array,
    scale: Any,
    rates: Array,
) -> None:
    """One update of each touched feature by its gradient, a row of `found`, times `scale`."""
    factors, stride = state.shape[2], state.shape[1] * state.shape[2]
    flat, flat_linear, flat_found = state.reshape(-1), linear.reshape(-1), found.reshape(-1)
    for number in range(len(touched)):
        coming = touched[min(number + AHEAD, len(touched) - 1)]
        ask(flat, coming * stride, stride)
        prefetch(flat_linear, coming * LINEAR_COLUMNS)
        feature, place = touched[number], number * (factors + 1)
        row = (flat, feature * stride, factors, linear, feature)
        _step(optimizer, *row, flat_found, place, scale, rates)


@compiled
def _update(
    optimizer: int,
    state: Array,
    linear: Array,
    features: int,
    heads: Array,
    chains: Any,
    sums: Array,
    slopes: Array,
    scratch: Any,
    found: Array,
    scale: Any,
    rates: Array,
) -> None:
    """`gradients` and `apply` in one, a feature at a time; `found` is room for one gradient."""
    factors, stride = state.shape[2], state.shape[1] * state.shape[2]
    flat, flat_linear, flat_sums = state.reshape(-1), linear.reshape(-1), sums.reshape(-1)
    touched = chains[2]
    for number in range(features):
        coming = touched[min(number + AHEAD, features - 1)]
        ask(flat, coming * stride, stride)
        prefetch(flat_linear, coming * LINEAR_COLUMNS)
        prefetch(heads, coming)
        feature = touched[number]
        base = feature * stride
        entry, heads[feature] = heads[feature], -1
        _gradient(flat, base, factors, entry, chains, slopes, flat_sums, scratch, found, 0)
        _step(optimizer, flat, base, factors, linear, feature, found, 0, scale, rates)


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
    linear: Array,
    bias: Array,
    rates: Array,
    size: int,
    rows: Any,
    heads: Array,
    labels: Array,
    figures: Array,
) -> None:
    """One update per batch; the figures of each, before its update, in a row of `figures`."""
    factors, count, most = state.shape[2], len(labels), largest(rows, size)
    chains = room(most)
    scratch = (np.empty(most, np.float32), np.empty(most, np.int32))
    sums, scores = np.empty((size, factors), np.float32), np.empty(size, np.float32)
    found = np.empty(factors + 1, np.float32)
    for batch in range(len(figures)):
        begin, end = batch * size, min((batch + 1) * size, count)
        features = walk(state, linear, rows, begin, end, heads, chains, sums, scores)
        slopes = scores[: end - begin]
        slopes += np.float32(bias[0])
        summed = judge(kind, slopes, labels[begin:end], figures[batch])
        scale = rates[RESCALE] if rates[RESCALE] >= 0 else np.float32(1.0 / (end - begin))
        place = (state, linear, features, heads, chains, sums, slopes)
        _update(optimizer, *place, scratch, found, scale, rates)
        step_bias(optimizer, bias, summed, scale, rates)


@compiled
def room(entries: int) -> tuple[Array, Array, Array]:
    """Room for the chains of a batch of so many entries."""
    return (
        np.empty((entries, 2), np.int32),
        np.empty(entries, np.float32),
        np.empty(entries, np.int32),
    )


# --- answering -----------------------------------------------------------------------------------


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
    flat, last = weights.reshape(-1), len(indices) - 1
    for row in range(len(scores)):
        found = np.float32(bias)
        for entry in range(indptr[row], indptr[row + 1]):
            ask(flat, indices[min(entry + 2 * AHEAD, last)] * factors, factors)
            found += data[entry] * linear[indices[entry]]
        for f in range(0, factors, WIDTH):
            added, squares = zeros(), zeros()
            for entry in range(indptr[row], indptr[row + 1]):
                part = load(flat, indices[entry] * factors + f, factors - f) * data[entry]
                added += part
                squares += part * part
            found += HALF * total(added * added - squares)
        scores[row] = found
