"""The compiled steps of word vectors beside plain NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from wildsage.algorithms.blazingtext import word_kernels as kernels
from wildsage.algorithms.blazingtext.simd import LANES, LINE, padded_zeros
from wildsage.algorithms.compiling import compiled

WIDTH, ROWS, RATE = 20, 9, 0.05
BLOCKS = 2
TABLE = kernels.sigmoid_table()


def matrix(seed: int) -> np.ndarray:
    made = padded_zeros(ROWS, WIDTH)
    made[:, :WIDTH] = np.random.default_rng(seed).normal(size=(ROWS, WIDTH))
    return made


def addresses(rows: np.ndarray, places: list[int], spare: int = 0) -> np.ndarray:
    found = [rows.ctypes.data + place * rows.strides[0] for place in places]
    return np.array(found + [0] * spare, np.int64)


def sigmoid(scores: np.ndarray) -> np.ndarray:
    chances: np.ndarray = 1 / (1 + np.exp(-np.clip(scores, -8, 8)))
    return chances


@pytest.mark.parametrize("rows", [1, 3, 1000])
def test_rows_begin_with_cache_lines(rows: int) -> None:
    made = padded_zeros(rows, WIDTH)
    assert made.shape == (rows, 2 * LANES) and made.flags.c_contiguous and not made.any()
    assert made.ctypes.data % LINE == 0


@pytest.mark.parametrize("places", [[4], [1, 2], [1, 2, 1], list(range(7)), [0] * 9])
def test_the_mean_of_a_bag_and_moving_all_of_it(places: list[int]) -> None:
    rows, mean = matrix(1), padded_zeros(1, WIDTH)
    before, bag = rows.astype(np.float64), addresses(rows, places, 4)
    kernels.gather(bag, len(places), mean.ctypes.data, BLOCKS)
    np.testing.assert_allclose(mean[0], before[places].mean(0), atol=1e-5)
    kernels.scatter(bag, len(places), mean.ctypes.data, BLOCKS)
    np.add.at(before, places, mean[0].astype(np.float64))
    np.testing.assert_allclose(rows, before, atol=1e-5)


@pytest.mark.parametrize("drawn", range(1, 10))
@pytest.mark.parametrize(("positives", "weight"), [(1, 1.0), (3, 1.5)])
def test_targets_and_the_gradient_move_as_in_numpy(
    drawn: int, positives: int, weight: float
) -> None:
    rows, work = matrix(2), padded_zeros(3, WIDTH)
    work[0, :WIDTH] = hidden = np.random.default_rng(3).normal(size=WIDTH) / 4
    hidden_at, gradient_at, none = addresses(work, [0, 1, 2]).tolist()
    before, targets = rows[:, :WIDTH].astype(np.float64), addresses(rows, list(range(drawn)), 6)
    kernels.update_targets(
        hidden_at,
        gradient_at,
        targets,
        positives,
        drawn,
        none,
        BLOCKS,
        TABLE,
        np.float32(RATE),
        np.float32(weight),
    )
    there = np.arange(drawn) < positives
    steps = (there - sigmoid(before[:drawn] @ hidden)) * np.where(there, 1, weight) * RATE
    np.testing.assert_allclose(work[1, :WIDTH], steps @ before[:drawn], atol=2e-3)
    before[:drawn] += steps[:, None] * hidden
    np.testing.assert_allclose(rows[:, :WIDTH], before, atol=1e-3)
    assert not work[2].any() and not rows[:, WIDTH:].any()


@compiled
def drawn_words(count: Any, chances: Any, aliases: Any, state: Any) -> Any:
    found = np.zeros(len(chances), np.int64)
    for _ in range(count):
        state = kernels.advance(state)
        found[kernels.draw_word(state, chances, aliases)] += 1
    return found


def test_words_are_drawn_by_their_weights() -> None:
    weights = 1 / np.arange(1.0, 201)
    count, chances = 400_000, weights / weights.sum()
    own, aliases = kernels.alias_table(weights)
    found = drawn_words(count, own, aliases, np.uint64(5))
    deviations = (found - count * chances) / np.sqrt(count * chances)
    assert np.abs(deviations).max() < 5
    assert 0.6 < (deviations**2).mean() < 1.5


def test_subsampling_keeps_as_many_words_as_it_should() -> None:
    tokens = np.tile(np.array([0, 1, -1], np.int32), 20_000)
    keep = (np.array([0.25, 1.0]) * (2**32 - 1)).astype(np.uint32)
    sentence, position, state = np.zeros(1000, np.int32), 0, np.uint64(1)
    kept, ends = np.zeros(2, np.int64), 0
    while position < len(tokens):
        position, length, state = kernels.next_sentence(tokens, position, keep, state, sentence)
        state = np.uint64(state)
        kept += np.bincount(sentence[:length], minlength=2)
        ends += 1
    assert kept[1] == ends == 20_000
    assert abs(kept[0] - 5000) < 300


def test_samples_are_used_from_their_turn_on_without_the_words_that_are_there() -> None:
    coming, targets = np.array([7, 8, 9, 5, 6]), np.array([9, 0, 0, 0, 0])
    assert kernels.take_samples(4, coming, 2, targets, 1) == 4
    assert targets.tolist() == [9, 5, 6, 7, 0]


def test_used_samples_alone_are_drawn_anew() -> None:
    rows, (own, aliases) = matrix(4), kernels.alias_table(np.ones(ROWS))
    base, state, used = rows.ctypes.data, np.uint64(3), set()
    coming = np.zeros(5, np.int64)
    turn, _ = kernels.renew_samples(3, coming, 3, base, BLOCKS, own, aliases, state)
    assert turn == 1 and coming[1:3].tolist() == [0, 0]
    for _ in range(40):
        turn, state = kernels.renew_samples(3, coming, turn, base, BLOCKS, own, aliases, state)
        state = np.uint64(state)
        used |= set(coming.tolist())
    assert used - {0} == {base + row * rows.strides[0] for row in range(ROWS)}
