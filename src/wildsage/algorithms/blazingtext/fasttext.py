"""fastText's binary model files (`.bin`), written and read; version 12 of the format.

    int32 magic, version
    int32 dim, window, epochs, min_count, negatives, word_ngrams, loss, model, buckets,
          min_char, max_char, rate_update;  float64 sampling
    int32 entries, words, labels;  int64 tokens, pruned (-1)
    per entry: its bytes, a zero byte, int64 count, int8 kind (0 word, 1 label)
    bool quantized;  int64 rows, columns;  float32 input matrix: words, then buckets
    bool quantized;  int64 rows, columns;  float32 output matrix

(facebookresearch/fastText: args.cc, dictionary.cc, densematrix.cc, fasttext.cc.)
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np

from wildsage.algorithms.blazingtext.dictionary import Dictionary, Shape

MAGIC, VERSION, OLD_VERSION = 793712314, 12, 11
CBOW, SKIPGRAM, SUPERVISED = 1, 2, 3
HIERARCHICAL, NEGATIVE, SOFTMAX, ONE_VS_ALL = 1, 2, 3, 4
_HEAD = struct.Struct("<2i")
_ARGUMENTS = struct.Struct("<12id")
_SIZES = struct.Struct("<3i2q")
_ENTRY = struct.Struct("<qb")
_MATRIX = struct.Struct("<?2q")
_BLOCK_ROWS = 1 << 14


class ModelFileError(ValueError):
    """Not a model file, or one of a kind that cannot be read."""


@dataclass(frozen=True, slots=True)
class Arguments:
    """What fastText was, or would be, called with."""

    dim: int
    model: int
    loss: int
    window: int = 5
    epochs: int = 5
    min_count: int = 1
    negatives: int = 5
    word_ngrams: int = 1
    buckets: int = 0
    min_char: int = 0
    max_char: int = 0
    rate_update: int = 100
    sampling: float = 1e-4


@dataclass(frozen=True)
class Rows:
    """A matrix of which only some rows are not zero: `values[i]` is row `numbers[i]`."""

    count: int
    numbers: np.ndarray
    values: np.ndarray


@dataclass(frozen=True)
class FastTextModel:
    """A model file's content. The matrices may be mapped from the file."""

    arguments: Arguments
    dictionary: Dictionary
    inputs: np.ndarray
    outputs: np.ndarray

    @property
    def is_supervised(self) -> bool:
        return self.arguments.model == SUPERVISED


# --- writing -------------------------------------------------------------------------------------


def write(
    path: Path, arguments: Arguments, dictionary: Dictionary, inputs: Rows, outputs: np.ndarray
) -> None:
    """Write a model file; rows of zeros become a hole in it where the file system has such."""
    with open(path, "wb") as file:
        file.write(_HEAD.pack(MAGIC, VERSION))
        file.write(_pack_arguments(arguments))
        _write_dictionary(file, dictionary)
        _write_rows(file, inputs, arguments.dim)
        file.write(_MATRIX.pack(False, *outputs.shape))
        file.write(np.ascontiguousarray(outputs, "<f4").data)


def _pack_arguments(a: Arguments) -> bytes:
    numbers = (a.dim, a.window, a.epochs, a.min_count, a.negatives, a.word_ngrams, a.loss, a.model)
    return _ARGUMENTS.pack(*numbers, a.buckets, a.min_char, a.max_char, a.rate_update, a.sampling)


def _write_dictionary(file: IO[bytes], dictionary: Dictionary) -> None:
    words, labels = dictionary.words, dictionary.labels
    sizes = (len(words) + len(labels), len(words), len(labels))
    file.write(_SIZES.pack(*sizes, dictionary.tokens, -1))
    for kind, names, counts in (
        (0, words, dictionary.counts),
        (1, labels, dictionary.label_counts),
    ):
        pairs = zip(names, counts.tolist(), strict=True)
        file.writelines(name + b"\0" + _ENTRY.pack(count, kind) for name, count in pairs)


def _write_rows(file: IO[bytes], rows: Rows, width: int) -> None:
    file.write(_MATRIX.pack(False, rows.count, width))
    start = file.tell()
    for begin in range(0, rows.count, _BLOCK_ROWS):
        end = min(rows.count, begin + _BLOCK_ROWS)
        first, last = np.searchsorted(rows.numbers, (begin, end))
        if first < last:
            block = np.zeros((end - begin, width), "<f4")
            block[rows.numbers[first:last] - begin] = rows.values[first:last, :width]
            file.seek(start + 4 * width * begin)
            file.write(block.data)
    file.truncate(start + 4 * width * rows.count)
    file.seek(0, 2)


# --- reading -------------------------------------------------------------------------------------


def read(path: Path) -> FastTextModel:
    """Open a model file; its matrices are mapped and come into memory as they are used."""
    with open(path, "rb") as file:
        try:
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except ValueError as error:
            raise ModelFileError("the file is empty") from error
    try:
        return _parse(mapped)
    except (struct.error, ValueError) as error:
        if isinstance(error, ModelFileError):
            raise
        raise ModelFileError(f"the file is damaged: {error}") from error


def _parse(content: mmap.mmap) -> FastTextModel:
    magic, version = _HEAD.unpack_from(content)
    if magic != MAGIC or version not in (VERSION, OLD_VERSION):
        raise ModelFileError("not a model file of fastText, or of an unknown version")
    arguments = _unpack_arguments(content, version)
    dictionary, position = _read_dictionary(content, _HEAD.size + _ARGUMENTS.size, arguments)
    inputs, position = _read_matrix(content, position)
    outputs, position = _read_matrix(content, position)
    if len(inputs) != dictionary.rows or inputs.shape[1] != arguments.dim:
        raise ModelFileError("the matrices do not suit the dictionary")
    return FastTextModel(arguments, dictionary, inputs, outputs)


def _unpack_arguments(content: mmap.mmap, version: int) -> Arguments:
    (dim, window, epochs, min_count, negatives, word_ngrams, loss, model, buckets, *rest) = (
        _ARGUMENTS.unpack_from(content, _HEAD.size)
    )
    min_char, max_char, rate_update, sampling = rest
    if version == OLD_VERSION and model == SUPERVISED:
        max_char = 0  # it had them, and did not use them
    return Arguments(
        dim,
        model,
        loss,
        window,
        epochs,
        min_count,
        negatives,
        word_ngrams,
        buckets,
        min_char,
        max_char,
        rate_update,
        sampling,
    )


def _read_dictionary(
    content: mmap.mmap, position: int, arguments: Arguments
) -> tuple[Dictionary, int]:
    entries, words, labels, tokens, pruned = _SIZES.unpack_from(content, position)
    if pruned > 0 or entries != words + labels or min(words, labels) < 0:
        raise ModelFileError("quantized models are not supported")
    position += _SIZES.size
    names: list[bytes] = []
    counts = np.empty(entries, np.int64)
    for number in range(entries):
        end = content.find(b"\0", position)
        if end < 0:
            raise ModelFileError("the dictionary has no end")
        names.append(content[position:end])
        counts[number], _ = _ENTRY.unpack_from(content, end + 1)
        position = end + 1 + _ENTRY.size
    shape = Shape(arguments.buckets, arguments.min_char, arguments.max_char, arguments.word_ngrams)
    return (
        Dictionary(names[:words], counts[:words], names[words:], counts[words:], shape, tokens),
        position,
    )


def _read_matrix(content: mmap.mmap, position: int) -> tuple[np.ndarray, int]:
    quantized, rows, columns = _MATRIX.unpack_from(content, position)
    if quantized:
        raise ModelFileError("quantized models are not supported")
    position += _MATRIX.size
    if rows < 0 or columns < 0 or position + 4 * rows * columns > len(content):
        raise ModelFileError("a matrix is cut off")
    # The rows need not begin at a multiple of four bytes; NumPy bears that.
    matrix = np.ndarray((rows, columns), "<f4", content, position)
    return matrix, position + matrix.nbytes


# --- word2vec's text format ----------------------------------------------------------------------


def write_text(path: Path, words: Sequence[bytes], vectors: np.ndarray) -> None:
    """`vectors.txt`: a line with the size, then a word and its numbers a line."""
    with open(path, "wb") as file:
        file.write(b"%d %d\n" % vectors.shape)
        line = " ".join(["%.7g"] * vectors.shape[1]) + "\n"
        for begin in range(0, len(words), _BLOCK_ROWS):
            block = vectors[begin : begin + _BLOCK_ROWS].tolist()
            named = zip(words[begin : begin + _BLOCK_ROWS], block, strict=True)
            file.writelines(word + b" " + (line % tuple(row)).encode() for word, row in named)
