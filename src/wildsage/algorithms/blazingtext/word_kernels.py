"""Compiled passes of word2vec over a piece of a corpus: skip-gram and CBOW with negative samples.

A corpus is an array of word numbers, -1 between sentences. Negative samples are shared: skip-gram
draws them once for all words around a word, so that scores and updates are products of small
matrices whose rows stay in the cache (Ji et al. 2016), and CBOW tells two neighbours from the same
samples. `rows` and `starts` tell which rows make up a word's input vector: itself, and its subwords
where these are learned.

Several threads may work on the same matrices at once without locks (Hogwild, Niu et al. 2011).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from wildsage.algorithms.blazingtext.simd import (
    LANES,
    LINE,
    add_scaled,
    add_to_rows,
    clear_row,
    copy_row,
    dot_products,
    exchange,
    prefetch_row,
)
from wildsage.algorithms.compiling import compiled

Array = Any
LONGEST_SENTENCE = 1000
SIGMOID_LIMIT = 8
SIGMOID_STEPS = 64  # per unit
GROUP = 3  # output rows that are handled together
MOST_CONTEXT_GROUP = 4
SHARING = 2  # neighbours that CBOW tells from the same samples; with 3 rho was lower by 0.01

_MULTIPLIER = np.uint64(6364136223846793005)
_INCREMENT = np.uint64(1442695040888963407)


def sigmoid_table() -> np.ndarray:
    count = 2 * SIGMOID_LIMIT * SIGMOID_STEPS
    at = (np.arange(count) + 0.5) / SIGMOID_STEPS - SIGMOID_LIMIT
    return (1 / (1 + np.exp(-at))).astype(np.float32)


@compiled
def advance(state: Any) -> Any:
    """The next state of the random numbers; the upper half of a state is a number."""
    return state * _MULTIPLIER + _INCREMENT


@compiled
def below(state: Any, limit: Any) -> Any:
    """A number from 0 to limit - 1."""
    return np.int64(((state >> np.uint64(32)) * np.uint64(limit)) >> np.uint64(32))


@compiled
def draw_word(state: Any, chances: Array, aliases: Array) -> Any:
    """A negative sample, by the alias method."""
    word = below(state, len(chances))
    mixed = np.uint32((state ^ (state >> np.uint64(29))) & np.uint64(0xFFFFFFFF))
    taken = np.int64(mixed > chances[word])  # a branch would be foreseen half the time
    return word + taken * (np.int64(aliases[word]) - word)


@compiled
def sigmoid(score: Any, table: Array) -> Any:
    limit = np.float32(SIGMOID_LIMIT) - np.float32(0.01)
    clipped = min(max(score, -limit), limit)
    return table[np.int64((clipped + np.float32(SIGMOID_LIMIT)) * np.float32(SIGMOID_STEPS))]


@compiled
def next_sentence(tokens: Array, begin: Any, keep: Array, state: Any, sentence: Array) -> Any:
    """Fill `sentence` with words that subsampling keeps: (where it ended, length, state)."""
    length: Any = 0
    position = begin
    while position < len(tokens) and length < len(sentence):
        word = tokens[position]
        position += 1
        if word < 0:
            if length > 0:
                break
            continue
        state = advance(state)
        sentence[length] = word
        length += np.int64(np.uint32(state >> np.uint64(32)) <= keep[word])
    return position, length, state


@compiled
def rate_at(share: Any, begin: Any, end: Any) -> Any:
    return np.float32(begin + (end - begin) * share)


@compiled
def hold(buffer: Array) -> None:
    """Keeps an array that is used by its address until here: its last use by name frees it."""
    buffer[0] = np.float32(0.0)


@compiled
def aligned(buffer: Array) -> Any:
    """Where the first whole cache line of an array begins; up to `LANES` floats are lost."""
    return (np.int64(buffer.ctypes.data) + LINE - 1) // LINE * LINE


# --- skip-gram -----------------------------------------------------------------------------------


@compiled
def skipgram(
    tokens: Array,
    inputs: Array,
    outputs: Array,
    keep: Array,
    chances: Array,
    aliases: Array,
    table: Array,
    window: Any,
    negatives: Any,
    batch: Any,
    rate_begin: Any,
    rate_end: Any,
    seed: Any,
) -> Any:
    """One pass of skip-gram, `batch` words of a window at a time."""
    width = inputs.shape[1]
    blocks, size = width // LANES, np.int64(width * 4)
    slots = (negatives + GROUP) // GROUP * GROUP
    work = np.zeros((slots + 1) * width + LANES, np.float32)
    scores = np.zeros((2 * window + 2, slots), np.float32)
    contexts = np.zeros(2 * window + 2, np.int64)
    targets = np.zeros(slots, np.int64)
    sentence = np.zeros(LONGEST_SENTENCE, np.int32)
    state, position = np.uint64(seed), 0
    first, second = np.int64(inputs.ctypes.data), np.int64(outputs.ctypes.data)
    none = aligned(work)  # a row of zeros
    copies = none + size
    while position < len(tokens):
        position, length, state = next_sentence(tokens, position, keep, state, sentence)
        rate = rate_at(position / len(tokens), rate_begin, rate_end)
        for center in range(length):
            state = advance(state)
            reach = 1 + below(state, window)
            begin, end = max(0, center - reach), min(length, center + reach + 1)
            prefetch_row(second + sentence[min(center + 1, length - 1)] * size, blocks)
            prefetch_row(first + sentence[min(center + window + 2, length - 1)] * size, blocks)
            at = begin
            while at < end:
                count = 0
                while at < end and count < batch:
                    if at != center:
                        contexts[count] = first + sentence[at] * size
                        count += 1
                    at += 1
                if count == 0:
                    continue
                contexts[count] = none
                word = np.int64(sentence[center])
                state, drawn = choose_targets(
                    word, second, size, blocks, negatives, chances, aliases, state, targets, copies
                )
                update_window(
                    contexts, count, targets, drawn, copies, scores, none, blocks, table, rate
                )
    hold(work)
    return state


@compiled
def choose_targets(
    word: Any,
    base: Any,
    size: Any,
    blocks: Any,
    negatives: Any,
    chances: Array,
    aliases: Array,
    state: Any,
    targets: Array,
    copies: Any,
) -> Any:
    """The word and its negative samples, with copies of their rows: (state, how many)."""
    targets[0] = base + word * size
    drawn = 1
    for _ in range(negatives):
        state = advance(state)
        sample = draw_word(state, chances, aliases)
        if sample != word:
            targets[drawn] = base + sample * size
            prefetch_row(targets[drawn], blocks)
            drawn += 1
    for slot in range(len(targets)):
        if slot < drawn:
            copy_row(copies + slot * size, targets[slot], blocks)
        else:
            clear_row(copies + slot * size, blocks)
    return state, drawn


@compiled
def update_window(
    contexts: Array,
    count: Any,
    targets: Array,
    drawn: Any,
    copies: Any,
    scores: Array,
    none: Any,
    blocks: Any,
    table: Array,
    rate: Any,
) -> None:
    """Move the contexts' rows and the targets' rows by their gradients."""
    size = np.int64(blocks * LINE)
    slots = (drawn + GROUP - 1) // GROUP * GROUP
    for c in range(0, count, 2):
        for t in range(0, slots, GROUP):
            row = copies + t * size
            found = dot_products(
                (contexts[c], contexts[c + 1]), (row, row + size, row + 2 * size), blocks
            )
            scores[c, t], scores[c, t + 1], scores[c, t + 2] = found[0], found[1], found[2]
            other = c + 1
            scores[other, t], scores[other, t + 1], scores[other, t + 2] = (
                found[3],
                found[4],
                found[5],
            )
    as_gradients(scores, count, drawn, slots, table, rate)
    for t in range(drawn):
        c = 0
        while c + MOST_CONTEXT_GROUP <= count:
            add_scaled(
                targets[t],
                (contexts[c], contexts[c + 1], contexts[c + 2], contexts[c + 3]),
                (scores[c, t], scores[c + 1, t], scores[c + 2, t], scores[c + 3, t]),
                blocks,
            )
            c += MOST_CONTEXT_GROUP
        while c < count:
            pair = (contexts[c], contexts[c + 1])
            add_scaled(targets[t], pair, (scores[c, t], scores[c + 1, t]), blocks)
            c += 2
    for c in range(count):
        for t in range(0, slots, GROUP):
            row = copies + t * size
            factors = (scores[c, t], scores[c, t + 1], scores[c, t + 2])
            add_scaled(contexts[c], (row, row + size, row + 2 * size), factors, blocks)


@compiled
def as_gradients(
    scores: Array, count: Any, drawn: Any, slots: Any, table: Array, rate: Any
) -> None:
    """Turn scores into steps: the first target is the word itself, the others should not be."""
    for c in range(count):
        for t in range(drawn):
            wanted = np.float32(1.0) if t == 0 else np.float32(0.0)
            scores[c, t] = (wanted - sigmoid(scores[c, t], table)) * rate
        for t in range(drawn, slots):
            scores[c, t] = np.float32(0.0)
    for t in range(slots):
        scores[count, t] = np.float32(0.0)


# --- one vector against several ------------------------------------------------------------------


@compiled
def gather(bag: Array, count: Any, hidden: Any, blocks: Any) -> None:
    """The mean of the rows at the addresses in `bag`; after the last one four more may be read."""
    clear_row(hidden, blocks)
    part = np.float32(1.0) / np.float32(count)
    i = 0
    while i + 4 <= count:
        if i + 12 <= count:
            for ahead in range(i + 8, i + 12):
                prefetch_row(bag[ahead], blocks)
        rows = (bag[i], bag[i + 1], bag[i + 2], bag[i + 3])
        add_scaled(hidden, rows, (part, part, part, part), blocks)
        i += 4
    while i < count:
        add_scaled(hidden, (bag[i],), (part,), blocks)
        i += 1


@compiled
def scatter(bag: Array, count: Any, source: Any, blocks: Any) -> None:
    """Add a row to each of the rows at the addresses in `bag`."""
    i = 0
    while i + 4 <= count:
        add_to_rows((bag[i], bag[i + 1], bag[i + 2], bag[i + 3]), source, blocks)
        i += 4
    while i + 2 <= count:
        add_to_rows((bag[i], bag[i + 1]), source, blocks)
        i += 2
    if i < count:
        add_to_rows((bag[i],), source, blocks)


@compiled
def update_targets(
    hidden: Any,
    gradient: Any,
    targets: Array,
    positives: Any,
    drawn: Any,
    none: Any,
    blocks: Any,
    table: Array,
    rate: Any,
    weight: Any,
) -> None:
    """Move the targets' rows; `gradient` becomes what `hidden` should be moved by.

    The first `positives` targets are words that are there, the others samples, which count `weight`
    times.
    """
    clear_row(gradient, blocks)
    for spare in range(drawn, drawn + GROUP):
        targets[spare] = none
    t = 0
    while drawn - t > GROUP:
        update_six(hidden, gradient, targets, t, positives, drawn, blocks, table, rate, weight)
        t += 2 * GROUP
    if t < drawn:
        rows = (targets[t], targets[t + 1], targets[t + 2])
        found = dot_products((hidden,), rows, blocks)
        steps = (
            target_step(t, positives, drawn, found[0], table, rate, weight),
            target_step(t + 1, positives, drawn, found[1], table, rate, weight),
            target_step(t + 2, positives, drawn, found[2], table, rate, weight),
        )
        exchange(hidden, gradient, rows, steps, blocks)


@compiled
def update_six(
    hidden: Any,
    gradient: Any,
    targets: Array,
    t: Any,
    positives: Any,
    drawn: Any,
    blocks: Any,
    table: Array,
    rate: Any,
    weight: Any,
) -> None:
    rows = (
        targets[t],
        targets[t + 1],
        targets[t + 2],
        targets[t + 3],
        targets[t + 4],
        targets[t + 5],
    )
    found = dot_products((hidden,), rows, blocks)
    steps = (
        target_step(t, positives, drawn, found[0], table, rate, weight),
        target_step(t + 1, positives, drawn, found[1], table, rate, weight),
        target_step(t + 2, positives, drawn, found[2], table, rate, weight),
        target_step(t + 3, positives, drawn, found[3], table, rate, weight),
        target_step(t + 4, positives, drawn, found[4], table, rate, weight),
        target_step(t + 5, positives, drawn, found[5], table, rate, weight),
    )
    exchange(hidden, gradient, rows, steps, blocks)


@compiled
def target_step(
    number: Any, positives: Any, drawn: Any, score: Any, table: Array, rate: Any, weight: Any
) -> Any:
    if number >= drawn:
        return np.float32(0.0)
    if number < positives:
        return (np.float32(1.0) - sigmoid(score, table)) * rate
    return -sigmoid(score, table) * rate * weight


@compiled
def most_rows(starts: Array) -> Any:
    """The rows of the word that has most."""
    most = 1
    for word in range(len(starts) - 1):
        most = max(most, starts[word + 1] - starts[word])
    return most


@compiled
def fill_bag(
    word: Any, base: Any, size: Any, rows: Array, starts: Array, bag: Array, count: Any
) -> Any:
    """Append the addresses of a word's rows to the bag; returns how many are in it."""
    for i in range(starts[word], starts[word + 1]):
        bag[count] = base + rows[i] * size
        count += 1
    return count


@compiled
def update_bag(
    bag: Array,
    count: Any,
    hidden: Any,
    targets: Array,
    positives: Any,
    drawn: Any,
    weight: Any,
    blocks: Any,
    table: Array,
    rate: Any,
) -> None:
    """Move the rows of the bag and the targets' rows; two rows behind `hidden` are for work."""
    gradient, none = hidden + blocks * LINE, hidden + 2 * blocks * LINE
    gather(bag, count, hidden, blocks)
    update_targets(hidden, gradient, targets, positives, drawn, none, blocks, table, rate, weight)
    scatter(bag, count, gradient, blocks)


@compiled
def fill_context(
    cbow: Any,
    sentence: Array,
    center: Any,
    begin: Any,
    end: Any,
    inputs: Array,
    outputs: Array,
    rows: Array,
    starts: Array,
    bag: Array,
    targets: Array,
) -> Any:
    """What predicts goes to the bag, what is predicted to the targets: how many of each."""
    base, size = np.int64(inputs.ctypes.data), np.int64(inputs.shape[1] * 4)
    count, positives = 0, 0
    for at in range(begin, end):
        if (at == center) != cbow:
            count = fill_bag(sentence[at], base, size, rows, starts, bag, count)
        else:
            targets[positives] = np.int64(outputs.ctypes.data) + sentence[at] * size
            positives += 1
    return count, positives


@compiled
def bags(
    cbow: Any,
    tokens: Array,
    inputs: Array,
    outputs: Array,
    rows: Array,
    starts: Array,
    keep: Array,
    chances: Array,
    aliases: Array,
    table: Array,
    window: Any,
    negatives: Any,
    rate_begin: Any,
    rate_end: Any,
    seed: Any,
) -> Any:
    """One pass of CBOW (the words around predict the word) or of skip-gram with subwords (the word
    predicts those around)."""
    width = inputs.shape[1]
    blocks, size = width // LANES, np.int64(width * 4)
    work = np.zeros(3 * width + LANES, np.float32)
    targets = np.zeros(2 * window + (window + 1) * negatives + 2 * GROUP, np.int64)
    bag = np.zeros(2 * window * most_rows(starts) + 4, np.int64)
    sentence = np.zeros(LONGEST_SENTENCE, np.int32)
    state, position = np.uint64(seed), 0
    first, second = np.int64(inputs.ctypes.data), np.int64(outputs.ctypes.data)
    hidden = aligned(work)
    coming, turn = np.zeros((window + 1) * negatives, np.int64), 0
    state = first_samples(coming, second, blocks, chances, aliases, state)
    while position < len(tokens):
        position, length, state = next_sentence(tokens, position, keep, state, sentence)
        rate = rate_at(position / len(tokens), rate_begin, rate_end)
        for center in range(length):
            state = advance(state)
            reach = 1 + below(state, window)
            begin, end = max(0, center - reach), min(length, center + reach + 1)
            prefetch_row(second + sentence[min(center + 2, length - 1)] * size, blocks)
            entering = sentence[min(center + window + 2, length - 1)]
            prefetch_row(first + rows[starts[entering]] * size, blocks)
            if end - begin < 2:
                continue
            count, positives = fill_context(
                cbow, sentence, center, begin, end, inputs, outputs, rows, starts, bag, targets
            )
            rounds = (positives + 1) // 2
            needed, weight = rounds * negatives, np.float32(positives / rounds)
            drawn = take_samples(needed, coming, turn, targets, positives)
            if not cbow or center % SHARING == 0:
                turn, state = renew_samples(
                    needed, coming, turn, second, blocks, chances, aliases, state
                )
            update_bag(bag, count, hidden, targets, positives, drawn, weight, blocks, table, rate)
    hold(work)
    return state


@compiled
def first_samples(
    coming: Array, base: Any, blocks: Any, chances: Array, aliases: Array, state: Any
) -> Any:
    for i in range(len(coming)):
        state = advance(state)
        coming[i] = base + draw_word(state, chances, aliases) * blocks * LINE
    return state


@compiled
def take_samples(count: Any, coming: Array, turn: Any, targets: Array, positives: Any) -> Any:
    """Append the negative samples in `coming`, from `turn` on: how many targets there are then."""
    drawn = positives
    for _ in range(count):
        sample = coming[turn]
        turn = turn + 1 if turn + 1 < len(coming) else 0
        if not contains(targets, positives, sample):
            targets[drawn] = sample
            drawn += 1
    return drawn


@compiled
def renew_samples(
    count: Any,
    coming: Array,
    turn: Any,
    base: Any,
    blocks: Any,
    chances: Array,
    aliases: Array,
    state: Any,
) -> Any:
    """Draw others in the place of used samples: (where the next to be used are, state).

    Their rows come from memory until they are used, which is some words later.
    """
    for _ in range(count):
        state = advance(state)
        coming[turn] = base + draw_word(state, chances, aliases) * blocks * LINE
        prefetch_row(coming[turn], blocks)
        turn = turn + 1 if turn + 1 < len(coming) else 0
    return turn, state


@compiled
def contains(values: Array, count: Any, value: Any) -> Any:
    found = False
    for i in range(count):
        found |= values[i] == value
    return found


@compiled
def alias_table(weights: Array) -> Any:
    """Vose's method: each word's chance (of 2^32) to be taken itself, and who is otherwise."""
    count = len(weights)
    scaled = weights * (count / weights.sum())
    chances, aliases = np.full(count, 0xFFFFFFFF, np.uint32), np.arange(count).astype(np.int32)
    queue = np.empty(count, np.int64)
    small, large = 0, count
    for word in range(count):
        if scaled[word] < 1.0:
            queue[small] = word
            small += 1
        else:
            large -= 1
            queue[large] = word
    while small > 0 and large < count:
        small -= 1
        poor, rich = queue[small], queue[large]
        chances[poor] = np.uint32(scaled[poor] * 4294967295.0)
        aliases[poor] = rich
        scaled[rich] -= 1.0 - scaled[poor]
        if scaled[rich] < 1.0:
            queue[small] = rich
            small += 1
            large += 1
    return chances, aliases
