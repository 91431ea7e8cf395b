"""The loops of ipinsights, compiled: reading pairs, finding vectors, steps of a lazy Adam.

Vectors of entities and of prefixes lie in one table, `state[row, 0]`, with the optimizer's moments
beside them (`state[row, 1]`, `state[row, 2]`). A hash table says which row a key has. Forward, a
vector is summed from its rows in registers; backward, the vectors that a row occurs in are chained
(`link`), so that its gradient is summed, and its step taken, in one go. The time goes into waiting
for memory; therefore rows are asked for ahead.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wildsage.algorithms.compiling import compiled, inlined, prefetch
from wildsage.algorithms.ipinsights.addresses import ENTITY_MARK, LENGTHS
from wildsage.algorithms.lanes import WIDTH, every, load, root, store, total, zeros
from wildsage.algorithms.tables import ask

Array = NDArray[Any]

# What may be wrong with a line.
FINE, NO_COMMA, NO_ENTITY, NO_ADDRESS = range(4)
# Columns of the figures: pairs, loss, right ones.
FIGURES = 3

_OFFSET, _PRIME = np.uint64(14695981039346656037), np.uint64(1099511628211)
_MARK, _SPREAD = np.uint64(ENTITY_MARK), np.uint64(0x9E3779B97F4A7C15)
_WORD, _SURE = np.uint64(32), np.uint64(16)
_LENGTHS = np.array(LENGTHS, np.uint64)
_NEWLINE, _RETURN, _SPACE, _TAB, _COMMA, _QUOTE, _DOT, _ZERO = 10, 13, 32, 9, 44, 34, 46, 48

ONE, BETA_1, BETA_2 = np.float32(1), np.float32(0.9), np.float32(0.999)
EPS = np.float32(1e-8)
LAST_CORRECTION = 20_000
_COUNTS = np.arange(1, LAST_CORRECTION + 1)
# Adam's correction of both moments at a row's n-th update; 1 from the last one on.
CORRECTIONS = np.concatenate([[1.0], np.sqrt(1 - 0.999**_COUNTS) / (1 - 0.9**_COUNTS)]).astype(
    np.float32
)
AHEAD, VECTORS_AHEAD = 16, 4  # rows, and vectors that have rows, to look ahead


# --- reading -------------------------------------------------------------------------------------


@compiled
def parse(text: Array, entities: int, keys: Array, addresses: Array) -> tuple[int, int, int]:
    """Pairs of `entity,address` lines; returns their number, what is wrong, and in which line."""
    count, line, begin, size = 0, 0, 0, len(text)
    while begin < size:
        end = begin
        while end < size and text[end] != _NEWLINE:
            end += 1
        first, last = _stripped(text, begin, end)
        begin = end + 1
        line += 1
        if first == last:
            continue
        comma = last - 1
        while comma >= first and text[comma] != _COMMA:
            comma -= 1
        if comma < first:
            return count, NO_COMMA, line
        left, right = _trimmed(text, first, comma)
        if left == right:
            return count, NO_ENTITY, line
        found = _OFFSET
        for place in range(left, right):
            found = (found ^ np.uint64(text[place])) * _PRIME
        found ^= found >> _WORD
        address = _address(text, *_trimmed(text, comma + 1, last))
        if address < 0:
            return count, NO_ADDRESS, line
        keys[count] = found % np.uint64(entities) | _MARK
        addresses[count] = address
        count += 1
    return count, FINE, line


@compiled
def _stripped(text: Array, begin: int, end: int) -> tuple[int, int]:
    """Without white space around it."""
    while begin < end and (text[begin] in (_SPACE, _TAB, _RETURN)):
        begin += 1
    while begin < end and (text[end - 1] in (_SPACE, _TAB, _RETURN)):
        end -= 1
    return begin, end


@compiled
def _trimmed(text: Array, begin: int, end: int) -> tuple[int, int]:
    """Without white space, then without quotes around it."""
    begin, end = _stripped(text, begin, end)
    if end - begin >= 2 and text[begin] == _QUOTE and text[end - 1] == _QUOTE:
        return begin + 1, end - 1
    return begin, end


@compiled
def _address(text: Array, begin: int, end: int) -> Any:
    """The number of an IPv4 address; -1 where it is none."""
    address, part, digits, dots = 0, 0, 0, 0
    for place in range(begin, end):
        letter = int(text[place])
        if letter == _DOT:
            if digits == 0:
                return -1
            address = address * 256 + part
            part, digits, dots = 0, 0, dots + 1
        elif _ZERO <= letter <= _ZERO + 9:
            part, digits = part * 10 + letter - _ZERO, digits + 1
        else:
            return -1
        if part > 255 or digits > 3:
            return -1
    return address * 256 + part if dots == 3 and digits > 0 else -1


# --- the hash table ------------------------------------------------------------------------------


@inlined
def _first_place(table: Array, key: Any) -> Any:
    mixed = key * _SPREAD
    return (mixed ^ mixed >> _WORD) & np.uint64(len(table) - 1)


@inlined
def _place(table: Array, key: Any) -> int:
    """Where a key is in the table, or the empty place where it would be."""
    place, mask = _first_place(table, key), np.uint64(len(table) - 1)
    while table[place] != 0 and table[place] != key:
        place = place + np.uint64(1) & mask
    return int(place)


@compiled
def rehash(old_table: Array, old_rows: Array, table: Array, rows: Array) -> None:
    for number in range(len(old_table)):
        if old_table[number] != 0:
            place = _place(table, old_table[number])
            table[place] = old_table[number]
            rows[place] = old_rows[number]


@compiled
def claim(
    table: Array,
    rows: Array,
    names: Array,
    used: int,
    entity_keys: Array,
    addresses: Array,
    limit: int,
) -> int:
    """Give rows to the keys of real pairs that have none; `names[row]` is a row's key.

    Beyond 16 bits an address makes known one prefix at a time: a longer one comes in when the next
    shorter one has been seen before. Prefixes are given rows below `limit` only. Returns the number
    of rows in use.
    """
    for number in range(len(entity_keys)):
        place = _place(table, entity_keys[number])
        if table[place] == 0:
            table[place], rows[place], names[used] = entity_keys[number], used, entity_keys[number]
            used += 1
        address = np.uint64(addresses[number])
        for length in _LENGTHS:
            key = length << _WORD | address >> (_WORD - length)
            place = _place(table, key)
            if table[place] == 0:
                if used >= limit:
                    break
                table[place], rows[place], names[used] = key, used, key
                used += 1
                if length > _SURE:
                    break
    return used


@compiled
def find_entities(table: Array, rows: Array, keys: Array) -> Array:
    """The row of each key."""
    found = np.empty(len(keys), np.int32)
    for number in range(len(keys)):
        place = _place(table, keys[number])
        found[number] = rows[place] if table[place] != 0 else -1
    return found


@compiled
def find_prefixes(table: Array, rows: Array, addresses: Array) -> Array:
    """The rows of each address's prefixes, -1 for unknown ones, which come last."""
    found = np.full((len(addresses), len(_LENGTHS)), -1, np.int32)
    for number in range(len(addresses)):
        coming = np.uint64(addresses[min(number + VECTORS_AHEAD, len(addresses) - 1)])
        for length in _LENGTHS:
            place = int(_first_place(table, length << _WORD | coming >> (_WORD - length)))
            prefetch(table, place)
            prefetch(rows, place)
        address = np.uint64(addresses[number])
        for column in range(len(_LENGTHS)):
            key = _LENGTHS[column] << _WORD | address >> (_WORD - _LENGTHS[column])
            place = _place(table, key)
            if table[place] == 0:
                break
            found[number, column] = rows[place]
    return found


# --- batches -------------------------------------------------------------------------------------


@compiled
def link(entities: Array, prefixes: Array, heads: Array) -> tuple[Array, Array, Array]:
    """The rows that occur in a batch, the last entry of each, and all entries.

    Vectors are numbered: first the entities, then the addresses. An entry is the row's entry before
    it (or -1) and the vector that it occurs in. `heads` is a scratch of -1 per row, and left so.
    """
    count, columns = len(entities), prefixes.shape[1]
    touched = np.empty(count + prefixes.size, np.int32)
    links = np.empty((count + prefixes.size, 2), np.int32)
    used, filled = 0, 0
    for vector in range(count + len(prefixes)):
        coming = min(max(vector - count + AHEAD, 0), len(prefixes) - 1)
        for column in range(1 if vector < count else columns):
            prefetch(heads, max(prefixes[coming, column], 0))
            row = entities[vector] if vector < count else prefixes[vector - count, column]
            if row < 0:
                break
            if heads[row] < 0:
                touched[used] = row
                used += 1
            links[filled, 0], links[filled, 1] = heads[row], vector
            heads[row] = filled
            filled += 1
    lasts = np.empty(used, np.int32)
    for number in range(used):
        row = touched[number]
        lasts[number], heads[row] = heads[row], -1
    return touched[:used].copy(), lasts, links[:filled].copy()


@compiled
def collect(state: Array, entities: Array, prefixes: Array, vectors: Array) -> None:
    """Each entity's vector, then each address's, the sum of its prefixes'."""
    width, stride, count = state.shape[2], state.shape[1] * state.shape[2], len(entities)
    flat, out, columns = state.reshape(-1), vectors.reshape(-1), prefixes.shape[1]
    for vector in range(count):
        ask(flat, entities[min(vector + AHEAD, count - 1)] * stride, width)
        row = entities[vector]
        for f in range(0, width, WIDTH):
            found = zeros() if row < 0 else load(flat, row * stride + f, width - f)
            store(out, vector * width + f, width - f, found)
    for address in range(len(prefixes)):
        coming = min(address + VECTORS_AHEAD, len(prefixes) - 1)
        for column in range(columns):
            if prefixes[coming, column] < 0:
                break
            ask(flat, prefixes[coming, column] * stride, width)
        place = (count + address) * width
        for f in range(0, width, WIDTH):
            added = zeros()
            for column in range(columns):
                row = prefixes[address, column]
                if row < 0:
                    break
                added += load(flat, row * stride + f, width - f)
            store(out, place + f, width - f, added)


@compiled
def judge(
    entities: Array,
    addresses: Array,
    real: int,
    left: Array,
    right: Array,
    entity_slopes: Array,
    address_slopes: Array,
    figures: Array,
) -> None:
    """The logistic loss of pairs (left, right), the first `real` of them real ones.

    Adds to the slopes of both vectors; these begin as zeros.
    """
    width = entities.shape[1]
    one, other = entities.reshape(-1), addresses.reshape(-1)
    one_slopes, other_slopes = entity_slopes.reshape(-1), address_slopes.reshape(-1)
    for pair in range(len(left)):
        here, there = left[pair] * width, right[pair] * width
        product = zeros()
        for f in range(0, width, WIDTH):
            product += load(one, here + f, width - f) * load(other, there + f, width - f)
        score = float(total(product))
        shrunk = math.exp(-abs(score))
        chance = (1.0 if score >= 0 else shrunk) / (1.0 + shrunk)
        label = 1.0 if pair < real else 0.0
        figures[1] += max(score, 0.0) - score * label + math.log1p(shrunk)
        figures[2] += (score >= 0) == (pair < real)
        slope = np.float32(chance - label)
        for f in range(0, width, WIDTH):
            rest = width - f
            a, b = load(one, here + f, rest), load(other, there + f, rest)
            store(one_slopes, here + f, rest, load(one_slopes, here + f, rest) + b * slope)
            store(other_slopes, there + f, rest, load(other_slopes, there + f, rest) + a * slope)
    figures[0] += len(left)


# --- steps ---------------------------------------------------------------------------------------


@inlined
def _owners(links: Array, entry: int, owners: Array) -> int:
    """The vectors that a row occurs in, along its chain; returns their number."""
    count = 0
    while entry >= 0:
        owners[count] = links[entry, 1]
        count += 1
        entry = links[entry, 0]
    return count


@inlined
def _summed(slopes: Array, owners: Array, count: int, width: int, f: int) -> Any:
    """Some values of the sum of vectors' slopes."""
    added = zeros()
    for number in range(count):
        added += load(slopes, owners[number] * width + f, width - f)
    return added


@compiled
def gradients(lasts: Array, links: Array, slopes: Array, found: Array) -> None:
    """Into `found` the gradient of each touched row: the sum of its vectors' slopes."""
    width, owners = slopes.shape[1], np.empty(len(links), np.int32)
    flat, out = slopes.reshape(-1), found.reshape(-1)
    for number in range(len(found)):
        count = _owners(links, lasts[number], owners)
        for f in range(0, width, WIDTH):
            store(out, number * width + f, width - f, _summed(flat, owners, count, width, f))


@inlined
def _step(
    flat: Array, place: int, width: int, left: int, slope: Any, rate: Any, decay: Any
) -> None:
    """Adam's step of some values of a row, whose moments lie `width` and twice that behind them."""
    weight = load(flat, place, left)
    slope = slope + weight * decay
    first = load(flat, place + width, left) * BETA_1 + slope * (ONE - BETA_1)
    second = load(flat, place + 2 * width, left) * BETA_2 + slope * slope * (ONE - BETA_2)
    store(flat, place, left, weight - first * rate / (root(second) + every(EPS)))
    store(flat, place + width, left, first)
    store(flat, place + 2 * width, left, second)


@inlined
def _corrected(steps: Array, row: int, rate: Any) -> Any:
    """The length of the row's next step."""
    steps[row] += 1
    return rate * CORRECTIONS[min(steps[row], LAST_CORRECTION)]


@compiled
def update(
    state: Array,
    steps: Array,
    touched: Array,
    lasts: Array,
    links: Array,
    slopes: Array,
    scale: Any,
    rate: Any,
    decay: Any,
) -> None:
    """`gradients` and `adam` in one."""
    width, stride = state.shape[2], state.shape[1] * state.shape[2]
    flat, flat_slopes, last = state.reshape(-1), slopes.reshape(-1), len(touched) - 1
    owners = np.empty(len(links), np.int32)
    for number in range(len(touched)):
        coming = min(number + AHEAD, last)
        ask(flat, touched[coming] * stride, stride)
        ask(flat_slopes, links[lasts[coming], 1] * width, width)
        prefetch(steps, touched[coming])
        row = touched[number]
        count, length = _owners(links, lasts[number], owners), _corrected(steps, row, rate)
        for f in range(0, width, WIDTH):
            slope = _summed(flat_slopes, owners, count, width, f) * scale
            _step(flat, row * stride + f, width, width - f, slope, length, decay)


@compiled
def adam(
    state: Array, steps: Array, touched: Array, found: Array, scale: Any, rate: Any, decay: Any
) -> None:
    """One update of each touched row by its gradient times `scale`."""
    width, stride = state.shape[2], state.shape[1] * state.shape[2]
    flat, flat_found, last = state.reshape(-1), found.reshape(-1), len(touched) - 1
    for number in range(len(touched)):
        ask(flat, touched[min(number + AHEAD, last)] * stride, stride)
        row = touched[number]
        length = _corrected(steps, row, rate)
        for f in range(0, width, WIDTH):
            slope = load(flat_found, number * width + f, width - f) * scale
            _step(flat, row * stride + f, width, width - f, slope, length, decay)
