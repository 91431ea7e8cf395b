"""Compiled passes over text: numbering words, fastText's hashes, subwords and word n-grams.

Words are bytes between white space. `scan` numbers them in the order they are first seen, in a hash
table with open addressing; where a buffer is full it stops, and the caller goes on with a larger
one.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from wildsage.algorithms.compiling import compiled

Array = Any
ENTRIES, BYTES, TOKENS, LAST = range(4)  # what `sizes` counts; LAST is the last token
LINE_END = -1
HASH_BASIS = np.uint32(2166136261)
HASH_PRIME = np.uint32(16777619)
NGRAM_FACTOR = np.uint64(116049371)
UNKNOWN = -1  # a word that has no number; labels are -2, -3, ...
IGNORED = -(2**31)


@compiled
def is_space(byte: Any) -> Any:
    return byte == 32 or (9 <= byte <= 13) or byte == 0


@compiled
def hash_bytes(text: Array, begin: Any, end: Any) -> Any:
    """fastText's hash: FNV-1a with sign-extended bytes."""
    value = HASH_BASIS
    for i in range(begin, end):
        value = hash_byte(value, text[i])
    return value


@compiled
def hash_byte(value: Any, byte: Any) -> Any:
    extended = np.uint32(byte) if byte < 128 else np.uint32(byte) | np.uint32(0xFFFFFF00)
    return np.uint32((value ^ extended) * HASH_PRIME)


@compiled
def scan(
    text: Array,
    begin: Any,
    table: Array,
    hashes: Array,
    starts: Array,
    arena: Array,
    counts: Array,
    out: Array,
    sizes: Array,
) -> Any:
    """Number the words of `text`, which ends between words; returns where it stopped."""
    position = begin
    while position < len(text):
        if sizes[TOKENS] + 1 > len(out):
            break
        byte = text[position]
        if is_space(byte):
            if byte == 10 and sizes[LAST] != LINE_END:
                append_token(LINE_END, out, sizes)
            position += 1
            continue
        end = position
        value = HASH_BASIS
        while end < len(text) and not is_space(text[end]):
            value = hash_byte(value, text[end])
            end += 1
        slot = find_slot(text, position, end, value, table, hashes, starts, arena)
        if table[slot] == 0:
            entry = sizes[ENTRIES]
            length = end - position
            is_full = entry + 1 >= len(starts) or sizes[BYTES] + length > len(arena)
            if is_full or 2 * (entry + 1) > len(table):
                break
            for i in range(length):
                arena[sizes[BYTES] + i] = text[position + i]
            sizes[BYTES] += length
            starts[entry + 1] = sizes[BYTES]
            hashes[entry] = value
            counts[entry] = 0
            sizes[ENTRIES] += 1
            table[slot] = entry + 1
        number = table[slot] - 1
        counts[number] += 1
        append_token(number, out, sizes)
        position = end
    return position


@compiled
def append_token(token: Any, out: Array, sizes: Array) -> None:
    out[sizes[TOKENS]] = token
    sizes[TOKENS] += 1
    sizes[LAST] = token


@compiled
def find_slot(
    text: Array,
    begin: Any,
    end: Any,
    value: Any,
    table: Array,
    hashes: Array,
    starts: Array,
    arena: Array,
) -> Any:
    """The slot of the word, or the empty one where it belongs."""
    mask = len(table) - 1
    slot = np.int64(value ^ (value >> np.uint32(15))) & mask
    while table[slot] != 0:
        entry = table[slot] - 1
        if hashes[entry] == value and starts[entry + 1] - starts[entry] == end - begin:
            same = True
            for i in range(end - begin):
                if arena[starts[entry] + i] != text[begin + i]:
                    same = False
                    break
            if same:
                return slot
        slot = (slot + 1) & mask
    return slot


@compiled
def rebuild(table: Array, hashes: Array, entries: Any) -> None:
    """Fill an empty, larger table."""
    mask = len(table) - 1
    for entry in range(entries):
        value = hashes[entry]
        slot = np.int64(value ^ (value >> np.uint32(15))) & mask
        while table[slot] != 0:
            slot = (slot + 1) & mask
        table[slot] = entry + 1


# --- subwords ------------------------------------------------------------------------------------


@compiled
def subword_buckets(
    word: Array, least: Any, most: Any, buckets: Any, out: Array, count: Any
) -> Any:
    """Append the bucket of each character n-gram of a word given with its angle brackets."""
    length = len(word)
    for begin in range(length):
        if (word[begin] & 0xC0) == 0x80:
            continue
        value = HASH_BASIS
        at = begin
        size = 0
        while at < length and size < most:
            value = hash_byte(value, word[at])
            at += 1
            while at < length and (word[at] & 0xC0) == 0x80:
                value = hash_byte(value, word[at])
                at += 1
            size += 1
            alone = size == 1 and (begin == 0 or at == length)
            if size >= least and not alone:
                out[count] = np.int64(value % np.uint32(buckets))
                count += 1
    return count


@compiled
def subwords(
    arena: Array,
    starts: Array,
    words: Array,
    rows: Array,
    plain: Any,
    least: Any,
    most: Any,
    buckets: Any,
    base: Any,
) -> Any:
    """Rows of each of `words`: its own (`rows`, none where negative), then its n-grams' from `base`
    on, unless it is the word number `plain`: (rows, where each word's begin)."""
    limit = len(words)
    for word in words:
        limit += (starts[word + 1] - starts[word] + 2) * max(0, most - least + 1)
    out = np.empty(limit, np.int64)
    begins = np.zeros(len(words) + 1, np.int64)
    count = 0
    for i in range(len(words)):
        word = words[i]
        if rows[i] >= 0:
            out[count] = rows[i]
            count += 1
        if most > 0 and word != plain:
            size = starts[word + 1] - starts[word]
            bracketed = np.empty(size + 2, np.uint8)
            bracketed[0], bracketed[size + 1] = 60, 62
            bracketed[1 : size + 1] = arena[starts[word] : starts[word + 1]]
            before = count
            count = subword_buckets(bracketed, least, most, buckets, out, count)
            for k in range(before, count):
                out[k] += base
        begins[i + 1] = count
    return out[:count].copy(), begins


# --- lines as bags of features -------------------------------------------------------------------


@compiled
def line_features(
    tokens: Array,
    kinds: Array,
    hashes: Array,
    rows: Array,
    starts: Array,
    ngrams: Any,
    base: Any,
    buckets: Any,
) -> Any:
    """Features and labels of each line: (features, where lines begin, labels, where lines begin).

    `kinds` tells a token's label (-2 and below), `IGNORED`, or that it is a word; `rows` from
    `starts[token]` on are a word's features. Word n-grams are hashed as in fastText; words without
    a number take part in them.
    """
    lines, limit = count_lines(tokens, starts, ngrams)
    features, begins = np.empty(limit, np.int32), np.zeros(lines + 1, np.int64)
    labels, label_begins = np.empty(len(tokens), np.int32), np.zeros(lines + 1, np.int64)
    window = np.empty(len(tokens), np.int32)
    count, marked, line, words = 0, 0, 0, 0
    for token in tokens:
        if token == LINE_END:
            count = add_ngrams(window, words, ngrams, base, buckets, features, count)
            line += 1
            begins[line], label_begins[line] = count, marked
            words = 0
        elif kinds[token] < UNKNOWN:
            if kinds[token] != IGNORED:
                labels[marked] = -2 - kinds[token]
                marked += 1
        else:
            for i in range(starts[token], starts[token + 1]):
                features[count] = rows[i]
                count += 1
            window[words] = np.int32(hashes[token])
            words += 1
    return features[:count].copy(), begins, labels[:marked].copy(), label_begins


@compiled
def count_lines(tokens: Array, starts: Array, ngrams: Any) -> Any:
    """How many lines there are, and how many features at most."""
    lines, limit = 0, 0
    for token in tokens:
        if token == LINE_END:
            lines += 1
        else:
            limit += starts[token + 1] - starts[token] + ngrams - 1
    return lines, limit


@compiled
def add_ngrams(
    hashes: Array, words: Any, ngrams: Any, base: Any, buckets: Any, features: Array, count: Any
) -> Any:
    for begin in range(words):
        value = np.uint64(np.int64(hashes[begin]))
        for at in range(begin + 1, min(words, begin + ngrams)):
            value = value * NGRAM_FACTOR + np.uint64(np.int64(hashes[at]))
            features[count] = np.int32(base + np.int64(value % np.uint64(buckets)))
            count += 1
    return count
