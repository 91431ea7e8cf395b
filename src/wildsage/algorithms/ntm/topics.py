"""What topics are judged by: their top words, how unique these are, and how well they go together.

Topic uniqueness (TU), word embedding topic coherence (WETC) and their line in the log are AWS's
(Ding, Nallapati and Xiang, Coherence-Aware Neural Topic Modeling, EMNLP 2018). WETC wants word
embeddings, which the user may supply; without them coherence is NPMI over training documents.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from wildsage.contract.failure import ClientError
from wildsage.formats.matrix import SparseMatrix

TOP_WORDS = 20
VOCABULARY_FILE = "vocab.txt"
EMBEDDINGS_FILE = "embeddings.txt"


def top_words(projection_weight: np.ndarray, count: int = TOP_WORDS) -> np.ndarray:
    """The numbers of each topic's first words, topics × count."""
    count = min(count, len(projection_weight))
    order = np.argsort(-projection_weight, axis=0, kind="stable")[:count]
    return np.ascontiguousarray(order.T)


def uniqueness(tops: np.ndarray) -> np.ndarray:
    """TU of each topic: the mean of 1 / (topics that have the word among their first)."""
    shared: np.ndarray = np.bincount(tops.ravel())[tops]
    return np.asarray((1 / shared).mean(axis=1))


def npmi(tops: np.ndarray, documents: SparseMatrix) -> np.ndarray:
    """Each topic's mean normalised pointwise mutual information of its words' pairs, -1 to 1."""
    present = documents.to_scipy().tocsc()
    present.data = np.ones_like(present.data)
    share = np.bincount(documents.indices, minlength=documents.shape[1]) / max(1, len(documents))
    return np.array([_npmi(present[:, words], share[words]) for words in tops])


def _npmi(present: object, share: np.ndarray) -> float:
    together = (present.T @ present).toarray() / present.shape[0]  # type: ignore[attr-defined]
    left, right = np.tril_indices(len(share), -1)
    if not len(left):
        return 0.0
    both = together[left, right]
    seen = (both > 0) & (both < 1)
    values = np.where(both > 0, 1.0, -1.0)
    apart = share[left][seen] * share[right][seen]
    values[seen] = np.log(both[seen] / apart) / -np.log(both[seen])
    return float(values.mean())


def wetc(tops: np.ndarray, embeddings: np.ndarray) -> np.ndarray:
    """Each topic's mean cosine between its words' embeddings."""
    lengths = np.linalg.norm(embeddings, axis=1, keepdims=True)
    unit = embeddings / np.maximum(lengths, 1e-12)
    left, right = np.tril_indices(tops.shape[1], -1)
    if not len(left):
        return np.zeros(len(tops))
    return np.array([(unit[words[left]] * unit[words[right]]).sum(axis=1).mean() for words in tops])


@dataclass(slots=True)
class Vocabulary:
    """The auxiliary channel: words, and their embeddings where there are any."""

    words: list[str]
    embeddings: np.ndarray | None = None

    @classmethod
    def read(cls, files: Sequence[Path], size: int, warn: Callable[[str], None]) -> Vocabulary:
        by_name = {path.name: path for path in files}
        vectors = by_name.pop(EMBEDDINGS_FILE, None)
        if len(by_name) == 1:
            by_name = {VOCABULARY_FILE: next(iter(by_name.values()))}
        if VOCABULARY_FILE not in by_name:
            raise ClientError(
                f"Unable to find '{VOCABULARY_FILE}' in data channel 'auxiliary'. "
                "Please provide a text file of this name with one word per line."
            )
        words = _lines(by_name[VOCABULARY_FILE])
        if len(words) != size:
            raise ClientError(
                f"The number of words in '{VOCABULARY_FILE}' ({len(words)}) must be equal to the "
                f"value of the 'feature_dim' hyperparameter ({size})."
            )
        vocabulary = cls(words)
        if vectors is not None:
            vocabulary.embeddings = _embeddings(_lines(vectors), words, warn)
        return vocabulary


def _lines(path: Path) -> list[str]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ClientError(f"'{path.name}' must be encoded in UTF-8.", caused_by=error) from error
    return text.rstrip("\r\n").replace("\r\n", "\n").split("\n") if text else []


def _embeddings(
    lines: Iterable[str], words: Sequence[str], warn: Callable[[str], None]
) -> np.ndarray:
    """The vocabulary's vectors out of GloVe's text; the mean stands in for missing ones."""
    number = {word: position for position, word in enumerate(words)}
    found: dict[int, np.ndarray] = {}
    try:
        for line in lines:
            word, *values = line.rstrip().split(" ")
            if len(values) > 1 and word in number:
                found[number[word]] = np.array(values, np.float32)
        vectors = np.array(list(found.values()), np.float32)
    except ValueError as error:
        raise ClientError(
            f"'{EMBEDDINGS_FILE}' must hold a word and its vector in every line, as GloVe's do.",
            caused_by=error,
        ) from error
    if not len(vectors):
        raise ClientError(f"'{EMBEDDINGS_FILE}' has no word of '{VOCABULARY_FILE}'.")
    missing = len(words) - len(found)
    if missing:
        warn(
            f"{missing} out of {len(words)} in vocabulary do not have embeddings! "
            "Default vector used for unknown embedding!"
        )
    table = np.tile(vectors.mean(axis=0), (len(words), 1))
    table[list(found)] = vectors
    return table


def report(
    tops: np.ndarray,
    documents: SparseMatrix,
    vocabulary: Vocabulary | None,
    info: Callable[[str], None],
) -> None:
    """Write the topics to the log: coherence, uniqueness, words."""
    unique = uniqueness(tops)
    embeddings = None if vocabulary is None else vocabulary.embeddings
    name = "npmi" if embeddings is None else "wetc"
    coherent = npmi(tops, documents) if embeddings is None else wetc(tops, embeddings)
    info(
        f"Topics from epoch:final (num_topics:{len(tops)}) "
        f"[{name} {coherent.mean():.2f}, tu {unique.mean():.2f}]:"
    )
    for words, coherence, own in zip(tops.tolist(), coherent, unique, strict=True):
        texts = words if vocabulary is None else [vocabulary.words[word] for word in words]
        info(f"[{coherence:.2f}, {own:.2f}] {' '.join(map(str, texts))}")
