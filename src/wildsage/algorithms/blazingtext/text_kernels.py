"""Compiled passes of the text classifier over labelled lines: fastText's linear model.

A line is a bag of features; the mean of their rows is compared with each label's row by a softmax.
Several threads may work on the same matrices at once without locks.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from wildsage.algorithms.blazingtext.simd import (
    LANES,
    add_scaled,
    clear_row,
    dot_products,
    prefetch_row,
)
from wildsage.algorithms.blazingtext.word_kernels import (
    advance,
    aligned,
    below,
    gather,
    hold,
    rate_at,
    scatter,
)
from wildsage.algorithms.compiling import compiled

Array = Any
GROUP = 4


@compiled
def classify(
    features: Array,
    starts: Array,
    labels: Array,
    label_starts: Array,
    order: Array,
    inputs: Array,
    outputs: Array,
    classes: Any,
    rate_begin: Any,
    rate_end: Any,
    seed: Any,
) -> Any:
    """Learn from the lines in `order`; of several labels a line teaches one."""
    width = inputs.shape[1]
    blocks, size = width // LANES, np.int64(width * 4)
    work = np.zeros(2 * width + LANES, np.float32)
    scores = np.zeros(len(outputs), np.float32)
    bag = np.zeros(longest(starts, order), np.int64)
    state = np.uint64(seed)
    first, hidden = np.int64(inputs.ctypes.data), aligned(work)
    for number in range(len(order)):
        line = order[number]
        count = starts[line + 1] - starts[line]
        choices = label_starts[line + 1] - label_starts[line]
        if count == 0 or choices == 0:
            continue
        rate = rate_at(number / len(order), rate_begin, rate_end)
        state = advance(state)
        label = labels[label_starts[line] + below(state, choices)]
        for i in range(count):
            bag[i] = first + features[starts[line] + i] * size
            if i < 8:
                prefetch_row(bag[i], blocks)
        gather(bag, count, hidden, blocks)
        score_labels(hidden, outputs, scores)
        as_chances(scores, classes)
        step = rate / np.float32(count)
        gradient = hidden + size
        update_labels(hidden, gradient, outputs, scores, classes, label, rate, step)
        scatter(bag, count, gradient, blocks)
    hold(work)
    return state


@compiled
def longest(starts: Array, order: Array) -> Any:
    most = 1
    for line in order:
        most = max(most, starts[line + 1] - starts[line])
    return most


@compiled
def score_labels(hidden: Any, outputs: Array, scores: Array) -> None:
    """The score of each label; `outputs` has a multiple of `GROUP` rows."""
    width = outputs.shape[1]
    blocks, size = width // LANES, np.int64(width * 4)
    row = np.int64(outputs.ctypes.data)
    for label in range(0, len(outputs), GROUP):
        rows = (row, row + size, row + 2 * size, row + 3 * size)
        found = dot_products((hidden,), rows, blocks)
        scores[label], scores[label + 1] = found[0], found[1]
        scores[label + 2], scores[label + 3] = found[2], found[3]
        row += GROUP * size


@compiled
def as_chances(scores: Array, classes: Any) -> None:
    """Scores become probabilities; those behind the last label zeros."""
    highest = scores[0]
    for label in range(classes):
        highest = max(highest, scores[label])
    total = np.float32(0.0)
    for label in range(classes):
        scores[label] = np.exp(scores[label] - highest)
        total += scores[label]
    for label in range(len(scores)):
        scores[label] = scores[label] / total if label < classes else np.float32(0.0)


@compiled
def update_labels(
    hidden: Any,
    gradient: Any,
    outputs: Array,
    scores: Array,
    classes: Any,
    label: Any,
    rate: Any,
    step: Any,
) -> None:
    """Move the labels' rows by `rate`; `gradient` becomes the features' move, by `step`."""
    width = outputs.shape[1]
    blocks, size = width // LANES, np.int64(width * 4)
    clear_row(gradient, blocks)
    scores[label] -= np.float32(1.0)
    row = np.int64(outputs.ctypes.data)
    for first in range(0, len(outputs), GROUP):
        one, two = -scores[first] * step, -scores[first + 1] * step
        three, four = -scores[first + 2] * step, -scores[first + 3] * step
        rows = (row, row + size, row + 2 * size, row + 3 * size)
        add_scaled(gradient, rows, (one, two, three, four), blocks)
        for number in range(GROUP):
            if first + number < classes:
                move = -scores[first + number] * rate
                add_scaled(row + number * size, (hidden,), (move,), blocks)
        row += GROUP * size


@compiled
def score_lines(
    features: Array, rows: Array, starts: Array, inputs: Array, outputs: Array, result: Array
) -> None:
    """Each line's scores; `rows` tells a feature's row, -1 for one that has none."""
    width = inputs.shape[1]
    blocks, size = width // LANES, np.int64(width * 4)
    mean = np.zeros(width + LANES, np.float32)
    base, hidden = np.int64(inputs.ctypes.data), aligned(mean)
    most = 1
    for line in range(len(result)):
        most = max(most, starts[line + 1] - starts[line])
    bag = np.zeros(most, np.int64)
    for line in range(len(result)):
        known = 0
        for i in range(starts[line], starts[line + 1]):
            row = rows[features[i]]
            if row >= 0:
                bag[known] = base + row * size
                known += 1
        if known > 0:
            gather(bag, known, hidden, blocks)
            share = np.float32(known) / np.float32(starts[line + 1] - starts[line])
            score_labels(hidden, outputs, result[line])
            for label in range(result.shape[1]):
                result[line, label] *= share
    hold(mean)
