"""Pretrained token embeddings: the auxiliary channel's files to a table of rows by token number."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from wildsage.contract.failure import ClientError


def read_table(
    files: Sequence[Path], embedding_file: str, vocab_file: str, size: int, width: int
) -> tuple[np.ndarray, np.ndarray]:
    """(rows by token, which tokens have one); ClientError where the files do not fit."""
    numbers = read_vocabulary(find(files, vocab_file), size)
    table, known = np.zeros((size, width), np.float32), np.zeros(size, bool)
    path = find(files, embedding_file)
    for word, values in _vectors(path):
        number = numbers.get(word)
        if number is None:
            continue
        if len(values) != width:
            raise ClientError(
                f"The vectors of '{path.name}' have {len(values)} dimensions, the value of the "
                f"token_embedding_dim hyperparameter is {width}."
            )
        table[number], known[number] = values, True
    if not known.any():
        raise ClientError(f"'{path.name}' has no token of '{vocab_file}'.")
    return table, known


def find(files: Sequence[Path], name: str) -> Path:
    for path in files:
        if path.name == name:
            return path
    raise ClientError(f"Unable to find '{name}' in data channel 'auxiliary'.")


def _vectors(path: Path) -> list[tuple[str, list[float]]]:
    """Each line's token and numbers; the line of counts that word2vec begins with is left out."""
    found = []
    try:
        with open(path, encoding="utf-8") as lines:
            for line in lines:
                word, *values = line.rstrip().split(" ")
                if len(values) > 1:
                    found.append((word, list(map(float, values))))
    except ValueError as error:
        raise ClientError(
            f"'{path.name}' must hold a token and its vector in every line, separated by spaces.",
            caused_by=error,
        ) from error
    return found


def read_vocabulary(path: Path, size: int) -> Mapping[str, int]:
    """Token to number: a JSON object, or a text file with a token per line."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ClientError(f"'{path.name}' must be encoded in UTF-8.", caused_by=error) from error
    try:
        numbers = json.loads(text)
    except ValueError:
        numbers = {word: number for number, word in enumerate(text.splitlines())}
    if not isinstance(numbers, dict) or not all(type(n) is int for n in numbers.values()):
        raise ClientError(f"'{path.name}' must give each token its number.")
    wrong = [number for number in numbers.values() if not 0 <= number < size]
    if wrong:
        raise ClientError(
            f"'{path.name}' has the token number {wrong[0]}, which is not less than "
            f"vocab_size={size}."
        )
    return numbers
