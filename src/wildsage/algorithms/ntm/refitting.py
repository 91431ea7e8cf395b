"""After training: topics anew from the weights that the encoder gives the documents.

Gradients come of weights drawn at random, and of half of each document's words, which blurs the
topics of few documents. Here the encoder sees all words and says what it holds most likely, and a
few rounds of EM find the topics that explain the documents best by these weights.
"""

from __future__ import annotations

import numpy as np

from wildsage.algorithms.ntm import starting
from wildsage.algorithms.ntm.corpus import Corpus
from wildsage.algorithms.ntm.model import TopicModel
from wildsage.contract.cluster import Cluster

ROUNDS = 3
AT_ONCE = 512


def refitted(
    model: TopicModel, corpus: Corpus, frequencies: np.ndarray, cluster: Cluster
) -> np.ndarray:
    """Words × topics; columns add up to one. The same on every host, each with its documents."""
    words = np.ascontiguousarray(model.topics().T)
    for _ in range(ROUNDS):
        found = np.zeros_like(words)
        for rows in corpus.in_order(AT_ONCE):
            starting.expect(rows, words, model.topic_weights(rows).astype(np.float32), found)
        if cluster.size > 1:
            found = cluster.allreduce(found.ravel()).reshape(found.shape)
        words = starting.maximise(words, found, frequencies)
    return words
