"""A processor's loops do what a GPU is given to do."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch

from algorithms.ntm.helpers_ntm import counts
from wildsage.algorithms.ntm import starting
from wildsage.algorithms.ntm.corpus import as_counts
from wildsage.algorithms.ntm.network import Batch, ByWord, Network

CPU = torch.device("cpu")


def test_losses_and_gradients_are_the_same() -> None:
    documents = as_counts(counts())[:30]
    batch = Batch.of(documents, CPU)
    found = []
    for given in (batch, replace(batch, by_word=ByWord.of(documents, CPU))):
        generator = torch.Generator().manual_seed(0)
        network = Network(documents.shape[1], 3, [7, 5], "tanh", False, generator)
        torch.nn.init.normal_(network.weight, generator=generator)
        reconstruction, divergence = network(given, given.values)
        loss: Any = reconstruction + divergence
        loss.backward()
        found.append([loss.detach(), *(p.grad for p in network.parameters())])
    for ours, plain in zip(*found, strict=True):
        torch.testing.assert_close(ours, plain, rtol=1e-4, atol=1e-3)


def test_a_round_of_em_makes_words_likelier() -> None:
    documents = as_counts(counts())
    rng = np.random.default_rng(0)
    words = rng.dirichlet(np.ones(documents.shape[1]), 3).T.astype(np.float32)
    weights = np.full((len(documents), 3), 1 / 3, np.float32)
    frequencies = starting.frequencies_of(documents)
    scores = []
    for _ in range(5):
        words = starting._em_round(documents, words, weights, frequencies)
        likely = (weights[documents.row_numbers()] * words[documents.indices]).sum(axis=1)
        scores.append(float((documents.data * np.log(likely)).sum()))
    assert scores == sorted(scores)
    np.testing.assert_allclose(weights.sum(axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(words.sum(axis=0), 1, rtol=1e-5)
