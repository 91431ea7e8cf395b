"""The loops over the words of documents, compiled: one pass each, and nothing kept between.

Documents come as rows of a sparse matrix: `indptr`, `indices`, and a value for each word that
occurs.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from wildsage.algorithms.compiling import compiled

Array = NDArray[Any]
ZERO, ONE = np.float32(0), np.float32(1)
LEAST = np.float32(1e-12)


@compiled
def product(indptr: Array, indices: Array, values: Array, weight: Array, result: Array) -> None:
    """Documents × weight."""
    width = weight.shape[1]
    for document in range(len(indptr) - 1):
        for column in range(width):
            result[document, column] = ZERO
        for place in range(indptr[document], indptr[document + 1]):
            word, value = indices[place], values[place]
            if value != ZERO:
                for column in range(width):
                    result[document, column] += value * weight[word, column]


@compiled
def product_back(
    indptr: Array, indices: Array, values: Array, gradient: Array, of_weight: Array
) -> None:
    width = of_weight.shape[1]
    of_weight[:] = ZERO
    for document in range(len(indptr) - 1):
        for place in range(indptr[document], indptr[document + 1]):
            word, value = indices[place], values[place]
            if value != ZERO:
                for column in range(width):
                    of_weight[word, column] += value * gradient[document, column]


@compiled
def mixture(indptr: Array, indices: Array, weights: Array, topics: Array, likely: Array) -> None:
    """The probability of each word that occurs."""
    for document in range(len(indptr) - 1):
        for place in range(indptr[document], indptr[document + 1]):
            word, total = indices[place], ZERO
            for topic in range(topics.shape[1]):
                total += weights[document, topic] * topics[word, topic]
            likely[place] = total


@compiled
def mixture_back(
    indptr: Array,
    indices: Array,
    gradient: Array,
    weights: Array,
    topics: Array,
    of_weights: Array,
    of_topics: Array,
) -> None:
    of_weights[:] = ZERO
    of_topics[:] = ZERO
    for document in range(len(indptr) - 1):
        for place in range(indptr[document], indptr[document + 1]):
            word, value = indices[place], gradient[place]
            for topic in range(topics.shape[1]):
                of_weights[document, topic] += value * topics[word, topic]
                of_topics[word, topic] += value * weights[document, topic]


@compiled
def em_round(
    indptr: Array,
    indices: Array,
    counts: Array,
    words: Array,
    weights: Array,
    pseudo_weight: float,
    found: Array,
) -> None:
    """Expected counts of words by topic into `found`; `weights` are changed in place."""
    topics = words.shape[1]
    grown = np.empty(topics, np.float32)
    for document in range(len(indptr) - 1):
        grown[:] = ZERO
        for place in range(indptr[document], indptr[document + 1]):
            word, likely = indices[place], LEAST
            for topic in range(topics):
                likely += weights[document, topic] * words[word, topic]
            ratio = counts[place] / likely
            for topic in range(topics):
                grown[topic] += ratio * words[word, topic]
                found[word, topic] += ratio * weights[document, topic]
        total = ZERO
        for topic in range(topics):
            value = weights[document, topic] * grown[topic] + np.float32(pseudo_weight)
            weights[document, topic] = value
            total += value
        for topic in range(topics):
            weights[document, topic] /= total
