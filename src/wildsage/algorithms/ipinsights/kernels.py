"""The loops of ipinsights, compiled: reading pairs, finding vectors, steps of a lazy Adam.

Vectors of entities and of prefixes lie in one table, `state[row, 0]`, with the optimizer's moments
beside them (`state[row, 1]`, `state[row, 2]`). A hash table says which row a key has. A batch
comes as occurrences grouped by row (`group`), so that each vector is read, and updated, once.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wildsage.algorithms.compiling import compiled, prefetch
from wildsage.algorithms.ipinsights.addresses import ENTITY_MARK, LENGTHS

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
AHEAD, LINE = 8, 16  # rows to look ahead, and float32 values in a cache line


# --- reading -------------------------------------------------------------------------------------


@compiled
def parse(text: Array, entities: int, keys: Array, addresses: Array) -> tuple[int, int, int]:
    """Pairs of `entity,address` lines; returns their number, what is wrong, and in which line."""
    count, line, begin, size = 0, 0, 0, len(text)
    while begin < size:
        end = begin
        while end < size and text[end] != _NEWLINE:
            end += 1
        first, last = _trimmed(text, begin, end)
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
def _trimmed(text: Array, begin: int, end: int) -> tuple[int, int]:
    """Without white space, then without quotes around it."""
    while begin < end and (text[begin] in (_SPACE, _TAB, _RETURN)):
        begin += 1
    while begin < end and (text[end - 1] in (_SPACE, _TAB, _RETURN)):
        end -= 1
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


@compiled
def _place(table: Array, key: Any) -> int:
    """Where a key is in the table, or the empty place where it would be."""
    mask = np.uint64(len(table) - 1)
    mixed = key * _SPREAD
    place = (mixed ^ mixed >> _WORD) & mask
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
def group(entities: Array, prefixes: Array, slots: Array) -> tuple[Array, Array, Array]:
    """Occurrences by row: rows `touched`, each in the vectors owners[starts[t]:starts[t + 1]].

    Vectors are numbered: first the entities, then the addresses. `slots` is a scratch of -1 per
    row, and left so.
    """
    count, columns = len(entities), prefixes.shape[1]
    entries = count + prefixes.size
    touched, starts = np.empty(entries, np.int32), np.zeros(entries + 1, np.int32)
    found, owners = np.empty(entries, np.int32), np.empty(entries, np.int32)
    used, filled = 0, 0
    for vector in range(count + len(prefixes)):
        for column in range(1 if vector < count else columns):
            row = entities[vector] if vector < count else prefixes[vector - count, column]
            if row < 0:
                break
            slot = slots[row]
            if slot < 0:
                slot = used
                slots[row] = slot
                touched[slot] = row
                used += 1
            starts[slot + 1] += 1
            found[filled], owners[filled] = slot, vector
            filled += 1
    ordered, begin = np.empty(filled, np.int32), 0
    for slot in range(used):
        slots[touched[slot]] = -1
        occurrences = starts[slot + 1]
        starts[slot + 1] = begin
        begin += occurrences
    for entry in range(filled):
        place = starts[found[entry] + 1]
        ordered[place] = owners[entry]
        starts[found[entry] + 1] = place + 1
    return touched[:used], starts[: used + 1], ordered


@compiled
def _ask(flat: Array, place: int, values: int) -> None:
    """Have `values` values of a table brought near, from a place on."""
    for offset in range(0, values, LINE):
        prefetch(flat, place + offset)


@compiled
def collect(state: Array, touched: Array, starts: Array, owners: Array, vectors: Array) -> None:
    """Adds each touched row's weights to the vectors that it occurs in."""
    width, stride = state.shape[2], state.shape[1] * state.shape[2]
    flat = state.reshape(-1)
    for number in range(len(touched)):
        _ask(flat, touched[min(number + AHEAD, len(touched) - 1)] * stride, width)
        row = touched[number]
        for entry in range(starts[number], starts[number + 1]):
            owner = owners[entry]
            for f in range(width):
                vectors[owner, f] += state[row, 0, f]


@compiled
def distribute(starts: Array, owners: Array, gradients: Array, found: Array) -> None:
    """The gradient of each touched row: the sum of its vectors' gradients."""
    width = gradients.shape[1]
    for number in range(len(found)):
        for f in range(width):
            found[number, f] = 0
        for entry in range(starts[number], starts[number + 1]):
            owner = owners[entry]
            for f in range(width):
                found[number, f] += gradients[owner, f]


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
    for pair in range(len(left)):
        one, other = left[pair], right[pair]
        dot = np.float32(0)
        for f in range(width):
            dot += entities[one, f] * addresses[other, f]
        score = float(dot)
        shrunk = math.exp(-abs(score))
        chance = (1.0 if score >= 0 else shrunk) / (1.0 + shrunk)
        label = 1.0 if pair < real else 0.0
        figures[1] += max(score, 0.0) - score * label + math.log1p(shrunk)
        figures[2] += (score >= 0) == (pair < real)
        slope = np.float32(chance - label)
        for f in range(width):
            entity_slopes[one, f] += slope * addresses[other, f]
            address_slopes[other, f] += slope * entities[one, f]
    figures[0] += len(left)


@compiled
def adam(
    state: Array, steps: Array, touched: Array, found: Array, scale: Any, rate: Any, decay: Any
) -> None:
    """One update of each touched row by its gradient times `scale`."""
    width, stride = state.shape[2], state.shape[1] * state.shape[2]
    flat = state.reshape(-1)
    for number in range(len(touched)):
        _ask(flat, touched[min(number + AHEAD, len(touched) - 1)] * stride, stride)
        row = touched[number]
        steps[row] += 1
        correction = CORRECTIONS[min(steps[row], LAST_CORRECTION)]
        for f in range(width):
            slope = found[number, f] * scale + decay * state[row, 0, f]
            first = BETA_1 * state[row, 1, f] + (ONE - BETA_1) * slope
            second = BETA_2 * state[row, 2, f] + (ONE - BETA_2) * slope * slope
            state[row, 1, f] = first
            state[row, 2, f] = second
            state[row, 0, f] -= rate * correction * first / (np.sqrt(second) + EPS)


@compiled
def merge(touched: Array, found: Array, slots: Array) -> int:
    """Adds up, in place, the gradients of rows that stand there twice; how many are left."""
    count = 0
    for number in range(len(touched)):
        row = touched[number]
        slot = slots[row]
        if slot < 0:
            slots[row] = count
            touched[count] = row
            for f in range(found.shape[1]):
                found[count, f] = found[number, f]
            count += 1
        else:
            for f in range(found.shape[1]):
                found[slot, f] += found[number, f]
    for slot in range(count):
        slots[touched[slot]] = -1
    return count
