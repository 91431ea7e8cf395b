"""Where training starts: topics from clusters of documents, sharpened by EM.

A network that starts at random ends with most of its topics unused (posterior collapse) and takes
long to get there. Here a sample of the documents is grouped by spherical k-means, the groups'
words are the first topics, and a few rounds of EM for a mixture of topics (PLSA with smoothing)
turn them into topics and weights that the network begins with. It costs a few epochs' time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from wildsage.algorithms.ntm import kernels
from wildsage.formats.matrix import SparseMatrix

EM_ROUNDS = 100
GROUPING_ROUNDS = 6
GROUPED_DOCUMENTS = 4000
GROUPED_PER_TOPIC = 50
PSEUDO_WEIGHT = 0.1
PSEUDO_COUNT = 0.05
# Below this a topic's weight in a document counts as none: the logarithm has to end somewhere.
LEAST_WEIGHT = 1e-3


@dataclass(slots=True)
class Start:
    """`topics`: words × topics, columns add up to one. `weights`: documents × topics."""

    topics: np.ndarray
    weights: np.ndarray
    frequencies: np.ndarray

    def logits(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(documents' log-weights in standard scores, their scale, their mean) per topic."""
        logs = np.log(self.weights + LEAST_WEIGHT)
        logs -= logs.mean(axis=1, keepdims=True)
        mean, scale = logs.mean(axis=0), np.maximum(logs.std(axis=0), 0.1)
        return (logs - mean) / scale, scale, mean


def frequencies_of(documents: SparseMatrix) -> np.ndarray:
    """How often each word occurs, as shares; none is zero."""
    counts = np.bincount(documents.indices, documents.data, documents.shape[1]) + 0.5
    shares: np.ndarray = (counts / counts.sum()).astype(np.float32)
    return shares


def start(documents: SparseMatrix, topics: int, rng: np.random.Generator) -> Start:
    """Topics to begin with, from a sample of the documents."""
    frequencies = frequencies_of(documents)
    words = _grouped(documents, topics, frequencies, rng)
    weights = np.full((len(documents), topics), 1 / topics, np.float32)
    for _ in range(EM_ROUNDS):
        words = _em_round(documents, words, weights, frequencies)
    return Start(words, weights, frequencies)


def _em_round(
    documents: SparseMatrix, words: np.ndarray, weights: np.ndarray, frequencies: np.ndarray
) -> np.ndarray:
    """New topics; `weights` are changed in place. The multiplicative form of EM: no posteriors."""
    found = np.zeros_like(words)
    expect(documents, words, weights, found)
    return maximise(words, found, frequencies)


def expect(
    documents: SparseMatrix, words: np.ndarray, weights: np.ndarray, found: np.ndarray
) -> None:
    """Add to `found` by how much each word makes each topic likelier; `weights` are changed."""
    indptr = documents.indptr.astype(np.int64, copy=False)
    indices = documents.indices.astype(np.int32, copy=False)
    kernels.em_round(indptr, indices, documents.data, words, weights, PSEUDO_WEIGHT, found)


def maximise(words: np.ndarray, found: np.ndarray, frequencies: np.ndarray) -> np.ndarray:
    """The topics after a round."""
    words = words * found
    words += PSEUDO_COUNT * frequencies[:, None] * len(frequencies)
    words /= words.sum(axis=0)
    return words


def _grouped(
    documents: SparseMatrix, topics: int, frequencies: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Each group's words, mixed with everybody's."""
    size = min(len(documents), max(GROUPED_DOCUMENTS, GROUPED_PER_TOPIC * topics))
    sample = documents.take(np.sort(rng.choice(len(documents), size, replace=False)))
    member = _groups(_weighted(sample), topics, rng)
    counts = np.asarray(sample.to_scipy().T @ _indicator(member, topics), np.float32)
    counts += 25 * frequencies[:, None] * rng.uniform(0.9, 1.1, counts.shape).astype(np.float32)
    words: np.ndarray = 0.5 * frequencies[:, None] + 0.5 * counts / counts.sum(axis=0)
    return words.astype(np.float32)


def _weighted(sample: SparseMatrix) -> Any:
    """tf-idf rows of unit length, as a SciPy matrix."""
    present = np.bincount(sample.indices, minlength=sample.shape[1]) + 1
    values = (
        np.log1p(sample.data)
        * np.log((len(sample) + 1) / present).astype(np.float32)[sample.indices]
    )
    rows = SparseMatrix(values, sample.indices, sample.indptr, sample.shape)
    lengths = np.sqrt(np.maximum(rows.squared_norms(), 1e-12))
    rows.data = (values / lengths[rows.row_numbers()]).astype(np.float32)
    return rows.to_scipy()


def _groups(rows: Any, count: int, rng: np.random.Generator) -> np.ndarray:
    """The number of each row's group: k-means++ on the sphere, then a few rounds."""
    centers = np.zeros((rows.shape[1], count), np.float32)
    distance = np.ones(rows.shape[0])
    for number in range(count):
        chances = distance**2
        total = chances.sum()
        chosen = rng.choice(rows.shape[0], p=chances / total if total > 0 else None)
        centers[:, number] = rows[[chosen]].toarray()[0]
        distance = np.maximum(np.minimum(distance, 1 - rows @ centers[:, number]), 0)
    for _ in range(GROUPING_ROUNDS):
        member = (rows @ centers).argmax(axis=1)
        centers = np.asarray(rows.T @ _indicator(member, count), np.float32)
        centers /= np.maximum(np.sqrt((centers**2).sum(axis=0)), 1e-9)
    return np.asarray((rows @ centers).argmax(axis=1))


def _indicator(member: np.ndarray, count: int) -> Any:
    from scipy.sparse import csr_matrix

    ones = np.ones(len(member), np.float32)
    return csr_matrix(
        (ones, (np.arange(len(member)), member)), shape=(len(member), count)
    ).toarray()
