"""The loss of a finished model on documents, in NumPy: a bound on their likelihood."""

from __future__ import annotations

import numpy as np

from wildsage.algorithms.ntm.model import TopicModel, softmax
from wildsage.formats.matrix import SparseMatrix

AT_ONCE = 512


def loss_per_word(model: TopicModel, documents: SparseMatrix, *, seed: int = 0) -> float:
    """Reconstruction loss and divergence in nats, by one draw of each document's weights."""
    rng, topics = np.random.default_rng(seed), model.topics().T
    total = 0.0
    for begin in range(0, len(documents), AT_ONCE):
        total += _loss(model, documents[begin : begin + AT_ONCE], topics, rng)
    return total / max(float(documents.data.sum(dtype=np.float64)), 1.0)


def _loss(
    model: TopicModel, documents: SparseMatrix, topics: np.ndarray, rng: np.random.Generator
) -> float:
    hidden = model.hidden(documents)
    mean = hidden @ model.mean[0] + model.mean[1]
    log_sigma = np.clip(hidden @ model.log_sigma[0] + model.log_sigma[1], -8, 4)
    sigma = np.exp(log_sigma)
    drawn = mean + sigma * rng.standard_normal(mean.shape, np.float32)
    weights = softmax(drawn * model.logit_scale + model.logit_shift)
    likely = np.einsum("ij,ij->i", weights[documents.row_numbers()], topics[documents.indices])
    loss = -float((documents.data * np.log(likely + 1e-12)).sum(dtype=np.float64))
    divergence = 0.5 * (mean * mean + sigma * sigma - 1 - 2 * log_sigma)
    return loss + float(divergence.sum(dtype=np.float64))
