"""Compiled loops over documents.

Counts come in compressed rows: document d has the words `words[pointers[d]:pointers[d+1]]` with the
counts beside them. Topics lie one word a row, padded to a multiple of eight columns, so that the
innermost loops fill vector registers; a padded topic has no mass and no prior.
"""

from __future__ import annotations

import math

import numpy as np

from wildsage.algorithms.compiling import compiled

# Floats between arrays that a loop reads and writes. Where arrays lie closer, LLVM's check for
# overlaps takes the loop that adds up one by one, and the result depends on where they lie.
_APART = 128


@compiled
def assign(
    pointers: np.ndarray,
    words: np.ndarray,
    counts: np.ndarray,
    topics: np.ndarray,
    prior: np.ndarray,
    mixtures: np.ndarray,
    sums: np.ndarray,
    longest: int,
    iterations: int,
    tolerance: float,
) -> None:
    """Collapsed variational inference (CVB0): how much of each document belongs to which topic.

    `mixtures` holds the expected counts of each document's topics, where they start and where they
    end. What the words contribute to the topics is added to `sums`, unless that is empty. A sweep
    goes word by word, and each word sees what the others were given just before. The sweeps of a
    document end when its counts move less than `tolerance` of its length.
    """
    width = topics.shape[1]
    margin = _APART // width + 1
    shares = np.empty((longest + 2 * margin, width), np.float32)[margin:]
    stride = width + _APART
    scratch = np.empty(5 * stride, np.float32)
    fresh, total = scratch[stride : stride + width], scratch[2 * stride : 2 * stride + width]
    before = scratch[3 * stride : 3 * stride + width]
    for document in range(len(pointers) - 1):
        first, last = pointers[document], pointers[document + 1]
        own_words, own_counts = words[first:last], counts[first:last]
        total[:] = 0
        length = _begin(own_words, own_counts, topics, mixtures[document], prior, shares, total)
        for _ in range(iterations):
            before[:] = total
            _sweep(own_words, own_counts, topics, prior, shares, fresh, total)
            moved = np.float32(0)
            for topic in range(width):
                moved += abs(total[topic] - before[topic])
            if moved <= tolerance * length:
                break
        if len(sums):
            for place in range(last - first):
                target, share, count = sums[own_words[place]], shares[place], own_counts[place]
                for topic in range(width):
                    target[topic] += count * share[topic]
        for topic in range(width):
            mixtures[document, topic] = max(total[topic], np.float32(0))


@compiled
def _begin(
    words: np.ndarray,
    counts: np.ndarray,
    topics: np.ndarray,
    held: np.ndarray,
    prior: np.ndarray,
    shares: np.ndarray,
    total: np.ndarray,
) -> float:
    """A document's first shares, out of what it was last found to hold; its length."""
    length = np.float32(0)
    for place in range(len(words)):
        row, share, count = topics[words[place]], shares[place], counts[place]
        mass = np.float32(0)
        for topic in range(len(total)):
            value = row[topic] * (held[topic] + prior[topic])
            share[topic] = value
            mass += value
        scale = np.float32(1) / mass
        length += count
        for topic in range(len(total)):
            share[topic] *= scale
            total[topic] += count * share[topic]
    return float(length)


@compiled
def _sweep(
    words: np.ndarray,
    counts: np.ndarray,
    topics: np.ndarray,
    prior: np.ndarray,
    shares: np.ndarray,
    fresh: np.ndarray,
    total: np.ndarray,
) -> None:
    """One sweep over a document's words: each one's share of the topics, given the others'."""
    zero, least, one = np.float32(0), np.float32(1e-30), np.float32(1)
    for place in range(len(words)):
        row, share, count = topics[words[place]], shares[place], counts[place]
        own = min(count, one)
        mass = zero
        for topic in range(len(total)):
            others = max(total[topic] - own * share[topic], zero)
            value = row[topic] * (others + prior[topic])
            fresh[topic] = value
            mass += value
        scale = one / max(mass, least)
        for topic in range(len(total)):
            value = fresh[topic] * scale
            total[topic] += count * (value - share[topic])
            share[topic] = value


@compiled
def take(
    counts: np.ndarray,
    words: np.ndarray,
    scale: float,
    eta: float,
    heights: np.ndarray,
    result: np.ndarray,
) -> None:
    """What `assign` wants of some words' counts: scaled, smoothed and divided by topic."""
    factor, prior = np.float32(scale), np.float32(eta)
    for place in range(len(words)):
        row, target = counts[words[place]], result[place]
        for topic in range(len(heights)):
            target[topic] = (row[topic] * factor + prior) * heights[topic]


@compiled
def give(
    sums: np.ndarray, words: np.ndarray, weight: float, counts: np.ndarray, totals: np.ndarray
) -> None:
    """Adds weighted sums to some words' counts, and adds them up by topic."""
    factor = np.float32(weight)
    for place in range(len(words)):
        row, target = sums[place], counts[words[place]]
        for topic in range(len(totals)):
            value = row[topic] * factor
            target[topic] += value
            totals[topic] += value


@compiled
def sample(
    pointers: np.ndarray,
    words: np.ndarray,
    counts: np.ndarray,
    topics: np.ndarray,
    prior: np.ndarray,
    mixtures: np.ndarray,
    drawn: np.ndarray,
    sweeps: int,
    most_draws: int,
    seed: int,
) -> None:
    """Draws the topic of every word (Gibbs sampling): whole counts per document, into `drawn`.

    Expected counts are smoother than any draw, and a prior learned from them would be too large.
    """
    np.random.seed(seed)
    width = topics.shape[1]
    sums = np.empty(width, np.float64)
    capacity = 1024
    chosen = np.empty(capacity, np.int32)
    for document in range(len(pointers) - 1):
        own = drawn[document]
        for sweep in range(sweeps + 1):
            token = 0
            for place in range(pointers[document], pointers[document + 1]):
                row = topics[words[place]]
                draws = min(max(int(counts[place] + 0.5), 1), most_draws)
                weight = counts[place] / draws
                for _ in range(draws):
                    if token == capacity:
                        larger = np.empty(2 * capacity, np.int32)
                        larger[:capacity] = chosen
                        chosen = larger
                        capacity *= 2
                    if sweep:
                        own[chosen[token]] -= weight
                    mass = 0.0
                    for topic in range(width):
                        held = own[topic] if sweep else mixtures[document, topic]
                        mass += row[topic] * (max(held, 0.0) + prior[topic])
                        sums[topic] = mass
                    mark = np.random.random() * mass
                    topic = 0
                    while topic < width - 1 and sums[topic] < mark:
                        topic += 1
                    chosen[token] = topic
                    own[topic] += weight
                    token += 1


@compiled
def times(
    pointers: np.ndarray,
    words: np.ndarray,
    counts: np.ndarray,
    table: np.ndarray,
    result: np.ndarray,
) -> None:
    """`result` becomes the product of the documents with a table of a row per word."""
    width = table.shape[1]
    for document in range(len(pointers) - 1):
        target = result[document]
        target[:] = 0
        for place in range(pointers[document], pointers[document + 1]):
            row, count = table[words[place]], counts[place]
            for column in range(width):
                target[column] += count * row[column]


@compiled
def transposed_times(
    pointers: np.ndarray,
    words: np.ndarray,
    counts: np.ndarray,
    weights: np.ndarray,
    table: np.ndarray,
    result: np.ndarray,
) -> None:
    """Adds to `result`, for each word, the rows of `table` of the documents that have it."""
    width = table.shape[1]
    for document in range(len(pointers) - 1):
        row = table[document]
        for place in range(pointers[document], pointers[document + 1]):
            target, count = result[words[place]], counts[place] * weights[document]
            for column in range(width):
                target[column] += count * row[column]


@compiled
def likelihood(
    pointers: np.ndarray,
    words: np.ndarray,
    counts: np.ndarray,
    topics: np.ndarray,
    mixtures: np.ndarray,
) -> float:
    """The sum of the logarithms of the words' probabilities."""
    width, total = topics.shape[1], 0.0
    for document in range(len(pointers) - 1):
        mixture = mixtures[document]
        for place in range(pointers[document], pointers[document + 1]):
            row, chance = topics[words[place]], np.float32(0)
            for topic in range(width):
                chance += row[topic] * mixture[topic]
            total += counts[place] * math.log(max(float(chance), 1e-30))
    return total


@compiled
def excess(counts: np.ndarray, prior: np.ndarray, result: np.ndarray) -> None:
    """Adds up digamma(count + prior) - digamma(prior) for each column of `counts`."""
    for column in range(len(prior)):
        start = prior[column]
        total = 0.0
        for row in range(len(counts)):
            if counts[row, column] > 0:
                total += _digamma(counts[row, column] + start) - _digamma(start)
        result[column] = total


@compiled
def _digamma(value: float) -> float:
    """The logarithmic derivative of the gamma function, for positive values."""
    result = 0.0
    while value < 6:
        result -= 1 / value
        value += 1
    inverse = 1 / value
    square = inverse * inverse
    series = square * (1 / 12 - square * (1 / 120 - square * (1 / 252 - square / 240)))
    return result + math.log(value) - inverse / 2 - series
